"""The QM9 recipe, on three molecules in the layout of qm9pack."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest

import deepdft
from deepdft.data import read_split

RECIPE = Path(__file__).parents[2] / "recipes" / "qm9" / "make.py"
ROWS = """XYZ_file,Index,SMILES,Elements,XYZ_Ang
dsgdb9nsd_000003.xyz,3,O,"['O','H','H']","[[-0.0344,0.9775,0.0076],[0.0648,0.0206,1.5*^-3],[0.8718,1.3008,0.0007]]"
dsgdb9nsd_000004.xyz,4,C#C,"['C','C','H','H']","[[0.5995,0.,1.],[-0.5995,0.,1.],[-1.6616,0.,1.],[1.6616,0.,1.]]"
dsgdb9nsd_000006.xyz,6,C=O,"['C','O','H','H']","[[-0.014,1.18,0.0077],[0.0026,-0.0187,0.0027],[0.9263,1.7616,-0.0005],[-0.9713,1.7329,0.]]"
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    package = tmp_path / "packages" / "qm9pack"
    (package / "data").mkdir(parents=True)
    # The real one cannot be imported with recent versions of setuptools.
    (package / "__init__.py").write_text("raise ImportError('not to be imported')")
    first, *others = ROWS.splitlines(keepends=True)
    (package / "data" / "qm9_part1.csv").write_text(first + others[0])
    (package / "data" / "qm9_part2.csv").write_text(first + "".join(others[1:]))
    monkeypatch.syspath_prepend(tmp_path / "packages")
    description = importlib.util.spec_from_file_location("qm9_make", RECIPE)
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


def test_the_split_is_that_of_the_reference_data(recipe):
    # From tests/data/README.md and the data's own description.
    assert [recipe.part_of(index) for index in (5223, 21511, 132810, 312, 1899)] == [
        "train", "test", "train", "validation", "test",
    ]  # fmt: skip
    parts = [recipe.part_of(index) for index in range(1, 20001)]
    assert parts.count("test") == pytest.approx(1000, abs=100)
    assert parts.count("validation") == pytest.approx(1000, abs=100)


def test_the_order_is_fixed(recipe):
    order = recipe.in_order(range(1, 1001))
    assert sorted(order) == list(range(1, 1001))
    # A choice from fewer molecules is in the same order.
    assert recipe.in_order(range(1, 11)) == [index for index in order if index <= 10]
    assert abs(np.corrcoef(order, range(1000))[0, 1]) < 0.1


def test_geometries_to_archives_and_further(recipe, tmp_path, monkeypatch):
    pytest.importorskip("pyscf")
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["make.py", "data", *map(str, arguments)])
        recipe.main()

    call("--count", 3, "--structures", "all.xyz")
    molecules = {m.info["index"]: m for m in ase.io.read("all.xyz", ":", format="extxyz")}
    assert {index: str(m.symbols) for index, m in molecules.items()} == {
        3: "OH2", 4: "C2H2", 6: "COH2",
    }  # fmt: skip
    assert molecules[3].positions[1, 2] == pytest.approx(1.5e-3)
    assert not Path("data").exists()

    call("--count", 2)
    two = deepdft.open_dataset("data/part_000000.npz").names
    call("--count", 3)
    dataset = deepdft.open_dataset("data")
    assert dataset.names == ["3", "4", "6"]
    assert set(two) < set(dataset.names)
    assert [dataset.n_electrons(i) for i in range(3)] == [8, 10, 12]
    split = read_split("data/split.json", dataset)
    for part, positions in split.items():
        assert all(recipe.part_of(int(dataset.names[p])) == part for p in positions)
    assert sum(map(len, split.values())) == 3
    # What the data hold comes first when asked for, in the same part of the split.
    call("--count", 9, "--first", "data/part_000000.npz", "--structures", "again.xyz")
    again = [m.info["index"] for m in ase.io.read("again.xyz", ":", format="extxyz")]
    assert again == recipe.in_order([3, 4, 6])
    # What they hold can be left out as well.
    call("--count", 9, "--without", "data/part_000000.npz", "--structures", "none.xyz")
    assert not ase.io.read("none.xyz", ":", format="extxyz")
    manifest = json.loads(Path("data/campaign/manifest.json").read_text())
    assert [entry["status"] for entry in manifest["structures"]] == ["done"] * 3
