"""Primitive cells: found in supercells, the same for all descriptions of a crystal."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from scipy.spatial.transform import Rotation

from deepdft.geometry.primitive_cell import primitive_cell

CRYSTALS = {
    "copper": bulk("Cu"),
    "iron": bulk("Fe"),
    "magnesium": bulk("Mg"),
    "silicon": bulk("Si"),
    "rocksalt": bulk("NaCl", "rocksalt", a=5.64),
    "wurtzite": bulk("ZnO", "wurtzite", a=3.25, c=5.2),
    "triclinic": Atoms(
        "NaClO",
        scaled_positions=[(0, 0, 0), (0.5, 0.45, 0.5), (0.1, 0.7, 0.2)],
        cell=[[2.9, 0.2, -0.1], [1.6, 4.4, 0.3], [-0.9, 1.7, 5.2]],
        pbc=True,
    ),
}
MATRICES = ([[2, 0, 0], [0, 1, 0], [0, 0, 3]], [[1, 3, 0], [0, 1, -2], [0, 0, 1]],
            [[-1, 1, 1], [1, -1, 1], [1, 1, -1]], [[2, 1, -1], [0, 3, 1], [1, 0, 2]])  # fmt: skip


def shape(vectors: np.ndarray) -> np.ndarray:
    """Lengths and angles: what does not change when vectors are turned."""
    return np.array(vectors @ vectors.T)


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
@pytest.mark.parametrize("name", CRYSTALS)
def test_a_supercell_has_the_crystal_s_own_lattice(name: str, matrix: list[list[int]]) -> None:
    crystal = CRYSTALS[name]
    own = primitive_cell(crystal)
    assert own.count == 1
    np.testing.assert_array_equal(own.atoms, np.arange(len(crystal)))
    several = make_supercell(crystal, matrix)
    turn = Rotation.random(random_state=2).as_matrix()
    several.set_cell(several.cell.array @ turn, scale_atoms=True)
    generator = np.random.default_rng(0)
    several = several[generator.permutation(len(several))]
    several.positions += [0.3, -1.7, 2.2]
    several.wrap()
    found = primitive_cell(several)
    assert found.count == round(abs(np.linalg.det(matrix)))
    np.testing.assert_allclose(shape(found.vectors), shape(own.vectors), atol=1e-8)
    assert np.linalg.det(found.vectors) > 0
    kinds = Counter(several.numbers[found.atoms].tolist())
    assert kinds == Counter(crystal.numbers.tolist())
    # Every vector of the lattice leads from one atom to another of its kind, in the crystal's cell.
    steps = found.vectors @ np.linalg.inv(crystal.cell.array @ turn)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-8)


def test_axes_are_orthogonal_and_turn_with_the_crystal() -> None:
    crystal = CRYSTALS["triclinic"]
    turn = Rotation.random(random_state=3).as_matrix()
    turned = crystal.copy()
    turned.set_cell(crystal.cell.array @ turn, scale_atoms=True)
    axes = primitive_cell(crystal).axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(primitive_cell(turned).axes, axes @ turn, atol=1e-8)


def test_what_does_not_repeat_is_kept_whole() -> None:
    rocksalt = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    assert primitive_cell(rocksalt).count == 4
    substituted = rocksalt.copy()
    substituted.symbols[0] = "K"
    assert primitive_cell(substituted).count == 1
    moved = rocksalt * (2, 1, 1)
    moved.positions[3, 0] += 0.01
    assert primitive_cell(moved).count == 1
    ordered = Atoms("CsCl", cell=[4.1] * 3, scaled_positions=[(0, 0, 0), (0.5,) * 3], pbc=True)
    assert primitive_cell(ordered).count == 1
    ordered.symbols[:] = "Cs"
    assert primitive_cell(ordered).count == 2


def test_a_large_crystal_takes_moments() -> None:
    found = primitive_cell(bulk("Cu", cubic=True) * (12, 12, 12))
    assert found.count == 4 * 12**3
    assert len(found.atoms) == 1
