"""Every way to evaluate a density gives the same one, at any point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms

from deepdft.architectures import DensityModel
from deepdft.architectures.settings import EvaluationSettings, Filters
from deepdft.arrays import FloatArray
from deepdft.errors import UnsupportedStructureError
from deepdft.geometry.graphs import atom_graph, concatenate_edges, concatenate_graphs, probe_edges
from deepdft.prediction.engine import ProbeEngine
from deepdft.testing.brute_force import points_off_cutoff
from deepdft.testing.networks import (
    JUMP_ON_NUCLEI,
    density_at,
    forward,
    small_network,
)
from deepdft.testing.structures import STRUCTURES, ethanol, points_near, triclinic


class EvaluationConformance:
    """Engine, tables, precision, points on nuclei and far away."""

    def test_no_atom_in_reach(self, network: DensityModel) -> None:
        atoms = ethanol()
        corner = atoms.positions.max(axis=0)
        points = np.array([corner + network.cutoff, corner + 0.3, corner + 1e4])
        (alone,) = forward(network, atoms, points[:1]).tolist()
        assert (alone != 0.0) == network.architecture.keeps_constant
        for values in (
            density_at(network, atoms, points),
            forward(network, atoms, points).detach().numpy(),
        ):
            np.testing.assert_allclose(values[[0, 2]], alone, rtol=0, atol=1e-14)
            assert abs(values[1] - alone) > 1e-4
        isolated = density_at(network, atoms, points[[0, 2]])
        np.testing.assert_allclose(isolated, alone, rtol=0, atol=1e-14)
        if network.architecture.keeps_constant:
            # It is learned, from points that training draws beyond the cutoff.
            assert network.sampling_reach > network.cutoff
        else:
            assert not isolated.any()

    @pytest.mark.parametrize("filters", ["tabulated", "direct"])
    def test_finite_on_a_nucleus(self, network: DensityModel, filters: Filters) -> None:
        network.settings = EvaluationSettings(filters=filters)
        atoms = triclinic()
        directions = network.architecture.uses_directions
        edges = probe_edges(atoms, atoms.positions, network.cutoff, directions=directions)
        assert (edges.distances == 0.0).sum() == len(atoms)
        distances = edges.distances.clone().requires_grad_()
        moving = [distances]
        if edges.vectors is not None:
            moving.append(edges.vectors.clone().requires_grad_())
            edges = replace(edges, vectors=moving[1])
        graph = atom_graph(atoms, network.atom_cutoff, directions=directions)
        senders = network.encode(graph).detach()
        value = network.density(senders, edges.with_distances(distances))
        slopes = torch.autograd.grad(value.sum(), moving, create_graph=True)
        curvatures = torch.autograd.grad([slope.sum() for slope in slopes], moving)
        for found in (value, *slopes, *curvatures):
            assert torch.isfinite(found).all()
        assert all(slope.abs().max() > 0.0 for slope in slopes)
        # The value on the nucleus is the limit of those beside it.
        beside = density_at(network, atoms, atoms.positions + np.array([1e-7, 0.0, 0.0]))
        limit = value.detach().numpy()
        if network.architecture.name in JUMP_ON_NUCLEI:
            assert np.abs(beside - limit).max() > 1e-4
            limit = density_at(network, atoms, atoms.positions + np.array([2e-8, 0.0, 0.0]))
        np.testing.assert_allclose(beside, limit, rtol=0, atol=1e-5)

    def test_tabulated_filters_are_the_direct_ones(
        self, network: DensityModel, structure: Atoms, points: FloatArray
    ) -> None:
        tabulated = density_at(network, structure, points)
        network.settings = EvaluationSettings(filters="direct")
        direct = density_at(network, structure, points)
        np.testing.assert_allclose(tabulated, direct, rtol=0, atol=1e-6)
        assert (tabulated != direct).any()

    def test_engine_and_forward_agree(
        self, network: DensityModel, structure: Atoms, points: FloatArray
    ) -> None:
        expected = forward(network, structure, points).detach().numpy()
        np.testing.assert_allclose(density_at(network, structure, points), expected, 0, 1e-12)

    @pytest.mark.parametrize(
        ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)]
    )
    def test_a_point_does_not_depend_on_the_others(
        self, architecture: str, dtype: torch.dtype, tolerance: float
    ) -> None:
        network = small_network(architecture, dtype)
        atoms = triclinic()
        points = points_near(atoms, 700, spread=4.0)
        together = density_at(network, atoms, points)
        scale = np.abs(together).max()
        engine = ProbeEngine(network, None, atoms, threads=1)
        for p in range(0, 700, 43):
            alone = engine.at(points[p : p + 1])
            np.testing.assert_allclose(alone, together[p], rtol=0, atol=tolerance * scale)
        backwards = density_at(network, atoms, points[::-1])[::-1]
        np.testing.assert_allclose(backwards, together, rtol=0, atol=tolerance * scale)

    def test_structures_of_a_batch_do_not_mix(self, network: DensityModel) -> None:
        parts = [make() for make in STRUCTURES.values()]
        points = [points_near(atoms, 7) for atoms in parts]
        directions = network.architecture.uses_directions
        graphs = [atom_graph(atoms, network.atom_cutoff, directions=directions) for atoms in parts]
        edges = [
            probe_edges(a, p, network.cutoff, directions=directions)
            for a, p in zip(parts, points, strict=True)
        ]
        joined = network(
            concatenate_graphs(graphs), concatenate_edges(edges, [len(a) for a in parts])
        )
        alone = [forward(network, a, p) for a, p in zip(parts, points, strict=True)]
        torch.testing.assert_close(joined, torch.cat(alone), rtol=0, atol=1e-12)

    def test_single_precision_is_close_to_double(self, architecture: str, structure: Atoms) -> None:
        double = small_network(architecture)
        points = points_off_cutoff(structure, points_near(structure, 40), double.cutoff)
        single = small_network(architecture).to(torch.float32)
        exact = density_at(double, structure, points)
        found = density_at(single, structure, points)
        np.testing.assert_allclose(found, exact, rtol=0, atol=2e-5 * np.abs(exact).max())
        assert forward(single, structure, points).dtype == torch.float32
        assert forward(double, structure, points).dtype == torch.float64

    def test_unknown_elements_are_named(self, network: DensityModel) -> None:
        atoms = Atoms("XeHU", [[0, 0, 0], [0, 0, 2.0], [0, 2.0, 0]])
        with pytest.raises(UnsupportedStructureError) as caught:
            density_at(network, atoms, np.zeros((1, 3)))
        assert str(caught.value) == (
            "The model does not know Xe, U; it was trained on H, C, N, O, Na, Al, Cl."
        )
