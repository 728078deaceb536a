"""Basis functions against PySCF."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from deepdft.errors import ConfigurationError, UnsupportedStructureError
from deepdft.fields.orbitals import OrbitalDensity, contracted_shell, load_basis
from deepdft.fields.orbitals.packing import shell_groups
from deepdft.kernels.angular.solid_harmonics import angular_functions
from deepdft.units import BOHR

gto = pytest.importorskip("pyscf.gto")

STRUCTURE = Atoms("HCNOFC", np.random.default_rng(1).normal(scale=1.2, size=(6, 3)))


def shells_of(table, cartesian=False):
    """Shells from PySCF's internal basis format, which PySCF sorts by angular momentum."""
    return tuple(
        contracted_shell(
            entry[0],
            [row[0] for row in entry[1:]],
            [row[1:] for row in entry[1:]],
            cartesian=cartesian,
        )
        for entry in sorted(table, key=lambda entry: entry[0])
    )


def assert_same_functions(atoms, shells, points, reference):
    """Compare orbitals that mix every function with those of given functions (points, n)."""
    coefficients = np.random.default_rng(5).normal(size=(reference.shape[1], 3))
    occupations = [1.0, 2.0, 0.5]
    density = OrbitalDensity(atoms, shells, coefficients, occupations)
    assert np.abs(reference).max() > 0.1
    expected = (reference @ coefficients) ** 2 @ occupations
    np.testing.assert_allclose(density.at(points), expected, rtol=1e-11, atol=3e-9)


def pyscf_functions(atoms, basis, points, cartesian=False):
    molecule = gto.M(
        atom=[(s, p / BOHR) for s, p in zip(atoms.symbols, atoms.positions, strict=True)],
        unit="bohr",
        basis=basis,
        spin=None,
        cart=cartesian,
        verbose=0,
    )
    kind = "GTOval_cart" if cartesian else "GTOval_sph"
    return molecule.eval_gto(kind, points / BOHR) / BOHR**1.5


@pytest.mark.parametrize(
    ("name", "name_in_pyscf"),
    [("gth-dzvp", "gth-dzvp"), ("dzvp-molopt-sr-gth", "gth-dzvp-molopt-sr")],
)
def test_shipped_tables_are_the_published_ones(name, name_in_pyscf):
    basis = load_basis(name)
    assert {"H", "C", "N", "O", "F"} <= set(basis.elements)
    for symbol, shells in basis.elements.items():
        # gth-dzvp as published has no functions for these.
        found = "gth-dzvp-molopt-sr" if symbol in ("K", "Ca", "Zn", "Br", "I") else name_in_pyscf
        assert shells == shells_of(gto.basis.load(found, symbol)), symbol


def test_functions_agree_with_pyscf():
    points = np.random.default_rng(2).normal(scale=2.5, size=(200, 3))
    reference = pyscf_functions(STRUCTURE, "gth-dzvp", points)
    shells = load_basis("gth-dzvp").shells(STRUCTURE.numbers)
    assert_same_functions(STRUCTURE, shells, points, reference)


@pytest.mark.parametrize("cartesian", [False, True])
@pytest.mark.parametrize("momentum", range(7))
def test_every_angular_momentum_agrees_with_pyscf(momentum, cartesian):
    table = [
        [momentum, [3.1, 0.4, 0.1], [0.7, 0.8, -0.3]],
        [momentum, [0.31, 1.0]],
        [0, [0.7, 1.0]],
    ]
    atoms = Atoms("CC", [[0.1, -0.2, 0.3], [0.9, 0.8, -1.1]])
    points = np.random.default_rng(3).normal(scale=1.5, size=(100, 3))
    reference = pyscf_functions(atoms, {"C": table}, points, cartesian)
    assert_same_functions(atoms, [shells_of(table, cartesian)] * 2, points, reference)


def test_reach_bounds_every_function():
    directions = np.random.default_rng(4).normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    for symbol, shells in load_basis("gth-dzvp").elements.items():
        for group in shell_groups(shells):
            reach = group.reach(1e-4)
            bounds = [np.zeros(500), np.zeros(500)]
            for bound, distance in zip(bounds, (reach, 0.9 * reach), strict=True):
                for (momentum, cartesian), coefficients in group.radials:
                    radial = coefficients @ np.exp(-np.array(group.exponents) * distance**2)
                    for angular in angular_functions(
                        momentum, cartesian, *(directions * distance).T
                    ):
                        np.maximum(bound, np.abs(radial * angular), out=bound)
            assert bounds[0].max() < 1e-4, symbol
            assert bounds[1].max() > 1e-5, "the reach is needlessly long"


def test_unknown_names_are_refused():
    with pytest.raises(ConfigurationError, match="Did you mean 'gth-dzvp'"):
        load_basis("gth-dzv")
    with pytest.raises(UnsupportedStructureError, match="Fe, Xe"):
        load_basis("gth-dzvp").shells([1, 54, 26])


@pytest.mark.parametrize(
    ("momentum", "exponents", "coefficients", "message"),
    [
        (7, [1.0], [1.0], "angular momentum 7"),
        (0, [1.0, 2.0], [1.0], "one row"),
        (0, [-1.0], [1.0], "not positive"),
        (0, [1.0], [np.nan], "not finite"),
        (0, [1.0], [0.0], "vanishing"),
    ],
)
def test_unusable_shells_are_refused(momentum, exponents, coefficients, message):
    with pytest.raises(ConfigurationError, match=message):
        contracted_shell(momentum, exponents, coefficients)
