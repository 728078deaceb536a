"""Coulomb integrals and basis functions of one step, against PySCF's."""

from __future__ import annotations

import numpy as np
import pytest

from deepdft.electronic.fitting import CoulombFitting, OwnFitting, SharedFitting

pytest.importorskip("pyscf")

BASIS = "def2-universal-jfit"


@pytest.fixture(scope="module")
def hydrogen_cyanide():
    from pyscf import gto

    atoms = [("H", (0.1, 0, -1.06)), ("C", (0, 0, 0)), ("N", (0.2, 0.1, 1.15))]
    return gto.M(atom=atoms, basis="gth-dzvp", pseudo="gth-pbe", verbose=0)


@pytest.mark.parametrize("memory", [4000, 0])
def test_bare_integrals_are_those_of_density_fitting(monkeypatch, hydrogen_cyanide, memory):
    from pyscf import df

    monkeypatch.setattr("deepdft.electronic.fitting._BLOCK", 8e4)
    shared = CoulombFitting(SharedFitting(df.DF(hydrogen_cyanide, BASIS).build()))
    own = CoulombFitting(OwnFitting(hydrogen_cyanide, BASIS, memory))
    random = np.random.default_rng(0).normal(size=(hydrogen_cyanide.nao,) * 2)
    matrix = random @ random.T
    for _ in range(2):
        y = own.of_matrix(matrix)
        np.testing.assert_allclose(y, shared.of_matrix(matrix), rtol=0, atol=1e-8)
        np.testing.assert_allclose(own.matrix(y), shared.matrix(y), rtol=0, atol=1e-8)


def test_integrals_with_point_charges_and_values_are_those_of_pyscf(hydrogen_cyanide):
    from pyscf import gto
    from pyscf.df.addons import make_auxmol

    from deepdft.electronic.auxiliary import AuxiliaryFunctions

    auxiliary = make_auxmol(hydrogen_cyanide, BASIS)
    functions = AuxiliaryFunctions(auxiliary)
    random = np.random.default_rng(1)
    # No whole number of tiles, some of them far from the atoms.
    points = random.normal(size=(150, 3)) * np.repeat([[1.0], [20.0]], [100, 50], axis=0)
    charges, coefficients = random.normal(size=150), random.normal(size=auxiliary.nao)
    between = gto.mole.intor_cross("int2c2e", gto.fakemol_for_charges(points), auxiliary)
    np.testing.assert_allclose(
        functions.integrals(points, charges), charges @ between, rtol=0, atol=1e-6
    )
    values = auxiliary.eval_gto("GTOval_sph", points) @ coefficients
    np.testing.assert_allclose(functions.values(points, coefficients), values, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["LDA", "GGA"])
def test_compiled_functions_give_the_densities_and_matrices_of_pyscf(kind):
    from pyscf import dft, gto

    from deepdft.dft.pyscf_integration import CompiledFunctions, KeptFunctions

    # Shells up to g, several radial functions in one, far apart: not all reach all points.
    molecule = gto.M(
        atom="F 0 0 0; Br 0 0.3 1.8; H 40 0 0",
        basis={"F": "cc-pvqz", "Br": "gth-dzvp-molopt-sr", "H": "cc-pvdz"},
        pseudo={"Br": "gth-pbe"}, spin=None, charge=1, verbose=0,
    )  # fmt: skip
    grids = dft.Grids(molecule)
    grids.atom_grid = (10, 50)
    grids.build()
    random = np.random.default_rng(2).normal(size=(molecule.nao,) * 2)
    matrix = random @ random.T / molecule.nao
    kept, compiled = KeptFunctions(), CompiledFunctions()
    expected = kept.density_on_grid(molecule, grids, matrix, kind)
    found = compiled.density_on_grid(molecule, grids, matrix, kind)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)
    weighted = expected * grids.weights
    np.testing.assert_allclose(
        compiled.potential_on_grid(molecule, grids, weighted, kind),
        kept.potential_on_grid(molecule, grids, weighted, kind),
        rtol=1e-7, atol=1e-7,
    )  # fmt: skip
