"""Parsing long runs of numbers: the compiled parser with Python's help, on several threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.formats.text.columns import split_columns
from deepdft.formats.text.decimal_parser import FINISHED, PADDING, count_tokens, parse_numbers
from deepdft.formats.text.fortran_float import parse_float
from deepdft.storage.range_file import RangeFile
from deepdft.threads import available_threads

Bytes = NDArray[np.uint8]

LONGEST_TOKEN = 1 << 12
"""Longest number, bytes."""
_BLOCK = 1 << 21


class NotANumberError(ValueError):
    """A token is not a finite number.

    Attributes:
        token: what it is instead.
        offset: where it begins, in bytes.
        lines: line ends between the start of the range and it.
    """

    def __init__(self, token: str, offset: int, lines: int) -> None:
        super().__init__(token)
        self.token = token
        self.offset = offset
        self.lines = lines


def thread_count() -> int:
    """Return how many threads parse: all that this process may use, at most 8."""
    return min(8, available_threads())


def parse_range(
    text: Bytes,
    start: int,
    stop: int,
    numbers: FloatArray,
    limit: int,
    factor: float,
    *,
    columns: bool = False,
) -> tuple[int, int, int]:
    """Parse at most `limit` numbers of ``text[start:stop]``; see `parse_numbers`.

    With `columns` a token may be several numbers that run together.

    Returns:
        (position behind the last number, count of numbers, count of line ends passed).

    Raises:
        NotANumberError: if a token is not a finite number.
    """
    found, lines, position = 0, 0, start
    while True:
        position, parsed, passed, status = parse_numbers(
            text, position, stop, numbers[found:], limit - found, factor
        )
        found += parsed
        lines += passed
        if status == FINISHED:
            return position, found, lines
        token = bytes(text[position : position + LONGEST_TOKEN]).split(maxsplit=1)[0]
        word = token.decode("utf-8", errors="replace")
        parts = split_columns(word) if columns else []
        parts = parts if 1 < len(parts) <= limit - found else [word]
        try:
            for part in parts:
                numbers[found] = parse_float(part) * factor
                found += 1
        except ValueError:
            raise NotANumberError(word, position, lines) from None
        position += len(token)
        if found == limit:
            return position, found, lines


@dataclass
class _Progress:
    """What the threads share. Blocks may be read in any order but are numbered in turn."""

    found: int = 0
    lines: int = 0
    end: int = 0
    taken: int = 0
    turn: int = 0
    error: Exception | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)


def parse_file(
    file: RangeFile, start: int, numbers: FloatArray, factor: float, threads: int
) -> tuple[int, int, int]:
    """Parse numbers of a file from byte `start` on, until `numbers` is full or the file ends.

    The file is cut into blocks. A token belongs to the block that it begins in, so each block can
    be read, cut and counted for itself; the counts, added up in turn, say where its numbers go.

    Returns:
        (byte behind the last number, count of numbers, count of line ends passed).

    Raises:
        NotANumberError: if a token is not a finite number (without its line).
    """
    progress = _Progress(end=start)
    with ThreadPoolExecutor(max(1, threads - 1), "deepdft-parse") as pool:
        others = [
            pool.submit(_work, file, start, numbers, factor, progress) for _ in range(threads - 1)
        ]
        _work(file, start, numbers, factor, progress)
        for other in others:
            other.result()
    if progress.error is not None:
        raise progress.error
    return progress.end, progress.found, progress.lines


def _work(
    file: RangeFile, start: int, numbers: FloatArray, factor: float, progress: _Progress
) -> None:
    """Parse block after block until nothing is left to do."""
    text: Bytes = np.empty(1 + _BLOCK + LONGEST_TOKEN + PADDING, dtype=np.uint8)
    while True:
        with progress.changed:
            block = progress.taken
            progress.taken += 1
        first = start + block * _BLOCK
        try:
            if progress.error or progress.found >= len(numbers) or first >= file.size:
                return
            low, high = _load_block(file, first, text, block == 0)
            count = count_tokens(text, low, high)
            with progress.changed:
                place, limit = _take_turn(progress, block, count, len(numbers))
            if limit == 0:
                continue
            end, _, lines = parse_range(text, low, high, numbers[place:], limit, factor)
            if place + limit < len(numbers):  # line ends between the last number and the next block
                lines += int(np.count_nonzero(text[end:high] == 10))
            with progress.changed:
                progress.lines += lines
                progress.end = max(progress.end, first - 1 + end)
        except Exception as error:
            with progress.changed:
                if isinstance(error, NotANumberError):
                    error.offset += first - 1
                progress.error = progress.error or error
                progress.changed.notify_all()
            return


def _take_turn(progress: _Progress, block: int, count: int, total: int) -> tuple[int, int]:
    """Wait until all blocks before have been counted; return the place and count of the numbers.

    Nothing is left to do (count 0) once another thread has failed or all numbers are found; a
    thread that stops for one of these reasons may have left its block uncounted.
    """
    progress.changed.wait_for(
        lambda: progress.turn == block or progress.error or progress.found >= total
    )
    place = progress.found
    if progress.error is None and place < total:
        progress.found = min(place + count, total)
        progress.turn += 1
        progress.changed.notify_all()
    return place, progress.found - place


def _load_block(file: RangeFile, first: int, text: Bytes, at_start: bool) -> tuple[int, int]:
    """Read a block, from the byte before it to the end of its last token; return that range."""
    wanted = 1 + _BLOCK + LONGEST_TOKEN
    received = file.read_at(first - 1, text[:wanted].data) if first else 0
    if not first:
        received = 1 + file.read_at(0, text[1:wanted].data)
    if at_start:
        text[0] = 32
    text[received : received + PADDING] = 32
    high = received
    if received > _BLOCK:
        high = _next_space(text, _BLOCK, min(received, _BLOCK + LONGEST_TOKEN))
    return _next_space(text, 0, min(received, LONGEST_TOKEN)), high


def _next_space(text: Bytes, start: int, stop: int) -> int:
    """Return the first position in [start, stop] that holds white space."""
    found = np.flatnonzero(text[start : stop + 1] <= 32)
    if len(found) == 0:
        word = bytes(text[start : start + 40]).decode("utf-8", errors="replace")
        raise NotANumberError(word, start, 0)
    return start + int(found[0])
