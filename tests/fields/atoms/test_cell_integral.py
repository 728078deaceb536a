"""Integrals over a periodic cell: known values, and the same however the cell is chosen."""

from __future__ import annotations

import pytest
from ase import Atoms
from ase.build import bulk
from scipy.spatial.transform import Rotation

from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.atoms.cell_integral import cell_integral
from deepdft.geometry.primitive_cell import primitive_cell


def crystals() -> list[Atoms]:
    skewed = [[2.9, 0.2, -0.1], [1.6, 4.4, 0.3], [-0.9, 1.7, 5.2]]
    triclinic = Atoms("NaClO", positions=[(0, 0, 0), (1.6, 3.0, 2.7), (0.1, 3.0, 1.2)],
                      cell=skewed, pbc=True)  # fmt: skip
    return [bulk("Fe"), bulk("NaCl", "rocksalt", a=5.64), triclinic]


CRYSTALS = pytest.mark.parametrize("atoms", crystals(), ids=["iron", "rocksalt", "triclinic"])


def valence(atoms: Atoms) -> SuperposedAtoms:
    """Sharp where 3d and 2p electrons are, and of known integral."""
    return SuperposedAtoms(AtomicDensityTables.load("pbe-pseudodojo-80ry"), atoms, threads=1)


def integral(atoms: Atoms) -> float:
    return cell_integral(valence(atoms), atoms, primitive_cell(atoms), threads=1)


@CRYSTALS
def test_superposed_atoms_have_their_electrons(atoms: Atoms) -> None:
    tables = AtomicDensityTables.load("pbe-pseudodojo-80ry")
    expected = sum(tables.electrons(symbol) for symbol in atoms.symbols)
    assert integral(atoms) == pytest.approx(expected, rel=1e-4)


@CRYSTALS
def test_all_descriptions_of_a_crystal_have_the_same_integral(atoms: Atoms) -> None:
    expected = integral(atoms)
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ Rotation.random(random_state=1).as_matrix())
    turned.set_scaled_positions(atoms.get_scaled_positions())
    assert integral(turned) == pytest.approx(expected, rel=1e-9)
    skewed = atoms.copy()
    skewed.set_cell([[1, 3, 0], [0, 1, -2], [0, 0, 1]] @ atoms.cell.array)
    assert integral(skewed) == pytest.approx(expected, rel=1e-9)
    several = atoms * (1, 2, 3)
    assert integral(several) / 6 == pytest.approx(expected, rel=1e-9)
