"""Gradient and Hessian are those of the density."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms

from deepdft.architectures import DensityModel
from deepdft.architectures.settings import EvaluationSettings, Filters
from deepdft.arrays import FloatArray
from deepdft.geometry.graphs import Edges, atom_graph
from deepdft.prediction.engine import ProbeEngine
from deepdft.testing.brute_force import brute_force_edges, gap_to_cutoff, points_off_cutoff
from deepdft.testing.networks import (
    EXACT,
    JUMP_ON_NUCLEI,
    density_at,
    finite_differences,
    random_rotation,
    small_network,
)
from deepdft.testing.structures import ethanol, points_near, triclinic


class DerivativeConformance:
    """Derivatives against differences, differentiation and symmetry."""

    @pytest.mark.parametrize("filters", ["tabulated", "direct"])
    def test_derivatives_are_those_of_finite_differences(
        self, network: DensityModel, structure: Atoms, filters: Filters
    ) -> None:
        network.settings = EvaluationSettings(filters=filters)
        points = points_near(structure, 7, seed=3)
        points = points[gap_to_cutoff(structure, points, network.cutoff) > 1e-3]
        engine = ProbeEngine(network, None, structure, threads=1)
        found = engine.at(points, 2)
        np.testing.assert_allclose(found.value, engine.at(points), rtol=0, atol=1e-12)
        gradient = finite_differences(engine.at, points)
        hessian = finite_differences(lambda at: engine.at(at, 1).gradient, points)
        assert found.hessian is not None
        assert min(np.abs(gradient).max(), np.abs(hessian).max()) > 1e-2
        np.testing.assert_allclose(found.gradient, gradient, rtol=0, atol=1e-7)
        # The filters' third derivatives are continuous only as long as there is no table.
        np.testing.assert_allclose(found.hessian, hessian, rtol=0, atol=2e-5)
        assert np.array_equal(found.hessian, found.hessian.transpose(0, 2, 1))

    @pytest.mark.parametrize("filters", ["tabulated", "direct"])
    def test_derivatives_are_those_of_differentiated_positions(
        self, network: DensityModel, structure: Atoms, filters: Filters
    ) -> None:
        network.settings = EvaluationSettings(filters=filters)
        points = points_off_cutoff(structure, points_near(structure, 3, seed=5), network.cutoff)
        graph = atom_graph(
            structure, network.atom_cutoff, directions=network.architecture.uses_directions
        )
        senders = network.encode(graph).detach()
        found = ProbeEngine(network, None, structure, threads=1).at(points, 2)
        assert found.hessian is not None
        for p, point in enumerate(points):
            brute = brute_force_edges(structure, point[None], network.cutoff)
            images = structure.positions[brute.senders] + brute.shifts @ np.asarray(structure.cell)
            atoms = torch.from_numpy(brute.senders.astype(np.int32))
            offsets = torch.tensor([0, len(images)])

            def density(
                position: torch.Tensor, images: FloatArray = images,
                atoms: torch.Tensor = atoms, offsets: torch.Tensor = offsets,
            ) -> torch.Tensor:  # fmt: skip
                vectors = position - torch.from_numpy(images)
                distances = torch.linalg.norm(vectors, dim=1)
                return network.density(senders, Edges(atoms, offsets, distances, vectors))[0]

            position = torch.from_numpy(point).requires_grad_()
            (gradient,) = torch.autograd.grad(density(position), position)
            hessian = torch.autograd.functional.hessian(density, position)
            np.testing.assert_allclose(found.gradient[p], gradient, rtol=0, atol=1e-10)
            np.testing.assert_allclose(found.hessian[p], hessian, rtol=0, atol=1e-8)

    def test_derivatives_turn_with_the_structure(
        self, network: DensityModel, structure: Atoms, points: FloatArray
    ) -> None:
        rotation = random_rotation()
        rotated = structure.copy()
        rotated.positions = structure.positions @ rotation.T
        rotated.set_cell(np.asarray(structure.cell) @ rotation.T, scale_atoms=False)
        # The first points are on nuclei; next to one, rounding decides on the direction.
        found = ProbeEngine(network, None, rotated, 1).at(points @ rotation.T, 2)
        expected = ProbeEngine(network, None, structure, 1).at(points, 2)
        assert expected.hessian is not None
        np.testing.assert_allclose(found.value, expected.value, rtol=0, atol=EXACT)
        kept = slice(2 if network.architecture.name in JUMP_ON_NUCLEI else 0, None)
        turned = expected.gradient @ rotation.T
        np.testing.assert_allclose(found.gradient[kept], turned[kept], rtol=0, atol=10 * EXACT)
        turned = rotation @ expected.hessian @ rotation.T
        assert found.hessian is not None
        np.testing.assert_allclose(found.hessian[kept], turned[kept], rtol=0, atol=1e-6)

    @pytest.mark.parametrize("filters", ["tabulated", "direct"])
    def test_derivatives_on_a_nucleus_are_those_without_the_cusp(
        self, network: DensityModel, filters: Filters
    ) -> None:
        # Near a nucleus rho = A + d B; what is returned on it are the derivatives of A. B and the
        # derivatives of A, each with an error of order d, are found from points around it.
        network.settings = EvaluationSettings(filters=filters)
        atoms = triclinic()
        engine = ProbeEngine(network, None, atoms, 1)
        distances = (1e-5, 2e-5)
        curved = []
        for nucleus in atoms.positions:
            here = engine.at(nucleus[None], 2)
            assert here.hessian is not None
            assert np.isfinite(here.hessian).all()
            sides = density_at(network, atoms, nucleus + np.array([[1e-7, 0, 0], [-1e-7, 0, 0]]))
            if abs(sides[1] - sides[0]) > 1e-4:
                # A jump, not a cusp: the architecture looks at directions even there.
                assert network.architecture.uses_directions
                continue
            gradients, hessians, cusps = [], [], []
            for distance in distances:
                axes = np.concatenate((np.eye(3), -np.eye(3)))
                around = engine.at(nucleus + distance * axes, 2)
                assert around.hessian is not None
                gradients.append(around.gradient.mean(axis=0))
                cusps.append((around.gradient * axes).sum(axis=1).mean())
                hessians.append(around.hessian.mean(axis=0))
            cusp = 2 * cusps[0] - cusps[1]
            # The mean of (1 - u u^T) over the axes is 2/3.
            smooth = [
                hessian - 2 / 3 * cusp / distance * np.eye(3)
                for hessian, distance in zip(hessians, distances, strict=True)
            ]
            assert abs(cusp) > 1e-4
            gradient, hessian = (2 * x[0] - x[1] for x in (gradients, smooth))
            np.testing.assert_allclose(here.gradient[0], gradient, rtol=0, atol=1e-5)
            np.testing.assert_allclose(here.hessian[0], hessian, rtol=0, atol=1e-2)
            curved.append(np.abs(here.hessian).max())
        # On one nucleus or another something is left.
        assert max(curved, default=1.0) > 0.3

    def test_derivatives_with_no_atom_in_reach(self, network: DensityModel) -> None:
        atoms = ethanol()
        corner = atoms.positions.max(axis=0)
        points = np.array([corner + network.cutoff, corner + 0.3, corner + 1e4])
        density, gradient, hessian = ProbeEngine(network, None, atoms, 1).at(points, 2)
        np.testing.assert_allclose(density, density_at(network, atoms, points), rtol=0, atol=1e-12)
        for values in (gradient, hessian):
            assert values is not None
            assert not values[[0, 2]].any()
            assert values[1].any()

    def test_derivatives_in_single_precision(self, architecture: str, structure: Atoms) -> None:
        points = points_near(structure, 40)
        if architecture not in JUMP_ON_NUCLEI:
            points[:2] = structure.positions[:2]
        points = points_off_cutoff(structure, points, small_network(architecture).cutoff)
        networks = [small_network(architecture), small_network(architecture).to(torch.float32)]
        exact, found = (
            ProbeEngine(network, None, structure, 1).at(points, 2) for network in networks
        )
        for single, double in zip(found, exact, strict=True):
            assert single is not None
            assert double is not None
            np.testing.assert_allclose(single, double, rtol=0, atol=2e-5 * np.abs(double).max())
