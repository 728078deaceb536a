"""Small molecules packed into cells: molecular crystals that are cheap to calculate.

    python recipes/crystals/packed_molecules.py runs/packed.extxyz
    deepdft dft run runs/packed.extxyz -o runs/packed.dft --program quantum-espresso \
        kpoint_spacing=0.55

Each molecule of ASE's G2 set with a closed shell is turned at random until its face-centred cubic
lattice, in which no atom is nearer to another molecule's than van der Waals distances, is as dense
as can be: one molecule a cell. The packing is made up; what is learned from it is how molecules'
electrons are spread, and how little they overlap. Frames have the keys of the crystals' pool
(`name`, `key`, `group`, `prototype`, `magnetic`), so that the rule of the split holds.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.geometry import minkowski_reduce
from frames import frame_info
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

_NAMES = (
    "C2H6 CH3OH NH3 C2H2 C2H4 N2 CO HF H2O2 N2H4 CH3CH2OH CH3OCH3 CH3Cl H2CO HCOOH SH2 PH3 SiH4 "
    "CS2 OCS N2O F2 CH3CN SO2 Si2H6 HCl Cl2 CF4 BF3 NF3 C3H4_C3v H2CCO CH3SH ClF H2CF2 NCCN "
    "C3H4_C2v CH3CHO CH3COF cyclobutene BCl3 H2O CO2 LiH CH4 HCN "
    "CS H2 HOCl COF2 PF3 H2CCl2 SiF4 HCF3 HCCl3 OCHCHO H2CCHF CF3CN C2F4 H3CNH2 CH2OCH2 H2CCHCN "
    "C3H4_D2d CH3COCl CH2NHCH2 CH3SiH3 CH3CH2Cl CH3SCH3 C3H6_D3h CH3CONH2 C4H4S C4H4O C3H6_Cs "
    "C4H4NH butadiene C2H6NH CH3COCH3 CH3CH2NH2 C3H8 C5H5N isobutene cyclobutane trans-butane"
)
MOLECULES = _NAMES.split()
FACE_CENTRED = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]) / np.sqrt(2.0)
NEAREST, NEAREST_WITH_HYDROGEN = 3.0, 2.5
"""Between atoms of different molecules, Å."""
ORIENTATIONS = 40
SHORTEST, LONGEST, STEP = 2.5, 9.0, 0.1
"""Distances between neighbouring molecules that are tried, Å."""


def contact(positions: NDArray[np.float64], cell: NDArray[np.float64]) -> float:
    """Return the shortest distance between atoms of a molecule and of its images, Å."""
    shifts = np.array([s for s in itertools.product((-1, 0, 1), repeat=3) if any(s)]) @ cell
    return shortest(positions, shifts)


def shortest(positions: NDArray[np.float64], shifts: NDArray[np.float64]) -> float:
    """Return the shortest distance between atoms of a molecule and of shifted ones, Å."""
    apart = positions[:, None, None] - positions[None, :, None] - shifts
    return float(np.linalg.norm(apart, axis=-1).min())


def packed(name: str, generator: np.random.Generator) -> Atoms:
    """Return the densest of some packings of a molecule."""
    free = molecule(name)
    nearest = NEAREST_WITH_HYDROGEN if 1 in free.numbers else NEAREST
    centred = free.positions - free.positions.mean(axis=0)
    best: tuple[float, NDArray[np.float64]] | None = None
    for _ in range(ORIENTATIONS):
        turned = Rotation.random(random_state=int(generator.integers(1 << 30))).apply(centred)
        fitting = (
            distance
            for distance in np.arange(SHORTEST, LONGEST, STEP)
            if contact(turned, distance * FACE_CENTRED) >= nearest
        )
        distance = float(next(fitting, LONGEST))
        if best is None or distance < best[0]:
            best = distance, turned
    assert best is not None
    cell = minkowski_reduce(best[0] * FACE_CENTRED)[0]
    crystal = Atoms(free.numbers, positions=best[1], cell=cell, pbc=True)
    crystal.wrap()
    crystal.info = frame_info(
        crystal, f"{name}_packed", "molecular", "molecule in a face-centred cell"
    )
    return crystal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="extxyz file to write")
    parser.add_argument("--seed", type=int, default=3, help="of the orientations")
    arguments = parser.parse_args()
    generator = np.random.default_rng(arguments.seed)
    crystals = sorted(
        (packed(name, generator) for name in MOLECULES), key=lambda crystal: crystal.get_volume()
    )
    ase.io.write(arguments.output, crystals)
    print(f"{len(crystals)} crystals written to {arguments.output}")


if __name__ == "__main__":
    main()
