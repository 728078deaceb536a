"""How far valence densities with frozen cores are from densities of all electrons.

    python benchmarks/accuracy/frozen_cores.py H2O CH3OH

Both are PBE with PySCF: GTH pseudopotentials with gth-dzvp and the frozen cores of the package, and
all electrons with a large basis set. The integral of the absolute difference is given by the
distance to the nearest nucleus, in percent of all electrons within, on PySCF's grid.
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import numpy as np
from ase.build import molecule
from pyscf import dft, gto

from deepdft.fields.free_atoms import FrozenCores
from deepdft.units import BOHR, PER_CUBIC_BOHR

SHELLS = (0.0, 0.2, 0.4, 0.7, np.inf)
"""Distances to the nearest nucleus, Å."""


def main() -> None:
    """Print a line for each molecule."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("molecules", nargs="+", help="names that ase.build.molecule knows")
    parser.add_argument("--basis", default="cc-pvtz", help="of all electrons")
    options = parser.parse_args()
    print(
        "molecule",
        *(f"{low}-{high} Å" for low, high in pairwise(SHELLS)),
        "all",
    )
    for name in options.molecules:
        print(name, *(f"{100 * value:.2f} %" for value in differences(name, options.basis)))


def differences(name: str, basis: str) -> list[float]:
    """Return the integrals of |difference| over shells and over all, each over the electrons."""
    atoms = molecule(name)
    geometry = list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True))
    whole = gto.M(atom=geometry, basis=basis, verbose=0)
    valence = gto.M(atom=geometry, basis="gth-dzvp", pseudo="gth-pbe", verbose=0)
    fields = [dft.RKS(mol, xc="pbe").density_fit().run() for mol in (whole, valence)]
    grids = dft.gen_grid.Grids(whole)
    grids.atom_grid = (75, 302)
    grids.build()
    densities = [
        field._numint.get_rho(field.mol, field.make_rdm1(), grids) * PER_CUBIC_BOHR
        for field in fields
    ]
    points, weights = grids.coords * BOHR, grids.weights * BOHR**3
    cores = FrozenCores(atoms, atoms.numbers - valence.atom_charges())
    difference = np.abs(densities[1] + cores.at(points) - densities[0]) * weights
    nearest = np.linalg.norm(points[:, None] - atoms.positions, axis=-1).min(axis=1)
    parts = [(nearest >= low) & (nearest < high) for low, high in pairwise(SHELLS)]
    parts.append(nearest >= 0)
    return [float(difference[part].sum() / (densities[0] * weights)[part].sum()) for part in parts]


if __name__ == "__main__":
    main()
