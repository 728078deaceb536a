"""Lines and runs of numbers from one stream, whatever the buffers and threads."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepdft.errors import FileFormatError
from deepdft.formats.text import number_parsing, regular_lines
from deepdft.formats.text import reading as text
from deepdft.formats.text.reading import TextStream
from deepdft.storage.range_file import RangeFile


class Trickle(io.BytesIO):
    """A stream that returns little at a time, as decompression does."""

    def readinto(self, target: object) -> int:
        return super().readinto(memoryview(target)[:777])  # type: ignore[arg-type]


def plain(path: Path) -> RangeFile:
    return RangeFile(str(path))


def trickling(path: Path) -> Trickle:
    return Trickle(path.read_bytes())


OPENERS = [plain, trickling]


@pytest.fixture
def small_buffers(monkeypatch) -> None:
    monkeypatch.setattr(text, "_BLOCK", 1 << 14)
    monkeypatch.setattr(text, "_FIRST_BLOCK", 1 << 10)
    monkeypatch.setattr(text, "_LONG_RUN", 1 << 15)
    monkeypatch.setattr(number_parsing, "_BLOCK", 1 << 12)
    monkeypatch.setattr(regular_lines, "_BLOCK", 1 << 12)
    monkeypatch.setattr(number_parsing, "thread_count", lambda: 2)


@pytest.mark.usefixtures("small_buffers")
@pytest.mark.parametrize("opener", OPENERS)
def test_lines_and_numbers_take_turns(opener: Callable[[Path], object], tmp_path: Path) -> None:
    """Runs below and above the length from which on threads parse, in every order."""
    rng = np.random.default_rng(0)
    counts = [3, 9000, 40000, 12000, 1, 30000, 5]
    runs = [rng.normal(size=count) for count in counts]
    rows = []
    for index, run in enumerate(runs):
        rows.append(f"header {index}")
        rows += [" ".join(map(repr, run[i : i + 4].tolist())) for i in range(0, len(run), 4)]
    path = tmp_path / "x"
    path.write_text("\n".join(rows) + "\n")
    with TextStream(opener(path), "x") as stream:
        for index, run in enumerate(runs):
            assert stream.next_line() == f"header {index}"
            assert rows[stream.line - 2] == f"header {index}"
            assert (stream.read_numbers(len(run)) == run).all()
            assert stream.next_line() == ""
        assert stream.next_line() is None


@pytest.mark.usefixtures("small_buffers")
@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("fault", [10, 3000, 30000])
def test_faults_are_found_with_their_lines(
    opener: Callable[[Path], object], fault: int, tmp_path: Path
) -> None:
    rows = ["header", *("1.5 2.5" for _ in range(30001))]
    rows[fault] = "1.5 *****"
    path = tmp_path / "x"
    path.write_text("\n".join(rows))
    with TextStream(opener(path), "x") as stream:
        stream.next_line()
        with pytest.raises(FileFormatError, match=rf"x, line {fault + 1}: '\*\*\*\*\*' is not"):
            stream.read_numbers(60002)


@pytest.mark.parametrize("opener", OPENERS)
def test_lines(opener: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"one\r\n\ntwo words\n" + "α\n".encode() + b"\xff\nlast")
    with TextStream(opener(path), "x") as stream:
        assert [stream.next_line() for _ in range(3)] == ["one", "", "two words"]
        stream.push_back()
        assert (stream.line, stream.next_line()) == (3, "two words")
        assert [stream.next_line() for _ in range(4)] == ["α", "\ufffd", "last", None]
        with pytest.raises(FileFormatError, match=r"x, line 7: The file ends where more should be"):
            stream.read_line("more")


def test_long_lines_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"short\n" + b"x" * 300000)
    with TextStream(plain(path), "x") as stream:
        stream.next_line()
        with pytest.raises(FileFormatError, match="line 2: The line is too long"):
            stream.next_line()
        with pytest.raises(FileFormatError, match=r"too long|not a finite number"):
            stream.read_numbers(5)


def test_numbers_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("1 2 three\n")
    with TextStream(plain(path), "x") as stream:
        line = stream.read_line("numbers")
        assert stream.integers(line, 2, "two numbers") == [1, 2]
        assert stream.floats("1.5D0 -.5 4", 2, "two numbers") == [1.5, -0.5]
        with pytest.raises(
            FileFormatError, match=r"line 1: Expected three numbers, found '1 2 three'"
        ):
            stream.floats(line, 3, "three numbers")
        with pytest.raises(FileFormatError, match="Expected four numbers"):
            stream.integers(line, 4, "four numbers")
