"""The compiled form of a block against exact functions and the plain float64 network."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from deepdft.architectures import create_model
from deepdft.architectures.settings import EvaluationSettings
from deepdft.geometry.graphs import atom_graph, edges_to_images, probe_edges
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.kernels.autograd.messages import filtered_messages, interpolated_messages
from deepdft.kernels.autograd.tables import RadialTable, interpolation_weights
from deepdft.kernels.edges import sorted_messages
from deepdft.kernels.edges.block_edges import Workspace, block_edges
from deepdft.kernels.edges.block_messages import sum_messages
from deepdft.kernels.simd.layers import packed_matrix, padded_vector
from deepdft.kernels.simd.tiles import multiply_tile, multiply_tile_sigmoid, multiply_tile_softplus
from deepdft.kernels.simd.vectors import (
    PANEL,
    TILE_ROWS,
    address,
    aligned_zeros,
    padded_channels,
    padded_rows,
)
from deepdft.prediction.engine import ProbeEngine
from deepdft.testing.structures import ELEMENTS, STRUCTURES, ethanol, points_near, triclinic


@numba.njit
def softplus_of(x, out):
    zero = np.zeros(PANEL, np.float32)
    tile = np.zeros(TILE_ROWS * PANEL, np.float32)
    for first in range(0, len(x), PANEL):
        multiply_tile_softplus(
            address(zero, 0), 0, address(zero, 0), address(x, first), 1, address(tile, 0), PANEL
        )
        out[first : first + PANEL] = tile[-PANEL:]


@numba.njit
def sigmoid_of(x, out):
    zero = np.zeros(PANEL, np.float32)
    tile = np.zeros(TILE_ROWS * PANEL, np.float32)
    for first in range(0, len(x), PANEL):
        multiply_tile_sigmoid(
            address(zero, 0), 0, address(zero, 0), address(x, first), 1, address(tile, 0), PANEL
        )
        out[first : first + PANEL] = tile[-PANEL:]


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (softplus_of, lambda x: np.logaddexp(0.0, x)),
        (sigmoid_of, lambda x: np.exp(-np.logaddexp(0.0, -x))),
    ],
)
def test_activations(function, exact):
    rng = np.random.default_rng(0)
    x = np.concatenate([scale * rng.standard_normal(200_000) for scale in (0.01, 1.0, 10.0, 25.0)])
    x = np.concatenate(([0.0, -0.0, 86.9, -86.9], x[np.abs(x) < 85.0]))
    x = x[: len(x) // PANEL * PANEL].astype(np.float32)
    found = np.empty_like(x)
    function(x, found)
    expected = exact(x.astype(np.float64))
    assert np.abs(found / expected - 1.0).max() < 3e-7


def test_activations_at_the_ends():
    x = np.zeros(PANEL, np.float32)
    x[:4] = [1e30, -1e30, -np.inf, np.nan]
    found = np.empty_like(x)
    softplus_of(x, found)
    assert found[0] == np.float32(1e30)
    assert abs(found[1]) < 1e-37
    assert np.isnan(found[3])
    sigmoid_of(x, found)
    assert found[0] == 1.0
    assert (np.abs(found[1:3]) < 1e-37).all()
    assert np.isnan(found[3])


@numba.njit
def multiply_tiles(left, weight, bias, depth, columns, out):
    for panel in range(columns // PANEL):
        multiply_tile(
            address(left, 0), depth, address(weight, panel * depth * PANEL),
            address(bias, panel * PANEL), depth, address(out, panel * PANEL), columns,
        )  # fmt: skip


@pytest.mark.parametrize(("depth", "outputs"), [(1, 1), (20, 20), (128, 256), (37, 100)])
def test_matrix_product(depth, outputs):
    rng = np.random.default_rng(depth)
    left = rng.standard_normal((TILE_ROWS, depth)).astype(np.float32)
    weight = rng.standard_normal((depth, outputs)).astype(np.float32)
    bias = rng.standard_normal(outputs).astype(np.float32)
    columns = padded_channels(outputs)
    out = aligned_zeros((TILE_ROWS, columns), np.float32)
    packed, vector = packed_matrix(weight, depth).reshape(-1), padded_vector(bias)
    multiply_tiles(left.reshape(-1), packed, vector, depth, columns, out.reshape(-1))
    expected = left.astype(np.float64) @ weight.astype(np.float64) + bias
    assert np.abs(out[:, :outputs] - expected).max() < 1e-6 * depth
    assert (out[:, outputs:] == 0.0).all()


def edges_both_ways(atoms, points, cutoff, spacing, knots):
    images = images_in_reach(
        atoms.positions, atoms.cell, atoms.pbc, points.min(axis=0), points.max(axis=0), cutoff + 2.0
    )
    plain = edges_to_images(images.atoms, images.positions, points, cutoff)
    block = block_edges(points, images.atoms, images.positions, cutoff, spacing, knots, Workspace())
    return plain, block


@pytest.mark.parametrize("name", STRUCTURES)
def test_edges_of_a_block(name):
    atoms = STRUCTURES[name]()
    points = points_near(atoms, 200, seed=1, spread=4.0)
    plain, block = edges_both_ways(atoms, points, 4.0, 0.02, 201)
    count = int(plain.offsets[-1])
    assert block.starts[0] == 0
    assert block.starts[200] == count
    assert np.array_equal(block.points[: block.n_receivers], np.flatnonzero(plain.in_reach.numpy()))
    left, weights = interpolation_weights(plain.distances, 0.02, 201)
    receivers = np.cumsum(plain.in_reach.numpy())[plain.receivers.numpy()] - 1
    order = np.argsort(left.numpy(), kind="stable")
    assert np.array_equal(np.diff(block.starts), np.bincount(left.numpy(), minlength=200))
    assert np.array_equal(block.atoms[:count], plain.senders.numpy()[order])
    assert np.array_equal(block.receivers[:count], receivers[order])
    found = block.weights.reshape(6, -1)[:, :count]
    assert np.abs(found - weights.numpy()[order].T).max() < 1e-6


@pytest.mark.parametrize("channels", [1, 20, 64, 100, 128])
def test_messages_of_a_block(channels):
    atoms = triclinic()
    points = points_near(atoms, 150, seed=2, spread=2.0)
    plain, block = edges_both_ways(atoms, points, 4.0, 0.05, 81)
    generator = torch.Generator().manual_seed(channels)
    entries = torch.randn((1, 81, 3, channels), generator=generator)
    senders = torch.randn((1, len(atoms), channels), generator=generator)
    width = padded_channels(channels)
    out = aligned_zeros(block.n_receivers * width, np.float32)
    out[:] = 7.0
    sum_messages(
        padded_rows(entries.numpy()).reshape(-1),
        padded_rows(senders.numpy()).reshape(-1), block.atoms, block.receivers, block.weights,
        block.starts, 81, width, block.n_receivers, out,
    )  # fmt: skip
    expected = interpolated_messages(
        RadialTable(entries.double(), 0.05), senders.double(), plain.of_reached_receivers()
    )[0].numpy()
    found = out.reshape(-1, width)
    assert np.abs(found[:, :channels] - expected).max() < 2e-6 * np.abs(expected).max()
    assert (found[:, channels:] == 0.0).all()


@pytest.mark.parametrize("channels", [PANEL, 3 * PANEL, 128])
def test_messages_for_training(channels):
    atoms = triclinic()
    points = points_near(atoms, 120, seed=3, spread=5.0)
    # Distances are those of float32 on both sides: random tables are steep.
    edges = probe_edges(atoms, points, 4.0).to(dtype=torch.float32)
    generator = torch.Generator().manual_seed(channels)
    entries = torch.randn((2, 81, 3, channels), generator=generator)
    senders = torch.randn((2, len(atoms), channels), generator=generator)
    weights = torch.randn((2, len(points), channels), generator=generator)
    assert sorted_messages.suits(entries.numpy())
    results = []
    for form, dtype in ((filtered_messages, torch.float32), (interpolated_messages, torch.float64)):
        inputs = [x.detach().to(dtype).requires_grad_() for x in (entries, senders)]
        value = form(RadialTable(inputs[0], 0.05), inputs[1], edges.to(dtype=dtype))
        gradients = torch.autograd.grad((value * weights.to(dtype)).sum(), inputs)
        results.append((value.detach(), *gradients))
    for found, expected in zip(*results, strict=True):
        assert found.dtype == torch.float32
        scale = expected.abs().max()
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-6 * float(scale))


@pytest.mark.parametrize("envelope", ["published", "smooth"])
@pytest.mark.parametrize(
    ("steps", "channels"), [(1, 128), (2, 20), (3, 1), (4, 100), (5, 48), (6, 128)]
)
def test_compiled_network_is_the_plain_one(steps, channels, envelope):
    torch.manual_seed(steps)
    options = {"steps": steps, "channels": channels, "envelope": envelope}
    network = create_model("deepdft", options, ELEMENTS).eval().requires_grad_(False)
    plain = create_model("deepdft", options, ELEMENTS)
    plain.load_state_dict(network.state_dict())
    plain.settings = EvaluationSettings(filters="direct")
    for atoms in (ethanol(), triclinic()):
        points = points_near(atoms, 700, seed=steps, spread=6.0)
        engine = ProbeEngine(network, None, atoms, threads=1)
        assert engine.is_compiled
        found = engine.at(points)
        single, double = (evaluate(plain.to(dtype), atoms, points) for dtype in PRECISIONS)
        assert (found[double == 0.0] == 0.0).all()
        # What float32 itself costs differs from network to network; torch shows how much.
        allowed = 2e-7 + 3.0 * np.abs(single - double).max()
        assert allowed < 2e-3 * np.std(double)
        assert np.abs(found - double).max() < allowed


PRECISIONS = (torch.float32, torch.float64)


def evaluate(network, atoms, points):
    dtype = next(network.parameters()).dtype
    with torch.inference_mode():
        graph = atom_graph(atoms, network.cutoff).to(dtype=dtype)
        return network(graph, probe_edges(atoms, points, network.cutoff).to(dtype=dtype)).numpy()


def test_double_precision_and_direct_filters_are_not_compiled():
    network = create_model("deepdft", {"steps": 1, "channels": 4}, [8]).eval()
    atoms = STRUCTURES["single_atom"]()
    assert ProbeEngine(network, None, atoms, threads=1).is_compiled
    network.settings = EvaluationSettings(filters="direct")
    assert not ProbeEngine(network, None, atoms, threads=1).is_compiled
    network.settings = EvaluationSettings(filters="tabulated")
    assert not ProbeEngine(network.double(), None, atoms, threads=1).is_compiled


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="features of x86 processors"
)
def test_a_processor_with_shorter_and_fewer_registers(tmp_path):
    script = """
import numpy as np, torch
from deepdft.kernels.simd.vectors import LANES
from deepdft.architectures import create_model
from deepdft.prediction.engine import ProbeEngine
from deepdft.testing.structures import ELEMENTS, points_near, triclinic

torch.manual_seed(0)
network = create_model("deepdft", {"steps": 2, "channels": 40}, ELEMENTS).eval()
points = points_near(triclinic(), 100, spread=3.0)
values = [
    ProbeEngine(network.to(dtype), None, triclinic(), 1).at(points)
    for dtype in (torch.float32, torch.float64)
]
print(LANES, np.abs(values[0] - values[1]).max(), np.std(values[1]))
"""
    environment = {
        **os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_CPU_NAME": "x86-64",
        "NUMBA_CPU_FEATURES": "+sse2,+avx,+avx2,+fma",
    }  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True,
        check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    found, error, spread = result.stdout.split()
    assert int(found) == 8
    assert float(error) < 1e-6
    assert float(spread) > 1e-3
