"""The architecture `equivariant` beyond what conformance demands."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepdft.architectures import create_model
from deepdft.architectures.equivariant.layers import GauntProduct
from deepdft.architectures.registry import parse_options
from deepdft.errors import ConfigurationError
from deepdft.kernels.angular.harmonics import harmonic_count
from deepdft.kernels.simd.vectors import PANEL
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.torch_encoding import encode_in_torch
from deepdft.testing.networks import density_at, random_rotation, small_network
from deepdft.testing.structures import ELEMENTS, points_near, triclinic


def rotation_of_components(largest: int, rotation: np.ndarray) -> torch.Tensor:
    """Matrices that turn the components of spherical tensors, by fitting many directions."""
    from deepdft.kernels.autograd.harmonics import soft_harmonics

    directions = np.random.default_rng(0).normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    before = soft_harmonics(torch.from_numpy(directions), largest, 0.0)
    after = soft_harmonics(torch.from_numpy(directions @ rotation.T), largest, 0.0)
    return torch.linalg.lstsq(before, after).solution.T


@pytest.mark.parametrize("reflected", [False, True])
def test_product_turns_with_its_factors(reflected: bool) -> None:
    largest = 3
    rotation = random_rotation() * (-1.0 if reflected else 1.0)
    turn = rotation_of_components(largest, rotation)
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(
        2, 4, harmonic_count(largest), 3, dtype=torch.float64, generator=generator
    )
    product = GauntProduct(largest)
    expected = torch.einsum("ij,njc->nic", turn, product(left, right))
    found = product(
        torch.einsum("ij,njc->nic", turn, left), torch.einsum("ij,njc->nic", turn, right)
    )
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_angles_matter_within_one_step() -> None:
    """Three atoms at the same distances from a fourth, at other angles: only products see it."""
    network = small_network("equivariant", steps=1, cutoff=1.2)
    atoms = triclinic()[:1]
    atoms.pbc = False
    states = []
    for angle in (100.0, 140.0):
        other = atoms.copy()
        for turn in (0.0, angle):
            radians = np.deg2rad(turn)
            other.append("H")
            other.positions[-1] = atoms.positions[0] + [np.cos(radians), np.sin(radians), 0.0]
        states.append(encode_in_torch(network, other)[0, 0])
    first = network.layout.sender_starts[1]
    assert (states[0][:first] - states[1][:first]).abs().max() > 1e-3


def test_compiled_blocks_are_the_network() -> None:
    """Fields in whole panels go through compiled code in float32."""
    fields = {"fields": (2 * PANEL, PANEL, PANEL), "hidden": 40, "degree": 2}
    atoms = triclinic()
    points = points_near(atoms, 500, spread=3.0)
    single = small_network("equivariant", torch.float32, **fields)
    assert ProbeEngine(single, None, atoms, threads=1).is_compiled
    double = small_network("equivariant", **fields)
    assert not ProbeEngine(double, None, atoms, threads=1).is_compiled
    exact = density_at(double, atoms, points)
    found = density_at(single, atoms, points)
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5 * np.abs(exact).max())


def test_encoding_in_chunks() -> None:
    network = small_network("equivariant", steps=3)
    atoms = triclinic().repeat((2, 2, 1))
    whole = encode_in_torch(network, atoms)
    for chunk in (1, 5):
        torch.testing.assert_close(
            encode_in_torch(network, atoms, chunk=chunk), whole, rtol=0, atol=1e-12
        )


def test_density_vanishes_continuously_at_the_cutoff() -> None:
    network = small_network("equivariant")
    atoms = triclinic()[:1]
    atoms.pbc = False
    for inside in (1e-2, 1e-4):
        points = atoms.positions + np.array([0.0, network.cutoff - inside, 0.0])
        assert abs(density_at(network, atoms, points)[0]) < 10 * inside**3


def test_fields_beyond_the_tensors_degree_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="fields must hold 1 to 3 numbers"):
        parse_options("equivariant", {"degree": 2, "fields": [32, 32, 32, 32]})
    assert create_model("equivariant", {"degree": 2, "fields": [32]}, ELEMENTS)
