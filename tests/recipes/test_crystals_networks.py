"""Networks of light elements for the crystals' data."""

from __future__ import annotations

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from tests.recipes.crystal_recipes import recipe

pytest.importorskip("pymatgen.core")


@pytest.mark.parametrize(("kind", "neighbours"), [("diamond", 4), ("graphite", 3)])
def test_atoms_have_the_neighbours_of_their_kind(kind: str, neighbours: int) -> None:
    atoms = recipe("light_networks").network(kind, ("B", "C", "C", "N"), np.random.default_rng(0))
    first, second = neighbor_list("ij", atoms, 1.9)
    assert np.bincount(first).tolist() == [neighbours] * 4
    # Bonds are between the two sublattices alone.
    assert set(map(tuple, np.sort([first // 2, second // 2], axis=0).T)) == {(0, 1)}


def test_networks_have_four_valence_electrons_an_atom() -> None:
    light = recipe("light_networks")
    found = list(light.networks(400, seed=5))
    names = [atoms.info["name"] for atoms in found]
    assert len(names) == len(set(names)) > 20
    for atoms in found:
        assert sum(light.VALENCE[symbol] for symbol in atoms.symbols) == 16
        assert light.part_of(atoms.info["key"]) == "train"
        assert atoms.info["key"] != "BN"
