"""Molecules packed into cells for the crystals' data."""

from __future__ import annotations

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from tests.recipes.crystal_recipes import recipe

pytest.importorskip("pymatgen.core")


@pytest.mark.parametrize(
    ("name", "key", "bonds", "nearest"), [("N2", "N2", 1, 3.0), ("CO2", "CO2", 2, 3.0)]
)
def test_molecules_are_packed_as_near_as_they_may(
    name: str, key: str, bonds: int, nearest: float
) -> None:
    crystal = recipe("packed_molecules").packed(name, np.random.default_rng(0))
    assert crystal.info["key"] == key
    distances = neighbor_list("d", crystal, 2 * nearest)
    bonded = distances < 1.5
    assert bonded.sum() == 2 * bonds
    # Atoms of one molecule are at most 2.4 Å apart here.
    contacts = distances[distances > 2.5]
    assert nearest <= contacts.min() < nearest + 0.2
