"""Messages with scalars and vectors: compiled, interpolated and direct forms agree."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from deepdft.geometry.graphs import Edges
from deepdft.kernels.autograd.tables import RadialTable, interpolate
from deepdft.kernels.autograd.vector_messages import (
    direct_vector_messages,
    edge_directions,
    vector_messages,
)
from deepdft.kernels.edges.sorted_messages import suits
from deepdft.kernels.simd.vectors import PANEL

SPACING = 0.25
KNOTS = 17
ATOMS = 4
STEPS = 2


def random_case(dtype, channels=PANEL, counts=(0, 1, 2, 3, 6, 0)):
    """A table, senders and edges to receivers with `counts` edges."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor(counts, dtype=torch.int64)
    n_edges = int(counts.sum())

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    vectors = normal(n_edges, 3)
    edges = Edges(
        torch.randint(0, ATOMS, (n_edges,), generator=generator).int(),
        torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0))),
        vectors.norm(dim=1),
        vectors,
    )
    assert n_edges == 0 or edges.distances.max() < 4.0
    table = RadialTable(normal(3 * STEPS, KNOTS, 3, channels).to(dtype), SPACING)
    return table, normal(5 * STEPS, ATOMS, channels).to(dtype), edges.to(dtype=dtype)


def by_loops(table, senders, edges):
    """The sums as they are defined, edge by edge."""
    filters = interpolate(table, edges.distances)
    result = torch.zeros(4, STEPS, edges.n_receivers, senders.shape[2], dtype=senders.dtype)
    for p in range(edges.n_receivers):
        for e in range(int(edges.offsets[p]), int(edges.offsets[p + 1])):
            w = int(edges.senders[e])
            for t in range(STEPS):
                f = filters[:, e]
                result[0, t, p] += f[t] * senders[t, w]
                for i in range(3):
                    along = edges.vectors[e, i] / edges.distances[e]
                    result[1 + i, t, p] += f[STEPS + t] * senders[(1 + i) * STEPS + t, w]
                    result[1 + i, t, p] += f[2 * STEPS + t] * senders[4 * STEPS + t, w] * along
    return result


@pytest.mark.parametrize(
    ("dtype", "channels", "compiled", "tolerance"),
    [
        (torch.float32, PANEL, True, 2e-5),
        (torch.float32, 3 * PANEL, True, 2e-5),
        (torch.float32, 5, False, 2e-5),
        (torch.float64, PANEL, False, 1e-12),
    ],
)
def test_all_forms_agree(dtype, channels, compiled, tolerance):
    table, senders, edges = random_case(dtype, channels)
    assert suits(table.entries.numpy()) == compiled
    expected = by_loops(table, senders, edges)
    assert expected.abs().max() > 1.0
    found = vector_messages(table, senders, edges)
    direct = direct_vector_messages(interpolate(table, edges.distances), senders, edges)
    for messages in (found, direct):
        assert messages.dtype == dtype
        assert messages.shape == (4, STEPS, 6, channels)
        torch.testing.assert_close(messages, expected, rtol=0, atol=tolerance)
        assert not messages[:, :, [0, 5]].any()


def test_gradients_of_the_compiled_form():
    table, senders, edges = random_case(torch.float32)
    weights = torch.randn(4, STEPS, 6, PANEL, generator=torch.Generator().manual_seed(1))

    def gradients(dtype, moving):
        entries = table.entries.to(dtype).requires_grad_()
        sent = senders.to(dtype).requires_grad_()
        moved = edges.to(dtype=dtype)
        moved = replace(moved, vectors=moved.vectors.clone().requires_grad_(moving))
        messages = vector_messages(RadialTable(entries, SPACING), sent, moved)
        return torch.autograd.grad((messages * weights).sum(), (entries, sent))

    expected = gradients(torch.float64, False)
    # Moving edges go through torch, which is differentiable as often as one likes.
    for found in (gradients(torch.float32, False), gradients(torch.float32, True)):
        for one, other in zip(found, expected, strict=True):
            assert other.abs().max() > 1.0
            torch.testing.assert_close(one.double(), other, rtol=0, atol=2e-5)


def test_gradients_by_positions():
    table, senders, edges = random_case(torch.float64, channels=3)

    def messages(vectors):
        moved = replace(edges, vectors=vectors, distances=vectors.norm(dim=1))
        return vector_messages(table, senders, moved)

    vectors = edges.vectors.clone().requires_grad_()
    assert torch.autograd.gradcheck(messages, (vectors,))
    assert torch.autograd.gradgradcheck(messages, (vectors,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_edges_and_no_receivers(dtype):
    for counts in ((), (0,), (0, 0, 0)):
        table, senders, edges = random_case(dtype, counts=counts)
        entries = table.entries.requires_grad_()
        found = vector_messages(RadialTable(entries, SPACING), senders, edges)
        assert found.shape == (4, STEPS, len(counts), PANEL)
        assert not found.any()
        (gradient,) = torch.autograd.grad(found.sum(), entries)
        assert not gradient.any()


def test_a_receiver_does_not_depend_on_the_others():
    table, senders, edges = random_case(torch.float32)
    together = vector_messages(table, senders, edges)
    for p in range(edges.n_receivers):
        own = slice(int(edges.offsets[p]), int(edges.offsets[p + 1]))
        offsets = torch.tensor([0, own.stop - own.start])
        alone = Edges(edges.senders[own], offsets, edges.distances[own], edges.vectors[own])
        assert torch.equal(vector_messages(table, senders, alone)[:, :, 0], together[:, :, p])


def test_an_edge_without_a_length_has_no_direction():
    vectors = torch.tensor([[0.0, 0.0, 0.0], [1e-15, 0.0, 0.0], [0.0, -3.0, 4.0]]).double()
    vectors.requires_grad_()
    offsets = torch.tensor([0, 3])
    lengths = vectors.square().sum(dim=1).sqrt().detach()
    edges = Edges(torch.zeros(3).int(), offsets, lengths, vectors)
    found = edge_directions(edges)
    assert found.tolist() == [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, -0.6, 0.8]]
    (gradient,) = torch.autograd.grad(found.sum(), vectors)
    assert torch.isfinite(gradient).all()
