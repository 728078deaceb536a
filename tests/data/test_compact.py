"""Compact files: round trip, rounding, damage, opened like any other data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

import deepdft
from deepdft.data.compact import (
    CompactEntry,
    CompactFile,
    is_compact,
    rounding_error,
    write_compact,
)
from deepdft.data.open import open_dataset
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError, LevelOfTheoryError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.walk import density_on
from deepdft.levels import LevelOfTheory

LEVEL = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF")


def _density(seed: int, *, spin: bool = True) -> Density:
    generator = np.random.default_rng(seed)
    cell = np.diag([4.0, 4.5, 5.0]) + generator.normal(0, 0.2, (3, 3))
    atoms = Atoms("CO", generator.random((2, 3)) @ cell, cell=cell, pbc=True)
    atoms.set_initial_magnetic_moments([0.5, -1.0])
    grid = Grid(cell, (12, 14, 17), np.array([0.1, 0.0, -0.2]))
    base = density_on(SuperposedAtoms(AtomicDensityTables.load("pbe-gth-dzvp"), atoms), grid).values
    values = base + generator.normal(0, 0.05, grid.shape)
    values[0, 0, 0] = 31.7
    polarised = generator.normal(0, 0.3, grid.shape) if spin else None
    return Density(atoms, grid, values, spin=polarised, level=LEVEL)


def _entries() -> list[CompactEntry]:
    return [
        CompactEntry("first", _density(0), {"energy": -1.25, "moments": [0.5, -1]}),
        CompactEntry("second", _density(1, spin=False), {}),
    ]


@pytest.mark.parametrize("tables", [None, "pbe-gth-dzvp"])
def test_values_are_within_half_a_step(tmp_path: Path, tables: str | None) -> None:
    path = tmp_path / "set.zip"
    chosen = None if tables is None else AtomicDensityTables.load(tables)
    write_compact(path, _entries(), tables=chosen, step=1e-3, spin_step=1e-2)
    file = CompactFile(str(path))
    assert file.names == ["first", "second"]
    for entry in _entries():
        found = file.density(entry.name)
        # The superposition is recomputed, to rounding.
        assert np.abs(found.values - entry.density.values).max() <= 0.5e-3 + 1e-9
        assert found.grid.is_close(entry.density.grid, 1e-12)
        assert np.array_equal(found.atoms.positions, entry.density.atoms.positions)
        assert np.array_equal(found.atoms.numbers, entry.density.atoms.numbers)
        assert np.array_equal(
            found.atoms.get_initial_magnetic_moments(),
            entry.density.atoms.get_initial_magnetic_moments(),
        )
        assert found.level == LEVEL
        error = entry.density.compare(found).eps_mae
        assert rounding_error(entry.density, chosen, 1e-3) == pytest.approx(error, rel=1e-6)
    first = file.density("first")
    expected = _entries()[0].density.spin
    assert first.spin is not None
    assert expected is not None
    assert np.abs(first.spin - expected).max() <= 0.5e-2 + 1e-12
    assert first.metadata["calculation"] == {"energy": -1.25, "moments": [0.5, -1]}
    assert file.density("second").spin is None


def test_packing_again_changes_nothing(tmp_path: Path) -> None:
    path, again = tmp_path / "a.zip", tmp_path / "b.zip"
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    write_compact(path, _entries(), tables=tables)
    file = CompactFile(str(path))
    entries = [CompactEntry(e.name, file.density(e.name), e.info) for e in _entries()]
    write_compact(again, entries, tables=tables)
    assert path.read_bytes() == again.read_bytes()


def test_opened_like_any_data(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    write_compact(path, _entries())
    for given in (path, tmp_path):
        dataset = open_dataset(given)
        assert dataset.names == ["first", "second"]
        assert dataset.level == LEVEL
        values = dataset.on_grid(0).values
        assert np.allclose(values, _entries()[0].density.values, rtol=0, atol=1e-4)
    assert deepdft.open_dataset(f"{path}::second").names == ["second"]
    with pytest.raises(ConfigurationError, match=r"no density 'secnd'.*second"):
        open_dataset(f"{path}::secnd").on_grid(0)


def test_a_density_can_be_far_from_what_fits_sixteen_bits(tmp_path: Path) -> None:
    density = _density(0, spin=False)
    spiked = replace(density, values=density.values + 1e4 * (density.values == 31.7))
    write_compact(tmp_path / "set.zip", [CompactEntry("a", spiked, {})])
    found = CompactFile(str(tmp_path / "set.zip")).density("a")
    assert np.abs(found.values - spiked.values).max() < 0.51e-4


def test_what_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    density = _density(0)
    with pytest.raises(ConfigurationError, match="no density"):
        write_compact(path, [])
    with pytest.raises(ConfigurationError, match="twice"):
        write_compact(path, [CompactEntry("a", density, {})] * 2)
    with pytest.raises(ConfigurationError, match="not finite"):
        write_compact(
            path, [CompactEntry("a", replace(density, values=density.values * np.nan), {})]
        )
    with pytest.raises(ConfigurationError, match="too large"):
        write_compact(path, [CompactEntry("a", replace(density, values=density.values * 1e8), {})])
    other = replace(density, level=replace(LEVEL, functional="PBEsol"))
    with pytest.raises(LevelOfTheoryError):
        write_compact(path, [CompactEntry("a", density, {}), CompactEntry("b", other, {})])
    assert list(tmp_path.iterdir()) == []


def test_damage_is_said(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    write_compact(path, _entries())
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(bytes(content))
    assert is_compact(path)
    with pytest.raises(FileFormatError, match="damaged"):
        CompactFile(str(path)).density("first")
