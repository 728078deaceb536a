"""Bare NumPy arrays, with their structure from somewhere else."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest

from deepdft.density import Density
from deepdft.errors import ConfigurationError, DeepDFTError, FileFormatError
from deepdft.formats import read, read_with_notes
from deepdft.units import PER_CUBIC_BOHR
from tests.formats.samples import skewed_density


def write_array(path: Path, values: np.ndarray, density: Density, **others: Any) -> Path:
    """Write an array and the description beside it."""
    np.save(path, values)
    atoms = density.atoms
    described = {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": np.asarray(atoms.cell).tolist(),
        "pbc": [True] * 3,
    }
    beside = path.with_name(f"{path.stem}.info.json")
    beside.write_text(json.dumps({"atoms": described, **others}))
    return path


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f8", ">f4"])
def test_arrays_with_a_description(kind: str, order: Any, tmp_path: Path) -> None:
    density = skewed_density()
    values = np.array(density.values, dtype=kind, order=order)
    path = write_array(tmp_path / "a.npy", values, density)
    result = read(path)
    np.testing.assert_allclose(result.values, values, rtol=1e-12)
    assert np.allclose(result.grid.cell, density.grid.cell)
    assert np.allclose(result.atoms.positions, density.atoms.positions)
    assert result.atoms.pbc.all()


def test_the_last_axis_of_mala(tmp_path: Path) -> None:
    density = skewed_density()
    path = write_array(
        tmp_path / "a.npy", density.values[..., None], density, ecutwfc=40.0, ibrav=0
    )
    (tmp_path / "a.npy.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    result = read(tmp_path / "a.npy.gz")
    np.testing.assert_array_equal(result.values, density.values)
    assert str(result.level) == "40 Ry (Quantum ESPRESSO)"


def test_a_structure_by_name_and_the_unit(tmp_path: Path) -> None:
    density = skewed_density()
    np.save(tmp_path / "a.npy", density.values / PER_CUBIC_BOHR)
    with pytest.raises(FileFormatError, match=r"no a\.info\.json beside it; pass structure=FILE"):
        read(tmp_path / "a.npy")
    ase.io.write(tmp_path / "POSCAR", density.atoms)
    result, notes = read_with_notes(tmp_path / "a.npy", structure=str(tmp_path / "POSCAR"))
    np.testing.assert_allclose(result.values, density.values)
    assert any("taken as e/bohr^3" in note for note in notes)
    forced = read(tmp_path / "a.npy", structure=str(tmp_path / "POSCAR"), unit="e/angstrom^3")
    np.testing.assert_allclose(forced.values * PER_CUBIC_BOHR, density.values)


def test_the_count_of_the_description(tmp_path: Path) -> None:
    density = skewed_density()
    path = write_array(tmp_path / "a.npy", density.values, density, number_of_electrons_exact=20)
    _, notes = read_with_notes(path)
    assert any(note.startswith("Warning: the array integrates to 16.0000") for note in notes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((3, 4)), r"shape \(3, 4\)"),
        (np.ones((2, 2, 2, 3)), "3 values a point"),
        (np.ones((2, 2, 2), dtype=complex), "complex128"),
        (np.full((2, 2, 2), np.nan), "not finite"),
    ],
)
def test_what_is_no_density(values: np.ndarray, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=message):
        read(write_array(tmp_path / "a.npy", values, skewed_density()))


def test_damage_is_one_sentence(tmp_path: Path) -> None:
    density = skewed_density()
    path = write_array(tmp_path / "a.npy", density.values, density)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    with pytest.raises(FileFormatError, match="ends too early"):
        read(path)
    path.write_bytes(whole.replace(b"(5, 7, 6)", b"(5,99999999,6)".ljust(9))[: len(whole)])
    with pytest.raises(DeepDFTError):
        read(path)
    path.write_bytes(whole)
    path.with_name("a.info.json").write_text('{"atoms": {"numbers": [1]}}')
    with pytest.raises(FileFormatError, match="does not describe a structure"):
        read(path)
    ase.io.write(tmp_path / "a.xyz", density.atoms[:1].copy(), format="xyz")
    with pytest.raises(ConfigurationError, match="no cell"):
        read(path, structure=str(tmp_path / "a.xyz"))
