"""Parts of the crystals' data that experiments train on, and the tables of errors."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
from ase.build import bulk

from deepdft.data.plane_waves import write_plane_waves
from tests.recipes.crystal_recipes import gaussians, recipe

pytest.importorskip("spglib")

CRYSTALS = {
    "Na-Cl": bulk("NaCl", "rocksalt", a=5.64), "Na-Cl_copy": bulk("NaCl", "rocksalt", a=5.7),
    "Mg-O": bulk("MgO", "rocksalt", a=4.21), "Na": bulk("Na"), "Mg": bulk("Mg"),
    "Cl-O": bulk("ClO", "rocksalt", a=5.0),
}  # fmt: skip


@pytest.fixture(scope="module")
def experiments() -> ModuleType:
    return recipe("experiments")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    densities = []
    for name, atoms in CRYSTALS.items():
        density = gaussians(atoms, 12)
        density.atoms.info = {"name": name}
        key = name.partition("_")[0].replace("-", "")
        density.metadata["calculation"] = {"key": key, "group": "ionic", "magnetic": 0}
        densities.append(density)
    path = tmp_path_factory.mktemp("data")
    write_plane_waves(path / "crystals.npz", densities, cutoff=8.0)
    return path


def test_copies_stay_with_their_formula(experiments: ModuleType, folder: Path) -> None:
    crystals = experiments.Crystals.opened([folder])
    assert crystals.keys == ["NaCl", "NaCl", "MgO", "Na", "Mg", "ClO"]
    for folds in (2, 5):
        assert crystals.fold(0, folds) == crystals.fold(1, folds)
    assert {crystals.fold(i, 2, salt) for i in range(6) for salt in ("a", "b")} == {0, 1}
    parts = [crystals.of_part(part) for part in ("train", "validation", "test")]
    assert sorted(i for part in parts for i in part) == list(range(6))
    assert 0 in parts[0]  # as in the split of the crystals' data
    assert 1 in parts[0]


def test_beginnings_of_an_order_have_all_elements(experiments: ModuleType, folder: Path) -> None:
    crystals = experiments.Crystals.opened([folder])
    orders = [crystals.shuffled(range(6), seed) for seed in range(8)]
    for order in orders:
        assert sorted(order) == list(range(6))
        # The first brings in two elements, and there are four.
        assert len(crystals.elements(order[0])) == 2
        assert set().union(*(crystals.elements(i) for i in order[:3])) == {8, 11, 12, 17}
    assert len({tuple(order) for order in orders}) > 2
    assert crystals.shuffled(range(6), 0) == orders[0]


def test_crystals_of_unknown_elements_are_left_out(experiments: ModuleType, folder: Path) -> None:
    crystals = experiments.Crystals.opened([folder])
    assert crystals.known([1, 2, 3, 5], [0]) == [1, 3]


def test_a_run_is_not_taken_for_another(
    experiments: ModuleType, folder: Path, tmp_path: Path
) -> None:
    crystals = experiments.Crystals.opened([folder])
    wanted = experiments.Recipe(steps=5)
    described = {
        "steps": 5, "seed": 0, "set": [], "split": {"train": ["Mg-O"], "validation": ["Mg"]},
    }  # fmt: skip
    (tmp_path / "trained.json").write_text(json.dumps(described))
    assert experiments.trained(crystals, wanted, tmp_path, [2], [4]) == tmp_path / "run"
    with pytest.raises(Exception, match="holds another run"):
        experiments.trained(crystals, wanted, tmp_path, [0], [4])


def test_tables_of_errors(tmp_path: Path) -> None:
    module = recipe("errors")
    row = {
        "group": "ionic", "elements": ["Cl", "Na"], "atoms": 2, "magnetic": False, "eps_mae": 1.0,
        "superposed": 4.0, "expected": 0.9, "distance": 0.3, "electrons": 0.01,
    }  # fmt: skip
    rows = [
        {"name": "salt", **row},
        {"name": "copper", **row, "group": "element", "elements": ["Cu"], "atoms": 1,
         "eps_mae": 3.0, "superposed": 2.0, "distance": 0.6},
        {"name": "silicon", **row, "group": "element", "elements": ["Si"], "distance": 0.9},
    ]  # fmt: skip
    text = module.tables(rows, {"silicon": 0.0})
    assert "| all | 3 | 1.667 | 1.000 | 3.00 | 3.33 |" in text
    assert "| element | 2 | 2.000 | 2.000 | 3.00 | 3.00 |" in text
    assert "| metals | 2 |" in text  # copper by its elements, silicon by its bands
    assert "| 1 | 1 | 3.000 |" in text
    assert "| Na | 1 | 1.000 |" in text
    assert text.index("| copper | element | 3.00 |") < text.index("| salt | ionic |")
    module.picture(rows, tmp_path / "crystals.png")
    assert (tmp_path / "crystals.png").stat().st_size > 5000
