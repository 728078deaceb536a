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

from deepdft.io.decimal_parser import PADDING
from deepdft.io.number_parsing import NotANumberError, parse_file, parse_range
from deepdft.io.range_file import RangeFile

FloatArray = NDArray[np.float64]
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
        self.ends = [0] * self.blocks
        self.line_ends = [0] * self.blocks
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
        self.ends[block] = begin + end
        self.line_ends[block] = passed + int(np.count_nonzero(text[end:size] == 10))
        return True


def parse_regular_lines(
    file: RangeFile, start: int, numbers: FloatArray, factor: float, threads: int
) -> tuple[int, int, int]:
    """Parse what is regular of a run of numbers that begins with a line, at byte `start`.

    Returns:
        (byte behind the last number, count of numbers, count of line ends passed), as
        `deepdft.io.number_parsing.parse_file`; (start, 0, 0) if the lines are not regular.
    """
    lines = RegularLines.at(file, start, len(numbers))
    if lines is None or lines.count == 0:
        return start, 0, 0
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
    if parser.blocks == 0:
        return start, 0, 0
    found = min(parser.blocks * parser.lines_a_block, lines.count) * lines.columns
    # The end of the line that the last number is in has not been passed.
    return parser.ends[parser.blocks - 1], found, sum(parser.line_ends[: parser.blocks]) - 1


def parse_run(
    file: RangeFile, start: int, numbers: FloatArray, factor: float, threads: int
) -> tuple[int, int, int]:
    """Parse numbers of a file from byte `start` on, until `numbers` is full or the file ends.

    Returns:
        (byte behind the last number, count of numbers, count of line ends passed).

    Raises:
        NotANumberError: if a token is not a finite number (without its line).
    """
    end, found, lines = parse_regular_lines(file, start, numbers, factor, threads)
    if found < len(numbers):
        few = len(numbers) - found < _FEW
        rest = numbers[found:]
        end, more, passed = parse_file(file, end, rest, factor, 1 if few else threads)
        found += more
        lines += passed
    return end, found, lines
