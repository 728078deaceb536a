"""Molecules along the axes of crystals: molecular crystals of high symmetry, which are quick.

    python recipes/crystals/aligned_molecules.py runs/aligned.extxyz --copies 3
    deepdft dft run runs/aligned.extxyz -o runs/aligned.dft --program quantum-espresso \\
        kpoint_spacing=0.8 convergence=1e-7

Linear molecules stand along c of a body-centred tetragonal cell, those with a threefold axis along
c of a rhombohedral one, tetrahedral ones fit a face-centred cubic one; one molecule a cell. How far
molecules are apart is drawn at random, from hydrogen bonds to loose contacts. The packing is made
up, as in recipes/crystals/packed_molecules.py, and the frames have the same keys.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.geometry import minkowski_reduce
from collect import part_of
from frames import frame_info
from numpy.typing import NDArray
from packed_molecules import FACE_CENTRED, shortest

KINDS = {
    "linear": "H2 N2 CO HF HCl Cl2 ClF CS LiF LiH CO2 CS2 OCS N2O NCCN F2 ClCN FCN BrCN HCCF HCCCl "
    "HC3N C4H2 HCP HBS C3O2",
    "threefold": "NH3 PH3 CH3Cl HCF3 HCCl3 CH3CN C3H4_C3v PF3 NF3 BF3 BCl3 CH3SiH3 Si2H6 C3H6_D3h "
    "C2H6",
    "tetrahedral": "SiH4 CF4 SiF4 SiCl4 CCl4 CH4",
}
"""Names of molecules by what is done with them."""
CHAINS = {
    "ClCN": "Cl 1.63 C 1.16 N", "FCN": "F 1.26 C 1.16 N", "BrCN": "Br 1.79 C 1.16 N",
    "HCCF": "H 1.06 C 1.20 C 1.28 F", "HCCCl": "H 1.06 C 1.20 C 1.64 Cl",
    "HC3N": "H 1.06 C 1.21 C 1.38 C 1.16 N", "C4H2": "H 1.06 C 1.21 C 1.38 C 1.21 C 1.06 H",
    "HCP": "H 1.07 C 1.54 P", "HBS": "H 1.17 B 1.60 S", "C3O2": "O 1.16 C 1.28 C 1.28 C 1.16 O",
}  # fmt: skip
"""Linear molecules that ASE does not have: elements, and bond lengths in Å."""
ALONG = 1.8, 3.2
"""Between the ends of molecules of a chain, Å."""
BESIDE = 2.4, 3.4
"""Between atoms of molecules side by side, Å; 0.4 less where one has hydrogen."""
STEP = 0.02


def chain(text: str) -> Atoms:
    """Return a linear molecule along z from its elements and the bond lengths between them, Å."""
    words = text.split()
    heights = np.cumsum([0.0, *map(float, words[1::2])])
    return Atoms(words[::2], positions=[(0.0, 0.0, height) for height in heights])


def along_z(free: Atoms) -> NDArray[np.float64]:
    """Return the positions of a molecule whose axis of highest symmetry is along z.

    That is the axis of the moment of inertia that differs from two equal ones. The first atom
    beside it is in the plane of x and z.
    """
    positions: NDArray[np.float64] = free.positions - free.get_center_of_mass()
    moments, axes = np.linalg.eigh(
        np.einsum("i,ij,ik->jk", free.get_masses(), positions, positions)
    )
    if moments[2] - moments[1] < moments[1] - moments[0]:
        axes = axes[:, ::-1]
    turned: NDArray[np.float64] = positions @ axes
    beside = turned[np.hypot(turned[:, 0], turned[:, 1]) > 0.1]
    if len(beside):
        cosine, sine = beside[0, :2] / np.hypot(*beside[0, :2])
        turned[:, :2] = turned[:, :2] @ np.array([[cosine, -sine], [sine, cosine]])
    return turned


def cell_of(kind: str, width: float, height: float) -> NDArray[np.float64]:
    """Return the primitive cell of a lattice by its edges a and c, Å."""
    if kind == "linear":
        signs = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
        return signs * np.array([width, width, height]) / 2
    if kind == "threefold":
        angles = np.radians([0.0, 120.0, 240.0])
        flat = width / np.sqrt(3) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return np.column_stack([flat, np.full(3, height / 3)])
    return FACE_CENTRED * width


def beside(positions: NDArray[np.float64], cell: NDArray[np.float64]) -> float:
    """Return the shortest distance between atoms of molecules that are not of one chain, Å."""
    shifts = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3))) @ cell
    return shortest(positions, shifts[np.hypot(shifts[:, 0], shifts[:, 1]) > 0.1])


def aligned(kind: str, name: str, generator: np.random.Generator) -> Atoms:
    """Return a molecule in a lattice that is as narrow as the contacts drawn for it allow."""
    free = chain(CHAINS[name]) if name in CHAINS else molecule(name)
    # Tetrahedral molecules of ASE have their bonds along the diagonals of a cube.
    places = free.positions - free.positions[0] if kind == "tetrahedral" else along_z(free)
    nearest = generator.uniform(*BESIDE) - (0.4 if 1 in free.numbers else 0.0)
    gap = generator.uniform(*ALONG)
    length = float(np.ptp(places[:, 2])) + gap
    # Neighbours of rhombohedral cells are a third of c higher.
    height = length * (3 if kind == "threefold" and generator.random() < 0.5 else 1)
    width = next(
        width
        for width in np.arange(2.0, 20.0, STEP)
        if beside(places, cell_of(kind, width, height)) >= nearest
    )
    cell = minkowski_reduce(cell_of(kind, float(width), height))[0]
    crystal = Atoms(free.numbers, positions=places, cell=cell, pbc=True)
    crystal.wrap()
    return crystal


def crystals(copies: int, seed: int) -> Iterator[Atoms]:
    """Yield the crystals of the training part."""
    generator = np.random.default_rng(seed)
    for number in range(1, copies + 1):
        for kind, names in KINDS.items():
            for name in names.split():
                crystal = aligned(kind, name, generator)
                crystal.info = frame_info(
                    crystal, f"{name}_aligned{number}", "molecular", f"{kind} molecules, aligned"
                )
                if part_of(crystal.info["key"]) == "train":
                    yield crystal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="extxyz file to write")
    parser.add_argument("--copies", type=int, default=3, help="packings of each molecule")
    parser.add_argument("--seed", type=int, default=7, help="of the distances")
    arguments = parser.parse_args()
    found = sorted(crystals(arguments.copies, arguments.seed), key=lambda atoms: atoms.get_volume())
    ase.io.write(arguments.output, found)
    print(f"{len(found)} crystals written to {arguments.output}")


if __name__ == "__main__":
    main()
