"""Small networks of every architecture, and what the suite compares them by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ase import Atoms

from deepdft.architectures import DensityModel, architectures, create_model, registry
from deepdft.architectures.registry import parse_options
from deepdft.arrays import FloatArray
from deepdft.geometry.graphs import atom_graph, probe_edges
from deepdft.models.expected_errors.expected import features_of
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.evaluation import evaluated
from deepdft.testing.structures import ELEMENTS

PACKAGED = [
    name
    for name in architectures()
    if registry.architecture(name).options.__module__.startswith("deepdft.")
]
"""The architectures that come with the package; tests register some of their own."""

SMALL = {
    "steps": 2,
    "channels": 8,
    "scalars": 12,
    "tensors": 6,
    "degree": 2,
    "fields": (8, 6, 4),
    "hidden": 10,
}
"""Sizes for tests, of those options that an architecture has."""

AMPLIFIED = {"released-painn": 1.0, "equivariant": 2.0}
"""What random weights are multiplied with, if not with 1.7: products of many networks explode, and
normalised ones stay small."""

NEVER_REACHED = {
    # The first gate of a probe reads a state that is zero.
    ("released-schnet", "probe_gate.hidden.weight"): {0},
    # Before the first step there are no vectors that a filter could pass on.
    ("released-painn", "atom_filters.linear.weight"): {2},
    ("released-painn", "atom_filters.linear.bias"): {2},
}
"""Slices along the first axis of parameters that make no difference, as published."""

JUMP_ON_NUCLEI = {"released-painn"}
"""Architectures whose density, as published, depends on the side a nucleus is approached from. The
derivatives on nuclei are those of no function there, and are not compared."""

EXACT = 1e-9
"""Largest change of rho (e/Å^3) under a symmetry, in float64."""


def small_network(
    architecture: str, dtype: torch.dtype = torch.float64, seed: int = 0, **options: Any
) -> DensityModel:
    """Return a small network with random weights, larger than the initial ones: rho has to vary."""
    names = type(parse_options(architecture, {})).model_fields
    chosen = {name: value for name, value in SMALL.items() if name in names}
    torch.manual_seed(seed)
    network = create_model(architecture, {**chosen, **options}, ELEMENTS).to(dtype)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(AMPLIFIED.get(architecture, 1.7))
    return network.eval()


def density_at(network: DensityModel, atoms: Atoms, points: FloatArray) -> FloatArray:
    """Predict by way of the engine."""
    return ProbeEngine(network, None, atoms, threads=1).at(points)


def forward(network: DensityModel, atoms: Atoms, points: FloatArray) -> torch.Tensor:
    """Predict by way of the module's `forward`."""
    dtype = next(network.parameters()).dtype
    directions = network.architecture.uses_directions
    graph = atom_graph(atoms, network.atom_cutoff, directions=directions).to(dtype=dtype)
    edges = probe_edges(atoms, points, network.cutoff, directions=directions)
    density: torch.Tensor = network(graph, edges.to(dtype=dtype))
    return density


def features(network: DensityModel, atoms: Atoms) -> FloatArray:
    """Return what tells atoms in different surroundings apart."""
    own = evaluated(network)
    return features_of(own, own.encode(atoms, 1))


def random_rotation(seed: int = 0) -> FloatArray:
    """Return a proper rotation."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    rotation: FloatArray = q * np.sign(np.linalg.det(q))
    return rotation


def other_cell(atoms: Atoms, seed: int) -> Atoms:
    """Return the same crystal in another unit cell: periodic vectors mixed by integers."""
    generator = np.random.default_rng(seed)
    periodic = np.flatnonzero(atoms.pbc)
    mixing = np.eye(3, dtype=int)
    for _ in range(3):
        if len(periodic) > 1:
            i, j = generator.choice(periodic, 2, replace=False)
            mixing[i] += generator.choice([-1, 1]) * mixing[j]
    mixing[periodic[0]] *= -1
    changed: Atoms = atoms.copy()
    changed.set_cell(mixing @ np.asarray(atoms.cell), scale_atoms=False)
    return changed


def finite_differences(function: Callable[[FloatArray], FloatArray], at: FloatArray) -> FloatArray:
    """Return the derivatives of a function of points (n, 3), by a formula of fourth order."""
    # Gates make densities vary over a few thousandths of an Å.
    steps = 5e-5 * np.eye(3)
    columns = [
        (8 * (function(at + h) - function(at - h)) - function(at + 2 * h) + function(at - 2 * h))
        / (12 * 5e-5)
        for h in steps
    ]
    return np.stack(columns, axis=-1)
