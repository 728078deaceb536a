"""Numbers in lines of one length, parsed by threads that do not wait for each other.

Programs print grids with a format statement: every line but the last has as many bytes and as many
numbers as the first. So a block of lines tells by its place in the file where its numbers go. That
is believed of a block only once it has been parsed and held just as many; everything from the first
block on that does not is left to a reader that counts.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.formats.summary import Summary
from deepdft.formats.text.decimal_parser import PADDING
from deepdft.formats.text.number_parsing import NotANumberError, parse_file, parse_range
from deepdft.storage.range_file import RangeFile

Bytes = NDArray[np.uint8]

_BLOCK = 1 << 20
_LONGEST_LINE = 1 << 12
_FEW = 1 << 16
"""Numbers that one thread parses sooner than several."""


@dataclass(frozen=True)
class RegularLines:
    """Lines of `length` bytes, the line end included, of `columns` numbers each; from `start` on.

    `count` lines fit into the file and into the numbers wanted.
    """

    start: int
    length: int
    columns: int
    count: int

    @classmethod
    def at(cls, file: RangeFile, start: int, wanted: int) -> RegularLines | None:
        """Look at the first two lines; None if they differ."""
        text: Bytes = np.empty(2 * _LONGEST_LINE, dtype=np.uint8)
        lines = bytes(text[: file.read_at(start, text.data)]).split(b"\n", 2)
        if len(lines) < 3 or len(lines[0]) != len(lines[1]):
            return None
        columns = len(lines[0].split())
        if columns == 0 or columns != len(lines[1].split()):
            return None
        length = len(lines[0]) + 1
        count = min(wanted // columns, (file.size - start) // length)
        return cls(start, length, columns, count)


@dataclass(frozen=True)
class Run:
    """What was found of a run of numbers.

    Attributes:
        end: byte behind the last number.
        found: count of numbers.
        lines: count of line ends passed.
        summary: of the numbers.
    """

    end: int
    found: int
    lines: int
    summary: Summary


class _Parser:
    """What the threads share: which block is next, and the first that is not as expected."""

    def __init__(
        self, file: RangeFile, lines: RegularLines, numbers: FloatArray, factor: float
    ) -> None:
        self.file = file
        self.lines = lines
        self.numbers = numbers
        self.factor = factor
        self.lines_a_block = max(1, _BLOCK // lines.length)
        self.blocks = -(-lines.count // self.lines_a_block)
        self.parsed: list[Run | None] = [None] * self.blocks
        self._next = 0
        self._lock = threading.Lock()

    def take(self) -> int | None:
        """Return a block that nobody has parsed yet."""
        with self._lock:
            block = self._next
            self._next += 1
        return block if block < self.blocks else None

    def stop_before(self, block: int) -> None:
        """Let the result end before a block."""
        with self._lock:
            self.blocks = min(self.blocks, block)

    def work(self) -> None:
        """Parse block after block until nothing is left to do."""
        text: Bytes = np.empty(self.lines_a_block * self.lines.length + PADDING, dtype=np.uint8)
        while (block := self.take()) is not None:
            if not self._parse(block, text):
                self.stop_before(block)

    def _parse(self, block: int, text: Bytes) -> bool:
        """Parse one block; return whether it holds as many whole numbers as expected."""
        lines = self.lines
        first = block * self.lines_a_block
        count = min(self.lines_a_block, lines.count - first)
        size = count * lines.length
        begin = lines.start + first * lines.length
        received = self.file.read_at(begin, text[:size].data)
        text[received : received + PADDING] = 32
        if received < size or text[size - 1] != 10:
            return False
        expected = count * lines.columns
        place = first * lines.columns
        numbers = self.numbers[place : place + expected]
        try:
            end, found, passed = parse_range(text, 0, size, numbers, expected, self.factor)
        except NotANumberError:
            return False
        if found < expected or (text[end:size] > 32).any():
            return False
        passed += int(np.count_nonzero(text[end:size] == 10))
        # Looked at while they are in the processor's cache.
        self.parsed[block] = Run(begin + end, found, passed, Summary.of(numbers))
        return True


def parse_regular_lines(
    file: RangeFile, start: int, numbers: FloatArray, factor: float, threads: int
) -> Run:
    """Parse what is regular of a run of numbers that begins with a line, at byte `start`."""
    lines = RegularLines.at(file, start, len(numbers))
    if lines is None or lines.count == 0:
        return Run(start, 0, 0, Summary.joined([]))
    parser = _Parser(file, lines, numbers, factor)
    helpers = min(threads, parser.blocks) - 1
    with ThreadPoolExecutor(max(1, helpers), "deepdft-parse") as pool:
        others = [pool.submit(parser.work) for _ in range(helpers)]
        try:
            parser.work()
        except BaseException:
            parser.stop_before(0)
            raise
        finally:
            for other in others:
                other.result()
    blocks = [run for run in parser.parsed[: parser.blocks] if run is not None]
    if not blocks:
        return Run(start, 0, 0, Summary.joined([]))
    return Run(
        blocks[-1].end,
        sum(run.found for run in blocks),
        sum(run.lines for run in blocks) - 1,  # the end of the last line has not been passed
        Summary.joined(run.summary for run in blocks),
    )


def parse_run(file: RangeFile, start: int, numbers: FloatArray, factor: float, threads: int) -> Run:
    """Parse numbers of a file from byte `start` on, until `numbers` is full or the file ends.

    Raises:
        NotANumberError: if a token is not a finite number (without its line).
    """
    known = parse_regular_lines(file, start, numbers, factor, threads)
    rest = numbers[known.found :]
    if len(rest) == 0:
        return known
    helped = threads if len(rest) > _FEW else 1
    end, found, lines = parse_file(file, known.end, rest, factor, helped)
    summary = Summary.joined([known.summary, Summary.of(rest[:found])])
    return Run(end, known.found + found, known.lines + lines, summary)
