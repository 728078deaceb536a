"""Damaged and hostile files: one sentence each, quickly, in little memory."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from deepdft.errors import DeepDFTError
from deepdft.formats import read

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    if not BENCHMARK.exists():
        pytest.skip("benchmarks/fuzz.py is not here")
    spec = importlib.util.spec_from_file_location("fuzz", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module
    sys.path.insert(0, str(BENCHMARK.parent))  # as Python does for a script
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARK.parent))
    return module


def test_damaged_files_are_answered_with_a_sentence(fuzz: ModuleType) -> None:
    counts, findings = fuzz.run(600, 1, ["reader"])
    assert sum(counts.values()) == 600
    assert min(counts.values()) > 20
    assert [(finding.target, finding.problem) for finding in findings] == []


def test_the_search_does_find_faults(fuzz: ModuleType, tmp_path: Path, monkeypatch) -> None:
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

    monkeypatch.setattr(fuzz, "SLOWEST", 0.02)
    for function, problem in ((explode, "KeyError"), (crawl, "took"), (ramble, "not one sentence")):
        finding = fuzz.check("x", function, b"data", tmp_path)
        assert finding is not None
        assert problem in finding.problem
    monkeypatch.setattr(fuzz, "SLOWEST", 5.0)
    assert fuzz.check("x", answer, b"data", tmp_path) is None


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
