"""JSON with large arrays of numbers, read piece by piece: those become arrays, the rest stays JSON.

Python's own parser makes an object of every number, ten times the memory of the result. Here a run
of digits, commas and brackets that is longer than a kilobyte is taken out of the text while it
passes and parsed by the compiled parser; `json` sees the rest, with marks in the gaps.
"""

from __future__ import annotations

import json
import re
from io import RawIOBase
from itertools import pairwise
from typing import Any

import numpy as np

from deepdft.arrays import FloatArray
from deepdft.errors import FileFormatError
from deepdft.formats.text.decimal_parser import PADDING
from deepdft.formats.text.number_parsing import LONGEST_TOKEN, NotANumberError, parse_range

_PIECE = 1 << 20
_LONG = 1 << 10
"""Bytes from which on an array is taken out of the text."""
_LARGEST_REST = 1 << 26
"""Bytes that the rest may have: it becomes Python objects."""
_MARK = "deepdft array taken out"
_TOKEN = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"'  # a string
    rb"|[\[\]\d\s,.eE+\-]+"  # numbers and the brackets around them
    rb'|[^"\[\]\d\s,.eE+\-]+',  # anything else
    re.DOTALL,
)
_RUN = re.compile(rb"[\[\]\d\s,.eE+\-]*")
_AS_SPACES = bytes.maketrans(b"[],", b"   ")


class _NotAnArrayError(ValueError):
    """A long run of numbers is no array."""


class _ArrayReader:
    """Takes the text of one array of numbers in pieces."""

    def __init__(self) -> None:
        self._numbers: FloatArray = np.empty(_PIECE // 16)
        self._found = 0
        self._left = b""
        self._depth = 0
        self._deepest = 0
        self._closed: dict[int, int] = {}
        self.finished = False

    def feed(self, text: bytes) -> bytes:
        """Take text; return what is behind the end of the array."""
        codes = np.frombuffer(text, dtype=np.uint8)
        places = np.flatnonzero((codes == 91) | (codes == 93))
        opens = codes[places] == 91
        depths = self._depth + np.cumsum(np.where(opens, 1, -1))
        ends = np.flatnonzero(depths == 0)
        rest = b""
        if len(ends):
            end = int(places[ends[0]]) + 1
            text, rest = text[:end], text[end:]
            opens, depths = opens[: ends[0] + 1], depths[: ends[0] + 1]
            self.finished = True
        if len(depths):
            self._depth = int(depths[-1])
            self._deepest = max(self._deepest, int(depths.max()))
            for depth, count in zip(*np.unique(depths[~opens], return_counts=True), strict=True):
                self._closed[int(depth)] = self._closed.get(int(depth), 0) + int(count)
        self._parse(self._left + text)
        return rest

    def _parse(self, text: bytes) -> None:
        cut = len(text)
        if not self.finished:  # the last number may go on in the next piece
            cut = max(text.rfind(mark) for mark in (b",", b"[", b"]", b" ", b"\n")) + 1
        self._left = text[cut:]
        if len(self._left) > LONGEST_TOKEN:
            raise _NotAnArrayError("a number is too long")
        clean = np.frombuffer(text[:cut].translate(_AS_SPACES) + b" " * PADDING, dtype=np.uint8)
        needed = self._found + cut // 2 + 1
        if needed > len(self._numbers):
            grown = np.empty(max(needed, 3 * len(self._numbers) // 2))
            grown[: self._found] = self._numbers[: self._found]
            self._numbers = grown
        free = self._numbers[self._found :]
        try:
            _, count, _ = parse_range(clean, 0, cut, free, len(free), 1.0)
        except NotANumberError as error:
            raise _NotAnArrayError(f"{error.token[:40]!r} is not a finite number") from None
        self._found += count

    def result(self) -> FloatArray:
        """Return the array, in the shape that its brackets say."""
        lists = [self._closed.get(depth, 0) for depth in range(self._deepest)]
        counts = [*lists, self._found]
        shape = [after // before for before, after in pairwise(counts)]
        if not self.finished or int(np.prod(shape, dtype=object)) != self._found:
            raise _NotAnArrayError("the lists of an array have different lengths")
        return self._numbers[: self._found].reshape(shape)


def read_json(raw: RawIOBase, path: str) -> Any:
    """Read JSON in which long arrays of numbers become NumPy arrays.

    Args:
        raw: open for reading in binary.
        path: what errors call the file.

    Raises:
        FileFormatError: if it is not JSON, or a long array is not one of numbers in equal lists.
    """
    rest: list[bytes] = []
    arrays: list[FloatArray] = []
    try:
        _split(raw, rest, arrays)
        return json.loads(b"".join(rest), object_hook=lambda made: _filled(made, arrays))
    except (ValueError, RecursionError, IndexError, TypeError) as error:
        raise FileFormatError(f"{path} is not JSON, or damaged: {_one_line(error)}.") from None


def _one_line(error: Exception) -> str:
    return str(error).split("\n")[0][:120] or type(error).__name__


def _filled(made: dict[str, Any], arrays: list[FloatArray]) -> Any:
    return arrays[made[_MARK]] if made.keys() == {_MARK} else made


def _end_of_run(text: bytes, position: int) -> int:
    match = _RUN.match(text, position)
    return match.end() if match else position


def _split(raw: RawIOBase, rest: list[bytes], arrays: list[FloatArray]) -> None:
    """Share out a text: arrays of numbers, and the rest with marks."""
    size, carried, array = 0, b"", None
    while True:
        piece = raw.read(_PIECE)
        text, position = carried + (piece or b""), 0
        carried = b""
        while position < len(text):
            if array is not None:
                stop = _end_of_run(text, position)
                behind = array.feed(text[position:stop])
                position = stop - len(behind)
                if not array.finished:
                    if stop < len(text):
                        raise _NotAnArrayError(
                            f"{text[stop : stop + 20].decode('utf-8', 'replace')!r} "
                            "stands in an array of numbers"
                        )
                    break
                arrays.append(array.result())
                array = None
                rest.append(json.dumps({_MARK: len(arrays) - 1}).encode())
                continue
            match = _TOKEN.match(text, position)
            stop = match.end() if match else len(text)
            if piece and (match is None or stop == len(text)) and stop - position < _LONG:
                carried = text[position:]  # may go on in the next piece
                break
            if match is None and piece:
                carried = text[position:]
                break
            token = text[position:stop]
            opening = token.find(b"[")
            if opening >= 0 and stop - position >= _LONG and stop == _end_of_run(text, position):
                rest.append(token[:opening])
                array = _ArrayReader()
                position += opening
                continue
            rest.append(token)
            size += len(token)
            position = stop
        if size + len(carried) > _LARGEST_REST:
            raise _NotAnArrayError("it holds too much besides arrays of numbers")
        if not piece:
            break
    if array is not None:
        raise _NotAnArrayError("it ends within an array")
    rest.append(carried)
