"""What the density owes to the symmetry of space and of crystals."""

from __future__ import annotations

import numpy as np
import torch
from ase import Atoms

from deepdft.architectures import DensityModel
from deepdft.arrays import FloatArray
from deepdft.prediction.torch_encoding import encode_in_torch
from deepdft.testing.networks import (
    EXACT,
    density_at,
    features,
    other_cell,
    random_rotation,
)
from deepdft.testing.structures import ELEMENTS, ethanol


class SymmetryConformance:
    """Invariance of densities, and of what is learned of atoms."""

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
        sent = [encode_in_torch(network, atoms, 1) for atoms in (stretched, ethanol())]
        # Where atoms send the same in any surroundings there is nothing to tell.
        encodes_surroundings = not torch.equal(*sent)
        assert (np.abs(change).max() > 1e-5) == encodes_surroundings
