"""Grids whose last layers repeat the first, or not, against what the format says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.formats import read, read_with_notes, write
from deepdft.units import PER_CUBIC_BOHR

HERE = Path(__file__).parent


def test_cube_with_repeated_faces() -> None:
    density, notes = read_with_notes(HERE / "cr_rep.cube.gz")
    assert density.grid.shape == (28, 28, 28)
    assert np.allclose(np.diag(density.grid.cell), 4.2, atol=1e-4)
    assert density.n_electrons == pytest.approx(8.0, abs=1e-3)
    assert any("The last layer repeats the first along a, b and c" in note for note in notes)
    as_written = read(HERE / "cr_rep.cube.gz", repeated=False)
    assert as_written.grid.shape == (29, 29, 29)
    assert as_written.n_electrons == pytest.approx(8.4045, abs=1e-3)


def test_xsf_with_vacuum_that_repeats_nothing() -> None:
    density, notes = read_with_notes(HERE / "slab_norep.xsf.gz")
    assert density.grid.shape == (12, 12, 64)
    assert density.n_electrons == pytest.approx(8.0, abs=1e-3)
    heights = density.grid.points()[..., 2]
    centre = (heights * density.values).sum() / density.values.sum()
    assert centre == pytest.approx(7.25, abs=2e-3)
    assert any("does not repeat its far face along a, b and c" in note for note in notes)
    assert read(HERE / "slab_norep.xsf.gz", repeated=True).grid.shape == (11, 11, 63)


def crystal(centre: tuple[float, float, float], counts: tuple[int, int, int]) -> np.ndarray:
    """Return eight electrons around one place in a cell of 4 x 5 x 12 Å, e/Å^3, on a grid."""
    lengths = np.array([4.0, 5.0, 12.0])
    axes = [np.arange(n) / n * length for n, length in zip(counts, lengths, strict=True)]
    factors = [
        sum(np.exp(-((x - c + shift * length) ** 2) / 0.6) for shift in range(-3, 4))
        for x, c, length in zip(axes, centre, lengths, strict=True)
    ]
    values = np.einsum("i,j,k->ijk", *factors)
    return values * 8.0 / values.mean() / lengths.prod()


def xsf(values: np.ndarray, place: tuple[float, float, float], repeat: bool) -> str:
    stored = np.pad(values, [(0, 1)] * 3, mode="wrap") if repeat else values
    cell = "4.0 0 0\n0 5.0 0\n0 0 12.0\n"
    numbers = "\n".join(f"{x / PER_CUBIC_BOHR:.8E}" for x in stored.ravel(order="F"))
    return (
        f"CRYSTAL\nPRIMVEC\n{cell}PRIMCOORD\n1 1\n8 {place[0]} {place[1]} {place[2]}\n"
        f"BEGIN_BLOCK_DATAGRID_3D\nrho\nBEGIN_DATAGRID_3D_rho\n"
        f"{' '.join(map(str, stored.shape))}\n0 0 0\n{cell}{numbers}\n"
        "END_DATAGRID_3D\nEND_BLOCK_DATAGRID_3D\n"
    )


PLACES = {
    "general": (1.1, 2.3, 5.2),
    "in the middle, vacuum at all faces": (2.0, 2.5, 6.0),
    "mirrors through the origin": (0.0, 0.0, 0.0),
    "mirrors half a voxel behind": (4.0 / 32, 5.0 / 40, 12.0 / 96),
    "mirrors half a voxel before": (-4.0 / 32, -5.0 / 40, -12.0 / 96),
}


@pytest.mark.parametrize("repeat", [True, False])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_xsf(place: tuple[float, float, float], repeat: bool, tmp_path: Path) -> None:
    """Mirrors half a voxel before the first layer make the outermost equal though none repeats."""
    values = crystal(place, (16, 20, 48))
    (tmp_path / "x.xsf").write_text(xsf(values, place, repeat))
    density, notes = read_with_notes(tmp_path / "x.xsf")
    assert density.grid.shape == (16, 20, 48)
    np.testing.assert_allclose(density.values, values, atol=1e-6)
    assert any("does not repeat" in note for note in notes) is not repeat


@pytest.mark.parametrize("repeat", [True, False])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_cube(place: tuple[float, float, float], repeat: bool, tmp_path: Path) -> None:
    values = crystal(place, (16, 20, 48))
    cell = np.diag([4.0, 5.0, 12.0])
    shape = np.array(values.shape)
    if repeat:
        values = np.pad(values, [(0, 1)] * 3, mode="wrap")
        cell = cell * ((shape + 1) / shape)[:, None]
    atoms = Atoms("O", positions=[place])
    write(tmp_path / "x.cube", Density(atoms, Grid(cell, values.shape), values))
    lines = (tmp_path / "x.cube").read_text().split("\n")
    lines[1] = "density"  # without what ours say of themselves
    (tmp_path / "x.cube").write_text("\n".join(lines))
    density, notes = read_with_notes(tmp_path / "x.cube")
    vacuum = place == PLACES["in the middle, vacuum at all faces"]
    assert density.grid.shape == (values.shape if vacuum else tuple(shape))
    assert density.n_electrons == pytest.approx(8.0, abs=5e-3)
    assert any("repeats the first" in note for note in notes) is (repeat and not vacuum)


def test_what_nothing_decides_is_a_warning(tmp_path: Path) -> None:
    """Vacuum at all faces, and a count that fits oxygen neither way."""
    values = crystal((2.0, 2.5, 6.0), (16, 20, 48)) * 0.8
    (tmp_path / "x.xsf").write_text(xsf(values, (2.0, 2.5, 6.0), True))
    density, notes = read_with_notes(tmp_path / "x.xsf", unit="e/bohr^3")
    assert density.grid.shape == (16, 20, 48)
    (warning,) = [note for note in notes if "not clear whether the last layer" in note]
    assert "6.4000 electrons if it does, 5.6" in warning
    assert "repeated=false" in warning


def test_spin_goes_with_the_density(tmp_path: Path) -> None:
    values = np.pad(crystal(PLACES["general"], (8, 8, 12)), [(0, 1)] * 3, mode="wrap")
    cell = np.diag([4.0 * 9 / 8, 5.0 * 9 / 8, 12.0 * 13 / 12])
    atoms = Atoms("O", positions=[PLACES["general"]])
    write(tmp_path / "x.cube", Density(atoms, Grid(cell, values.shape), values, values * 0.25))
    text = (tmp_path / "x.cube").read_text()
    head, rest = text.split("deepdft", 1)
    (tmp_path / "x.cube").write_text(head + rest[rest.index("\n") :])
    density = read(tmp_path / "x.cube")
    assert density.grid.shape == (8, 8, 12)
    assert density.spin is not None
    np.testing.assert_allclose(density.spin, density.values * 0.25, rtol=1e-4)
    assert np.allclose(density.grid.voxel, np.diag([0.5, 0.625, 1.0]), atol=1e-6)
