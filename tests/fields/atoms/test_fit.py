"""Fitted atomic tables: known functions come back, integrals are kept, smooth at the cutoff."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.atoms.fit import RadialBasis, fit_tables, symbols_of
from deepdft.fields.walk import density_on
from deepdft.levels import LevelOfTheory

LEVEL = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF")


def _superpositions(tables: AtomicDensityTables, count: int = 6) -> list[Density]:
    generator = np.random.default_rng(5)
    result = []
    for number in range(count):
        cell = np.diag([5.0, 5.5, 6.0]) + generator.normal(0, 0.3, (3, 3))
        symbols = ["C", "O", "O"] if number % 2 else ["C", "C", "O"]
        atoms = Atoms(symbols, generator.random((3, 3)) @ cell, cell=cell, pbc=True)
        grid = Grid(cell, (24, 25, 28))
        result.append(density_on(SuperposedAtoms(tables, atoms), grid))
    return result


def test_functions_of_the_basis_come_back() -> None:
    basis = RadialBasis(cutoff=3.5, count=12)
    functions = basis.functions()
    generator = np.random.default_rng(0)
    distances = np.minimum(basis.distances, np.nextafter(3.5, 0))
    coefficients = np.exp(-np.arange(functions.c.shape[1]) / 3) * generator.uniform(
        0.5, 1.5, (2, functions.c.shape[1])
    )
    knots = np.stack(
        [functions.derivative(n)(distances) if n else functions(distances) for n in range(3)], -2
    )
    knots = np.einsum("knf,ef->ekn", knots, coefficients)
    knots[:, -1] = 0
    tables = AtomicDensityTables(("C", "O"), knots, basis.spacing, LEVEL)
    fitted = fit_tables(
        _superpositions(tables), ["C", "O"], LEVEL, basis=basis, smoothing=0, points=8000
    )
    r = np.linspace(0.15, 3.5, 200)  # few grid points are closer to a nucleus
    for element in ("C", "O"):
        assert np.abs(fitted.radial(element, r) - tables.radial(element, r)).max() < 1e-6
        assert fitted.electrons(element) == pytest.approx(tables.electrons(element), abs=1e-6)


def test_shipped_atoms_are_fitted_closely_with_integrals_kept() -> None:
    shipped = AtomicDensityTables.load("pbe-gth-dzvp")
    densities = _superpositions(shipped)
    fitted = fit_tables(densities, ["C", "O"], LEVEL, electrons={"C": 4.0, "O": 6.0}, source="test")
    assert fitted.electrons("C") == pytest.approx(4, abs=1e-8)
    assert fitted.electrons("O") == pytest.approx(6, abs=1e-8)
    assert fitted.source == "test"
    for density in densities:
        again = density_on(SuperposedAtoms(fitted, density.atoms), density.grid)
        assert density.compare(again).eps_mae < 0.01


def test_smooth_at_nucleus_and_cutoff() -> None:
    fitted = fit_tables(
        _superpositions(AtomicDensityTables.load("pbe-gth-dzvp"), 2), ["C", "O"], LEVEL
    )
    assert not fitted.knots[:, -1].any()
    assert np.abs(fitted.knots[:, 0, 1]).max() < 1e-10
    # The table before the cutoff approaches zero with slope and curvature.
    assert np.abs(fitted.knots[:, -2]).max() < 0.05
    assert fitted.cutoff == pytest.approx(RadialBasis().cutoff)


def test_what_cannot_be_fitted() -> None:
    densities = _superpositions(AtomicDensityTables.load("pbe-gth-dzvp"), 1)
    with pytest.raises(ConfigurationError, match="has O, which is not to be fitted"):
        fit_tables(densities, ["C"], LEVEL)
    with pytest.raises(ConfigurationError, match="no density with Li"):
        fit_tables(densities, ["C", "O", "Li"], LEVEL)
    with pytest.raises(ConfigurationError, match="N is not fitted"):
        fit_tables(densities, ["C", "O"], LEVEL, electrons={"N": 5})
    with pytest.raises(LevelOfTheoryError):
        fit_tables(densities, ["C", "O"], LevelOfTheory("PBEsol"))
    assert symbols_of([density.atoms for density in densities]) == ["C", "O"]
