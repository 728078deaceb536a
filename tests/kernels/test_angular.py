"""Messages with angular parts against their definition, compiled against plain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from deepdft.geometry.graphs import Edges, atom_graph, probe_edges
from deepdft.kernels.angular.harmonics import harmonics
from deepdft.kernels.angular.layouts import AngularLayout, MessageLayout
from deepdft.kernels.angular.lowered import lowering
from deepdft.kernels.autograd.angular_messages import (
    angular_messages,
    plain_angular_messages,
    suits_compiled_form,
)
from deepdft.kernels.autograd.harmonics import soft_harmonics
from deepdft.kernels.autograd.tables import RadialTable, interpolate
from deepdft.kernels.autograd.tensor_messages import (
    plain_tensor_messages,
    tensor_messages,
)
from deepdft.kernels.simd.vectors import PANEL
from deepdft.testing.structures import ethanol, points_near, triclinic

CUTOFF = 4.0


def some_edges(dtype: torch.dtype) -> Edges:
    atoms = triclinic()
    return probe_edges(atoms, points_near(atoms, 60), CUTOFF, directions=True).to(dtype=dtype)


def some_table(layout: AngularLayout, dtype: torch.dtype) -> RadialTable:
    entries = torch.randn(1, 41, 3, layout.width, dtype=dtype)
    return RadialTable(entries.requires_grad_(), CUTOFF / 40)


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
def test_harmonics_are_those_of_scipy(degree: int) -> None:
    """Real combinations of SciPy's complex functions, without the Condon-Shortley phase."""
    directions = np.random.default_rng(degree).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    polar, azimuth = np.arccos(directions[:, 2]), np.arctan2(directions[:, 1], directions[:, 0])
    found = soft_harmonics(torch.from_numpy(directions), degree, 0.0)[:, degree**2 :].numpy()
    orders = [1, -1, 0] if degree == 1 else range(-degree, degree + 1)
    for column, m in enumerate(orders):
        complex_values = sph_harm_y(degree, abs(m), polar, azimuth) * (-1) ** m
        part = complex_values.imag if m < 0 else complex_values.real
        factor = np.sqrt(4 * np.pi / (2 * degree + 1)) * (np.sqrt(2) if m else 1.0)
        np.testing.assert_allclose(found[:, column], factor * part, rtol=0, atol=1e-12)


@pytest.mark.parametrize("softness", [0.0, 0.4])
def test_compiled_harmonics_are_the_plain_ones(softness: float) -> None:
    vectors = torch.randn(30, 3, dtype=torch.float64)
    plain = soft_harmonics(vectors.clone().requires_grad_(), 4, softness)
    torch.testing.assert_close(soft_harmonics(vectors, 4, softness), plain, rtol=0, atol=1e-13)


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_derivatives_of_harmonics_are_harmonics_of_one_degree_less(degree: int) -> None:
    vectors = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    functions = harmonics(*vectors.unbind(dim=1), degree)
    lower = torch.stack(functions[(degree - 1) ** 2 : degree**2]).detach()
    for m, function in enumerate(functions[degree**2 :]):
        (slope,) = torch.autograd.grad(function.sum(), vectors, retain_graph=True)
        found = torch.einsum("ia,an->ni", torch.from_numpy(lowering(degree))[:, :, m], lower)
        torch.testing.assert_close(found, slope, rtol=0, atol=1e-12)
        along = (vectors * slope).sum(dim=1)
        torch.testing.assert_close(along, degree * function, rtol=0, atol=1e-12)


def test_softened_harmonics_are_smooth_at_the_atom() -> None:
    at_atom = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    values = soft_harmonics(at_atom, 3, 0.4)
    assert abs(values[0, 0].item() - 1.0) < 1e-12
    assert not values[0, 1:].any()
    (slope,) = torch.autograd.grad(values[0, 1], at_atom)
    torch.testing.assert_close(slope, torch.tensor([[2.5, 0, 0]], dtype=torch.float64))


def test_messages_are_their_definition() -> None:
    """Every edge and channel by hand, in float64."""
    layout = AngularLayout((3, 2, 1), 0.4)
    edges, table = some_edges(torch.float64), some_table(layout, torch.float64)
    senders = torch.randn(1, len(triclinic()), layout.sender_width, dtype=torch.float64)
    filters = interpolate(table, edges.distances)[0]
    harmonics = soft_harmonics(edges.vectors, 2, 0.4)
    expected = torch.zeros(edges.n_receivers, layout.width, dtype=torch.float64)
    columns = [(0, 0, [0]), (1, 0, [1]), (2, 0, [2]), (3, 1, [3, 5, 7]), (4, 1, [4, 6, 8]),
               (5, 2, [9, 10, 11, 12, 13])]  # fmt: skip
    for e in range(len(edges.distances)):
        sent = senders[0, edges.senders[e]]
        for channel, degree, components in columns:
            angular = harmonics[e, degree**2 : (degree + 1) ** 2] @ sent[components]
            expected[edges.receivers[e], channel] += filters[e, channel] * angular
    found = angular_messages(table, senders, edges, layout)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("degree", [0, 2, 4])
