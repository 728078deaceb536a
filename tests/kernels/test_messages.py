"""Messages summed over edges: compiled kernels, torch interpolation and direct filters agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepdft.geometry.graphs import Edges
from deepdft.kernels.autograd.messages import (
    direct_messages,
    filtered_messages,
    interpolated_messages,
)
from deepdft.kernels.autograd.tables import RadialTable, interpolate
from deepdft.kernels.edges import cpu

SPACING = 0.25
KNOTS = 17
ATOMS = 4


def random_case(channels, dtype, steps=3, counts=(0, 1, 2, 3, 6, 0)):
    """A table, senders and edges to receivers with `counts` edges."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor(counts)
    n_edges = int(counts.sum())
    entries = torch.randn(steps, KNOTS, 3, channels, generator=generator, dtype=torch.float64)
    senders = torch.randn(steps, ATOMS, channels, generator=generator, dtype=torch.float64)
    distances = 4.0 * torch.rand(n_edges, generator=generator, dtype=torch.float64)
    offsets = torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0)))
    edge_senders = torch.randint(0, ATOMS, (n_edges,), generator=generator).int()
    edges = Edges(edge_senders, offsets, distances.to(dtype))
    return RadialTable(entries.to(dtype), SPACING), senders.to(dtype), edges


def by_loops(table, senders, edges):
    """The sum as it is defined, one number at a time."""
    steps, _, channels = senders.shape
    filters = interpolate(table, edges.distances)
    result = torch.zeros(steps, edges.n_receivers, channels, dtype=senders.dtype)
    for p in range(edges.n_receivers):
        for e in range(int(edges.offsets[p]), int(edges.offsets[p + 1])):
            for t in range(steps):
                result[t, p] += senders[t, int(edges.senders[e])] * filters[t, e]
    return result


@pytest.mark.parametrize(
    ("channels", "dtype", "tolerance"),
    [(8, torch.float64, 1e-12), (8, torch.float32, 5e-5), (5, torch.float64, 1e-12)],
)
def test_all_forms_agree(channels, dtype, tolerance):
    table, senders, edges = random_case(channels, dtype)
    expected = by_loops(table, senders, edges)
    compiled = filtered_messages(table, senders, edges)
    plain = interpolated_messages(table, senders, edges)
    direct = direct_messages(interpolate(table, edges.distances), senders, edges)
    assert expected.abs().max() > 1.0
    for found in (compiled, plain, direct):
        assert found.dtype == dtype
        assert found.shape == (3, 6, channels)
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
    assert not compiled[:, 0].any()
    assert not compiled[:, 5].any()


def test_distances_at_knots_and_ends():
    table, senders, edges = random_case(8, torch.float64)
    places = [0.0, SPACING, 2 * SPACING, 4.0 - SPACING, np.nextafter(4.0, 0.0), 1.1]
    edges = edges.with_distances(torch.tensor(places + places, dtype=torch.float64))
    torch.testing.assert_close(
        filtered_messages(table, senders, edges), by_loops(table, senders, edges)
    )


def test_no_edges_and_no_receivers():
    table, senders, _ = random_case(8, torch.float64)
    none = torch.zeros(0, dtype=torch.int32)
    for receivers in (0, 3):
        offsets = torch.zeros(receivers + 1, dtype=torch.int64)
        edges = Edges(none, offsets, torch.zeros(0, dtype=torch.float64))
        for form in (filtered_messages, interpolated_messages):
            found = form(table, senders, edges)
            assert found.shape == (3, receivers, 8)
            assert not found.any()


def test_inputs_need_not_be_contiguous():
    table, senders, edges = random_case(8, torch.float64)
    expected = filtered_messages(table, senders, edges)
    wide = torch.zeros(*senders.shape[:2], 16, dtype=torch.float64)
    wide[..., ::2] = senders
    swapped = RadialTable(table.entries.transpose(0, 1).contiguous().transpose(0, 1), SPACING)
    assert not wide[..., ::2].is_contiguous()
    assert not swapped.entries.is_contiguous()
    assert torch.equal(filtered_messages(swapped, wide[..., ::2], edges), expected)


