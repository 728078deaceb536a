"""Fit the shares in what a density gives: of the Kohn-Sham energy, and of levels' potentials.

    python recipes/electronic/fit_share.py DATA [--molecules 40] [--part train] [--model qm9]

DATA is a folder of orbital archives with its split.json. Harris' energy and the Kohn-Sham energy of
molecules of a part are compared with those of an SCF calculation on the same grid that begins with
the stored orbitals. Printed is the share with the smallest mean absolute error, what errors it
leaves, and where they would lie with other shares. The same for the share of the orbitals' own
density in the potential of the levels, by occupied levels and by gaps. Both stand in
`deepdft.electronic.from_density`.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

import deepdft
from deepdft.dft.pyscf import MeanField, PySCFSettings
from deepdft.electronic import ElectronicStructure, from_density
from deepdft.electronic.from_density import LEVEL_SHARE
from deepdft.fields.orbitals import OrbitalArchive
from deepdft.units import HARTREE

SHARES = np.linspace(0, 1, 11)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--molecules", type=int, default=40)
    parser.add_argument("--part", choices=("train", "validation"), default="train")
    parser.add_argument("--model", default="qm9")
    parser.add_argument(
        "--first", action="store_true", help="the first molecules of the part, not random ones"
    )
    options = parser.parse_args()
    archive = OrbitalArchive(options.data)
    split = json.loads((options.data / "split.json").read_text(encoding="utf-8"))
    places = {label: place for place, label in enumerate(archive.labels)}
    names = [str(name) for name in split[options.part]]
    model = deepdft.load_model(options.model, device="cpu")
    if not options.first:
        names = np.random.default_rng(0).permutation(names).tolist()
    chosen = names[: options.molecules]
    found, levels = [], []
    for name in chosen:
        density = archive[places[name]]
        program = MeanField(density.atoms, PySCFSettings(convergence=1e-9), Path(os.devnull))
        coefficients = density.coefficients.astype(np.float64)
        start = 2.0 * coefficients @ coefficients.T
        reference = program.converge(model.level.functional, start)
        exact = reference.energy
        result = from_density(model.engine(density.atoms))
        levels.append(errors_of_levels(result, reference.details))
        found.append((result.harris_energy - exact, result.kohn_sham_energy - exact))
        harris, kohn_sham = 1000 * np.array(found[-1])
        atoms = len(density.atoms)
        print(f"{name}: {atoms} atoms, {harris:+.4f} to {kohn_sham:+.4f} meV", flush=True)
    harris, kohn_sham = 1000 * np.array(found).T
    shares = np.linspace(0, 1, 101)
    errors = np.abs(np.outer(shares, kohn_sham) + np.outer(1 - shares, harris))
    best = int(errors.mean(axis=1).argmin())
    for place in sorted({0, 35, best, 50, 100}):
        print(
            f"share {shares[place]:.2f}: mean error {errors[place].mean():.4f} meV a molecule "
            f"({errors[place].mean() / (1000 * HARTREE):.1e} Ha), largest {errors[place].max():.4f}"
        )
    print(f"best share {shares[best]:.2f}")
    for share, (means, medians) in zip(
        SHARES, zip(np.mean(levels, axis=0), np.median(levels, axis=0), strict=True), strict=True
    ):
        print(
            f"levels, share {share:.2f}: mean error {means[0]:.2f} meV (median {medians[0]:.2f}), "
            f"of gaps {means[1]:.2f} meV (median {medians[1]:.2f})"
        )


def errors_of_levels(found: ElectronicStructure, exact: dict[str, Any]) -> list[list[float]]:
    """Return the mean error of occupied levels and that of the gap, meV, for each share."""
    first = np.einsum("ai,ab,bi->i", found.orbitals, found.fock, found.orbitals, optimize=True)
    first *= HARTREE
    shifts = (found.orbital_energies - first) / LEVEL_SHARE
    errors = []
    for share in SHARES:
        levels = first + share * shifts
        occupied, empty = np.sort(levels[: found.occupied]), levels[found.occupied :]
        wrong = np.abs(occupied - exact["occupied_orbital_energies"]).mean()
        gap = empty.min() - occupied[-1] - exact["gap"]
        errors.append([1000 * float(wrong), 1000 * abs(float(gap))])
    return errors


if __name__ == "__main__":
    main()
