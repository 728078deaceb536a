"""Tabulate spherical atomic densities at PBE/GTH-PBE with PySCF.

Each atom is neutral, spin-restricted and spherically averaged: the electrons of the open shell are
spread evenly over its orbitals. The density is then ``rho(r) = sum_l n_l R_l(r)^2 / 4 pi`` with
R_l a finite sum of Gaussians, so that values, slopes and curvatures at the knots are analytic.

    python recipes/atomic/make_tables.py src/deepdft/atomic/pbe-gth-dzvp.npz
    python recipes/atomic/make_tables.py src/deepdft/atomic/pbe-dzvp-molopt-sr-gth.npz \\
        --basis dzvp-molopt-sr-gth
"""

from __future__ import annotations

import argparse

import numpy as np
import pyscf
from pyscf import dft, gto
from scipy.integrate import trapezoid

from deepdft.atomic import AtomicDensityTables
from deepdft.atomic.tabulation import switch_off
from deepdft.density import LevelOfTheory
from deepdft.orbitals import Shell, load_basis

PYSCF_NAMES = {"gth-dzvp": "gth-dzvp", "dzvp-molopt-sr-gth": "gth-dzvp-molopt-sr"}
"""What PySCF calls the basis sets that ship with the package."""

VALENCE = {"H": (1,), "C": (2, 2), "N": (2, 3), "O": (2, 4), "F": (2, 5)}
"""Electrons in the valence s and p shells."""

CUTOFF = 5.0
SWITCH_WIDTH = 1.0
SPACING = 0.0125


class SphericalAtom(dft.rks.RKS):
    """Restricted Kohn-Sham with a spherically averaged Fock matrix and fractional occupations."""

    def __init__(self, symbol: str, basis: str) -> None:
        electrons = VALENCE[symbol]
        super().__init__(
            gto.M(
                atom=symbol,
                basis=PYSCF_NAMES[basis],
                pseudo="gth-pbe",
                spin=sum(electrons) % 2,
                verbose=0,
            )
        )
        self.electrons = electrons
        # Basis functions by angular momentum and component: rows of one component are alike.
        self.functions: dict[int, np.ndarray] = {}
        first = self.mol.ao_loc_nr()
        for momentum in range(3):
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
        for momentum, electrons in enumerate(self.electrons):
            for rows in self.functions[momentum]:
                occupations[rows[np.argmin(energies[rows])]] = electrons / (2 * momentum + 1)
        return occupations


def radial_function(
    shells: list[Shell], coefficients: np.ndarray, radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return value, slope and curvature of ``r^l sum_k c_k exp(-a_k r^2)`` for l = 0 or 1."""
    parts = np.zeros((3, len(radii)))
    contractions = [(shell, row) for shell in shells for row in shell.coefficients]
    for weight, (shell, row) in zip(coefficients, contractions, strict=True):
        for a, c in zip(shell.exponents, row, strict=True):
            gaussian = weight * c * np.exp(-a * radii**2)
            square = a * radii**2
            if shell.angular_momentum == 0:
                factors = (np.ones_like(radii), -2 * a * radii, 2 * a * (2 * square - 1))
            else:
                factors = (radii, 1 - 2 * square, 2 * a * radii * (2 * square - 3))
            parts += gaussian * np.array(factors)
    return parts[0], parts[1], parts[2]


def atomic_density(symbol: str, basis: str, radii: np.ndarray) -> np.ndarray:
    """Return value, slope and curvature of an atom's density at distances (n,) Å, (n, 3)."""
    atom = SphericalAtom(symbol, basis)
    atom.kernel()
    if not atom.converged:
        raise RuntimeError(f"The calculation of {symbol} did not converge.")
    occupations = atom.get_occ()
    density = np.zeros((len(radii), 3))
    for momentum, electrons in enumerate(atom.electrons):
        rows = atom.functions[momentum][0]
        orbital = rows[np.argmax(occupations[rows])]
        shells = [s for s in load_basis(basis).elements[symbol] if s.angular_momentum == momentum]
        value, slope, curvature = radial_function(shells, atom.mo_coeff[rows, orbital], radii)
        square = np.stack([value**2, 2 * value * slope, 2 * (slope**2 + value * curvature)], axis=1)
        density += electrons * square / (4 * np.pi)
    return density


def main(path: str, basis: str) -> None:
    """Write the tables and print what was cut off and how well they interpolate."""
    radii = np.arange(round(CUTOFF / SPACING) + 1) * SPACING
    fine = (np.arange(round(CUTOFF / SPACING)) + 0.5) * SPACING
    whole = np.arange(0, 12, 1e-3)
    tables = AtomicDensityTables(
        elements=tuple(VALENCE),
        knots=np.stack(
            [
                switch_off(radii, atomic_density(s, basis, radii), CUTOFF, SWITCH_WIDTH)
                for s in VALENCE
            ]
        ),
        spacing=SPACING,
        level=LevelOfTheory("PBE", "GTH-PBE", basis, f"PySCF {pyscf.__version__}"),
        source=(
            "Neutral atoms, spin-restricted, spherically averaged (electrons of the open shell "
            f"spread evenly), made with recipes/atomic/make_tables.py; switched off from "
            f"{CUTOFF - SWITCH_WIDTH} to {CUTOFF} Å."
        ),
    )
    for symbol, electrons in VALENCE.items():
        exact = switch_off(fine, atomic_density(symbol, basis, fine), CUTOFF, SWITCH_WIDTH)[:, 0]
        uncut = trapezoid(4 * np.pi * whole**2 * atomic_density(symbol, basis, whole)[:, 0], whole)
        cut = uncut - tables.electrons(symbol)
        error = np.abs(tables.radial(symbol, fine) - exact).max()
        print(
            f"{symbol}: {uncut:.8f} of {sum(electrons)} electrons, {cut:.2e} cut off, "
            f"interpolation error {error:.1e} e/Å^3, at the nucleus {exact[0]:.4f} e/Å^3"
        )
    tables.save(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="file to write, .npz")
    parser.add_argument("--basis", choices=PYSCF_NAMES, default="gth-dzvp")
    arguments = parser.parse_args()
    main(arguments.path, arguments.basis)
