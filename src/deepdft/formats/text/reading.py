"""Reading lines and long runs of numbers from a stream, with memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import RawIOBase
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.density import Grid
from deepdft.errors import DeepDFTError, FileFormatError
from deepdft.formats.summary import Summary
from deepdft.formats.text.columns import split_columns, spread
from deepdft.formats.text.fortran_float import parse_float as parse_float
from deepdft.storage.range_file import RangeFile

_Number = TypeVar("_Number", int, float)

LONGEST_LINE = 1 << 16
"""Longest line or token, bytes: a file with a longer one is not a text file of numbers."""
_BLOCK = 1 << 23
_FIRST_BLOCK = 1 << 16
_LONG_RUN = 1 << 20
"""Bytes of text from which on several threads parse it; numbers allocated on faith."""


class TextStream:
    """A text file as lines and blocks of numbers.

    Two fixed buffers are filled in turn; while a long run of numbers is parsed the next one is read
    (and decompressed) by a thread.

    Args:
        raw: binary file with `readinto`; closed by `close`.
        path: what errors call the file.
    """

    def __init__(self, raw: RawIOBase, path: str) -> None:
        self.path = path
        self.line = 1
        self._raw = raw
        self._buffer = np.empty(0, dtype=np.uint8)
        self._spare = np.empty(0, dtype=np.uint8)
        self._position = 0
        self._end = 0
        self._last_length = 0
        self._exhausted = False
        self._reader: ThreadPoolExecutor | None = None
        self._pending: Future[int] | None = None

    def __enter__(self) -> TextStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._reader is not None:
            self._reader.shutdown(wait=True)
        self._raw.close()

    def error(self, problem: str, line: int | None = None) -> FileFormatError:
        """Return a `FileFormatError` that names the file and the line."""
        return FileFormatError(f"{self.path}, line {line or self.line}: {problem}")

    # Lines -------------------------------------------------------------------------------------

    def next_line(self) -> str | None:
        """Return the next line without its end, or None behind the last one."""
        searched = 0
        while True:
            window = self._buffer[self._position + searched : self._end]
            found = bytes(window[:LONGEST_LINE]).find(b"\n")
            if found >= 0:
                length = searched + found
                break
            searched = self._end - self._position
            if searched > LONGEST_LINE:
                raise self.error("The line is too long; this is not a text file.")
            if not self._refill():
                length = self._end - self._position
                if length == 0:
                    return None
                break
        data = bytes(self._buffer[self._position : self._position + length])
        self._last_length = min(length + 1, self._end - self._position)
        self._position += self._last_length
        self.line += 1
        return data.decode("utf-8", errors="replace").rstrip("\r")

    def push_back(self) -> None:
        """Make the line just returned by `next_line` the next one again."""
        self._position -= self._last_length
        self.line -= 1
        self._last_length = 0

    def read_line(self, what: str) -> str:
        """Return the next line; `what` says in the error what was expected at the end of file."""
        line = self.next_line()
        if line is None:
            raise self.error(f"The file ends where {what} should be; it is truncated or empty.")
        return line

    def integers(self, text: str, count: int, what: str) -> list[int]:
        """Return the first `count` integers of the line just read."""
        try:
            return _first(text.split(), count, _integer)
        except ValueError:
            pass
        try:  # columns may run together
            return _first(spread(text), count, _integer)
        except ValueError:
            raise self.error(
                f"Expected {what}, found {text.strip()[:60]!r}.", self.line - 1
            ) from None

    def floats(self, text: str, count: int, what: str) -> list[float]:
        """Return the first `count` numbers of the line just read."""
        try:
            return _first(text.split(), count, parse_float)
        except ValueError:
            pass
        try:  # columns may run together
            return _first(spread(text), count, parse_float)
        except ValueError:
            raise self.error(
                f"Expected {what}, found {text.strip()[:60]!r}.", self.line - 1
            ) from None

    def make_grid(
        self,
        cell: FloatArray,
        shape: Sequence[int],
        origin: Sequence[float] | FloatArray = (0, 0, 0),
    ) -> Grid:
        """Return the grid that a header describes, or raise an error that names the line."""
        try:
            return Grid(cell, (shape[0], shape[1], shape[2]), np.asarray(origin, dtype=np.float64))
        except (DeepDFTError, ValueError, OverflowError) as error:
            raise self.error(f"The header describes no grid: {error}", self.line - 1) from None

    # Numbers -----------------------------------------------------------------------------------

    def read_numbers(self, count: int, factor: float = 1.0) -> FloatArray:
        """Read `count` numbers separated by white space, each times `factor`.

        Returns:
            (count,) float64.

        Raises:
            FileFormatError: if the file ends too early or a token is not a finite number.
        """
        return self.read_summarised(count, factor)[0]

    def read_summarised(self, count: int, factor: float = 1.0) -> tuple[FloatArray, Summary]:
        """Read numbers as `read_numbers` does; also return their summary."""
        if count * 2 >= _LONG_RUN and isinstance(self._raw, RangeFile):
            parsed = self._parse_file(count, factor)
            if parsed is not None:
                return parsed
        # The length of a compressed file is not known: grow as text arrives.
        numbers = np.empty(min(count, _LONG_RUN))
        found = 0
        while True:
            found, numbers = self._parse_buffer(found, count, numbers, factor)
            if found == count:
                numbers = numbers if len(numbers) == count else numbers[:count]
                return numbers, Summary.of(numbers)
            if not self._refill(prefetch=True):
                raise self._too_few(found, count)

    def _parse_buffer(
        self, found: int, count: int, numbers: FloatArray, factor: float
    ) -> tuple[int, FloatArray]:
        """Parse what is whole in the buffer; return the new count and the (grown) array."""
        stop = self._last_break()
        if len(numbers) < count:
            needed = min(found + (stop - self._position) // 2 + 1, count)
            if needed > len(numbers):
                grown = np.empty(min(count, max(needed, 2 * len(numbers))))
                grown[:found] = numbers[:found]
                numbers = grown
        limit = min(count, len(numbers)) - found
        found += self._parse_range(self._position, stop, numbers[found:], limit, factor)
        return found, numbers

    def _parse_range(
        self, start: int, stop: int, numbers: FloatArray, limit: int, factor: float
    ) -> int:
        """Parse one range of the buffer."""
        from deepdft.formats.text.number_parsing import NotANumberError, parse_range

        try:
            position, found, lines = parse_range(
                self._buffer, start, stop, numbers, limit, factor, columns=True
            )
        except NotANumberError as error:
            self.line += error.lines
            raise self.error(f"{error.token[:40]!r} is not a finite number.") from None
        self._position = position
        self.line += lines
        return found

    def _parse_file(self, count: int, factor: float) -> tuple[FloatArray, Summary] | None:
        """Parse a long run of numbers of a plain file with several threads.

        They count tokens; where columns run together, nothing is read and None returned.
        """
        from deepdft.formats.text.number_parsing import NotANumberError, thread_count
        from deepdft.formats.text.regular_lines import parse_run

        assert isinstance(self._raw, RangeFile)
        ahead = self._pending.result() if self._pending is not None else 0
        self._pending = None
        start = self._raw.tell() - ahead - (self._end - self._position)
        numbers = np.empty(min(count, (self._raw.size - start) // 2 + 1))
        try:
            run = parse_run(self._raw, start, numbers, factor, thread_count())
        except NotANumberError as error:
            if len(split_columns(error.token)) > 1:
                self._raw.seek(start)
                self._position = self._end = 0
                self._exhausted = False
                return None
            line = _line_at(self._raw, error.offset)
            raise self.error(f"{error.token[:40]!r} is not a finite number.", line) from None
        self.line += run.lines
        self._raw.seek(run.end)
        self._position = self._end = 0
        self._exhausted = False
        if run.found < count:
            raise self._too_few(run.found, count)
        return numbers, run.summary

    def _too_few(self, found: int, count: int) -> FileFormatError:
        return self.error(
            f"The file ends after {found} of {count} values; it is truncated, or its header is "
            "wrong."
        )

    # Buffers -----------------------------------------------------------------------------------

    def _last_break(self) -> int:
        """Return where the last whole token of the buffer ends."""
        if self._exhausted:
            return self._end
        return _last_space(self._buffer, self._position, self._end)

    def _refill(self, prefetch: bool = False) -> bool:
        """Put more text behind what is unread; return False at the end of the file."""
        if self._exhausted:
            return False
        left = self._buffer[self._position : self._end]
        if len(left) > 2 * LONGEST_LINE:
            raise self.error("A token is too long; this is not a text file of numbers.")
        head = 2 * LONGEST_LINE
        if self._pending is not None:
            received = self._pending.result()
            self._pending = None
        else:
            if len(self._spare) == 0:
                block = _FIRST_BLOCK if len(self._buffer) == 0 else _BLOCK
                self._spare = _text_buffer(head + block)
            received = self._fill(self._spare)
        self._spare[head - len(left) : head] = left
        self._buffer, self._spare = self._spare, self._buffer
        self._position = head - len(left)
        self._end = head + received
        self._exhausted = self._end + _padding() < len(self._buffer)
        self._buffer[self._end : self._end + _padding()] = 32
        if prefetch and not self._exhausted:
            self._prefetch(head)
        return True

    def _prefetch(self, head: int) -> None:
        if self._reader is None:
            self._reader = ThreadPoolExecutor(1, "deepdft-read")
        if len(self._spare) < head + _BLOCK:
            self._spare = _text_buffer(head + _BLOCK)
        self._pending = self._reader.submit(self._fill, self._spare)

    def _fill(self, buffer: NDArray[np.uint8]) -> int:
        """Read into `buffer` behind its head until it is full or the file ends."""
        target = buffer.data[2 * LONGEST_LINE : len(buffer) - _padding()]
        received = 0
        while received < len(target):
            count = self._raw.readinto(target[received:])
            if not count:
                break
            received += count
        return received


def _integer(token: str) -> int:
    """Return an integer; nothing is counted that needs more than 63 bits."""
    number = int(token)
    if abs(number) >= 1 << 63:
        raise ValueError(token)
    return number


def _first(tokens: list[str], count: int, convert: Callable[[str], _Number]) -> list[_Number]:
    if len(tokens) < count:
        raise ValueError
    return [convert(token) for token in tokens[:count]]


def _text_buffer(size: int) -> NDArray[np.uint8]:
    return np.empty(size + _padding(), dtype=np.uint8)


def _padding() -> int:
    return 32


def _last_space(buffer: NDArray[np.uint8], start: int, stop: int) -> int:
    """Return the last position in [start, stop) that holds white space, or `start`."""
    step = 256
    while stop > start:
        low = max(start, stop - step)
        found = np.flatnonzero(buffer[low:stop] <= 32)
        if len(found):
            return low + int(found[-1])
        stop = low
        step *= 4
    return start


def _line_at(file: RangeFile, offset: int) -> int:
    """Return the number of the line that a byte of a file is in, from 1."""
    file.seek(0)
    lines, left = 1, offset
    while left > 0:
        piece = file.read(min(left, _BLOCK)) or b""
        lines += piece.count(b"\n")
        left = left - len(piece) if piece else 0
    return lines
