"""The densities of the liquid that ship with the paper's package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from ase.neighborlist import natural_cutoffs, neighbor_list

from deepdft import open_dataset
from deepdft.data import read_split
from deepdft.fields.orbitals.overlap import overlap_matrix
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR

MIDDLE = 0.04684701
"""Density of the first configuration in the middle of its cell, e/Å^3."""

FOLDER = Path(str(files("deepdft_paper"))) / "densities" / "ethylene_carbonate"


@pytest.fixture(scope="module")
def liquid():
    return open_dataset(FOLDER)


def test_the_split_goes_by_packing(liquid):
    split = read_split(FOLDER / "split.json", liquid)
    assert sorted(i for part in split.values() for i in part) == list(range(len(liquid)))
    packings = {
        part: {liquid.atoms(i).info["packing"] for i in members} for part, members in split.items()
    }
    assert len(set().union(*packings.values())) == sum(len(p) for p in packings.values()) == 13
    assert packings["test"] == {0, 4, 8, 12}
    assert packings["validation"] == {3}
    assert len(liquid) == 52


def test_every_configuration_is_four_whole_molecules_at_the_stated_density(liquid):
    for index in range(len(liquid)):
        atoms = liquid.atoms(index)
        assert atoms.symbols.formula.count() == {"C": 12, "H": 16, "O": 12}
        assert atoms.get_masses().sum() * 1.66053907 / atoms.get_volume() == pytest.approx(
            1.32, abs=1e-3
        )
        bonds = len(neighbor_list("i", atoms, natural_cutoffs(atoms, mult=1.3))) // 2
        assert bonds == 4 * 10, liquid.names[index]


def test_orbitals_are_orthonormal_and_hold_the_valence_electrons(liquid):
    density = liquid.density(0)
    assert density.n_electrons == 136
    overlap = overlap_matrix(density.atoms, density.shells)
    gram = density.coefficients.T @ overlap @ density.coefficients
    assert np.abs(gram - np.eye(68)).max() < 5e-4
    assert liquid.level == LevelOfTheory("PBE", "GTH-PBE", "dzvp-molopt-sr-gth", "CP2K 2023.1")


def test_a_density_on_a_grid(liquid):
    density = liquid.on_grid(0, 0.15)
    assert density.n_electrons == pytest.approx(136, abs=0.005)
    # Of the cell's middle, from the first time that the data were gathered.
    middle = liquid.density(0).at([3 * [density.grid.cell[0, 0] / 2]])
    assert middle[0] == pytest.approx(MIDDLE, rel=1e-6)


def test_values_are_those_of_pyscf(liquid):
    gto = pytest.importorskip("pyscf.pbc.gto")
    orbitals = liquid.density(5)
    atoms = orbitals.atoms
    cell = gto.M(
        atom=[(s, p / BOHR) for s, p in zip(atoms.symbols, atoms.positions, strict=True)],
        a=atoms.cell.array / BOHR,
        unit="bohr",
        basis="gth-dzvp-molopt-sr",
        pseudo="gth-pbe",
        precision=1e-10,
        verbose=0,
    )
    points = np.random.default_rng(2).random((20, 3)) @ atoms.cell.array
    functions = cell.pbc_eval_gto("GTOval_sph", points / BOHR, kpt=np.zeros(3))
    expected = 2 * ((functions.real @ orbitals.coefficients) ** 2).sum(axis=1) / BOHR**3
    np.testing.assert_allclose(orbitals.at(points), expected, rtol=1e-5)
