"""The cathode's structures and densities as they are committed in recipes/cathode."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from itertools import combinations
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

import deepdft
import deepdft_paper

RECIPE = Path(__file__).parents[2] / "recipes" / "cathode"
STRUCTURES = RECIPE / "cathode.extxyz"
BUNDLED = Path(deepdft_paper.__file__).parent / "densities" / "cathode"
DENSITIES = BUNDLED / "densities.zip"
METALS = ("Ni", "Mn", "Co")

pytestmark = pytest.mark.skipif(
    not STRUCTURES.exists(), reason="recipes/ is not beside the tests (installed package)"
)


@cache
def _structures() -> list[Atoms]:
    return ase.io.read(STRUCTURES, index=":")


def _composition(atoms: Atoms) -> tuple[float, ...]:
    """Ratio of the metals and lithium per metal, from the atoms alone."""
    metals = [int((atoms.symbols == symbol).sum()) for symbol in METALS]
    lithium = int((atoms.symbols == "Li").sum())
    return tuple(round(n / sum(metals), 6) for n in (*metals, lithium))


def _metals_by_layer(atoms: Atoms) -> list[set[str]]:
    """Elements of each layer; the first two cell vectors lie in the layers."""
    normal = np.cross(atoms.cell[0], atoms.cell[1])
    normal /= np.linalg.norm(normal)
    metals = [i for i, symbol in enumerate(atoms.symbols) if symbol in METALS]
    heights = atoms.positions[metals] @ normal % abs(atoms.cell[2] @ normal)
    layers: dict[int, set[str]] = defaultdict(set)
    order = np.argsort(heights)
    starts = np.concatenate([[False], np.diff(heights[order]) > 2.0])
    for number, position in zip(np.cumsum(starts), order, strict=True):
        layers[int(number)].add(atoms.symbols[metals[position]])
    # The first and the last may be one layer, cut by the cell's face.
    if heights.max() - heights.min() > abs(atoms.cell[2] @ normal) - 2.0:
        layers[0] |= layers.pop(max(layers))
    return list(layers.values())


def _distances_by_pair(atoms: Atoms) -> np.ndarray:
    """Pair counts per metal up to each distance, for every pair of elements."""
    first, second, distances = neighbor_list("ijd", atoms, 11.0)
    symbols = np.array(atoms.get_chemical_symbols())
    grid = np.arange(2.0, 11.0, 0.25)
    metals = sum(symbol in METALS for symbol in atoms.symbols)
    rows = []
    for a, b in combinations((*METALS, "Li", *METALS), 2):
        chosen = (symbols[first] == a) & (symbols[second] == b)
        # Steps smoothed over 0.1 Å: relaxation moves neighbours, it does not make new ones.
        steps = 1 / (1 + np.exp(-(grid[:, None] - distances[chosen]) / 0.1))
        rows.append(steps.sum(axis=1) / metals)
    return np.array(rows)


def test_there_are_sixty_distinct_structures() -> None:
    structures = _structures()
    assert len(structures) >= 60
    by_composition = defaultdict(list)
    for number, atoms in enumerate(structures):
        by_composition[_composition(atoms)].append((number, _distances_by_pair(atoms)))
    for members in by_composition.values():
        for (one, left), (other, right) in combinations(members, 2):
            # Occupations that a symmetry operation maps onto each other have the same pairs.
            assert np.abs(left - right).max() > 0.15, (one, other)


def test_twenty_large_cells_have_several_metals_in_a_layer() -> None:
    mixed = [
        atoms
        for atoms in _structures()
        if len(atoms) >= 24 and any(len(layer) > 1 for layer in _metals_by_layer(atoms))
    ]
    assert len(mixed) >= 20
    stacked = [atoms for atoms in _structures() if atoms.info["cell"] == "stacked"]
    assert all(len(layer) == 1 for atoms in stacked for layer in _metals_by_layer(atoms))


def test_structures_are_layered_oxides_with_initial_moments() -> None:
    for atoms in _structures():
        assert set(atoms.symbols) <= {*METALS, "Li", "O"}
        metals = np.isin(atoms.symbols, METALS)
        assert (atoms.symbols == "O").sum() == 2 * metals.sum()
        moments = atoms.get_initial_magnetic_moments()
        assert (moments >= 0).all()
        assert moments[atoms.symbols == "Mn"].min(initial=9) > 2
        first, second, distances = neighbor_list("ijd", atoms, 2.5)
        bonds = metals[first] & (atoms.symbols[second] == "O")
        assert (np.bincount(first[bonds], minlength=len(atoms))[metals] == 6).all()
        assert distances.min() > 1.7


def test_the_split_is_by_composition() -> None:
    split = json.loads((BUNDLED / "split.json").read_text())
    assert set(split) == {"train", "validation", "test"}
    names = [name for part in split.values() for name in part]
    assert sorted(names) == sorted(deepdft.open_dataset(DENSITIES).names)
    compositions = {
        part: {_composition(_structures()[int(name[-2:])]) for name in entries}
        for part, entries in split.items()
    }
    for one, other in combinations(compositions.values(), 2):
        assert not one & other
    assert len(split["test"]) >= 10
    for part, entries in split.items():
        assert all(_structures()[int(name[-2:])].info["part"] == part for name in entries)


@pytest.mark.skipif(not DENSITIES.exists(), reason="no densities have been packed")
def test_packed_densities_are_those_of_the_structures() -> None:
    from deepdft.data import open_dataset
    from deepdft.data.compact import CompactFile

    valence = {"Li": 1, "O": 6, "Mn": 15, "Co": 9, "Ni": 16}
    assert DENSITIES.stat().st_size < 6e6
    dataset = open_dataset(DENSITIES)
    assert dataset.level.core == "PAW pseudo-density (GPAW)"
    file = CompactFile(str(DENSITIES))
    for name in file.names:
        atoms = _structures()[int(name[-2:])]
        density = file.density(name)
        record = density.metadata["calculation"]
        assert np.allclose(density.atoms.positions, atoms.positions, atol=1e-6)
        assert density.n_electrons == pytest.approx(
            sum(valence[symbol] for symbol in atoms.symbols), abs=2e-3
        )
        assert density.total_spin == pytest.approx(record["total_moment"], abs=0.01)
        assert len(record["moments"]) == len(atoms)
