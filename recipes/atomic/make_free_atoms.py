"""Tabulate free atoms and their closed shells at PBE with ld1.x of Quantum ESPRESSO.

Each atom is neutral, without spin and spherical (the electrons of an open shell are spread evenly
over its orbitals), scalar-relativistic, in the configuration of its ground state. No basis set is
involved: ld1.x integrates on a logarithmic mesh.

    python recipes/atomic/make_free_atoms.py src/deepdft/fields/free_atoms/pbe.npz
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from pyscf.data.elements import CONFIGURATION
from scipy.interpolate import CubicSpline

from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR

LAST = 96
"""Largest atomic number."""

REACH = 8.0
"""Largest distance, Å."""

KNOTS = 193
STEP = REACH**0.5 / (KNOTS - 1)

FLOOR = 1e-14
"""e/Å^3; smaller densities are not told apart."""

ORDER = ("1S", "2S", "2P", "3S", "3P", "3D", "4S", "4P", "4D", "4F", "5S", "5P", "5D")
"""In which shells become cores of pseudopotentials."""

MOST_VALENCE = 33
WRITTEN = 7
"""Orbitals that ld1.x writes: the last ones of its input."""


def configuration(number: int) -> list[tuple[str, int]]:
    """Return the shells of an atom with their electrons, as ("2P", 4)."""
    shells = []
    for momentum, (letter, left) in enumerate(zip("SPDF", CONFIGURATION[number], strict=True)):
        full = 4 * momentum + 2
        n = momentum + 1
        while left > 0:
            shells.append((f"{n}{letter}", min(full, left)))
            left -= full
            n += 1
    return shells


def solved(number: int, shells: list[tuple[str, int]], folder: Path) -> dict[str, np.ndarray]:
    """Return distances "r" (bohr) and u = r R(r) of the last orbitals of a list."""
    cards = "".join(
        f"{shell} {shell[0]} {'SPDF'.index(shell[1])} {electrons}.0\n"
        for shell, electrons in shells
    )
    text = (
        f"&input zed={number}, rel=1, dft='PBE', iswitch=1, config=' ', beta=0.2, xmin=-8, "
        f"dx=0.01, rmax=60, prefix='atom' /\n{len(shells)}\n{cards}"
    )
    done = subprocess.run(
        ["ld1.x"], input=text, capture_output=True, text=True, cwd=folder, check=True
    )
    if "final scf error" not in done.stdout:
        raise RuntimeError(f"{chemical_symbols[number]} did not converge:\n{done.stdout[-800:]}")
    lines = (folder / "atom.wfc").read_text().splitlines()
    values = np.loadtxt(lines[1:])
    return dict(zip(["r", *lines[0].replace("#", "").split()[1:]], values.T, strict=True))


def shell_densities(number: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return distances in Å and 4 pi r^2 times the density of each shell, e/Å."""
    shells = configuration(number)
    radii, found = np.empty(0), {}
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, len(shells), WRITTEN):
            wanted = shells[first : first + WRITTEN]
            rest = [shell for shell in shells if shell not in wanted]
            orbitals = solved(number, rest + wanted, Path(folder))
            radii = orbitals["r"] * BOHR
            for shell, electrons in wanted:
                square = orbitals[shell] ** 2
                norm = CubicSpline(orbitals["r"], square).integrate(0, orbitals["r"][-1])
                found[shell] = electrons * square / norm / BOHR
    return radii, found


def logarithms(radii: np.ndarray, radial: np.ndarray) -> np.ndarray:
    """Return the logarithm of a density at the knots; at the nucleus as the next knots say."""
    density = radial / (4 * np.pi * radii**2)
    knots = (np.arange(KNOTS) * STEP) ** 2
    known = density > FLOOR
    values = CubicSpline(np.sqrt(radii[known]), np.log(density[known]))(np.sqrt(knots))
    # Beyond the last density that is known a straight line goes on, down to the floor.
    beyond = knots > radii[known][-1]
    values[beyond] = np.log(FLOOR)
    values[0] = values[1] - (values[2] - values[1]) * knots[1] / (knots[2] - knots[1])
    return np.maximum(values, np.log(FLOOR))


def main(path: str) -> None:
    """Write the tables and print how many electrons they hold."""
    elements, totals, cores, core_tables = [], [], [], []
    for number in range(1, LAST + 1):
        radii, shells = shell_densities(number)
        totals.append(logarithms(radii, sum(shells.values())))
        elements.append(chemical_symbols[number])
        counts = dict(configuration(number))
        held = 0
        for last, shell in enumerate(ORDER):
            if counts.get(shell) != 4 * "SPDF".index(shell[1]) + 2:
                break
            held += counts[shell]
            if number - held < 1 or number - held > MOST_VALENCE:
                continue
            cores.append((number - 1, held))
            core_tables.append(logarithms(radii, sum(shells[s] for s in ORDER[: last + 1])))
        print(
            chemical_symbols[number],
            configuration(number),
            [c for n, c in cores if n == number - 1],
        )
    about = {
        "elements": elements,
        "step": STEP,
        "level": LevelOfTheory("PBE", "all-electron", "", "Quantum ESPRESSO 6.7 ld1.x").to_dict(),
        "source": (
            "Neutral atoms in the configurations of their ground states, without spin, spherical, "
            "scalar-relativistic, PBE, made with recipes/atomic/make_free_atoms.py."
        ),
    }
    np.savez_compressed(
        path,
        logarithms=np.array(totals, np.float32),
        cores=np.array(cores, np.int16),
        core_logarithms=np.array(core_tables, np.float32),
        about=np.array(json.dumps(about)),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="file to write, .npz")
    main(parser.parse_args().path)
