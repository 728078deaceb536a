"""The page of errors by kind of structure."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

FOLDER = Path(__file__).parents[1] / "benchmarks" / "accuracy"


@pytest.fixture(scope="module")
def by_kind():
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("by_kind")
    finally:
        sys.path.remove(str(FOLDER))
        sys.modules.pop("by_kind", None)


def test_structures_are_of_the_kinds_they_are(by_kind):
    anion = molecule("CH3COOH")[:-1]
    anion.info.update(charge=-1, group="ion")
    assert by_kind.group(anion) == ["ion"]
    assert by_kind.charge(anion) == ["-1"]
    assert by_kind.elements(anion) == ["H", "C", "O"]
    assert by_kind.size(anion) == ["4 to 6 heavy atoms"]
    relaxed, long = molecule("CH4"), molecule("CH4")
    long.set_distance(0, 1, 1.35, fix=0)
    assert by_kind.strain(relaxed) == ["below 5 %"]
    assert by_kind.strain(long) == ["25 % and more"]


def test_figures_are_those_of_the_structures(by_kind):
    structures = [molecule(name) for name in ("CH4", "H2O", "CH3OH")]
    found = by_kind.by_kind(["a", "b", "c"], [1.0, 2.0, 4.0], structures, by_kind.elements)
    carbon, hydrogen, oxygen = sorted(found, key=lambda one: one.kind)
    assert (carbon.structures, hydrogen.structures, oxygen.structures) == (2, 3, 2)
    assert carbon.mean == 2.5
    assert carbon.standard_error == pytest.approx(np.std([1, 4], ddof=1) / 2**0.5)
    assert (oxygen.median, oxygen.largest, oxygen.worst) == (3.0, 4.0, "c")
    sizes = by_kind.by_kind(["a", "b", "c"], [3.0, 2.0, 1.0], structures, by_kind.size)
    assert [one.kind for one in sizes] == ["below 2 heavy atoms", "2 to 3 heavy atoms"]


def test_a_page_with_pictures_is_written(by_kind, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from tests.small_data import write_archive

    write_archive(tmp_path / "data.npz", ["CH4", "H2O"], first_index=0)
    report = tmp_path / "report"
    report.mkdir()
    rows = "predictor,name,eps_mae\nmine,0,0.01\nmine,1,0.02\nother,0,0.5\n"
    (report / "structures.csv").write_text(rows)
    (report / "summary.json").write_text(json.dumps({"predictor": "mine"}))
    arguments = [str(report), str(tmp_path / "data.npz"), "-o", str(tmp_path / "page")]
    monkeypatch.setattr(sys, "argv", ["by_kind.py", *arguments])
    by_kind.main()
    text = (tmp_path / "page" / "errors.md").read_text()
    assert "2 structures, mean eps_mae 1.500 %" in text
    assert "| QM9 | 2 | 1.500 ± 0.500 | 1.500 | 2.00 | 1 |" in text
    assert len(list((tmp_path / "page").glob("*.png"))) == len(by_kind.KINDS)
