"""Errors of the ASE calculator's forces against PySCF's analytic gradients.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/forces.py H2O H2CO CH3OH [--model qm9]

Molecules are ASE's, moved at random from their places, so that there are forces. The
gradients are those of PBE/GTH-PBE/gth-dzvp with density fitting, converged on PySCF's grid of level
4, finer than that of the calculator.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule

from deepdft.arrays import FloatArray
from deepdft.dft.pyscf import PySCFSettings, molecule_of
from deepdft.electronic.calculator import with_calculator
from deepdft.units import BOHR, HARTREE


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+", help="molecules that ASE knows, as CH3OH")
    parser.add_argument("--model", default="default")
    parser.add_argument("--rattle", type=float, default=0.05, help="how far atoms are moved, Å")
    parser.add_argument("--displacement", type=float, default=0.01, help="of the differences, Å")
    options = parser.parse_args()
    errors = []
    for name in options.names:
        atoms = molecule(name)
        atoms.rattle(options.rattle, seed=1)
        calculated = with_calculator(
            atoms, model=options.model, displacement=options.displacement, device="cpu"
        )
        found, exact = calculated.get_forces(), analytic_forces(atoms)
        error = np.abs(found - exact)
        errors.append(error.ravel())
        print(
            f"{name}: forces of {np.abs(exact).mean():.2f} eV/Å, error {error.mean():.4f} on "
            f"average, {error.max():.4f} at most; missing in their sum "
            f"{calculated.calc.results['forces_error']:.4f}",
            flush=True,
        )
    every = np.concatenate(errors)
    print(f"{len(errors)} molecules: error {every.mean():.4f} eV/Å on average, {every.max():.4f}")


def analytic_forces(atoms: Atoms) -> FloatArray:
    """Return the forces (atoms, 3) of a converged calculation, eV/Å."""
    from pyscf import dft

    settings = PySCFSettings()
    field = dft.RKS(molecule_of(atoms, settings, Path(os.devnull)), xc="PBE")
    field = field.density_fit(settings.auxiliary_basis)
    field.grids.level = 4
    field.conv_tol = 1e-10
    field.kernel()
    gradients = field.nuc_grad_method()
    gradients.grid_response = True
    forces: FloatArray = -np.asarray(gradients.kernel()) * HARTREE / BOHR
    return forces


if __name__ == "__main__":
    main()
