"""Left-handed cells: told when read, turned when a CHGCAR is written, at which VASP would stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.formats import open_writer, read, read_with_notes, write
from tests.formats.samples import skewed_density


def left_handed(components: int) -> Density:
    """Return a periodic density in a cell of negative determinant."""
    density = skewed_density(components)
    cell = density.grid.cell[[1, 0, 2]]
    atoms = density.atoms.copy()
    atoms.set_cell(cell)
    shape = (density.grid.shape[1], density.grid.shape[0], density.grid.shape[2])
    spin = None if density.spin is None else density.spin.swapaxes(-3, -2)
    return replace(
        density,
        atoms=atoms,
        grid=Grid(cell, shape),
        values=density.values.swapaxes(0, 1),
        spin=spin,
    )


@pytest.mark.parametrize("components", [0, 1, 3])
def test_a_chgcar_is_turned(components: int, tmp_path: Path) -> None:
    density, expected = left_handed(components), skewed_density(components)
    density.metadata["selective_dynamics"] = ["T F T"] * len(density.atoms)
    write(tmp_path / "CHGCAR", density)
    turned, notes = read_with_notes(tmp_path / "CHGCAR")
    assert np.linalg.det(np.asarray(turned.atoms.cell)) > 0
    assert turned.grid.is_close(expected.grid, 1e-9)
    np.testing.assert_allclose(turned.values, expected.values, rtol=1e-9)
    np.testing.assert_allclose(turned.atoms.positions, expected.atoms.positions, atol=1e-9)
    if expected.spin is not None:
        np.testing.assert_allclose(turned.spin, expected.spin, rtol=1e-8, atol=1e-12)
    assert turned.metadata["selective_dynamics"] == ["F T T"] * len(density.atoms)
    assert "a and b exchanged: the cell was left-handed" in turned.metadata["comment"]
    assert not any("left-handed" in note for note in notes)


def test_slab_by_slab(tmp_path: Path) -> None:
    density = left_handed(0)
    with open_writer(tmp_path / "CHGCAR", density.atoms, density.grid) as writer:
        for start, stop in density.grid.slabs(writer.axis, 40):
            writer.write_slab(density.values[:, :, start:stop])
    np.testing.assert_allclose(read(tmp_path / "CHGCAR").values, skewed_density().values, rtol=1e-9)


@pytest.mark.parametrize("name", ["x.cube", "x.xsf"])
def test_others_are_told(name: str, tmp_path: Path) -> None:
    write(tmp_path / name, left_handed(0))
    density, notes = read_with_notes(tmp_path / name)
    assert np.linalg.det(density.grid.cell) < 0
    assert sum("left-handed" in note for note in notes) == 1


def test_a_molecule_in_a_left_handed_box(tmp_path: Path) -> None:
    """Its origin and periodicity go through the comment."""
    atoms = Atoms("O", positions=[[1.0, 1.0, 1.5]])
    grid = Grid(np.array([[0, 3, 0], [4, 0, 0], [0, 0, 5.0]]), (6, 8, 10), np.array([-1, -1, -1]))
    distance = np.linalg.norm(grid.points() - atoms.positions[0], axis=-1)
    values = np.exp(-3 * distance)
    density = Density(atoms, grid, values * 8 / values.sum() / grid.voxel_volume)
    write(tmp_path / "x.CHGCAR", density)
    turned = read(tmp_path / "x.CHGCAR")
    assert not turned.atoms.pbc.any()
    np.testing.assert_allclose(turned.values, density.values.swapaxes(0, 1), rtol=1e-9)
    np.testing.assert_allclose(turned.atoms.positions, atoms.positions, atol=1e-9)
    np.testing.assert_allclose(turned.grid.origin, grid.origin)
