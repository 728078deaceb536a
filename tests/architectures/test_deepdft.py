"""The architecture `deepdft`: its equations, its cutoff and the full-size model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms

from deepdft.architectures import create_model
from deepdft.architectures.layers import polynomial_cutoff, published_cutoff
from deepdft.architectures.settings import EvaluationSettings
from deepdft.geometry.graphs import probe_edges
from deepdft.prediction.engine import ProbeEngine
from deepdft.testing.brute_force import points_off_cutoff
from deepdft.testing.networks import (
    EXACT,
    density_at,
    forward,
    other_cell,
    random_rotation,
    small_network,
)
from deepdft.testing.structures import ELEMENTS, ethanol, points_near, slab, triclinic
from tests.architectures.equations import Oracle

CUTOFF = 4.0


@pytest.fixture(scope="module")
def full_size():
    """The paper's model, T = 6 and F = 128, with random weights in float64."""
    torch.manual_seed(0)
    network = create_model("deepdft", {}, ELEMENTS).double().eval()
    assert (network.options.steps, network.options.channels, network.cutoff) == (6, 128, 4.0)
    with torch.no_grad():
        # As large as a trained model's densities, which reach several e/Å^3.
        network.readout_output.weight.mul_(20.0)
    return network


def oracle_of(network):
    return Oracle(
        network.state_dict(), network.elements, cutoff=network.cutoff,
        width=network.options.gaussian_width, smooth=network.smooth,
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps": 3, "channels": 5},
        {"steps": 1, "gaussian_width": 0.25, "cutoff": 3.0},
        {"envelope": "smooth"},
    ],
    ids=str,
)
@pytest.mark.parametrize("make", [ethanol, triclinic, slab])
def test_equations(options, make):
    network = small_network("deepdft", **options)
    network.settings = EvaluationSettings(filters="direct")
    atoms = make()
    points = points_near(atoms, 6)
    points[0] = atoms.positions[0]
    points = points_off_cutoff(atoms, points, network.cutoff)
    expected = oracle_of(network).density(atoms, points)
    assert np.ptp(expected) > 1e-2
    found = forward(network, atoms, points).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    network.settings = EvaluationSettings(filters="tabulated")
    np.testing.assert_allclose(density_at(network, atoms, points), expected, rtol=0, atol=1e-6)


def test_equations_of_the_full_size_model(full_size):
    atoms = triclinic()
    points = points_off_cutoff(atoms, points_near(atoms, 3), CUTOFF)
    expected = oracle_of(full_size).density(atoms, points)
    np.testing.assert_allclose(density_at(full_size, atoms, points), expected, rtol=0, atol=1e-6)


def test_the_full_size_model_has_all_symmetries(full_size):
    rotation = random_rotation(3)
    for atoms in (ethanol(), triclinic()):
        points = points_off_cutoff(atoms, points_near(atoms, 20), CUTOFF)
        expected = density_at(full_size, atoms, points)
        assert np.ptp(expected) > 0.05

        changed = atoms[np.random.default_rng(0).permutation(len(atoms))]
        changed.positions += [3.0, -200.0, 1.0]
        changed.set_cell(np.asarray(atoms.cell) @ rotation.T, scale_atoms=False)
        changed.positions = changed.positions @ rotation.T
        moved = (points + np.array([3.0, -200.0, 1.0])) @ rotation.T
        if atoms.pbc.any():
            changed = other_cell(changed, 1).repeat((2, 1, 1))
        np.testing.assert_allclose(density_at(full_size, changed, moved), expected, 0, EXACT)


def test_tables_change_the_density_by_less_than_a_millionth(full_size):
    """The stated bound: 1e-6 e/Å^3 in float64 against direct evaluation, full-size model."""
    for atoms in (ethanol(), triclinic()):
        points = points_near(atoms, 150)
        points[: len(atoms)] = atoms.positions
        tabulated = density_at(full_size, atoms, points)
        try:
            full_size.settings = EvaluationSettings(filters="direct")
            direct = density_at(full_size, atoms, points)
        finally:
            full_size.settings = EvaluationSettings(filters="tabulated")
        error = np.abs(tabulated - direct).max()
        assert 0 < error < 1e-6


def test_single_precision_of_the_full_size_model(full_size):
    atoms = ethanol()
    points = points_near(atoms, 200)
    exact = density_at(full_size, atoms, points)
    torch.manual_seed(0)
    single = create_model("deepdft", {}, ELEMENTS).eval()
    single.load_state_dict(full_size.state_dict())
    found = density_at(single, atoms, points)
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-5 * np.abs(exact).max())


# The cutoff


def test_the_published_soft_cutoff_is_not_zero_at_the_cutoff():
    at_cutoff = published_cutoff(torch.tensor([CUTOFF], dtype=torch.float64), CUTOFF)
    assert float(at_cutoff) == pytest.approx(5.5277863692e-4, rel=1e-9)
    d = torch.linspace(0, 4, 9, dtype=torch.float64)
    expected = 1 - torch.sigmoid(5 * (d - (CUTOFF - 1.5)))
    torch.testing.assert_close(published_cutoff(d, CUTOFF), expected, rtol=1e-9, atol=0)


