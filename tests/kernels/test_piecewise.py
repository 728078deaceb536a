"""Filters as overlapping pieces of polynomials."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import molecule

from deepdft.architectures import create_model
from deepdft.geometry.graphs import atom_graph, probe_edges
from deepdft.kernels.autograd.messages import direct_messages
from deepdft.kernels.triton.piecewise import COUNTS, TOLERANCE, piecewise_table
from deepdft.testing.structures import points_near


def gaussians(distances):
    """Two steps of three Gaussians each, of width 0.1 Å."""
    centres = torch.tensor([0.0, 1.2, 3.9, 0.7, 2.5, 3.3], dtype=torch.float64)
    values = torch.exp(-0.5 * ((distances[:, None] - centres) / 0.1) ** 2)
    return values.reshape(-1, 2, 3).transpose(0, 1)


@pytest.mark.parametrize("extent", [0.0, 0.05, 0.1733, 3.0])
@pytest.mark.parametrize("cutoff", [4.0, 1.3])
def test_filters_are_met_wherever_a_group_may_lie(extent, cutoff):
    table = piecewise_table(gaussians, cutoff, extent)
    if extent == 3.0:
        assert table is None
        return
    assert table.coefficients.dtype == torch.float64
    assert table.coefficients.shape[1] in COUNTS
    assert table.width >= extent + table.step * (1 - 1e-12) or table.width == cutoff
    generator = torch.Generator().manual_seed(0)
    smallest = cutoff * torch.rand(4000, generator=generator, dtype=torch.float64)
    smallest[:3] = torch.tensor([0.0, np.nextafter(cutoff, 0.0), table.step], dtype=torch.float64)
    distances = smallest + extent * torch.rand(4000, generator=generator, dtype=torch.float64)
    inside = distances < cutoff
    found = table.evaluate(table.pieces_of(smallest), distances)[:, inside]
    expected = gaussians(distances[inside])
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) < TOLERANCE * float(expected.abs().max())


def test_pieces_of_a_cutoff_shorter_than_one():
    table = piecewise_table(gaussians, 0.02, 0.1)
    assert table.coefficients.shape[0] == 1
    distances = torch.linspace(0.0, 0.02, 50, dtype=torch.float64)
    found = table.evaluate(torch.zeros(50, dtype=torch.int64), distances)
    torch.testing.assert_close(found, gaussians(distances), rtol=0, atol=1e-5)


def test_filters_without_numbers_are_refused():
    assert piecewise_table(lambda d: gaussians(d) * torch.nan, 4.0, 0.0) is None


def test_rough_filters_of_single_points_get_shorter_pieces():
    table = piecewise_table(lambda d: gaussians(10.0 * d), 0.4, 0.0)
    distances = torch.linspace(0.0, 0.399, 500, dtype=torch.float64)
    found = table.evaluate(table.pieces_of(distances), distances)
    torch.testing.assert_close(found, gaussians(10.0 * distances), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("extent", [0.0, 0.0867, 0.1733])
@pytest.mark.parametrize("seed", [0, 1])
def test_densities_change_by_less_than_a_millionth(seed, extent):
    # The bound of the engine against direct evaluation of the filters, in e/Å^3.
    torch.manual_seed(seed)
    network = create_model("deepdft", {}, (1, 6, 7, 8)).double().eval()
    atoms = molecule("CH3CONH2")
    points = points_near(atoms, 60)
    with torch.inference_mode():
        edges = probe_edges(atoms, points, network.cutoff)
        senders = network.encode(atom_graph(atoms, network.cutoff))
        table = piecewise_table(network.probe_filters, network.cutoff, extent)
        generator = torch.Generator().manual_seed(0)
        below = extent * torch.rand(len(edges.distances), generator=generator, dtype=torch.float64)
        pieces = table.pieces_of((edges.distances - below).clamp(min=0.0))
        filters = table.evaluate(pieces, edges.distances)
        found = network.readout(direct_messages(filters, senders, edges))
        exact = network.probe_filters(edges.distances)
        expected = network.readout(direct_messages(exact, senders, edges))
    assert float(expected.std()) > 1e-3
    assert float((found - expected).abs().max()) < 5e-7