def test_compiled_messages_and_gradients_are_the_plain_ones(degree: int) -> None:
    layout = AngularLayout((2 * PANEL, *[PANEL] * degree), 0.4)
    edges, table = some_edges(torch.float32), some_table(layout, torch.float32)
    assert suits_compiled_form(table, layout)
    senders = torch.randn(1, len(triclinic()), layout.sender_width, requires_grad=True)
    compiled = angular_messages(table, senders, edges, layout)
    # In float64, so that what differs is the compiled form's own rounding.
    double = RadialTable(table.entries.double(), table.spacing)
    exact = edges.to(dtype=torch.float64)
    plain = plain_angular_messages(
        interpolate(double, exact.distances), senders.double(), exact, layout
    )
    scale = float(plain.abs().max())
    assert float((compiled - plain).abs().max()) < 1e-5 * scale
    gradient = torch.randn_like(compiled)
    inputs = [table.entries, senders]
    found = torch.autograd.grad(compiled, inputs, gradient)
    expected = torch.autograd.grad(plain, inputs, gradient.double())
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).abs().max()) < 1e-5 * float(other.abs().max())


def test_gradients_to_positions_and_second_ones_of_the_compiled_form() -> None:
    layout = AngularLayout((PANEL, PANEL), 0.4)
    edges, table = some_edges(torch.float32), some_table(layout, torch.float32)
    senders = torch.randn(1, len(triclinic()), layout.sender_width)
    found = []
    for compiled in (True, False):
        vectors = edges.vectors.clone().requires_grad_()
        moved = Edges(edges.senders, edges.offsets, vectors.norm(dim=1), vectors)
        if compiled:
            values = angular_messages(table, senders, moved, layout)
        else:
            filters = interpolate(table, moved.distances)
            values = plain_angular_messages(filters, senders, moved, layout)
        (slope,) = torch.autograd.grad(values.square().sum(), vectors, create_graph=True)
        (second,) = torch.autograd.grad(slope.square().sum(), vectors)
        found.append((slope, second))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


@pytest.mark.parametrize("passes", [True, False])
def test_tensor_messages_and_gradients_are_the_plain_ones(passes: bool) -> None:
    edges = atom_graph(ethanol(), 5.0, directions=True).edges
    layout = MessageLayout(scalars=7, channels=5, degrees=4, passes=passes)
    components = layout.degrees**2
    shapes = [
        (len(edges.distances), layout.functions),
        (len(ethanol()), layout.scalars + layout.factors + components * layout.channels),
    ]
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    harmonics = torch.randn(len(edges.distances), components, dtype=torch.float64)
    found = tensor_messages(*inputs, harmonics, edges, layout)
    expected = plain_tensor_messages(*inputs, harmonics, edges, layout)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    gradient = torch.randn_like(found)
    for one, other in zip(
        torch.autograd.grad(found, inputs, gradient, retain_graph=True),
        torch.autograd.grad(expected, inputs, gradient),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_tensor_messages_are_those_of_their_definition() -> None:
    edges = Edges(torch.tensor([1, 0, 2]).int(), torch.tensor([0, 1, 3]), torch.ones(3))
    layout = MessageLayout(scalars=1, channels=2, degrees=2, passes=True)
    functions = torch.randn(3, layout.functions, dtype=torch.float64, requires_grad=True)
    sent = torch.randn(3, 1 + 4 + 8, dtype=torch.float64, requires_grad=True)
    harmonics = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    found = tensor_messages(functions, sent, harmonics, edges, layout)
    expected = torch.zeros(2, 1 + 8, dtype=torch.float64)
    for e, (i, j) in enumerate([(0, 1), (1, 0), (1, 2)]):
        expected[i, 0] += functions[e, 0] * sent[j, 0]
        for m, degree in enumerate([0, 1, 1, 1]):
            for c in range(2):
                spread = functions[e, 1 + 2 * degree + c] * sent[j, 1 + c] * harmonics[e, m]
                weight = functions[e, 5 + 2 * degree + c] * sent[j, 3 + c]
                expected[i, 1 + 2 * m + c] += spread + weight * sent[j, 5 + 2 * m + c]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    inputs = [functions, sent, harmonics]
    assert torch.autograd.gradcheck(lambda *x: tensor_messages(*x, edges, layout), inputs)
    assert torch.autograd.gradgradcheck(lambda *x: tensor_messages(*x, edges, layout), inputs)
