"""SIESTA's binary grids; records written by SciPy are the independent oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from scipy.io import FortranFile

from deepdft.errors import FileFormatError
from deepdft.formats import read, read_with_notes
from deepdft.units import BOHR, PER_CUBIC_BOHR
from tests.formats.samples import shared_file

CELL = np.array([[7.0, 0.5, 0.0], [0.0, 8.0, 0.3], [0.2, 0.0, 9.0]])
SHAPE = (3, 4, 5)


def write_grid(path: Path, components: np.ndarray, kind: str = "<f4") -> None:
    """Write (components, nx, ny, nz) values in e/bohr^3 as iorho.F does."""
    order = kind[0]
    with FortranFile(path, "w", header_dtype=f"{order}u4") as file:
        file.write_record(CELL.astype(f"{order}f8"))
        counts = np.array([*components.shape[1:], len(components)], dtype=f"{order}i4")
        file.write_record(counts)
        for values in components:
            for k in range(values.shape[2]):
                for j in range(values.shape[1]):
                    file.write_record(values[:, j, k].astype(kind))


def sample(count: int) -> np.ndarray:
    return np.random.default_rng(5).random((count, *SHAPE)).astype(np.float32) * 0.02 + 0.01


@pytest.mark.parametrize("kind", ["<f4", "<f8", ">f4", ">f8"])
def test_records(kind: str, tmp_path: Path) -> None:
    values = sample(1)
    write_grid(tmp_path / "x.RHO", values, kind)
    density = read(tmp_path / "x.RHO")
    assert np.allclose(density.values, values[0].astype(np.float64) * PER_CUBIC_BOHR, rtol=1e-15)
    assert np.allclose(density.grid.cell, CELL * BOHR)
    assert density.spin is None
    assert density.level.code == "SIESTA"
    assert density.atoms.pbc.all()


def test_spin(tmp_path: Path) -> None:
    values = sample(4).astype(np.float64)
    write_grid(tmp_path / "two.RHO", values[:2])
    two = read(tmp_path / "two.RHO")
    assert np.allclose(two.values, (values[0] + values[1]) * PER_CUBIC_BOHR)
    assert np.allclose(two.spin, (values[0] - values[1]) * PER_CUBIC_BOHR)
    write_grid(tmp_path / "four.RHO", values)
    four = read(tmp_path / "four.RHO")
    # The magnetisation is trace(rho sigma) with rho = [[uu, ud], [ud*, dd]].
    mixed = values[2] + 1j * values[3]
    matrix = np.array([[values[0], mixed], [mixed.conj(), values[1]]])
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    expected = np.einsum("abxyz,cba->cxyz", matrix, pauli).real
    assert np.allclose(four.spin, expected * PER_CUBIC_BOHR)


def test_atoms_from_beside(tmp_path: Path) -> None:
    write_grid(tmp_path / "x.RHO", sample(1))
    density, notes = read_with_notes(tmp_path / "x.RHO")
    assert len(density.atoms) == 0
    assert any("no x.XV beside it" in note for note in notes)
    rows = ["7 0.5 0 0 0 0", "0 8 0.3 0 0 0", "0.2 0 9 0 0 0", "2"]
    rows += ["1 12 1.0 2.0 3.0 0 0 0", "2 8 4.0 5.0 6.0 0 0 0"]
    (tmp_path / "x.XV").write_text("\n".join(rows))
    density, notes = read_with_notes(tmp_path / "x.RHO")
    assert str(density.atoms.symbols) == "MgO"
    assert np.allclose(density.atoms.positions[1], np.array([4, 5, 6]) * BOHR)
    assert any("taken from x.XV" in note for note in notes)
    Atoms("Si", positions=[[1, 1, 1]]).write(tmp_path / "other.xyz")
    other = read(tmp_path / "x.RHO", structure=str(tmp_path / "other.xyz"))
    assert str(other.atoms.symbols) == "Si"


def test_content_tells_what_the_name_does_not(tmp_path: Path) -> None:
    write_grid(tmp_path / "density.bin", sample(1))
    assert read(tmp_path / "density.bin").grid.shape == SHAPE


@pytest.mark.parametrize(
    ("name", "quantity"),
    [("x.DRHO", "difference-density"), ("x.VT", "potential"), ("x.LDOS", "partial-density")],
)
def test_other_quantities_are_asked_for(name: str, quantity: str, tmp_path: Path) -> None:
    write_grid(tmp_path / name, sample(1))
    with pytest.raises(FileFormatError, match=f"quantity='{quantity}'"):
        read(tmp_path / name)
    assert read(tmp_path / name, quantity=quantity).metadata["quantity"] == quantity


@pytest.mark.parametrize("cut", [0, 50, 104, 130, 300, -4])
def test_truncation(cut: int, tmp_path: Path) -> None:
    write_grid(tmp_path / "whole", sample(1))
    (tmp_path / "x.RHO").write_bytes((tmp_path / "whole").read_bytes()[:cut])
    with pytest.raises(FileFormatError, match=r"too early|do not hold|empty|first records"):
        read(tmp_path / "x.RHO")


def test_hostile_counts(tmp_path: Path) -> None:
    write_grid(tmp_path / "whole", sample(1))
    data = bytearray((tmp_path / "whole").read_bytes())
    data[88:92] = (2**31 - 1).to_bytes(4, "little")
    (tmp_path / "x.RHO").write_bytes(data)
    with pytest.raises(FileFormatError, match="do not hold"):
        read(tmp_path / "x.RHO")


def test_real_file() -> None:
    density = read(shared_file("MgO_siesta.RHO"))
    assert density.n_electrons == pytest.approx(8.0, abs=1e-3)
    assert density.grid.shape == (24, 24, 24)
