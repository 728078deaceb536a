"""`deepdft dft start` for molecules: a folder for PySCF or CP2K."""

from __future__ import annotations

import json
import re

import pytest

from deepdft.cli.structure_inputs import is_setting
from deepdft.electronic import doubts

pytest.importorskip("pyscf")


def test_the_command(run, tmp_path):
    result = run(
        "dft", "start", "O", "-o", "water", "--program", "pyscf", "--json", "report.json"
    )  # fmt: skip
    assert result.code == 0, result.error
    assert "run 'python scf.py' there" in result.output
    assert json.loads((tmp_path / "report.json").read_text())["bracket"] < 0.01
    assert (tmp_path / "water" / "start.chk").exists()


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["C=O", "CC(=O)O", "O=C=O"], []),
        (["water.xyz", "functional=PBE0", "scf.max=3"], ["functional=PBE0", "scf.max=3"]),
    ],
)
def test_double_bonds_are_no_settings(arguments, settings):
    assert [text for text in arguments if is_setting(text)] == settings


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--program", "gpaw"], "not for 'gpaw'"),
        (["--program", "cp2k", "cutoff=300"], "leave out cutoff=300"),
        (["--program", "cp2k", "--density", "x.cube"], "too coarse"),
    ],
)
def test_what_is_refused(run, tmp_path, more, words):
    result = run("dft", "start", "O", "-o", "no", *more)
    assert result.code == 2
    assert words in " ".join(result.error.split())
    assert not (tmp_path / "no").exists()


def test_where_it_may_not_pay_a_folder_is_made_if_asked_for(run, tmp_path, monkeypatch):
    monkeypatch.setattr(doubts, "LARGEST_BRACKET", 0.0)
    result = run("dft", "start", "O", "-o", "no", "--program", "cp2k")
    assert result.code == 2
    assert re.search(r"meV apart.*the program's own guess", " ".join(result.error.split()))
    assert not (tmp_path / "no").exists()
    result = run("dft", "start", "O", "-o", "yes", "--program", "cp2k", "--any-structure")
    assert result.code == 0, result.error
    assert (tmp_path / "yes" / "start.wfn").exists()
