"""The Triton kernels on a real GPU: a few minutes, most of it compilation.

python -m pytest tests/kernels/test_triton_on_gpu.py
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from ase import Atoms

from deepdft.architectures import create_model
from deepdft.architectures.settings import EvaluationSettings
from deepdft.density import Grid
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.geometry.graphs import atom_graph, probe_edges
from deepdft.kernels.autograd import messages as message_kernels
from deepdft.kernels.triton.support import triton_serves
from deepdft.models.bundled import open_checkpoint
from deepdft.prediction.engine import ProbeEngine
from deepdft.testing.structures import ELEMENTS, ethanol, points_near, sodium_chloride, triclinic
from tests.kernels.triton_cases import CASES

CUDA = torch.device("cuda")

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.skipif(
        torch.cuda.is_available() and not triton_serves(CUDA),
        reason="this GPU, or the Triton here, is older than what the kernels need",
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_what_is_tested_in_the_interpreter(case):
    CASES[case]("cuda")


def networks(steps=6, channels=128, envelope="published"):
    """The same network in float32 on the GPU and on the CPU, and in float64."""
    torch.manual_seed(steps)
    options = {"steps": steps, "channels": channels, "envelope": envelope}
    network = create_model("deepdft", options, ELEMENTS).eval().requires_grad_(False)
    return copy.deepcopy(network).to(CUDA), network, copy.deepcopy(network).double()


def evaluate(network, atoms, points):
    dtype = next(network.parameters()).dtype
    with torch.inference_mode():
        graph = atom_graph(atoms, network.cutoff).to(dtype=dtype)
        return network(graph, probe_edges(atoms, points, network.cutoff).to(dtype=dtype)).numpy()


@pytest.mark.parametrize("envelope", ["published", "smooth"])
@pytest.mark.parametrize(
    ("steps", "channels"), [(6, 128), (1, 128), (3, 1), (2, 20), (4, 64), (2, 100), (2, 200)]
)
def test_every_size(steps, channels, envelope):
    on_gpu, single, double = networks(steps, channels, envelope)
    for atoms in (ethanol(), triclinic()):
        engine = ProbeEngine(on_gpu, None, atoms)
        assert engine.is_fused
        grid = Grid(np.diag([0.9, 1.0, 1.1]), (9, 10, 11), atoms.positions[0] - 0.4)
        points = np.concatenate((grid.points().reshape(-1, 3), points_near(atoms, 300, spread=5.0)))
        found = np.concatenate(
            (engine.box(grid, (0, 0, 0), grid.shape).ravel(), engine.at(points[990:]))
        )
        exact = evaluate(double, atoms, points)
        # What float32 costs differs from network to network; torch on the CPU shows how much.
        allowed = 3e-7 + 3.0 * np.abs(evaluate(single, atoms, points) - exact).max()
        assert np.abs(found - exact).max() < allowed
        assert np.array_equal(found == 0.0, exact == 0.0)


def test_the_bundled_model_with_its_baseline():
    checkpoint = open_checkpoint("default")
    tables = AtomicDensityTables.load(checkpoint.baseline)
    network = checkpoint.network.eval().requires_grad_(False)
    atoms = ethanol()
    grid = Grid(np.diag([8.0, 8.0, 8.0]), (80, 80, 80), atoms.positions.mean(axis=0) - 4.0)
    exact = ProbeEngine(copy.deepcopy(network).double(), tables, atoms)
    engine = ProbeEngine(network.to(CUDA), tables, atoms)
    found = engine.box(grid, (0, 0, 0), grid.shape)
    for corner in (0, 38):  # far from the atoms, and among them
        low, high = (corner,) * 3, (corner + 4,) * 3
        place = (slice(corner, corner + 4),) * 3
        assert np.abs(found[place] - exact.box(grid, low, high)).max() < 3e-6


def test_results_are_the_same_every_time_and_in_every_box():
    on_gpu, _, _ = networks(steps=2)
    atoms = sodium_chloride()
    engine = ProbeEngine(on_gpu, None, atoms)
    grid = Grid.of_cell(atoms, 0.1)
    whole = engine.box(grid, (0, 0, 0), grid.shape)
    assert np.array_equal(engine.box(grid, (0, 0, 0), grid.shape), whole)
    part = ProbeEngine(on_gpu, None, atoms).box(grid, (7, 3, 0), (40, 20, 31))
    assert np.array_equal(part, whole[7:40, 3:20, :31])


def test_more_probes_than_fit_a_batch_or_a_part(monkeypatch):
    from deepdft.prediction import device_batches, device_engine

    on_gpu, _, _ = networks(steps=1, channels=16)
    atoms = sodium_chloride()
    grid = Grid.of_cell(atoms, 0.15)
    whole = ProbeEngine(on_gpu, None, atoms).box(grid, (0, 0, 0), grid.shape)
    monkeypatch.setattr(device_batches, "PROBES_PER_BATCH", 5000)
    monkeypatch.setattr(device_engine, "PROBES_PER_BLOCK", 700)
    monkeypatch.setattr(device_engine, "_PROBES_PER_PART", 9000)
    pieces = ProbeEngine(on_gpu, None, atoms).box(grid, (0, 0, 0), grid.shape)
    assert np.array_equal(pieces, whole)


def test_a_training_step_is_that_of_plain_torch(monkeypatch):
    gradients = []
    atoms = Atoms("C", cell=[2.1, 2.3, 2.2], pbc=True).repeat((3, 3, 3))
    points = points_near(atoms, 500)
    for fused in (True, False):
        if not fused:
            monkeypatch.setattr(message_kernels, "_compiled_form", lambda device: None)
        network = networks(steps=3)[0].requires_grad_(True).train()
        graph = atom_graph(atoms, network.cutoff).to(CUDA, torch.float32)
        edges = probe_edges(atoms, points, network.cutoff).to(CUDA, torch.float32)
        network(graph, edges).square().mean().backward()
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    for name, found in gradients[0].items():
        expected = gradients[1][name]
        scale = float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-4 * scale + 1e-12, msg=name)


def test_products_of_half_precision_are_near():
    on_gpu, _, double = networks()
    on_gpu.settings = EvaluationSettings(products="float16")
    atoms = ethanol()
    points = points_near(atoms, 2000)
    found = ProbeEngine(on_gpu, None, atoms).at(points)
    exact = evaluate(double, atoms, points)
    share = np.abs(found - exact).sum() / np.abs(exact).sum()
    assert 1e-6 < share < 1e-3
