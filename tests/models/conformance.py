"""What every architecture has to satisfy; `test_conformance.py` applies it to all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms

from deepdft.density import FloatArray, Grid, LevelOfTheory
from deepdft.errors import FileFormatError, UnsupportedStructureError
from deepdft.graph import Edges, atom_graph, concatenate_edges, concatenate_graphs, probe_edges
from deepdft.models import DensityModel, architectures, create_model, registry
from deepdft.models.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
    transfer_weights,
)
from deepdft.models.registry import parse_options
from deepdft.prediction.atom_states import encode_atoms
from deepdft.prediction.derivatives import DerivativeEngine
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.trained_model import TrainedModel
from deepdft.uncertainty.expected import features_of
from deepdft.uncertainty.fit import fit_error_model
from tests.brute_force import brute_force_edges, gap_to_cutoff, points_off_cutoff
from tests.structures import ELEMENTS, STRUCTURES, ethanol, points_near, triclinic
from tests.uncertainty.gaussians import ELECTRONS as VALENCE
from tests.uncertainty.gaussians import PBE, Gaussians, rattled

PACKAGED = [
    name
    for name in architectures()
    if registry._ARCHITECTURES[name][0].__module__.startswith("deepdft.")
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
    return ProbeEngine(network, None, atoms, threads=1).density_at(points)


def forward(network: DensityModel, atoms: Atoms, points: FloatArray) -> torch.Tensor:
    """Predict by way of the module's `forward`."""
    dtype = next(network.parameters()).dtype
    directions = network.uses_directions
    graph = atom_graph(atoms, network.atom_cutoff, directions=directions).to(dtype=dtype)
    edges = probe_edges(atoms, points, network.cutoff, directions=directions)
    return network(graph, edges.to(dtype=dtype))


def features(network: DensityModel, atoms: Atoms) -> FloatArray:
    """Return what tells atoms in different surroundings apart."""
    return features_of(network, encode_atoms(network, atoms, 1))


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
    changed = atoms.copy()
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


