"""Property-based round trips: any cell, grid, magnitude and spin, through every writable format."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deepdft.density import Density, Grid
from deepdft.errors import FileFormatError
from deepdft.formats import read, write
from deepdft.levels import LevelOfTheory
from tests.formats.samples import skewed_density

LENGTHS = {"x.cube": 3e-8, "x.CHGCAR": 1e-10, "x.CHG": 1e-10, "x.xsf": 1e-9, "x.npz": 0.0}
DIGITS = {"x.cube": 6, "x.CHGCAR": 11, "x.CHG": 5, "x.xsf": 9, "x.npz": 17}
"""Lengths are kept to this many Å (per 10 Å), values to this many digits."""


@st.composite
def densities(draw: st.DrawFn) -> Density:
    cell = draw(arrays.arrays(np.float64, (3, 3), elements=st.floats(-15, 15, width=32)))
    assume(abs(np.linalg.det(cell)) > 0.5)
    shape = tuple(draw(st.lists(st.integers(2, 7), min_size=3, max_size=3)))
    magnitude = 10.0 ** draw(st.integers(-12, 6))
    positive = st.floats(0, 1, allow_subnormal=False)
    values = draw(arrays.arrays(np.float64, shape, elements=positive)) * magnitude
    numbers = draw(st.lists(st.integers(1, 118), min_size=1, max_size=5))
    fractions = draw(
        arrays.arrays(np.float64, (len(numbers), 3), elements=st.floats(-2, 2, width=32))
    )
    periodic = draw(st.booleans())
    atoms = Atoms(numbers=numbers, positions=fractions @ cell)
    if periodic:
        atoms.cell, atoms.pbc = cell, True
    origin = np.zeros(3) if periodic else draw(st.sampled_from([-3.25, 0.0, 1.5])) * np.ones(3)
    level = LevelOfTheory(*draw(st.lists(st.text(max_size=8), min_size=4, max_size=4)))
    return Density(atoms, Grid(cell, shape, origin), values, None, level)


def exchanged(density: Density) -> Density:
    """The same density with the first two axes exchanged."""
    nx, ny, nz = density.grid.shape
    atoms = density.atoms.copy()
    atoms.set_cell(np.asarray(atoms.cell)[[1, 0, 2]])
    atoms.pbc = atoms.pbc[[1, 0, 2]]
    grid = Grid(density.grid.cell[[1, 0, 2]], (ny, nx, nz), density.grid.origin)
    return replace(density, atoms=atoms, grid=grid, values=density.values.transpose(1, 0, 2))


@pytest.mark.parametrize("name", LENGTHS)
@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(density=densities())
def test_what_is_written_comes_back(name: str, density: Density) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        write(path, density)
        options = {} if name == "x.npz" else {"quantity": "density"}
        again = read(path, **options)
        write(Path(folder, f"second.{name}"), again)
        assert (read(Path(folder, f"second.{name}"), **options).values == again.values).all()
    if Path(name).suffix.startswith(".CHG") and np.linalg.det(density.grid.cell) < 0:
        density = exchanged(density)  # written right-handed, as VASP wants it
    size = max(
        1.0, float(np.abs(density.grid.cell).max()), float(np.abs(density.atoms.positions).max())
    )
    close = LENGTHS[name] * size
    assert np.abs(again.grid.cell - density.grid.cell).max() <= close * max(density.grid.shape)
    assert np.abs(again.grid.origin - density.grid.origin).max() <= close
    assert np.abs(again.atoms.positions - density.atoms.positions).max() <= close
    assert (again.atoms.numbers == density.atoms.numbers).all()
    assert (again.atoms.pbc == density.atoms.pbc).all()
    if again.level.core != "all-electron":  # which values of this size look like
        assert again.level == density.level
    # Of VASP's files the volume, known to fewer digits than the values, is a factor.
    tolerance = 0.51 * 10.0 ** (1 - DIGITS[name]) + 1e-12
    smallest = 2e-98 * max(1.0, density.grid.volume, 1 / density.grid.volume)
    error = np.abs(again.values - density.values)
    assert (error <= tolerance * density.values + smallest).all()


@pytest.mark.parametrize("name", ["a.cube", "CHGCAR", "a.xsf", "a.npz", "a.zarr"])
@pytest.mark.parametrize("quantity", ["difference-density", "potential", "orbital"])
def test_other_quantities_stay_what_they_are(name: str, quantity: str, tmp_path: Path) -> None:
    """Nothing that was written as something else comes back as an electron density."""
    spin = 0 if name == "a.xsf" else 1
    density = replace(skewed_density(spin), metadata={"quantity": quantity})
    write(tmp_path / name, density)
    with pytest.raises(FileFormatError, match=f"pass quantity='{quantity}'"):
        read(tmp_path / name)
    found = read(tmp_path / name, quantity=quantity)
    assert found.metadata["quantity"] == quantity
    np.testing.assert_allclose(found.values, density.values, rtol=1e-5)
    if spin:
        assert found.spin is not None
        np.testing.assert_allclose(found.spin, density.spin, rtol=1e-5)
    insisted = read(tmp_path / name, quantity="density")
    assert "quantity" not in insisted.metadata
