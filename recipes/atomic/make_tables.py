"""Tabulate spherical atomic densities at PBE/GTH-PBE with PySCF.

Each atom is neutral, spin-restricted and spherically averaged: the electrons of the open shell are
spread evenly over its orbitals. The density is then ``rho(r) = sum_nl n_nl R_nl(r)^2 / 4 pi``
with R_nl a finite sum of Gaussians, so that values, slopes and curvatures at the knots are
analytic.

The outermost s electrons of a free metal atom reach far beyond anything they do in a compound.
Those of Li, Na, Mg, Al, K, Ca and Zn are therefore confined: faded out between 1.5 and 3 Å, and
scaled to their number again.

    python recipes/atomic/make_tables.py src/deepdft/fields/atoms/pbe-gth-dzvp.npz
    python recipes/atomic/make_tables.py src/deepdft/fields/atoms/pbe-dzvp-molopt-sr-gth.npz \\
        --basis dzvp-molopt-sr-gth
"""

from __future__ import annotations

import argparse
from functools import cache

import numpy as np
import pyscf
from pyscf import dft, gto
from scipy.integrate import trapezoid

from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.tabulation import switch_off
from deepdft.fields.orbitals import Shell, load_basis
from deepdft.levels import LevelOfTheory

PYSCF_NAMES = {"gth-dzvp": "gth-dzvp", "dzvp-molopt-sr-gth": "gth-dzvp-molopt-sr"}
"""What PySCF calls the basis sets that ship with the package."""

MOLECULAR = ("K", "Ca", "Zn", "Br", "I")
"""Elements for which the shipped gth-dzvp, too, holds functions of dzvp-molopt-sr-gth."""

VALENCE: dict[str, tuple[tuple[int, ...], ...]] = {
    "H": ((1,),),
    "Li": ((2, 1),),
    "B": ((2,), (1,)),
    "C": ((2,), (2,)),
    "N": ((2,), (3,)),
    "O": ((2,), (4,)),
    "F": ((2,), (5,)),
    "Na": ((2, 1), (6,)),
    "Mg": ((2, 2), (6,)),
    "Al": ((2,), (1,)),
    "Si": ((2,), (2,)),
    "P": ((2,), (3,)),
    "S": ((2,), (4,)),
    "Cl": ((2,), (5,)),
    "K": ((2, 1), (6,)),
    "Ca": ((2, 2), (6,)),
    "Zn": ((2,), (), (10,)),
    "Br": ((2,), (5,)),
    "I": ((2,), (5,)),
}
"""Electrons in the s, p and d shells outside the pseudopotential's core, lowest shell first."""

CONFINED = ("Li", "Na", "Mg", "Al", "K", "Ca", "Zn")
CONFINEMENT = (1.5, 3.0)
"""Distances between which the outermost s electrons of `CONFINED` fade out, Å."""

ELEMENTS = {"gth-dzvp": tuple(VALENCE), "dzvp-molopt-sr-gth": ("H", "C", "N", "O", "F")}
"""Elements that each table covers."""

CUTOFF = 5.0
SWITCH_WIDTH = 1.0
SPACING = 0.0125


class SphericalAtom(dft.rks.RKS):
    """Restricted Kohn-Sham with a spherically averaged Fock matrix and fractional occupations."""

    def __init__(self, symbol: str, basis: str) -> None:
        electrons = VALENCE[symbol]
        total = sum(sum(shells) for shells in electrons)
        molecule = gto.M(
            atom=symbol,
            basis=_functions_of(symbol, basis),
            pseudo="gth-pbe",
            spin=total % 2,
            verbose=0,
        )
        if molecule.nelectron != total:
            raise ValueError(f"{symbol} has {molecule.nelectron} electrons, not {total}.")
        super().__init__(molecule)
        self.electrons = electrons
        # Basis functions by angular momentum and component: rows of one component are alike.
        self.functions: dict[int, np.ndarray] = {}
        first = self.mol.ao_loc_nr()
        for momentum in range(4):
            starts = [
                first[shell] + n * (2 * momentum + 1)
                for shell in range(self.mol.nbas)
                if self.mol.bas_angular(shell) == momentum
                for n in range(self.mol.bas_nctr(shell))
            ]
            self.functions[momentum] = np.array(
                [[start + m for start in starts] for m in range(2 * momentum + 1)]
            )
        self.xc = "pbe"
        self.grids.atom_grid = (200, 590)
        self.grids.prune = None
        self.conv_tol = 1e-12
        self.max_cycle = 200

    def eig(self, fock: np.ndarray, overlap: np.ndarray, *_: object, **__: object) -> tuple:
        energies = np.zeros(len(fock))
        coefficients = np.zeros_like(fock)
        for components in self.functions.values():
            if components.size == 0:
                continue
            blocks = [np.ix_(rows, rows) for rows in components]
            mean = np.mean([fock[block] for block in blocks], axis=0)
            values, vectors = self._eigh(mean, overlap[blocks[0]])
            for rows, block in zip(components, blocks, strict=True):
                energies[rows] = values
                coefficients[block] = vectors
        return energies, coefficients

    def get_occ(self, mo_energy=None, mo_coeff=None) -> np.ndarray:
        energies = self.mo_energy if mo_energy is None else mo_energy
        occupations = np.zeros(len(energies))
        for momentum, shells in enumerate(self.electrons):
            for rows in self.functions[momentum]:
                lowest = rows[np.argsort(energies[rows])]
                for orbital, electrons in zip(lowest, shells, strict=False):
                    occupations[orbital] = electrons / (2 * momentum + 1)
        return occupations


