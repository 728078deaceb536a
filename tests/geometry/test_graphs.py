"""Edges against brute force over images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms

from deepdft.errors import UnsupportedStructureError
from deepdft.geometry.graphs import (
    atom_graph,
    concatenate_edges,
    concatenate_graphs,
    edges_to_images,
    probe_edges,
)
from deepdft.testing.brute_force import brute_force_edges
from deepdft.testing.structures import STRUCTURES, points_near, triclinic

CUTOFF = 4.0


def assert_same_edges(edges, expected):
    """Compare as sets: within a receiver the package is free to choose the order."""
    receivers, senders = edges.receivers.numpy(), edges.senders.numpy()
    distances = edges.distances.numpy()
    order = np.lexsort((distances, senders, receivers))
    assert np.array_equal(receivers[order], expected.receivers)
    assert np.array_equal(senders[order], expected.senders)
    # Equal distances of two images may swap, which changes nothing here.
    np.testing.assert_allclose(distances[order], expected.distances, rtol=0, atol=1e-10)


def test_atom_edges(structure):
    graph = atom_graph(structure, CUTOFF)
    expected = brute_force_edges(structure, None, CUTOFF)
    assert_same_edges(graph.edges, expected)
    assert graph.numbers.tolist() == structure.numbers.tolist()
    assert graph.edges.n_receivers == len(structure)
    assert graph.edges.distances.dtype == torch.float64
    assert graph.edges.senders.dtype == torch.int32
    assert graph.edges.offsets.dtype == torch.int64
    if structure.pbc.any():
        # Cells are smaller than twice the cutoff: atoms see themselves or one another repeatedly.
        pairs = set(zip(expected.receivers.tolist(), expected.senders.tolist(), strict=True))
        assert len(expected.receivers) > len(pairs)


def test_probe_edges(structure):
    points = points_near(structure, 60, spread=3.0)
    edges = probe_edges(structure, points, CUTOFF)
    assert_same_edges(edges, brute_force_edges(structure, points, CUTOFF))
    assert edges.n_receivers == len(points)
    assert edges.distances.dtype == torch.float64


def test_the_structures_are_what_they_are_for():
    cells = {name: make() for name, make in STRUCTURES.items()}
    assert len(cells["diamond"]) == 2
    assert max(cells["diamond"].cell.lengths()) < CUTOFF
    outside = cells["triclinic"].get_scaled_positions(wrap=False)
    assert (outside < 0).any()
    assert (outside > 1).any()
    assert {tuple(atoms.pbc) for atoms in cells.values()} >= {
        (False, False, False), (True, True, True), (True, True, False), (False, True, False),
    }  # fmt: skip


@pytest.mark.parametrize("pbc", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1)])
def test_mixed_periodicity_of_a_skewed_cell(pbc):
    atoms = triclinic()
    atoms.pbc = pbc
    assert_same_edges(atom_graph(atoms, CUTOFF).edges, brute_force_edges(atoms, None, CUTOFF))
    points = points_near(atoms, 30, seed=1, spread=3.0)
    edges = probe_edges(atoms, points, CUTOFF)
    assert_same_edges(edges, brute_force_edges(atoms, points, CUTOFF))
    # Vectors along which nothing is periodic are of no importance.
    same = atoms.copy()
    same.cell[~np.array(pbc, dtype=bool)] = 0.0
    assert torch.equal(
        atom_graph(same, CUTOFF).edges.distances, atom_graph(atoms, CUTOFF).edges.distances
    )
    assert torch.equal(probe_edges(same, points, CUTOFF).distances, edges.distances)


@pytest.mark.parametrize("cutoff", [1.0, 2.5, 6.3])
def test_other_cutoffs(cutoff):
    atoms = triclinic()
    points = points_near(atoms, 20, seed=2)
    assert_same_edges(atom_graph(atoms, cutoff).edges, brute_force_edges(atoms, None, cutoff))
    edges = probe_edges(atoms, points, cutoff)
    assert_same_edges(edges, brute_force_edges(atoms, points, cutoff))


def test_an_edge_is_strictly_shorter_than_the_cutoff():
    below = np.nextafter(CUTOFF, 0.0)
    for distance, n_edges in ((CUTOFF, 0), (below, 1)):
        pair = Atoms("H2", [[0.0, 0.0, 0.0], [distance, 0.0, 0.0]])
        assert len(atom_graph(pair, CUTOFF).edges.senders) == 2 * n_edges
        edges = probe_edges(Atoms("H"), np.array([[0.0, distance, 0.0]]), CUTOFF)
        assert len(edges.senders) == n_edges
    # An atom's own images, exactly at the cutoff and then just inside it.
    cubic = Atoms("H", cell=[CUTOFF] * 3, pbc=True)
    assert len(atom_graph(cubic, CUTOFF).edges.senders) == 0
    assert len(atom_graph(cubic, CUTOFF + 1e-9).edges.senders) == 6
    assert len(probe_edges(cubic, np.zeros((1, 3)), CUTOFF).senders) == 1
    assert len(probe_edges(cubic, np.zeros((1, 3)), CUTOFF + 1e-9).senders) == 7


def test_no_atom_is_its_own_sender_but_its_images_are():
    edges = atom_graph(Atoms("H", cell=[3.0] * 3, pbc=True), CUTOFF).edges
    assert edges.senders.tolist() == [0] * 6
    np.testing.assert_allclose(edges.distances.numpy(), 3.0, rtol=1e-15)
    assert len(atom_graph(Atoms("H"), CUTOFF).edges.senders) == 0


def test_edges_of_a_point_do_not_depend_on_the_other_points(structure):
    points = points_near(structure, 40, seed=3, spread=3.0)
    together = probe_edges(structure, points, CUTOFF)
    far = np.concatenate((points, points_near(structure, 5, seed=4) + 30.0))
    among_far = probe_edges(structure, far, CUTOFF)
    for p, point in enumerate(points):
        alone = probe_edges(structure, point[None], CUTOFF)
        for edges in (together, among_far):
            own = slice(int(edges.offsets[p]), int(edges.offsets[p + 1]))
            assert torch.equal(edges.senders[own], alone.senders)
            assert torch.equal(edges.distances[own], alone.distances)


def test_points_out_of_reach_have_no_edges():
    points = np.array([[0.0, 0.0, 0.0], [100.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    edges = probe_edges(Atoms("H"), points, CUTOFF)
    assert edges.in_reach.tolist() == [True, False, True]
    reached = edges.of_reached_receivers()
    assert reached.offsets.tolist() == [0, 1, 2]
    assert reached.receivers.tolist() == [0, 1]
    assert torch.equal(reached.distances, edges.distances)


def test_no_points():
    edges = probe_edges(triclinic(), np.zeros((0, 3)), CUTOFF)
    assert edges.n_receivers == 0
    assert edges.senders.dtype == torch.int32
    assert edges.distances.dtype == torch.float64


def test_a_point_on_a_nucleus_has_distance_zero():
    atoms = triclinic()
    edges = probe_edges(atoms, atoms.positions[1:2], CUTOFF)
    assert edges.distances.min() == 0.0
    assert edges.senders[edges.distances.argmin()] == 1


def test_edges_are_sorted_by_receiver_and_offsets_count_them(structure):
    edges = probe_edges(structure, points_near(structure, 25), CUTOFF)
    receivers = edges.receivers
    assert (receivers.diff() >= 0).all()
    for p in range(edges.n_receivers):
        assert int((receivers == p).sum()) == int(edges.offsets[p + 1] - edges.offsets[p])


def test_concatenated_graphs_hold_no_edge_between_structures():
    parts = [make() for make in STRUCTURES.values()]
    graphs = [atom_graph(atoms, CUTOFF) for atoms in parts]
    joined = concatenate_graphs(graphs)
    atom_shift = edge_shift = 0
    for atoms, graph in zip(parts, graphs, strict=True):
        own = slice(edge_shift, edge_shift + len(graph.edges.senders))
        rows = slice(atom_shift, atom_shift + len(atoms))
        assert torch.equal(joined.numbers[rows], graph.numbers)
        assert torch.equal(joined.edges.senders[own] - atom_shift, graph.edges.senders)
        assert torch.equal(joined.edges.receivers[own] - atom_shift, graph.edges.receivers)
        assert torch.equal(joined.edges.distances[own], graph.edges.distances)
        atom_shift += len(atoms)
        edge_shift += len(graph.edges.senders)
    assert joined.edges.n_receivers == atom_shift
    assert len(joined.edges.senders) == edge_shift


def test_concatenated_probe_edges_point_at_the_right_atoms():
    first, second = triclinic(), Atoms("H2", [[0, 0, 0], [0, 0, 0.8]])
    parts = [
        probe_edges(first, points_near(first, 3), CUTOFF),
        probe_edges(second, np.array([[0.0, 0.0, 4.2], [50.0, 0.0, 0.0]]), CUTOFF),
    ]
    joined = concatenate_edges(parts, [len(first), len(second)])
    assert joined.n_receivers == 5
    last = int(joined.offsets[3])
    assert joined.senders[last:].tolist() == [len(first) + 1]
    assert joined.in_reach.tolist()[3:] == [True, False]


def test_moving_to_another_type_touches_distances_only():
    graph = atom_graph(triclinic(), CUTOFF).to(dtype=torch.float32)
    assert graph.edges.distances.dtype == torch.float32
    assert graph.edges.senders.dtype == torch.int32
    assert graph.numbers.dtype == torch.int64


def test_given_images_are_taken_as_they_are():
    positions = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 3.0, 4.0]])
    edges = edges_to_images(np.array([7, 7, 2]), positions, np.array([[0.0, 3.0, 0.0]]), 4.0)
    assert edges.senders.tolist() == [7, 7]
    np.testing.assert_allclose(edges.distances.numpy(), [3.0, np.sqrt(10.0)])


@pytest.mark.parametrize(
    ("atoms", "sentence"),
    [
        (Atoms(), "no atoms"),
        (Atoms("H", [[0.0, np.nan, 0.0]]), "not finite"),
        (Atoms("H2", [[0.0, 0.0, 0.0], [0.0, 0.0, 1e-5]]), "Atoms 0 and 1 are at the same place"),
        (Atoms("HO", [[0.0, 0, 0], [3.0, 0, 0]], cell=[3.0] * 3, pbc=True), "at the same place"),
        (Atoms("H", pbc=True), "not linearly independent"),
        (Atoms("H", cell=[[2, 0, 0], [4, 0, 0], [0, 0, 3]], pbc=(1, 1, 0)), "linearly independent"),
        (Atoms("H", cell=[2.0, 0.0, 2.0], pbc=(0, 1, 0)), "zero or not linearly independent"),
        (Atoms("H", cell=[np.nan, 3.0, 3.0], pbc=True), "not finite"),
        (Atoms("H", cell=[np.inf, 3.0, 3.0], pbc=True), "not finite"),
    ],
)
def test_structures_that_are_refused(atoms, sentence):
    with pytest.raises(UnsupportedStructureError, match=sentence):
        atom_graph(atoms, CUTOFF)
    if len(atoms) == 1 and np.isfinite(atoms.positions).all():
        with pytest.raises(UnsupportedStructureError, match=sentence):
            probe_edges(atoms, np.zeros((1, 3)), CUTOFF)


def test_vectors_run_from_sender_to_receiver(structure):
    """They have the edges' lengths and end, modulo the cell, at the receiver."""
    points = points_near(structure, 20)
    for edges, receivers in (
        (atom_graph(structure, CUTOFF, directions=True).edges, structure.positions),
        (probe_edges(structure, points, CUTOFF, directions=True), points),
    ):
        vectors = edges.vectors.numpy()
        np.testing.assert_allclose(
            np.linalg.norm(vectors, axis=1), edges.distances.numpy(), rtol=0, atol=1e-12
        )
        apart = receivers[edges.receivers] - structure.positions[edges.senders] - vectors
        images = np.linalg.lstsq(structure.cell.array.T, apart.T, rcond=None)[0].T
        images = np.round(images) * structure.pbc
        np.testing.assert_allclose(images @ structure.cell.array, apart, rtol=0, atol=1e-10)
        assert edges.to(dtype=torch.float32).vectors.dtype == torch.float32
    assert atom_graph(structure, CUTOFF).edges.vectors is None


def test_vectors_of_joined_edges():
    atoms = triclinic()
    parts = [probe_edges(atoms, points_near(atoms, n), CUTOFF, directions=True) for n in (3, 0, 5)]
    joined = concatenate_edges(parts, [len(atoms)] * 3)
    assert torch.equal(joined.vectors, torch.cat([part.vectors for part in parts]))
