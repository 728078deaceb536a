"""Molecules along the axes of crystals, for the crystals' data."""

from __future__ import annotations

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from tests.recipes.crystal_recipes import recipe

pytest.importorskip("pymatgen.core")
spglib = pytest.importorskip("spglib")


@pytest.mark.parametrize(
    ("kind", "name", "operations"),
    [
        ("linear", "CO2", 16), ("linear", "HC3N", 8), ("threefold", "NH3", 6),
        ("threefold", "CH3CN", 6), ("tetrahedral", "SiH4", 24),
    ],
)  # fmt: skip
def test_a_molecule_and_its_cell_have_axes_in_common(kind: str, name: str, operations: int) -> None:
    atoms = recipe("aligned_molecules").aligned(kind, name, np.random.default_rng(0))
    crystal = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    assert len(spglib.get_symmetry(crystal, symprec=1e-3)["rotations"]) == operations
    assert 0.9 < neighbor_list("d", atoms, 5.0).min() < 1.6


def test_crystals_are_of_the_training_part() -> None:
    module = recipe("aligned_molecules")
    found = list(module.crystals(1, seed=0))
    names = [atoms.info["name"] for atoms in found]
    assert len(set(names)) == len(names) > 30
    assert all(module.part_of(atoms.info["key"]) == "train" for atoms in found)
    assert not {"HCN", "CH4"} & {atoms.info["key"] for atoms in found}