def _functions_of(symbol: str, basis: str) -> str:
    """Return what PySCF calls the functions that a shipped basis set has for an element."""
    return PYSCF_NAMES["dzvp-molopt-sr-gth"] if symbol in MOLECULAR else PYSCF_NAMES[basis]


def radial_function(
    shells: list[Shell], coefficients: np.ndarray, radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return value, slope and curvature of ``r^l sum_k c_k exp(-a_k r^2)``."""
    parts = np.zeros((3, len(radii)))
    contractions = [(shell, row) for shell in shells for row in shell.coefficients]
    for weight, (shell, row) in zip(coefficients, contractions, strict=True):
        n = shell.angular_momentum
        # r^l and its first two derivatives.
        power = (
            radii**n,
            n * radii ** max(n - 1, 0),
            n * (n - 1) * radii ** max(n - 2, 0),
        )
        for a, c in zip(shell.exponents, row, strict=True):
            gaussian = weight * c * np.exp(-a * radii**2)
            slope, curvature = -2 * a * radii, 2 * a * (2 * a * radii**2 - 1)
            parts += gaussian * np.array(
                (
                    power[0],
                    power[1] + power[0] * slope,
                    power[2] + 2 * power[1] * slope + power[0] * curvature,
                )
            )
    return parts[0], parts[1], parts[2]


@cache
def converged(symbol: str, basis: str) -> SphericalAtom:
    """Return the calculation of an atom."""
    atom = SphericalAtom(symbol, basis)
    atom.kernel()
    if not atom.converged:
        raise RuntimeError(f"The calculation of {symbol} did not converge.")
    return atom


def atomic_density(symbol: str, basis: str, radii: np.ndarray) -> np.ndarray:
    """Return value, slope and curvature of an atom's density at distances (n,) Å, (n, 3)."""
    atom = converged(symbol, basis)
    density = np.zeros((len(radii), 3))
    for momentum, shells_of in enumerate(atom.electrons):
        if not shells_of:
            continue
        rows = atom.functions[momentum][0]
        lowest = rows[np.argsort(atom.mo_energy[rows])]
        shells = [s for s in load_basis(basis).elements[symbol] if s.angular_momentum == momentum]
        for level, electrons in enumerate(shells_of):
            coefficients = atom.mo_coeff[rows, lowest[level]]
            confined = symbol in CONFINED and momentum == 0 and level == len(shells_of) - 1
            density += electrons * _shell_density(shells, coefficients, radii, confined)
    return density


def _shell_density(
    shells: list[Shell], coefficients: np.ndarray, radii: np.ndarray, confined: bool
) -> np.ndarray:
    """Return value, slope and curvature of one electron's density, (n, 3)."""
    value, slope, curvature = radial_function(shells, coefficients, radii)
    square = np.stack([value**2, 2 * value * slope, 2 * (slope**2 + value * curvature)], axis=1)
    density = square / (4 * np.pi)
    if confined:
        start, end = CONFINEMENT
        fine = np.arange(0, end, 1e-3)
        whole = _shell_density(shells, coefficients, fine, False)
        kept = switch_off(fine, whole, end, end - start)[:, 0]
        density = switch_off(radii, density, end, end - start)
        density = density / trapezoid(4 * np.pi * fine**2 * kept, fine)
    return density


def main(path: str, basis: str) -> None:
    """Write the tables and print what was cut off and how well they interpolate."""
    symbols = [symbol for symbol in VALENCE if symbol in ELEMENTS[basis]]
    radii = np.arange(round(CUTOFF / SPACING) + 1) * SPACING
    fine = (np.arange(round(CUTOFF / SPACING)) + 0.5) * SPACING
    whole = np.arange(0, 12, 1e-3)
    tables = AtomicDensityTables(
        elements=tuple(symbols),
        knots=np.stack(
            [
                switch_off(radii, atomic_density(s, basis, radii), CUTOFF, SWITCH_WIDTH)
                for s in symbols
            ]
        ),
        spacing=SPACING,
        level=LevelOfTheory("PBE", "GTH-PBE", basis, f"PySCF {pyscf.__version__}"),
        source=(
            "Neutral atoms, spin-restricted, spherically averaged (electrons of the open shell "
            f"spread evenly), made with recipes/atomic/make_tables.py; switched off from "
            f"{CUTOFF - SWITCH_WIDTH} to {CUTOFF} Å. Outermost s electrons of metals confined to "
            f"{CONFINEMENT[1]} Å."
        ),
    )
    for symbol in symbols:
        electrons = sum(sum(shells) for shells in VALENCE[symbol])
        exact = switch_off(fine, atomic_density(symbol, basis, fine), CUTOFF, SWITCH_WIDTH)[:, 0]
        uncut = trapezoid(4 * np.pi * whole**2 * atomic_density(symbol, basis, whole)[:, 0], whole)
        cut = uncut - tables.electrons(symbol)
        error = np.abs(tables.radial(symbol, fine) - exact).max()
        print(
            f"{symbol}: {uncut:.8f} of {electrons} electrons, {cut:.2e} cut off, "
            f"interpolation error {error:.1e} e/Å^3, at the nucleus {exact[0]:.4f} e/Å^3"
        )
    tables.save(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="file to write, .npz")
    parser.add_argument("--basis", choices=PYSCF_NAMES, default="gth-dzvp")
    arguments = parser.parse_args()
    main(arguments.path, arguments.basis)
