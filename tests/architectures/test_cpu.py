"""Networks evaluated without torch, against the same networks in torch and double precision."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.io import read
from safetensors.numpy import load_file

import deepdft
from deepdft.architectures import EvaluationSettings, create_cpu_network, create_model
from deepdft.errors import ConfigurationError, FileFormatError, UnsupportedStructureError
from deepdft.geometry.graphs import atom_graph, edges_to_images
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.models.bundled import bundled_models
from deepdft.models.folder import read_description
from deepdft.testing.networks import small_network
from deepdft.testing.structures import (
    ELEMENTS,
    STRUCTURES,
    ethanol,
    points_near,
    sodium_chloride,
    triclinic,
)

NETWORKS = {
    "deepdft": ("deepdft", {}),
    "deepdft smooth": ("deepdft", {"envelope": "smooth", "channels": 37, "steps": 3}),
    "equivariant": ("equivariant", {}),
    "equivariant in panels": (
        "equivariant",
        {"fields": (64, 32, 32), "tensors": 32, "scalars": 64, "hidden": 64, "degree": 3},
    ),
    "equivariant, one step": ("equivariant", {"steps": 1, "degree": 4, "fields": (5, 3, 2, 1, 4)}),
}


def network_of(name, dtype=torch.float64):
    architecture, options = NETWORKS[name]
    return small_network(architecture, dtype, **options)


def on_cpu(network, **settings):
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return create_cpu_network(
        network.architecture.name, network.options.model_dump(), network.elements, weights,
        EvaluationSettings(**settings),
    )  # fmt: skip


def points_of(atoms, count=60):
    """Points around atoms, one of them on a nucleus and one far away."""
    points = points_near(atoms, count, seed=3, spread=1.0)
    points[0] = atoms.positions[0]
    points[1] += 90.0 if not atoms.pbc.any() else 0.0
    return points


def images_of(network, atoms, points):
    found = images_in_reach(
        atoms.positions, atoms.cell, atoms.pbc, points.min(axis=0), points.max(axis=0),
        network.cutoff,
    )  # fmt: skip
    return found.atoms, found.positions


def evaluated(cpu, atoms, points):
    """Return senders, densities alone, then densities with gradients and Hessians."""
    senders = cpu.encode(atoms, 1)
    probes = cpu.probes(senders)
    images = images_of(cpu, atoms, points)
    n = len(points)
    alone, density = np.zeros(n), np.zeros(n)
    gradient, hessian = np.zeros((n, 3)), np.zeros((n, 3, 3))
    probes.density(points, *images, alone)
    probes.derivatives(points, *images, density, gradient, hessian)
    without = np.zeros(n), np.zeros((n, 3))
    probes.derivatives(points, *images, *without, None)
    assert np.abs(without[1] - gradient).max() <= 1e-6 * max(1.0, np.abs(gradient).max())
    return senders, alone, density, gradient, hessian


def in_torch(network, atoms, points):
    """Return the same of a network in torch."""
    directions = network.architecture.uses_directions
    dtype = next(network.parameters()).dtype
    graph = atom_graph(atoms, network.atom_cutoff, directions=directions).to(dtype=dtype)
    edges = edges_to_images(
        *images_of(network, atoms, points), points, network.cutoff, directions=True
    ).to(dtype=dtype)
    with torch.no_grad():
        senders = network.encode(graph)
        table = None if network.settings.filters == "direct" else network.probe_table()
        alone = network.density(senders, edges, table)
    density, gradient, hessian = network.derivatives(senders, edges, table, 2)
    density[~edges.in_reach] = 0.0  # derivatives are asked for probes with an atom in reach
    return tuple(x.detach().numpy() for x in (senders, alone, density, gradient, hessian))


@pytest.mark.parametrize("filters", ["tabulated", "direct"])
@pytest.mark.parametrize("name", NETWORKS)
def test_double_precision_is_that_of_torch(name, filters):
    network = network_of(name).requires_grad_(False)
    network.settings = EvaluationSettings(filters=filters)
    cpu = on_cpu(network, filters=filters, precision="float64")
    for atoms in (ethanol(), triclinic()):
        points = points_of(atoms, 25)
        found, expected = (f(n, atoms, points) for f, n in
                           ((evaluated, cpu), (in_torch, network)))  # fmt: skip
        assert np.std(expected[1]) > 1e-3
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == np.float64
            assert ours.shape == theirs.shape
            assert np.abs(ours - theirs).max() < 1e-11 * max(1.0, np.abs(theirs).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_single_precision_is_as_close_as_torch(name):
    network = network_of(name).requires_grad_(False)
    cpu = on_cpu(network)
    for atoms in (ethanol(), triclinic(), sodium_chloride()):
        points = points_of(atoms)
        expected = in_torch(network.double(), atoms, points)
        rounded = in_torch(network.float(), atoms, points)[:2]
        found = evaluated(cpu, atoms, points)
        assert found[0].dtype == np.float32
        for ours, torchs, exact in zip(found, rounded, expected[:2], strict=False):
            scale = np.abs(exact).max()
            assert np.abs(ours - exact).max() < 3e-6 * scale + 3 * np.abs(torchs - exact).max()
        for ours, exact in zip(found[2:], expected[2:], strict=True):
            assert np.abs(ours - exact).max() < 2e-5 * np.abs(exact).max()


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure(structure):
    atoms = STRUCTURES[structure]()
    points = points_of(atoms, 40)
    for name in ("deepdft", "equivariant"):
        network = network_of(name).requires_grad_(False)
        expected = in_torch(network, atoms, points)
        found = evaluated(on_cpu(network), atoms, points)
        assert np.abs(found[1] - expected[1]).max() < 2e-5 * np.abs(expected[1]).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_chunks_and_threads_make_no_difference(name):
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat((2, 1, 1))
    atoms.rattle(0.1, seed=1)
    cpu = on_cpu(network_of(name))
    expected = cpu.encode(atoms, 1)
    for chunk, threads in ((7, 1), (3, 3), (1, 2), (100, 2)):
        cpu.chunk_atoms = chunk
        assert np.array_equal(cpu.encode(atoms, threads), expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_result_may_be_anywhere(name, tmp_path):
    cpu = on_cpu(network_of(name))
    path = tmp_path / "states.npy"

    def allocate(shape, dtype):
        return np.lib.format.open_memmap(path, "w+", dtype, shape)

    written = cpu.encode(ethanol(), 1, allocate)
    written.flush()
    assert np.array_equal(np.load(path), cpu.encode(ethanol(), 1))
    points = points_of(ethanol(), 20)
    images = images_of(cpu, ethanol(), points)
    values = []
    for senders in (cpu.encode(ethanol(), 1), np.load(path, mmap_mode="r")):
        out = np.zeros(20)
        cpu.probes(senders).density(points, *images, out)
        values.append(out)
    assert np.array_equal(*values)


@pytest.mark.parametrize("name", NETWORKS)
def test_features_of_atoms(name):
    network = network_of(name).requires_grad_(False)
    cpu = on_cpu(network, precision="float64")
    senders = cpu.encode(triclinic(), 1)
    expected = network.atom_features(torch.from_numpy(senders)).numpy()
    assert np.abs(cpu.atom_features(senders) - expected).max() < 1e-12


def bundled(name):
    folder = bundled_models()[name]
    description = read_description(folder)
    from ase.data import atomic_numbers

    elements = [atomic_numbers[symbol] for symbol in description["elements"]]
    return description, elements, load_file(folder / "model.safetensors")


def structure_of(name):
    root = deepdft.__path__[0]
    if name in ("default", "qm9"):
        return read(f"{root}/bundled/molecules/C6H9NO.xyz")
    if name == "ethylene-carbonate":
        return read("benchmarks/ethylene_carbonate.xyz")
    atoms = bulk("NiO", "rocksalt", a=4.17, cubic=True)
    atoms.numbers[np.flatnonzero(atoms.numbers == 28)[:2]] = 3
    atoms.rattle(0.05, seed=2)
    return atoms


@pytest.mark.parametrize("name", ["default", "qm9", "ethylene-carbonate", "cathode"])
def test_bundled_models(name):
    description, elements, weights = bundled(name)
    atoms = structure_of(name)
    network = create_model(description["architecture"], description["options"], elements)
    network.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    network.eval().requires_grad_(False)
    cpu = create_cpu_network(description["architecture"], description["options"], elements, weights)
    points = points_near(atoms[:17], 150, seed=1, spread=1.5)
    points[0] = atoms.positions[0]
    found = evaluated(cpu, atoms, points)
    single, double = (in_torch(network.to(t), atoms, points) for t in (torch.float32, torch.double))
    assert np.abs(found[1] - single[1]).max() < 1e-6
    assert np.abs(found[1] - double[1]).max() < 1e-6
    assert np.abs(found[2] - double[2]).max() < 1e-6
    assert np.abs(found[3] - double[3]).max() < 1e-5
    assert np.abs(found[4] - double[4]).max() < 1e-3 * max(1.0, 0.01 * np.abs(double[4]).max())


def test_nothing_imports_torch():
    script = """
