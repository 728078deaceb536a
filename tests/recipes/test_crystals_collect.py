"""Calculations of crystals, gathered into an archive of plane waves."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import deepdft
from deepdft.data.plane_waves import PlaneWaveArchive
from deepdft.density import Density
from deepdft.dft import Manifest, StructureRecord
from tests.recipes.crystal_recipes import LEVEL, gaussians, recipe

pytest.importorskip("spglib")


@pytest.fixture(scope="module")
def collect() -> ModuleType:
    return recipe("collect")


def store_of(folder: Path, densities: dict[str, Density], **info: str) -> Path:
    """A finished campaign, and one structure that failed."""
    folder.mkdir()
    manifest = Manifest(
        "quantum-espresso", {}, LEVEL, [{"quantum-espresso": "6.7"}],
        {"gone": StructureRecord("gone", 99, "X", 1, "", status="failed")},
    )  # fmt: skip
    for index, (name, density) in enumerate(densities.items()):
        deepdft.write(folder / f"{name}.npz", density)
        manifest.structures[name] = StructureRecord(
            name, index, "", len(density.atoms), "", info={"name": name, "key": name, **info},
            status="done",
            energy=-10.0 - index, details={"kpoints": [4, 4, 4]}, versions=0,
        )  # fmt: skip
    manifest.write(folder)
    return folder


def magnetic_iron() -> Atoms:
    iron = bulk("Fe")
    iron.set_initial_magnetic_moments([2.0])
    return iron


def run(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["collect.py", *map(str, arguments)])
    module.main()


def test_what_is_done_is_collected(
    collect: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zinc_oxide = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    made = {"Si": gaussians(bulk("Si")), "Fe": gaussians(magnetic_iron())}
    first = store_of(tmp_path / "first", made, group="element")
    second = store_of(tmp_path / "second", {"ZnO": gaussians(zinc_oxide)}, key="ZnO")
    run(collect, monkeypatch, first, second, "-o", tmp_path / "out")
    archive = PlaneWaveArchive(tmp_path / "out" / "crystals.npz")
    assert archive.names == ["Si", "Fe", "ZnO"]
    assert archive.level.code == "Quantum ESPRESSO 6.7"
    assert [len(archive.symmetry(name).rotations) for name in archive.names] == [48, 48, 12]
    for name, density in (*made.items(), ("ZnO", gaussians(zinc_oxide))):
        found = archive.density(name)
        np.testing.assert_allclose(found.values, density.values, atol=1e-4)
        assert (found.spin is None) == (density.spin is None)
    about = archive.density("Fe").metadata["calculation"]
    assert about["key"] == "Fe"
    assert about["group"] == "element"
    assert about["energy"] == -11.0
    split = json.loads((tmp_path / "out" / "split.json").read_text())
    assert sorted(name for names in split.values() for name in names) == ["Fe", "Si", "ZnO"]


def test_a_density_less_symmetric_than_its_atoms_is_kept_whole(
    collect: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    density = gaussians(bulk("Si"))
    moved = bulk("Si")
    moved.positions[1] += [0.02, 0.05, 0.01]
    density.values[...] = gaussians(moved).values
    store = store_of(tmp_path / "store", {"Si": density})
    run(collect, monkeypatch, store, "-o", tmp_path / "out")
    archive = PlaneWaveArchive(tmp_path / "out" / "crystals.npz")
    assert len(archive.symmetry("Si").rotations) == 1
    np.testing.assert_allclose(archive.density("Si").values, density.values, atol=1e-4)


def test_names_that_are_taken_are_left_out(
    collect: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = store_of(tmp_path / "first", {"Si": gaussians(bulk("Si"))})
    run(collect, monkeypatch, first, "-o", tmp_path / "known")
    second = store_of(tmp_path / "second", {"Si": gaussians(bulk("Si")), "C": gaussians(bulk("C"))})
    run(collect, monkeypatch, second, "-o", tmp_path / "out", "--beside", tmp_path / "known")
    assert "one of this name: Si" in capsys.readouterr().out
    assert PlaneWaveArchive(tmp_path / "out" / "crystals.npz").names == ["C"]


def test_what_was_collected_before_is_joined(
    collect: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store_of(tmp_path / "first", {"Fe": gaussians(magnetic_iron())})
    run(collect, monkeypatch, first, "-o", tmp_path / "known")
    second = store_of(tmp_path / "second", {"C": gaussians(bulk("C"))})
    run(collect, monkeypatch, tmp_path / "known", second, "-o", tmp_path / "out")
    known, joined = (PlaneWaveArchive(tmp_path / f / "crystals.npz") for f in ("known", "out"))
    assert joined.names == ["Fe", "C"]
    before, after = known.density("Fe"), joined.density("Fe")
    np.testing.assert_allclose(after.values, before.values, atol=1e-5)
    assert after.spin is not None
    np.testing.assert_allclose(after.spin, before.spin, atol=1e-5)
    assert after.metadata["calculation"] == before.metadata["calculation"]
    assert len(joined.symmetry("Fe").rotations) == 48
    split = json.loads((tmp_path / "out" / "split.json").read_text())
    assert sorted(name for names in split.values() for name in names) == ["C", "Fe"]


def test_a_formula_stays_in_its_part(collect: ModuleType) -> None:
    # As in the split of the crystals' data, which was made by another program.
    parts = {key: collect.part_of(key) for key in ("F2", "ZnO", "NaCl")}
    assert parts == {"F2": "test", "ZnO": "validation", "NaCl": "train"}