def test_value_slope_and_curvature_of_the_polynomial_vanish_at_the_cutoff():
    d = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    value = polynomial_cutoff(d, 3.0)
    (slope,) = torch.autograd.grad(value, d, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, d)
    for found in (value, slope, curvature):
        assert abs(found.item()) < 1e-14
    near = torch.tensor([0.0, 2.97, 3.0, 3.5, 100.0], dtype=torch.float64)
    found = polynomial_cutoff(near, 3.0)
    assert found[0] == 1.0
    assert found[1] == pytest.approx(10 * 0.01**3, rel=0.02)
    assert not found[2:].any()


def either_side_of_the_cutoff(network, gap, companion):
    """Density just inside and just outside the reach of an atom, with or without another one."""
    atoms = Atoms("OC", [[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]])[: 2 if companion else 1]
    points = np.array([[0.0, 0.0, CUTOFF - gap], [0.0, 0.0, CUTOFF + gap]])
    return density_at(network, atoms, points)


def test_the_density_jumps_at_the_published_cutoff():
    """As published: the soft cutoff is 5.5e-4 at the cutoff, not 0, so the density jumps there."""
    network = small_network("deepdft")
    inside, outside = either_side_of_the_cutoff(network, 1e-9, companion=True)
    assert 1e-6 < abs(inside - outside) < 1e-2
    # The last atom to leave takes everything with it.
    inside, outside = either_side_of_the_cutoff(network, 1e-9, companion=False)
    assert abs(inside) > 1e-3
    assert outside == 0.0


def test_the_smooth_envelope_removes_the_jump():
    network = small_network("deepdft", envelope="smooth")
    inside, outside = either_side_of_the_cutoff(network, 1e-9, companion=True)
    assert abs(inside - outside) < 1e-9
    assert abs(inside) > 1e-3
    inside, outside = either_side_of_the_cutoff(network, 1e-9, companion=False)
    assert abs(inside) < 1e-14
    assert outside == 0.0
    # Value, slope and curvature vanish: the density of the last atom falls as the third power.
    far, near = (either_side_of_the_cutoff(network, gap, False)[0] for gap in (0.02, 0.01))
    assert far / near == pytest.approx(8.0, rel=0.1)


def test_the_smooth_envelope_is_the_published_one_times_a_polynomial():
    published, smooth = (
        small_network("deepdft", envelope=envelope) for envelope in ("published", "smooth")
    )
    d = torch.linspace(0.0, CUTOFF, 33, dtype=torch.float64)
    expected = published.probe_filters(d) * (1 - 10 * (d / 4) ** 3 + 15 * (d / 4) ** 4
                                             - 6 * (d / 4) ** 5)[:, None]  # fmt: skip
    torch.testing.assert_close(smooth.probe_filters(d), expected, rtol=1e-12, atol=1e-15)
    # At the cutoff the filters themselves still are 5.5e-4 of their bare value.
    assert 1e-5 < published.probe_filters(d)[:, -1].abs().max() < 1e-2
    assert smooth.probe_filters(d)[:, -1].abs().max() < 1e-15


# Precision and cost


def test_a_molecule_far_from_the_origin_in_single_precision():
    network = small_network("deepdft", torch.float32)
    atoms = ethanol()
    points = points_near(atoms, 300)
    expected = density_at(network, atoms, points)
    for shift in ([500.0, 0.0, 0.0], [-300.0, 400.0, 500.0], [5e5, 0.0, 0.0]):
        moved = atoms.copy()
        moved.positions += shift
        for found in (
            density_at(network, moved, points + shift),
            forward(network, moved, points + shift).detach().numpy(),
        ):
            np.testing.assert_allclose(found, expected, rtol=0, atol=3e-6 * np.abs(expected).max())


def test_atoms_are_encoded_once_for_all_probes(monkeypatch):
    network = small_network("deepdft")
    calls = []
    encode = type(network).encode
    monkeypatch.setattr(
        type(network), "encode", lambda self, graph: calls.append(1) or encode(self, graph)
    )
    engine = ProbeEngine(network, None, ethanol(), threads=2)
    for seed in range(3):
        engine.at(points_near(ethanol(), 2000, seed))
    assert len(calls) == 1


def test_atoms_that_no_probe_sees_still_matter_through_their_neighbours():
    # Two steps carry information over two edges: 3.5 Å each.
    network = small_network("deepdft")
    points = np.array([[0.0, 0.0, -3.0]])
    line = [[0.0, 0.0, 3.5 * i] for i in range(4)]
    values = [
        density_at(network, Atoms(symbols, line), points)[0] for symbols in ("C4", "C2NC", "C3O")
    ]
    assert abs(values[1] - values[0]) > 1e-9
    assert values[2] == values[0]


def test_edges_of_the_reference_cutoff_only():
    # The probe graph is cut at the model's own cutoff, whatever the points.
    network = small_network("deepdft", cutoff=2.0)
    atoms = Atoms("O")
    points = np.array([[0, 0, 1.999], [0, 0, 2.001]])
    assert probe_edges(atoms, points, network.cutoff).in_reach.tolist() == [True, False]
    values = density_at(network, atoms, points)
    assert values[0] != 0.0
    assert values[1] == 0.0