class Conformance:
    """Tests of one architecture, whose name the fixture `architecture` gives."""

    @pytest.fixture
    def network(self, architecture: str) -> DensityModel:
        return small_network(architecture)

    @pytest.fixture
    def points(self, network: DensityModel, structure: Atoms) -> FloatArray:
        """Points near a structure, none with an atom at the cutoff to within rounding."""
        points = points_near(structure, 40)
        points[:2] = structure.positions[:2]
        return points_off_cutoff(structure, points, network.cutoff)

    def test_density_varies(
        self, network: DensityModel, structure: Atoms, points: FloatArray
    ) -> None:
        # Without this a constant would pass everything below.
        values = density_at(network, structure, points)
        assert np.ptp(values) > 1e-2
        if len(structure) > 1:
            moved = structure.copy()
            moved.positions[-1] += [0.01, -0.02, 0.01]
            assert np.abs(density_at(network, moved, points) - values).max() > 1e-6
        other = structure.copy()
        other.numbers[0] = next(z for z in ELEMENTS if z != other.numbers[0])
        assert np.abs(density_at(network, other, points) - values).max() > 1e-4

    def test_rotation(self, network: DensityModel, structure: Atoms, points: FloatArray) -> None:
        rotation = random_rotation()
        rotated = structure.copy()
        rotated.positions = structure.positions @ rotation.T
        rotated.set_cell(np.asarray(structure.cell) @ rotation.T, scale_atoms=False)
        found = density_at(network, rotated, points @ rotation.T)
        np.testing.assert_allclose(found, density_at(network, structure, points), 0, EXACT)

    def test_atom_features(self, network: DensityModel, structure: Atoms) -> None:
        """Features of atoms do not turn, and tell surroundings apart."""
        found = features(network, structure)
        assert found.shape[0] == len(structure)
        rotation = random_rotation(1)
        turned = structure.copy()
        turned.positions = structure.positions @ rotation.T + [0.3, -2.0, 1.0]
        turned.set_cell(np.asarray(structure.cell) @ rotation.T, scale_atoms=False)
        scale = np.abs(found).max()
        np.testing.assert_allclose(features(network, turned), found, rtol=0, atol=1e-9 * scale)
        order = np.random.default_rng(0).permutation(len(structure))
        reordered = features(network, structure[order])
        np.testing.assert_allclose(reordered, found[order], rtol=0, atol=1e-9 * scale)
        stretched = ethanol()
        stretched.positions[-1] += [0.05, -0.04, 0.02]
        change = features(network, stretched) - features(network, ethanol())
        sent = [encode_atoms(network, atoms, 1) for atoms in (stretched, ethanol())]
        # Where atoms send the same in any surroundings there is nothing to tell.
        encodes_surroundings = not torch.equal(*sent)
        assert (np.abs(change).max() > 1e-5) == encodes_surroundings

    def test_expected_errors(self, network: DensityModel) -> None:
        """An error model can be fitted to any architecture; what it expects is consistent."""
        model = TrainedModel(Checkpoint(network, PBE, None, {}), "mine")
        model.threads = 1
        structures = [ethanol(), triclinic(), STRUCTURES["sodium_chloride"]()]
        structures.append(Atoms("AlOH", [[0, 0, 0], [0, 0, 1.7], [0, 0.9, 2.1]]))
        train = Gaussians(rattled(structures * 2, 0), "train")
        held_out = Gaussians(rattled(structures, 50), "held_out")
        model.error_model = fit_error_model(model, train, held_out)
        atoms = ethanol()
        found = model.uncertainty(atoms)
        volume = found.volume(Grid.around(atoms, 0.12, 5.0))
        electrons = float(sum(VALENCE[z] for z in atoms.numbers))
        assert volume.n_electrons == pytest.approx(found.shares.sum(), rel=5e-3)
        assert found.eps_mae == pytest.approx(found.shares.sum() / electrons, rel=0.05)
        rotation = random_rotation(2)
        turned = atoms.copy()
        turned.positions = atoms.positions @ rotation.T
        again = model.uncertainty(turned)
        np.testing.assert_allclose(again.shares, found.shares, rtol=1e-6)
        np.testing.assert_allclose(again.distances, found.distances, rtol=1e-6)
        points = points_near(atoms, 20)
        np.testing.assert_allclose(again.at(points @ rotation.T), found.at(points), rtol=1e-6)

    def test_translation(self, network: DensityModel, structure: Atoms, points: FloatArray) -> None:
        expected = density_at(network, structure, points)
        for shift in ([0.1, -2.0, 3.3], [500.0, -400.0, 300.0]):
            moved = structure.copy()
            moved.positions += shift
            found = density_at(network, moved, points + shift)
            np.testing.assert_allclose(found, expected, rtol=0, atol=EXACT)

    def test_permutation(self, network: DensityModel, structure: Atoms, points: FloatArray) -> None:
        order = np.random.default_rng(0).permutation(len(structure))
        found = density_at(network, structure[order], points)
        np.testing.assert_allclose(found, density_at(network, structure, points), 0, EXACT)

    def test_periodicity(self, network: DensityModel, structure: Atoms, points: FloatArray) -> None:
        if not structure.pbc.any():
            return
        expected = density_at(network, structure, points)
        shifts = np.random.default_rng(0).integers(-3, 4, (len(points), 3)) * structure.pbc
        found = density_at(network, structure, points + shifts @ np.asarray(structure.cell))
        np.testing.assert_allclose(found, expected, rtol=0, atol=EXACT)

    def test_choice_of_unit_cell(
        self, network: DensityModel, structure: Atoms, points: FloatArray
    ) -> None:
        if not structure.pbc.any():
            return
        expected = density_at(network, structure, points)
        for seed in range(2):
            changed = other_cell(structure, seed)
            assert not np.allclose(changed.cell, structure.cell)
            np.testing.assert_allclose(density_at(network, changed, points), expected, 0, EXACT)
        moved = structure.copy()
        shifts = np.random.default_rng(1).integers(-2, 3, (len(moved), 3)) * moved.pbc
        moved.positions += shifts @ np.asarray(moved.cell)
        np.testing.assert_allclose(density_at(network, moved, points), expected, 0, EXACT)

    def test_supercell(self, network: DensityModel, structure: Atoms, points: FloatArray) -> None:
        if not structure.pbc.any():
            return
        repeats = np.where(structure.pbc, [2, 1, 3], 1)
        repeats[np.flatnonzero(structure.pbc)[0]] = 2
        larger = structure.repeat(tuple(int(n) for n in repeats))
        assert len(larger) > len(structure)
        found = density_at(network, larger, points)
        np.testing.assert_allclose(found, density_at(network, structure, points), 0, EXACT)

    def test_no_atom_in_reach(self, network: DensityModel) -> None:
        atoms = ethanol()
        corner = atoms.positions.max(axis=0)
        points = np.array([corner + network.cutoff, corner + 0.3, corner + 1e4])
        (alone,) = forward(network, atoms, points[:1]).tolist()
        assert (alone != 0.0) == network.keeps_constant
        for values in (
            density_at(network, atoms, points),
            forward(network, atoms, points).detach().numpy(),
        ):
            np.testing.assert_allclose(values[[0, 2]], alone, rtol=0, atol=1e-14)
            assert abs(values[1] - alone) > 1e-4
        isolated = density_at(network, atoms, points[[0, 2]])
        np.testing.assert_allclose(isolated, alone, rtol=0, atol=1e-14)
        if network.keeps_constant:
            # It is learned, from points that training draws beyond the cutoff.
            assert network.sampling_reach > network.cutoff
        else:
            assert not isolated.any()

    @pytest.mark.parametrize("filters", ["tabulated", "direct"])
    def test_finite_on_a_nucleus(self, network: DensityModel, filters: str) -> None:
        network.filters = filters
        atoms = triclinic()
        directions = network.uses_directions
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
        curvatures = torch.autograd.grad(sum(slope.sum() for slope in slopes), moving)
        for found in (value, *slopes, *curvatures):
            assert torch.isfinite(found).all()
        assert all(slope.abs().max() > 0.0 for slope in slopes)
        # The value on the nucleus is the limit of those beside it.
        beside = density_at(network, atoms, atoms.positions + np.array([1e-7, 0.0, 0.0]))
        if network.architecture_name in JUMP_ON_NUCLEI:
            assert np.abs(beside - value.detach().numpy()).max() > 1e-4
            value = density_at(network, atoms, atoms.positions + np.array([2e-8, 0.0, 0.0]))
        else:
            value = value.detach().numpy()
        np.testing.assert_allclose(beside, value, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("filters", ["tabulated", "direct"])
    def test_derivatives_are_those_of_finite_differences(
        self, network: DensityModel, structure: Atoms, filters: str
    ) -> None:
        network.filters = filters
        points = points_near(structure, 7, seed=3)
        points = points[gap_to_cutoff(structure, points, network.cutoff) > 1e-3]
        engine = ProbeEngine(network, None, structure, threads=1)
        found = DerivativeEngine(engine).at(points)
        np.testing.assert_allclose(found.density, engine.density_at(points), rtol=0, atol=1e-12)
        gradient = finite_differences(engine.density_at, points)
        hessian = finite_differences(lambda at: DerivativeEngine(engine, 1).at(at).gradient, points)
        assert found.hessian is not None
        assert min(np.abs(gradient).max(), np.abs(hessian).max()) > 1e-2
        np.testing.assert_allclose(found.gradient, gradient, rtol=0, atol=1e-7)
        # The filters' third derivatives are continuous only as long as there is no table.
        np.testing.assert_allclose(found.hessian, hessian, rtol=0, atol=2e-5)
        assert np.array_equal(found.hessian, found.hessian.transpose(0, 2, 1))

    @pytest.mark.parametrize("filters", ["tabulated", "direct"])
    def test_derivatives_are_those_of_differentiated_positions(
        self, network: DensityModel, structure: Atoms, filters: str
    ) -> None:
        network.filters = filters
        points = points_off_cutoff(structure, points_near(structure, 3, seed=5), network.cutoff)
        graph = atom_graph(structure, network.atom_cutoff, directions=network.uses_directions)
        senders = network.encode(graph).detach()
        found = DerivativeEngine(ProbeEngine(network, None, structure, threads=1)).at(points)
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
        found = DerivativeEngine(ProbeEngine(network, None, rotated, 1)).at(points @ rotation.T)
        expected = DerivativeEngine(ProbeEngine(network, None, structure, 1)).at(points)
        assert expected.hessian is not None
        np.testing.assert_allclose(found.density, expected.density, rtol=0, atol=EXACT)
        kept = slice(2 if network.architecture_name in JUMP_ON_NUCLEI else 0, None)
        turned = expected.gradient @ rotation.T
        np.testing.assert_allclose(found.gradient[kept], turned[kept], rtol=0, atol=10 * EXACT)
        turned = rotation @ expected.hessian @ rotation.T
        assert found.hessian is not None
        np.testing.assert_allclose(found.hessian[kept], turned[kept], rtol=0, atol=1e-6)

    @pytest.mark.parametrize("filters", ["tabulated", "direct"])
    def test_derivatives_on_a_nucleus_are_those_without_the_cusp(
        self, network: DensityModel, filters: str
    ) -> None:
        # Near a nucleus rho = A + d B; what is returned on it are the derivatives of A. B and the
        # derivatives of A, each with an error of order d, are found from points around it.
        network.filters = filters
        atoms = triclinic()
        engine = DerivativeEngine(ProbeEngine(network, None, atoms, 1))
        distances = (1e-5, 2e-5)
        curved = []
        for nucleus in atoms.positions:
            here = engine.at(nucleus[None])
            assert here.hessian is not None
            assert np.isfinite(here.hessian).all()
            sides = density_at(network, atoms, nucleus + np.array([[1e-7, 0, 0], [-1e-7, 0, 0]]))
            if abs(sides[1] - sides[0]) > 1e-4:
                # A jump, not a cusp: the architecture looks at directions even there.
                assert network.uses_directions
                continue
            gradients, hessians, cusps = [], [], []
            for distance in distances:
                axes = np.concatenate((np.eye(3), -np.eye(3)))
                around = engine.at(nucleus + distance * axes)
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
        density, gradient, hessian = DerivativeEngine(ProbeEngine(network, None, atoms, 1)).at(
            points
        )
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
            DerivativeEngine(ProbeEngine(network, None, structure, 1)).at(points)
            for network in networks
        )
        for single, double in zip(found, exact, strict=True):
            assert single is not None
            assert double is not None
            np.testing.assert_allclose(single, double, rtol=0, atol=2e-5 * np.abs(double).max())

    def test_tabulated_filters_are_the_direct_ones(
        self, network: DensityModel, structure: Atoms, points: FloatArray
    ) -> None:
        tabulated = density_at(network, structure, points)
        network.filters = "direct"
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
            alone = engine.density_at(points[p : p + 1])
            np.testing.assert_allclose(alone, together[p], rtol=0, atol=tolerance * scale)
        backwards = density_at(network, atoms, points[::-1])[::-1]
        np.testing.assert_allclose(backwards, together, rtol=0, atol=tolerance * scale)

    def test_structures_of_a_batch_do_not_mix(self, network: DensityModel) -> None:
        parts = [make() for make in STRUCTURES.values()]
        points = [points_near(atoms, 7) for atoms in parts]
        directions = network.uses_directions
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

    @pytest.mark.parametrize("filters", ["tabulated", "direct"])
    def test_gradients_reach_every_parameter(self, network: DensityModel, filters: str) -> None:
        network.filters = filters
        network.train()
        atoms = triclinic()
        forward(network, atoms, points_near(atoms, 50)).square().sum().backward()
        rows = [network.elements.index(z) for z in atoms.numbers]
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            if name in network.per_element:
                reached = parameter.grad.flatten(1).abs().sum(dim=1) > 0
                assert sorted(torch.nonzero(reached)[:, 0].tolist()) == sorted(rows), name
            else:
                # All along the first axis: interaction steps, or outputs.
                reached = (parameter.grad.reshape(len(parameter), -1) != 0).any(dim=1)
                unreached = set(torch.nonzero(~reached)[:, 0].tolist())
                key = (network.architecture_name, name)
                assert unreached == NEVER_REACHED.get(key, set()), name

    def test_gradients_of_tabulated_filters_are_those_of_direct_ones(
        self, network: DensityModel
    ) -> None:
        atoms = triclinic()
        found = []
        for filters in ("tabulated", "direct"):
            network.filters = filters
            network.zero_grad()
            forward(network, atoms, points_near(atoms, 50)).square().sum().backward()
            found.append({name: p.grad.clone() for name, p in network.named_parameters()})
        for name, direct in found[1].items():
            scale = float(direct.abs().max())
            torch.testing.assert_close(found[0][name], direct, rtol=0, atol=1e-5 * scale)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_saved_and_loaded(self, architecture: str, dtype: torch.dtype, tmp_path: Any) -> None:
        network = small_network(architecture, dtype)
        level = LevelOfTheory("PBE", "PAW", "400 eV", "VASP 6.4")
        save_checkpoint(Checkpoint(network, level, None, {"about": "Å"}), tmp_path / "model")
        assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
            "model.json",
            "model.safetensors",
        ]
        loaded = load_checkpoint(tmp_path / "model")
        assert (loaded.level, loaded.baseline, loaded.card) == (level, None, {"about": "Å"})
        assert loaded.network.architecture_name == architecture
        assert loaded.network.options == network.options
        assert loaded.network.elements == network.elements
        assert not loaded.network.training
        before, after = network.state_dict(), loaded.network.state_dict()
        assert list(before) == list(after)
        for name, tensor in before.items():
            assert tensor.dtype == after[name].dtype
            assert torch.equal(tensor, after[name]), name
        atoms = ethanol()
        points = points_near(atoms, 20)
        assert np.array_equal(
            density_at(loaded.network, atoms, points), density_at(network, atoms, points)
        )

    def test_unknown_elements_are_named(self, network: DensityModel) -> None:
        atoms = Atoms("XeHU", [[0, 0, 0], [0, 0, 2.0], [0, 2.0, 0]])
        with pytest.raises(UnsupportedStructureError) as caught:
            density_at(network, atoms, np.zeros((1, 3)))
        assert str(caught.value) == (
            "The model does not know Xe, U; it was trained on H, C, N, O, Na, Al, Cl."
        )

    def test_transfer_to_more_elements(self, architecture: str, network: DensityModel) -> None:
        torch.manual_seed(99)
        options = network.options.model_dump()
        target = create_model(architecture, options, [2, 6, *ELEMENTS, 79]).double().eval()
        fresh = {name: tensor.clone() for name, tensor in target.state_dict().items()}
        transfer_weights(network, target)
        old = [target.elements.index(z) for z in ELEMENTS]
        new = [target.elements.index(z) for z in (2, 79)]
        assert network.per_element
        for name, tensor in target.state_dict().items():
            source = network.state_dict()[name]
            if name in network.per_element:
                assert torch.equal(tensor[old], source), name
                assert torch.equal(tensor[new], fresh[name][new]), name
            else:
                assert torch.equal(tensor, source), name
        atoms = ethanol()
        points = points_near(atoms, 20)
        assert np.array_equal(density_at(target, atoms, points), density_at(network, atoms, points))
        assert np.isfinite(
            density_at(target, Atoms("HeAu", [[0, 0, 0], [0, 0, 2.0]]), points)
        ).all()

    def test_transfer_needs_the_same_options(
        self, architecture: str, network: DensityModel
    ) -> None:
        options = {**network.options.model_dump(), "cutoff": 3.5}
        with pytest.raises(FileFormatError, match="same architecture and options"):
            transfer_weights(network, create_model(architecture, options, ELEMENTS))
