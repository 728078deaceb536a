"""Damaged and hostile files: one sentence each, quickly, in little memory."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from deepdft.errors import DeepDFTError
from deepdft.formats import read

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def fuzz() -> Iterator[ModuleType]:
    if not BENCHMARKS.exists():
        pytest.skip("benchmarks/ is not here")
    places = [str(BENCHMARKS), str(BENCHMARKS.parent)]
    sys.path[:0] = places  # as the script does
    yield importlib.import_module("fuzz_search")
    for place in places:
        sys.path.remove(place)


def test_damaged_files_are_answered_with_a_sentence(fuzz: ModuleType) -> None:
    counts, findings = fuzz.run(600, 1, ["reader"])
    assert sum(counts.values()) == 600
    assert min(counts.values()) > 20
    assert [(finding.target, finding.problem) for finding in findings] == []


def test_the_search_does_find_faults(fuzz: ModuleType, tmp_path: Path) -> None:
    """What the search reports: other exceptions, slow reads, memory, paragraphs."""
    import time

    def explode(data: bytes, folder: Path) -> None:
        raise KeyError("x")

    def crawl(data: bytes, folder: Path) -> None:
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        raise DeepDFTError("A sentence.")

    def ramble(data: bytes, folder: Path) -> None:
        raise DeepDFTError("One.\nTwo.")

    def answer(data: bytes, folder: Path) -> None:
        raise DeepDFTError("A sentence.")

    for function, problem in ((explode, "KeyError"), (crawl, "took"), (ramble, "not one sentence")):
        finding = fuzz.check("x", function, b"data", tmp_path, slowest=0.02)
        assert finding is not None
        assert problem in finding.problem
    assert fuzz.check("x", answer, b"data", tmp_path) is None


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_the_search_is_guided_by_the_places_it_reaches(tmp_path: Path) -> None:
    command = [sys.executable, BENCHMARKS / "fuzz.py", "--minutes", "0.05"]
    command += ["--target", "reader f.filplot", "--corpus", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"([\d,]+) inputs .* ([\d,]+) to +([\d,]+) places", done.stdout)
    assert found is not None, done.stdout
    inputs, first, last = (int(text.replace(",", "")) for text in found.groups())
    assert inputs > 10
    assert 50 < first <= last  # a valid file already goes through much of the reader
    assert list(tmp_path.glob("*/inputs/*"))


HEADERS = {
    "x.cube": "a\nb\n 1 0 0 0\n {n} 1 0 0\n {n} 0 1 0\n {n} 0 0 1\n 1 1 0 0 0\n 0.5 0.5\n",
    "CHGCAR": "a\n1.0\n1 0 0\n0 1 0\n0 0 1\nH\n1\nDirect\n0 0 0\n\n{n} {n} {n}\n 0.5 0.5\n",
    "x.xsf": "ATOMS\nH 0 0 0\nBEGIN_BLOCK_DATAGRID_3D\nx\nDATAGRID_3D_x\n{n} {n} {n}\n0 0 0\n"
    "1 0 0\n0 1 0\n0 0 1\n0.5 0.5\n",
    "x.filplot": "a\n{n} {n} {n} {n} {n} {n} 0 0\n1 5. 0 0 0 0 0\n1 4 9 0\n0.5 0.5\n",
}


@pytest.mark.parametrize("count", [10_000, 2**31, 2**62, 10**30, 10**400])
@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_claim_more_than_the_file_holds(name: str, count: int, tmp_path: Path) -> None:
    (tmp_path / name).write_text(HEADERS[name].format(n=count))
    with pytest.raises(DeepDFTError, match=r"ends after 2 of|no grid|Expected|not a finite"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", [*HEADERS, "x.npz", "x.RHO", "vaspwave.h5", "x.molden", "unnamed"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\x00" * 999,
        b"\xff\xfe" * 99,
        b" " * 200_000,
        b"x" * 200_000,
        "αβγ\n".encode() * 99,
        b"1\n" * 99,
        b"\r\r\r",
        b"nan " * 9999,
    ],
    ids=["empty", "line", "zeros", "bom", "blanks", "x", "greek", "ones", "returns", "nans"],
)
def test_content_of_no_format(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DeepDFTError) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
