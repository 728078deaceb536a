"""Pairs of near atoms against brute force, and structures that are mostly empty."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms

from deepdft.geometry import pairs as module
from deepdft.geometry.neighbours import atom_edges
from deepdft.geometry.pairs import near_pairs


def counted(atoms: Atoms, reach: float) -> list[tuple[int, int, float]]:
    """Every pair once, by going through the images in 7 x 7 x 7 cells."""
    found = []
    shells = [range(-3, 4) if periodic else (0,) for periodic in atoms.pbc]
    for shift in itertools.product(*shells):
        step = np.array(shift) @ np.asarray(atoms.cell)
        for i, j in itertools.product(range(len(atoms)), repeat=2):
            if (i, j) < (j, i) or (i == j and shift > (0, 0, 0)):
                distance = np.linalg.norm(atoms.positions[j] + step - atoms.positions[i])
                if distance <= reach:
                    found.append((i, j, round(float(distance), 9)))
    return sorted(found)


@pytest.mark.parametrize("tree", [False, True])
def test_every_pair_is_found_once(structure, tree, monkeypatch):
    if tree:
        monkeypatch.setattr(module, "_FEW", 0)
    atoms = structure
    if atoms.pbc.any():
        atoms.positions -= atoms.cell.array[atoms.pbc].sum(axis=0) * 0.3
        wrapped = atoms.copy()
        wrapped.wrap(pretty_translation=False)
    else:
        wrapped = atoms
    found = near_pairs(atoms, 3.2)
    order = [
        (min(i, j), max(i, j), round(float(d), 9))
        for i, j, d in zip(found.first, found.second, found.distances, strict=True)
    ]
    assert sorted(order) == counted(wrapped, 3.2)
    ends = atoms.positions[found.second] + found.shifts @ atoms.cell.array
    np.testing.assert_allclose(ends - atoms.positions[found.first], found.vectors, atol=1e-9)


@pytest.mark.parametrize("pbc", [(1, 0, 0), (1, 1, 0), (1, 1, 1)])
@pytest.mark.parametrize("far", [100.5, 400.5, 1e4, 1e6, 1e9])
@pytest.mark.parametrize("cutoff", [1.0, 4.0])
def test_atoms_far_from_all_others_do_not_end_the_process(pbc, far, cutoff):
    positions = np.array([[0, 0, 0], [1, 0, 0], [far, far, far], [far, 1.1, 0.7], [0.3, far, 0.5]])
    cell = np.diag([3.0 if periodic else 0.0 for periodic in pbc])
    edges = atom_edges(Atoms("H5", positions, cell=cell, pbc=pbc), cutoff, directions=True)
    assert edges.n_receivers == 5
    assert edges.vectors is not None
    np.testing.assert_allclose(np.linalg.norm(edges.vectors, axis=1), edges.distances)


def test_an_empty_structure_has_the_edges_of_a_dense_one():
    dense = Atoms(
        "H3", [[0, 0, 0], [0.9, 0.2, 0], [2.0, 0.1, 1.5]], cell=[3.0, 3.4, 0], pbc=(1, 1, 0)
    )
    sparse = dense + Atoms("H", [[0.0, 0.0, 3e4]])
    known, found = (atom_edges(atoms, 4.0, directions=True) for atoms in (dense, sparse))
    count = known.offsets[3]
    np.testing.assert_array_equal(found.senders[:count], known.senders)
    np.testing.assert_allclose(found.distances[:count], known.distances, atol=1e-12)
    assert known.vectors is not None
    assert found.vectors is not None
    rows = [sorted(map(tuple, v[:count].round(9).tolist())) for v in (known.vectors, found.vectors)]
    assert rows[0] == rows[1]
