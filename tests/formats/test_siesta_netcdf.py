"""SIESTA's NetCDF grids; files written by SciPy and h5py in the layout of iogrid_netcdf.F90."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import netcdf_file

from deepdft.errors import FileFormatError
from deepdft.formats import read, read_with_notes
from deepdft.units import BOHR, PER_CUBIC_BOHR
from tests.formats.test_siesta import CELL, SHAPE, sample, write_grid


def write_classic(path: Path, components: np.ndarray, version: int = 1) -> None:
    with netcdf_file(path, "w", version=version) as file:
        for name, size in zip(
            ("xyz", "abc", "spin", "n1", "n2", "n3"), (3, 3, len(components), *SHAPE), strict=True
        ):
            file.createDimension(name, size)
        file.createVariable("cell", "f8", ("abc", "xyz"))[:] = CELL
        grid = file.createVariable("gridfunc", "f4", ("spin", "n3", "n2", "n1"))
        grid[:] = components.transpose(0, 3, 2, 1)


def write_netcdf4(path: Path, components: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["cell"] = CELL
        file["gridfunc"] = components.transpose(0, 3, 2, 1)


@pytest.mark.parametrize("components", [1, 2, 4])
def test_the_same_as_the_binary_grid(components: int, tmp_path: Path) -> None:
    values = sample(components)
    write_grid(tmp_path / "x.RHO", values)
    expected = read(tmp_path / "x.RHO")
    write_classic(tmp_path / "Rho.grid.nc", values, version=1 + components % 2)
    write_netcdf4(tmp_path / "other.nc", values)
    for name in ("Rho.grid.nc", "other.nc"):
        density, notes = read_with_notes(tmp_path / name)
        np.testing.assert_allclose(density.values, expected.values, rtol=1e-14)
        assert density.grid.is_close(expected.grid, 1e-12)
        assert density.level.code == "SIESTA"
        assert (density.spin is None) == (expected.spin is None)
        if expected.spin is not None:
            np.testing.assert_allclose(density.spin, expected.spin, atol=1e-14)
        assert any("no LABEL.XV beside it" in note for note in notes)
    assert expected.values.flat[0] == pytest.approx(
        float(values[: min(components, 2), 0, 0, 0].sum()) * PER_CUBIC_BOHR
    )


def test_atoms_from_the_only_xv(tmp_path: Path) -> None:
    write_classic(tmp_path / "Rho.grid.nc", sample(1))
    rows = ["7 0.5 0 0 0 0", "0 8 0.3 0 0 0", "0.2 0 9 0 0 0", "2"]
    rows += ["1 12 1.0 2.0 3.0 0 0 0", "2 -8 4.0 5.0 6.0 0 0 0"]
    (tmp_path / "MgO.XV").write_text("\n".join(rows))
    density, notes = read_with_notes(tmp_path / "Rho.grid.nc")
    assert str(density.atoms.symbols) == "Mg"
    assert np.allclose(density.atoms.positions[0], np.array([1, 2, 3]) * BOHR)
    assert any("taken from MgO.XV" in note for note in notes)
    (tmp_path / "NaCl.XV").write_text("\n".join(rows))
    density, notes = read_with_notes(tmp_path / "Rho.grid.nc")
    assert len(density.atoms) == 0
    assert any("several .XV files" in note for note in notes)


def test_other_quantities_and_programs(tmp_path: Path) -> None:
    write_classic(tmp_path / "DeltaRho.grid.nc", sample(1))
    with pytest.raises(FileFormatError, match="quantity='difference-density'"):
        read(tmp_path / "DeltaRho.grid.nc")
    write_classic(tmp_path / "ElectrostaticPotential.grid.nc", sample(1))
    with pytest.raises(FileFormatError, match="quantity='potential'"):
        read(tmp_path / "ElectrostaticPotential.grid.nc")
    with netcdf_file(tmp_path / "o_DEN.nc", "w") as file:
        file.createDimension("three", 3)
        file.createVariable("primitive_vectors", "f8", ("three", "three"))
    with pytest.raises(FileFormatError, match="NetCDF file of ABINIT"):
        read(tmp_path / "o_DEN.nc")


@pytest.mark.parametrize("cut", [5, 40, 200, -8])
def test_truncation(cut: int, tmp_path: Path) -> None:
    write_classic(tmp_path / "whole", sample(1))
    (tmp_path / "Rho.grid.nc").write_bytes((tmp_path / "whole").read_bytes()[:cut])
    with pytest.raises(FileFormatError, match="NetCDF"):
        read(tmp_path / "Rho.grid.nc")
