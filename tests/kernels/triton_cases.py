"""What the Triton kernels have to get right, on a GPU or, in Triton's interpreter, on the CPU.

Each case compares with float64 on the CPU and raises AssertionError where it fails. As a script it
runs all cases in the interpreter and prints a JSON object of tracebacks.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import traceback
import warnings
from unittest import mock

if __name__ == "__main__":
    os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import torch
from ase import Atoms

import deepdft.kernels.autograd.messages
from deepdft.architectures import create_model
from deepdft.architectures.settings import EvaluationSettings
from deepdft.density import Grid
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.geometry.graphs import Edges, edges_to_images, probe_edges
from deepdft.kernels.autograd.messages import filtered_messages, interpolated_messages
from deepdft.kernels.autograd.tables import RadialTable
from deepdft.kernels.triton.piecewise import piecewise_table
from deepdft.prediction import torch_network
from deepdft.prediction.engine import ProbeEngine

ELEMENTS = (1, 6, 7, 8)


def water() -> Atoms:
    """Three atoms without a cell."""
    return Atoms("OH2", [[0.02, 0.0, 0.119], [0.0, 0.763, -0.477], [0.01, -0.763, -0.477]])


def crystal() -> Atoms:
    """Two atoms in a skewed cell much smaller than the cutoff."""
    cell = [[2.9, 0.2, -0.4], [1.3, 2.7, 0.1], [-0.8, 0.9, 3.2]]
    return Atoms("CN", [[0.3, 0.2, 0.5], [4.9, -3.1, 2.2]], cell=cell, pbc=True)


def network(dtype=torch.float32, **options):
    """A small network with random weights, larger than the initial ones."""
    torch.manual_seed(3)
    chosen = {"steps": 2, "channels": 16, **options}
    result = create_model("deepdft", chosen, ELEMENTS).eval().requires_grad_(False)
    for parameter in result.parameters():
        parameter.mul_(1.5)
    return result.to(dtype)


def use_triton(device):
    """Send tensors of a device through the Triton kernels, whether or not it is a GPU."""

    def serves(found):
        return found.type == torch.device(device).type

    stack = mock.patch.multiple(deepdft.kernels.autograd.messages, triton_serves=serves)
    return stack, mock.patch.multiple(torch_network, triton_serves=serves)


def fused_engine(device, atoms, baseline=None, **options):
    """The engine with everything on the device, and the same in float64 on the CPU."""
    with use_triton(device)[1]:
        own = torch_network.TorchNetwork(network(**options).to(device))
        engine = ProbeEngine(own, baseline, atoms, threads=1)
    assert engine.is_fused
    exact = ProbeEngine(network(torch.float64, **options), baseline, atoms, threads=1)
    assert not exact.is_fused
    return engine, exact


def random_edges(counts, atoms, cutoff, device, dtype):
    generator = torch.Generator().manual_seed(1)
    counts = torch.tensor(counts, dtype=torch.int64)
    n_edges = int(counts.sum())
    distances = cutoff * torch.rand(n_edges, generator=generator, dtype=torch.float64)
    offsets = torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0)))
    senders = torch.randint(0, atoms, (n_edges,), generator=generator).int()
    return Edges(senders, offsets, distances.to(dtype)).to(device)


def message_case(device, dtype, channels, counts=(0, 3, 1, 11, 0)):
    generator = torch.Generator().manual_seed(0)
    entries = torch.randn(2, 9, 3, channels, generator=generator, dtype=torch.float64)
    senders = torch.randn(2, 4, channels, generator=generator, dtype=torch.float64)
    return entries.to(device, dtype), senders.to(device, dtype), random_edges(
        counts, 4, 4.0, device, dtype
    )  # fmt: skip


def gradients(form, entries, senders, edges, weights):
    inputs = [x.detach().requires_grad_() for x in (entries, senders, edges.distances)]
    value = form(RadialTable(inputs[0], 0.5), inputs[1], edges.with_distances(inputs[2]))
    return (value.detach(), *torch.autograd.grad((value * weights).sum(), inputs))


def messages_and_gradients(device, dtype, channels, tolerance):
    entries, senders, edges = message_case(device, dtype, channels)
    weights = torch.randn(2, 5, channels, generator=torch.Generator().manual_seed(7)).double()
    with use_triton(device)[0]:
        found = gradients(filtered_messages, entries, senders, edges, weights.to(device, dtype))
    exact = (x.cpu().double() for x in (entries, senders))
    expected = gradients(
        interpolated_messages, *exact, edges.to("cpu", torch.float64), weights.to(dtype).double()
    )
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        assert one.shape == other.shape
        scale = float(other.abs().max())
        torch.testing.assert_close(one.cpu().double(), other, rtol=0, atol=tolerance * scale)
    assert not found[0][:, 0].any()
    assert not found[0][:, 4].any()


def messages_in_single_precision(device):
    messages_and_gradients(device, torch.float32, 20, 3e-6)


def messages_in_double_precision(device):
    messages_and_gradients(device, torch.float64, 3, 1e-13)


def messages_at_ends_of_the_table(device):
    entries, senders, edges = message_case(device, torch.float64, 3, (4,))
    places = torch.tensor([0.0, 0.5, 1.75, float(np.nextafter(4.0, 0.0))], dtype=torch.float64)
    edges = edges.with_distances(places.to(device))
    with use_triton(device)[0]:
        found = filtered_messages(RadialTable(entries, 0.5), senders, edges)
    torch.testing.assert_close(
        found, interpolated_messages(RadialTable(entries, 0.5), senders, edges)
    )


def messages_of_nothing(device):
    for receivers in (0, 2):
        entries, senders, edges = message_case(device, torch.float32, 3, (0,) * receivers)
        weights = torch.zeros(2, receivers, 3, device=device)
        with use_triton(device)[0]:
            found = gradients(filtered_messages, entries, senders, edges, weights)
        assert found[0].shape == (2, receivers, 3)
        assert not any(x.any() for x in found)


def pairs_are_the_edges_of_the_cpu(device):
    from deepdft.geometry.blocks import block_points
    from deepdft.geometry.neighbourhoods import NeighbourhoodSearch
    from deepdft.kernels.triton.pairs import Candidates, CountedPairs, grid_groups

    # Distances of exactly the cutoff, 2 Å: an atom on a grid whose points are 0.5 Å apart.
    atoms = Atoms("O2", [[0.0, 0.0, 0.0], [1.0, 0.5, 3.0]])
    grid = Grid(np.diag([4.0, 3.0, 4.0]), (8, 6, 8), np.array([-2.0, -1.0, 0.0]))
    start, stop = (0, 0, 0), (8, 6, 8)
    points = block_points(grid, np.array(start), np.array(stop))
    images, positions = NeighbourhoodSearch(atoms, points.min(0), points.max(0), 2.0).near(
        points.min(0), points.max(0)
    )
    bounds = torch.tensor([[start], [stop]], device=device)
    geometry = np.concatenate((grid.origin, np.ravel(grid.cell), np.array(grid.shape)))
    groups = grid_groups(
        bounds[0], bounds[1], [48], torch.from_numpy(geometry).to(device), (start, stop), (2, 2, 2)
    )
    order = groups.places.flatten().argsort().cpu()
    assert np.array_equal(groups.points.cpu().reshape(-1, 3)[order], points)
    candidates = Candidates(
        torch.tensor([0, len(images)], device=device),
        torch.from_numpy(images).int().to(device),
        torch.from_numpy(positions).to(device),
    )
    filters = network(torch.float64, cutoff=2.0).probe_filters
    table = piecewise_table(filters, 2.0, 0.87, tolerance=0.1)
    assert table is not None
    pairs = CountedPairs(groups, candidates, table, 2.0).listed()
    edges = edges_to_images(images, positions, points, 2.0)
    counts = edges.offsets.diff()
    place = pairs.offsets_in_piece.cpu().double()
    reached = place < 1.5
    group = torch.arange(48).repeat_interleave(pairs.offsets.diff().cpu())
    receivers = groups.places.cpu()[group][reached]
    assert torch.equal(torch.bincount(receivers, minlength=384), counts)
    assert torch.equal(pairs.codes.cpu() % 2 == 1, ~reached.all(dim=1))
    starts = (pairs.codes.cpu() // 2).double()[:, None] * table.step
    distances = (starts + (place + 1.0) * table.width / 2)[reached]
    atom = pairs.atoms.cpu()[:, None].expand_as(place)[reached]
    key = receivers * 2 + atom
    expected = edges.receivers * 2 + edges.senders
    assert torch.equal(key.sort().values, expected.sort().values)
    torch.testing.assert_close(
        distances[key.argsort()], edges.distances[expected.argsort()], rtol=0, atol=1e-6
    )
    active = torch.bincount(group, minlength=48).nonzero()[:, 0]
    assert torch.equal(pairs.active.cpu(), active)


def compare_on_grid(device, atoms, grid, tolerance, baseline=None, **options):
    engine, exact = fused_engine(device, atoms, baseline, **options)
    start = (1, 0, 0)
    found = engine.box(grid, start, grid.shape)
    expected = exact.box(grid, start, grid.shape)
    scale = np.abs(expected).max()
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)
    if baseline is None:
        assert np.array_equal(found == 0.0, expected == 0.0)
    return found, expected, engine


def grid_of_a_molecule(device):
    # Some points are out of reach of all atoms, some groups of points partly.
    grid = Grid(np.diag([0.5, 0.45, 6.0]), (5, 3, 4), np.array([-0.2, 0.3, -0.3]))
    found, _, _ = compare_on_grid(device, water(), grid, 2e-6, cutoff=3.0)
    assert (found == 0.0).any()
    assert (found != 0.0).any()


def grid_of_a_crystal(device):
    # More atoms in reach than a program takes at once, and images of the same atom.
    atoms = crystal()
    grid = Grid(0.06 * np.asarray(atoms.cell), (3, 2, 2), np.array([0.3, 0.1, 0.2]))
    engine, _ = fused_engine(device, atoms)
    edges = probe_edges(atoms, grid.points().reshape(-1, 3), engine.network.cutoff)
    assert int(edges.offsets.diff().min()) > 16
    compare_on_grid(device, atoms, grid, 5e-6)


def grid_too_coarse_for_groups(device):
    grid = Grid(np.diag([4.0, 3.0, 4.0]), (4, 2, 3), np.array([-2.0, -1.5, -2.0]))
    _, _, engine = compare_on_grid(device, water(), grid, 2e-6, envelope="smooth")
    assert engine._on_device._grid_filters(grid)[0] == (1, 1, 1)


def grid_of_one_layer_through_a_nucleus(device):
    atoms = water()
    grid = Grid(np.diag([0.3, 0.3, 0.3]), (3, 3, 1), atoms.positions[0] - [0.1, 0.1, 0.0])
    assert np.abs(grid.points() - atoms.positions[0]).sum(axis=-1).min() < 1e-12
    compare_on_grid(device, atoms, grid, 2e-6)


def grid_with_superposed_atoms(device):
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    # The tables reach further than the network.
    grid = Grid(np.diag([0.3, 0.3, 6.0]), (3, 2, 3), np.array([0.0, 0.1, 0.2]))
    found, _, engine = compare_on_grid(device, water(), grid, 2e-6, tables, cutoff=3.0)
    superposed = SuperposedAtoms(tables, water()).at(grid.points()[1:].reshape(-1, 3))
    assert tables.cutoff > engine.network.cutoff
    alone = np.abs(found.ravel() - superposed) < 1e-12
    assert alone.any()
    assert not alone.all()
    assert superposed[alone].max() > 0.0


def boxes_of_a_grid_change_nothing(device):
    grid = Grid(np.diag([0.5, 0.4, 0.4]), (5, 4, 4), np.array([0.1, 0.1, 0.2]))
    engine, _ = fused_engine(device, water(), steps=1)
    whole = engine.box(grid, (0, 0, 0), grid.shape)
    part = engine.box(grid, (1, 1, 0), (4, 4, 3))
    assert np.array_equal(part, whole[1:4, 1:4, :3])


def batches_and_parts_change_nothing(device):
    from deepdft.prediction import device_batches, device_engine

    # A line along the first axis, through the cell of an atom and beyond its reach.
    grid = Grid(np.diag([9.0, 1.0, 1.0]), (70, 1, 1), np.array([-4.4, 0.3, 0.2]))
    engine, _ = fused_engine(device, Atoms("O"), steps=1)
    whole = engine.box(grid, (0, 0, 0), grid.shape)
    with (
        mock.patch.object(device_batches, "PROBES_PER_BATCH", 24),
        mock.patch.multiple(device_engine, PROBES_PER_BLOCK=10, _PROBES_PER_PART=40),
    ):
        found = engine.box(grid, (0, 0, 0), grid.shape)
    assert np.array_equal(found, whole)
    assert np.array_equal(whole.ravel() == 0.0, (grid.points() ** 2).sum(axis=-1).ravel() >= 16.0)


def listed_points(device):
    atoms = water()
    points = np.array([[0.1, 0.2, 0.3], [90.0, 0.0, 0.0], [0.02, 0.0, 0.119], [3.0, 1.0, -1.0]])
    engine, exact = fused_engine(device, atoms)
    found, expected = engine.at(points), exact.at(points)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert found[1] == 0.0
    assert found[0] != 0.0
    assert np.array_equal(engine.at(points[2:]), found[2:])
    assert engine.at(points[:0]).shape == (0,)


def readout_in_torch(device):
    # As for layers too wide for the fused kernel.
    from deepdft.architectures.deepdft.model import DeepDFT

    grid = Grid(np.diag([0.3, 0.3, 0.3]), (3, 2, 2), np.array([0.3, 0.1, 0.2]))
    with mock.patch.object(DeepDFT, "device_readout", return_value=None):
        compare_on_grid(device, water(), grid, 2e-6, steps=1)


def values_beyond_half_precision(device):
    grid = Grid(np.diag([0.3, 0.3, 0.3]), (3, 2, 2), np.array([0.3, 0.1, 0.2]))
    large = network(steps=1)
    large.probe_W1.weight.mul_(1e6)
    large.probe_W46.weight.mul_(1e-6)
    with use_triton(device)[1]:
        own = torch_network.TorchNetwork(large.to(device))
        engine = ProbeEngine(own, None, water(), threads=1)
    exact = ProbeEngine(copy.deepcopy(large).cpu().double(), None, water(), threads=1)
    found = engine.box(grid, (0, 0, 0), grid.shape)
    expected = exact.box(grid, (0, 0, 0), grid.shape)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def products_of_half_precision(device):
    grid = Grid(np.diag([0.3, 0.3, 0.3]), (3, 2, 2), np.array([0.3, 0.1, 0.2]))
    engine, exact = fused_engine(device, water())
    engine.network.model.settings = EvaluationSettings(products="float16")
    found = engine.box(grid, (0, 0, 0), grid.shape)
    expected = exact.box(grid, (0, 0, 0), grid.shape)
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert 1e-6 < error < 3e-3


CASES = {
    function.__name__: function
    for function in (
        messages_in_single_precision,
        messages_in_double_precision,
        messages_at_ends_of_the_table,
        messages_of_nothing,
        pairs_are_the_edges_of_the_cpu,
        grid_of_a_molecule,
        grid_of_a_crystal,
        grid_too_coarse_for_groups,
        grid_of_one_layer_through_a_nucleus,
        grid_with_superposed_atoms,
        boxes_of_a_grid_change_nothing,
        batches_and_parts_change_nothing,
        listed_points,
        readout_in_torch,
        values_beyond_half_precision,
        products_of_half_precision,
    )
}


def product(left, right, dtype):
    """The interpreter's product without BLAS, whose rounding may go by the number of rows."""
    return np.einsum("...ij,...jk->...ik", left, right, dtype=dtype)


def run_all(names) -> dict[str, str]:
    """Run cases in the interpreter; return the traceback of each, empty if it passed."""
    results = {}
    for name in names:
        results[name] = ""
        try:
            # Rows beyond the last group hold anything.
            with warnings.catch_warnings(), mock.patch.object(np, "matmul", product):
                warnings.simplefilter("ignore", RuntimeWarning)
                CASES[name]("cpu")
        except Exception:
            results[name] = traceback.format_exc()
    return results


if __name__ == "__main__":
    print(json.dumps(run_all(sys.argv[1:] or CASES)))
