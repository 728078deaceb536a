"""Tabulated filters and their interpolation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepdft.architectures import create_model
from deepdft.architectures.settings import EvaluationSettings
from deepdft.kernels.autograd.tables import (
    DEFAULT_SPACING,
    HERMITE,
    RadialTable,
    interpolate,
    interpolation_weights,
    knot_count,
    tabulate,
)
from deepdft.models.bundled import bundled_models
from deepdft.prediction import load_model
from deepdft.prediction.engine import ProbeEngine
from deepdft.testing.brute_force import points_off_cutoff
from deepdft.testing.structures import ethanol, points_near

CUTOFF = 4.0
WIDTH = 0.1
CENTRES = torch.tensor([0.0, 0.37, 1.0, 2.003], dtype=torch.float64)


def gaussians(distances):
    """One step, four channels: what the filter networks are made of."""
    scaled = (distances[:, None] - CENTRES.to(distances.dtype)) / WIDTH
    return torch.exp(-0.5 * scaled**2)[None]


def gaussian_table(spacing=DEFAULT_SPACING):
    return tabulate(gaussians, CUTOFF, spacing, dtype=torch.float64)


@pytest.mark.parametrize(
    ("cutoff", "spacing", "knots"),
    [(4.0, 0.02, 201), (4.0, 0.04, 101), (5.0, 0.03, 168), (0.01, 0.02, 2), (4.0, 4.0, 2)],
)
def test_knots_reach_the_cutoff_and_are_no_further_apart_than_asked(cutoff, spacing, knots):
    count, step = knot_count(cutoff, spacing)
    assert count == knots
    assert step <= spacing * (1 + 1e-12)
    assert (count - 1) * step == pytest.approx(cutoff, rel=1e-14)


def test_basis_polynomials_match_value_slope_and_curvature_at_both_ends():
    found = []
    for coefficients in HERMITE:
        polynomial = np.polynomial.Polynomial(coefficients)
        derivatives = [polynomial, polynomial.deriv(1), polynomial.deriv(2)]
        found.append([d(end) for end in (0.0, 1.0) for d in derivatives])
    np.testing.assert_allclose(found, np.eye(6), rtol=0, atol=1e-12)


def test_polynomials_of_fifth_order_are_exact():
    coefficients = torch.tensor([0.3, -1.0, 0.7, 0.2, -0.11, 0.013], dtype=torch.float64)

    def quintic(x):
        return sum(c * x**p for p, c in enumerate(coefficients))[None, :, None]

    table = tabulate(quintic, CUTOFF, 0.5, dtype=torch.float64)
    x = torch.linspace(0, CUTOFF, 101, dtype=torch.float64)
    torch.testing.assert_close(interpolate(table, x), quintic(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("spacing", [0.02, 0.04])
def test_interpolation_error_of_gaussians_is_the_one_stated(spacing):
    x = torch.linspace(0, CUTOFF, 20_011, dtype=torch.float64)[:-1]
    error = (interpolate(gaussian_table(spacing), x) - gaussians(x)).abs().max()
    # The sixth derivative of exp(-x^2 / 2 s^2) is largest at 0: 15 / s^6.
    bound = spacing**6 / 46080 * 15 / WIDTH**6
    assert 0.5 * bound < error <= bound * (1 + 1e-6)
    if spacing == DEFAULT_SPACING:
        assert error < 2.1e-8


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_interpolant_is_twice_continuously_differentiable(order):
    table = gaussian_table(0.1)
    knots = torch.arange(1, 40, dtype=torch.float64) * table.spacing
    below = interpolate(table, knots - 1e-10, order)
    above = interpolate(table, knots + 1e-10, order)
    scale = WIDTH**-order
    assert (below - above).abs().max() < 1e-7 * scale
    # The third derivative does jump, so the comparison above can fail.
    third = interpolate(table, knots + 1e-10, 3) - interpolate(table, knots - 1e-10, 3)
    assert third.abs().max() > 1.0


def test_derivatives_are_those_of_the_interpolant():
    table = gaussian_table()
    x = torch.linspace(0.003, 3.99, 57, dtype=torch.float64, requires_grad=True)
    value = interpolate(table, x).sum()
    for order in (1, 2, 3):
        (value,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        expected = interpolate(table, x, order).sum(dim=(0, 2))
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-6)


def test_ends_of_the_table():
    table = gaussian_table()
    ends = torch.tensor([0.0, np.nextafter(CUTOFF, 0.0), CUTOFF], dtype=torch.float64)
    left, _ = interpolation_weights(ends, table.spacing, 201)
    assert left.tolist() == [0, 199, 199]
    torch.testing.assert_close(interpolate(table, ends), gaussians(ends), rtol=0, atol=1e-12)
    assert table.cutoff == pytest.approx(CUTOFF)


@pytest.mark.usefixtures("double_precision")
def test_entries_are_value_slope_and_curvature_of_the_filter_network():
    torch.manual_seed(0)
    network = create_model("deepdft", {"steps": 2, "channels": 3}, [1])
    table = tabulate(network.probe_filters, CUTOFF, 0.5, dtype=torch.float64)
    assert table.entries.shape == (2, 9, 3, 3)
    for knot in (0, 3, 8):
        for step in range(2):
            for channel in range(3):
                x = torch.tensor([0.5 * knot], requires_grad=True)
                value = network.probe_filters(x)[step, 0, channel]
                (slope,) = torch.autograd.grad(value, x, create_graph=True)
                (curvature,) = torch.autograd.grad(slope, x)
                found = table.entries[step, knot, :, channel]
                expected = torch.stack((value, slope[0] * 0.5, curvature[0] * 0.25))
                torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("double_precision")
def test_the_table_is_differentiable_in_the_weights():
    generator = torch.Generator().manual_seed(1)
    probe = torch.randn(1, 9, 3, 2, generator=generator)

    def loss(width, amplitude):
        def filters(x):
            return (amplitude * torch.exp(-((x[:, None] / width) ** 2)))[None]

        return (tabulate(filters, CUTOFF, 0.5, dtype=torch.float64).entries * probe).sum()

    width = torch.tensor([0.9, 1.4], requires_grad=True)
    amplitude = torch.tensor([1.0, -0.3], requires_grad=True)
    assert torch.autograd.gradcheck(loss, (width, amplitude))


@pytest.mark.parametrize("name", ["the paper's size", *bundled_models()])
def test_tables_change_the_density_by_less_than_a_millionth(name):
    torch.manual_seed(0)
    if name in bundled_models():
        network = load_model(name, "cpu").network.double()
    else:
        network = create_model("deepdft", {}, [1, 6, 7, 8, 9]).double().eval()
    atoms = ethanol()
    if not set(atoms.numbers) <= set(network.elements):
        atoms.numbers = np.resize(network.elements, len(atoms))
    points = points_off_cutoff(atoms, points_near(atoms, 150), network.cutoff)
    found = {}
    for filters in ("tabulated", "direct"):
        network.settings = EvaluationSettings(filters=filters)
        found[filters] = ProbeEngine(network, None, atoms, threads=1).at(points)
    assert found["direct"].std() > 1e-2
    np.testing.assert_allclose(found["tabulated"], found["direct"], rtol=0, atol=1e-6)
    assert (found["tabulated"] != found["direct"]).any()


def test_single_precision_tables():
    table = tabulate(gaussians, CUTOFF, dtype=torch.float32)
    assert table.entries.dtype == torch.float32
    x = torch.linspace(0, 3.999, 301)
    found = interpolate(table, x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), gaussians(x.double()), rtol=0, atol=3e-6)
    assert isinstance(table, RadialTable)
