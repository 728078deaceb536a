"""Lines of one length: the numbers are those of a plain loop, wherever the regularity ends."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from deepdft.formats.text import number_parsing, regular_lines
from deepdft.formats.text.number_parsing import NotANumberError
from deepdft.formats.text.regular_lines import Run, parse_regular_lines, parse_run
from deepdft.storage.range_file import RangeFile


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(regular_lines, "_BLOCK", 5000)
    monkeypatch.setattr(regular_lines, "_FEW", 100)
    monkeypatch.setattr(number_parsing, "_BLOCK", 4096)


def vasp_tokens(count: int) -> list[str]:
    rng = random.Random(count)
    return [
        f"{rng.choice(['0.', '-.'])}{rng.randrange(10**11):011d}E{rng.randint(-40, 14):+03d}"
        for _ in range(count)
    ]


def in_lines(tokens: list[str]) -> str:
    return "".join(
        " " + " ".join(tokens[start : start + 5]) + "\n" for start in range(0, len(tokens), 5)
    )


def run(path: Path, text: str, count: int, threads: int, factor: float = 1.0) -> np.ndarray:
    """Parse what follows a header; check the place and the lines that are reported."""
    path.write_bytes(f"header\n{text}".encode())
    numbers = np.empty(count)
    with RangeFile(str(path)) as file:
        found = parse_run(file, 7, numbers, factor, threads)
    content = path.read_bytes().decode()
    assert found.found == count
    assert len(content[7 : found.end].split()) == count
    assert found.lines == content.count("\n", 7, found.end)
    assert (found.summary.smallest, found.summary.largest) == (numbers.min(), numbers.max())
    assert found.summary.total == pytest.approx(numbers.sum(), rel=1e-12)
    assert found.summary.count == count
    return numbers


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [4, 5, 12, 2000, 2003])
def test_the_last_line_may_be_short(threads: int, count: int, tmp_path: Path) -> None:
    tokens = vasp_tokens(count)
    text = in_lines(tokens) + "augmentation occupancies   1   3\n"
    numbers = run(tmp_path / "x", text, count, threads)
    assert numbers.tolist() == [float(token) for token in tokens]


def test_it_is_regular_lines_that_are_parsed(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(in_lines(vasp_tokens(2003)))
    with RangeFile(str(tmp_path / "x")) as file:
        assert parse_regular_lines(file, 0, np.empty(2003), 1.0, 2).found == 2000


@pytest.mark.parametrize("place", [0, 3, 700, 1500, 1999])
@pytest.mark.parametrize("change", ["0.5", "0.12345678901E+1000", "1E5 7", "\n", "1.5\r"])
def test_the_regularity_may_end_anywhere(place: int, change: str, tmp_path: Path) -> None:
    tokens = vasp_tokens(2003)
    lines = in_lines(tokens).replace(tokens[place], change, 1)
    path = tmp_path / "x"
    if "1000" in change:
        path.write_text(lines)
        with RangeFile(str(path)) as file, pytest.raises(NotANumberError) as caught:
            parse_run(file, 0, np.empty(2003), 1.0, 2)
        assert caught.value.token == change
        assert caught.value.offset == lines.index(change)
        return
    expected = [float(token) for token in lines.split()]
    assert run(path, lines, len(expected), 2, factor=0.25).tolist() == [x / 4 for x in expected]


def test_a_line_too_long_and_one_too_short_do_not_cancel(tmp_path: Path) -> None:
    """The bytes of two blocks add up, the numbers of each do not."""
    tokens = vasp_tokens(2000)
    rows = in_lines(tokens).splitlines()
    rows[20] += " 7.5"
    rows[90] = rows[90][:-4] + "  "
    text = "\n".join(rows) + "\n"
    expected = [float(token) for token in text.split()]
    assert run(tmp_path / "x", text, len(expected), 2).tolist() == expected


def test_nothing_regular(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for text in ("", "1.5", "1.5 2.5\n", "1.5\n1.5 2.5\n", "\n\n\n"):
        path.write_text(text)
        with RangeFile(str(path)) as file:
            found = parse_regular_lines(file, 0, np.empty(9), 1.0, 2)
        assert isinstance(found, Run)
        assert (found.end, found.found) == (0, 0)


def test_a_file_that_ends_early(tmp_path: Path) -> None:
    path = tmp_path / "x"
    text = in_lines(vasp_tokens(1500))
    path.write_text(text)
    numbers = np.empty(3000)
    with RangeFile(str(path)) as file:
        found = parse_run(file, 0, numbers, 1.0, 2)
    assert found.found == 1500
    assert numbers[:1500].tolist() == [float(token) for token in text.split()]