import json, sys
import numpy as np
from ase.build import molecule
from deepdft.architectures import architectures, create_cpu_network, parse_options
from safetensors.numpy import load_file
folder = sys.argv[1]
description = json.load(open(folder + "/model.json"))
network = create_cpu_network(
    description["architecture"], description["options"], [1, 6, 7, 8, 9],
    load_file(folder + "/model.safetensors"),
)
atoms = molecule("H2O")
probes = network.probes(network.encode(atoms, 1))
points = atoms.positions + 0.1
out, gradient = np.zeros(3), np.zeros((3, 3))
probes.density(points, np.arange(3), atoms.positions, out)
probes.derivatives(points, np.arange(3), atoms.positions, out, gradient, np.zeros((3, 3, 3)))
import deepdft.architectures.deepdft.cpu
assert np.abs(gradient).max() > 0 and architectures()
assert "torch" not in sys.modules, [m for m in sys.modules if "torch" in m][:5]
"""
    folder = str(bundled_models()["qm9"])
    subprocess.run([sys.executable, "-c", script, folder], check=True)


def test_what_cannot_be_used_is_refused():
    network = network_of("equivariant")
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    options = network.options.model_dump()
    cpu = on_cpu(network)
    with pytest.raises(UnsupportedStructureError, match="does not know Fe; it was trained on H"):
        cpu.encode(bulk("Fe"))
    with pytest.raises(FileFormatError, match=r"lack 'hidden1\.bias'"):
        create_cpu_network("equivariant", options, ELEMENTS,
                           {k: v for k, v in weights.items() if k != "hidden1.bias"})  # fmt: skip
    with pytest.raises(FileFormatError, match=r"'linear' have the shape \(3,\)"):
        create_cpu_network("equivariant", options, ELEMENTS, {**weights, "linear": np.zeros(3)})
    with pytest.raises(ConfigurationError, match=r"'released-schnet' cannot be .* without torch"):
        create_cpu_network("released-schnet", {}, ELEMENTS, {})
    with pytest.raises(UnsupportedStructureError, match="at least one element"):
        create_cpu_network("equivariant", options, [], weights)


def test_settings():
    settings = EvaluationSettings(table_spacing=0.04, products="float16")
    assert EvaluationSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert settings.difference(settings) == ""
    other = EvaluationSettings
    assert settings.difference(other(products="float16")) == "spacing of filter tables"
    assert settings.difference(other(table_spacing=0.04)) == "precision of products"
    assert other().difference(other(precision="float64")) == "floating type"
    assert other().difference(other(filters="direct")) == "way to evaluate filters"
    with pytest.raises(ConfigurationError, match="'precision' must be one of float32, float64"):
        EvaluationSettings(precision="float16")
    with pytest.raises(ConfigurationError, match="must be positive, not 0"):
        EvaluationSettings(table_spacing=0.0)
    with pytest.raises(ConfigurationError, match=r"no setting 'filter'.*Did you mean 'filters'"):
        EvaluationSettings.from_dict({"filter": "direct"})