def test_one_step_is_one_slice_of_all_steps():
    table, senders, edges = random_case(8, torch.float64)
    together = filtered_messages(table, senders, edges)
    for t in range(3):
        one = RadialTable(table.entries[t : t + 1], SPACING)
        alone = filtered_messages(one, senders[t : t + 1], edges)
        assert torch.equal(alone[0], together[t])


def test_a_receiver_does_not_depend_on_the_others():
    table, senders, edges = random_case(8, torch.float32)
    together = filtered_messages(table, senders, edges)
    for p in range(edges.n_receivers):
        own = slice(int(edges.offsets[p]), int(edges.offsets[p + 1]))
        offsets = torch.tensor([0, own.stop - own.start])
        alone = Edges(edges.senders[own], offsets, edges.distances[own])
        assert torch.equal(filtered_messages(table, senders, alone)[:, 0], together[:, p])


def leaves(steps=2, counts=(0, 1, 2, 3, 6, 0)):
    table, senders, edges = random_case(8, torch.float64, steps, counts)
    inputs = (table.entries, senders, edges.distances)
    return tuple(x.clone().requires_grad_() for x in inputs), edges


def compiled_messages(edges):
    def messages(entries, senders, distances):
        with_these = edges.with_distances(distances)
        return filtered_messages(RadialTable(entries, SPACING), senders, with_these)

    return messages


def test_first_derivatives():
    inputs, edges = leaves()
    assert torch.autograd.gradcheck(compiled_messages(edges), inputs, atol=1e-6, rtol=1e-5)


def test_second_derivatives():
    inputs, edges = leaves(steps=1, counts=(1, 0, 2))
    assert torch.autograd.gradgradcheck(compiled_messages(edges), inputs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_compiled_gradients_are_those_of_plain_torch(wanted):
    inputs, edges = leaves()
    inputs = tuple(x.detach().requires_grad_(i in wanted) for i, x in enumerate(inputs))
    weights = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(5)).double()
    results = []
    for form in (filtered_messages, interpolated_messages):
        value = form(RadialTable(inputs[0], SPACING), inputs[1], edges.with_distances(inputs[2]))
        # `sum` hands back a gradient with zero strides, the product one without.
        loss = (value * weights).sum() + value.sum()
        results.append(torch.autograd.grad(loss, [inputs[i] for i in wanted]))
    for found, expected in zip(*results, strict=True):
        assert expected.abs().max() > 0
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_gradients_of_a_gradient_need_no_more_than_was_asked_for():
    inputs, edges = leaves()
    entries, senders, distances = (x.detach() for x in inputs)
    distances.requires_grad_()
    value = filtered_messages(
        RadialTable(entries, SPACING), senders, edges.with_distances(distances)
    )
    (slope,) = torch.autograd.grad(value.sum(), distances, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), distances)
    per_edge = senders[:, edges.senders.long()]
    table = RadialTable(entries, SPACING)
    expected = (interpolate(table, distances, 1) * per_edge).sum(dim=(0, 2))
    torch.testing.assert_close(slope, expected)
    expected = (interpolate(table, distances, 2) * per_edge).sum(dim=(0, 2))
    torch.testing.assert_close(curvature, expected)


def test_single_precision_gradients():
    table, senders, edges = random_case(8, torch.float32)
    inputs = [x.clone().requires_grad_() for x in (table.entries, senders, edges.distances)]
    value = filtered_messages(
        RadialTable(inputs[0], SPACING), inputs[1], edges.with_distances(inputs[2])
    )
    found = torch.autograd.grad(value.square().sum(), inputs)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    value = interpolated_messages(
        RadialTable(exact[0], SPACING), exact[1], edges.with_distances(exact[2])
    )
    expected = torch.autograd.grad(value.square().sum(), exact)
    for single, double in zip(found, expected, strict=True):
        assert single.dtype == torch.float32
        scale = float(double.abs().max())
        torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-5 * scale)


def test_the_result_can_be_written_into_a_given_array():
    table, senders, edges = random_case(8, torch.float64)
    arrays = (edges.distances.numpy(), edges.senders.numpy(), edges.offsets.numpy())
    out = np.full((3, 6, 8), np.nan)
    found = cpu.forward(table.entries.numpy(), SPACING, senders.numpy(), *arrays, out=out)
    assert found is out
    np.testing.assert_allclose(out, by_loops(table, senders, edges).numpy(), atol=1e-12)
