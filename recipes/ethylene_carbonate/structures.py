"""Configurations of liquid ethylene carbonate: packings, then hot molecular dynamics.

    python recipes/ethylene_carbonate/structures.py runs/ethylene_carbonate/structures

Four molecules in a cube at 1.32 g/cm^3. Each packing starts from its own random positions and
orientations, is relaxed, and then moves under GFN1-xTB (tblite, periodic) with a Langevin
thermostat at 1000 K. Hydrogen weighs 3 u during the motion, which changes how fast configurations
are visited but not how often, and permits steps of 2 fs. The bonds of every frame and every tenth
step are compared with the molecule's: a run in which a bond broke or formed is thrown away and
another seed takes its place. Each packing is one file, and those that exist are not made again.
Needs rdkit and tblite.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io import read, write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.neighborlist import natural_cutoffs, neighbor_list
from ase.optimize import FIRE
from rdkit import Chem
from rdkit.Chem import AllChem
from scipy.spatial.transform import Rotation
from tblite.ase import TBLite

SMILES = "O=C1OCCO1"
MOLECULES = 4
DENSITY = 1.32
"""g/cm^3."""

TEMPERATURE = 1000.0
FRICTION = 0.02
"""1/fs."""

STEP = 2.0
"""fs."""

HYDROGEN_MASS = 3.0
RELAXATION_STEPS = 40
SEED_STRIDE = 1000
"""A packing's seeds are its number and that plus multiples of this."""

STEPS_BETWEEN_FRAMES = 100
STEPS_BETWEEN_CHECKS = 10
BOND = 1.3
"""Two atoms are bonded up to this multiple of the sum of their covalent radii."""

GAP = {(1, 1): 1.7, (1, 6): 2.1, (1, 8): 1.9, (6, 6): 2.7, (6, 8): 2.6, (8, 8): 2.5}
"""Smallest distances (Å) between atoms of different molecules in a random packing."""


class BrokenMoleculeError(Exception):
    """The bonds are no longer those of the molecules."""


def build_molecule() -> Atoms:
    """Return one molecule, its centre at the origin."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(SMILES))
    AllChem.EmbedMolecule(molecule, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(molecule)
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    positions = molecule.GetConformer().GetPositions()
    return Atoms(numbers, positions - positions.mean(axis=0))


def bonds(atoms: Atoms) -> set[tuple[int, int]]:
    """Return the bonded pairs, across the cell's faces too."""
    first, second = neighbor_list("ij", atoms, natural_cutoffs(atoms, mult=BOND))
    return {(int(i), int(j)) for i, j in zip(first, second, strict=True) if i < j}


def expected_bonds(molecule: Atoms) -> set[tuple[int, int]]:
    """Return the bonded pairs of a liquid of whole molecules, one molecule after the other."""
    size = len(molecule)
    return {(n * size + i, n * size + j) for n in range(MOLECULES) for i, j in bonds(molecule)}


def random_packing(molecule: Atoms, generator: np.random.Generator) -> Atoms:
    """Place molecules one by one at random, none nearer to another (or to an image) than `GAP`."""
    grams = MOLECULES * molecule.get_masses().sum() / units.kg * 1e3
    edge = float(np.cbrt(grams / DENSITY * 1e24))
    size = len(molecule)
    gap = np.array(
        [[GAP[min(a, b), max(a, b)] for b in molecule.numbers] for a in molecule.numbers]
    )
    while True:
        placed: list[np.ndarray] = []
        for _ in range(3_000):
            rotation = Rotation.random(random_state=generator)
            trial = rotation.apply(molecule.positions) + edge * generator.random(3)
            if all(_apart(trial, other, edge, gap) for other in placed) and _apart_from_images(
                trial, edge, gap
            ):
                placed.append(trial)
            if len(placed) == MOLECULES:
                numbers = np.tile(molecule.numbers, MOLECULES)
                cell = edge * np.eye(3)
                packing = Atoms(numbers, np.concatenate(placed), cell=cell, pbc=True)
                assert len(packing) == MOLECULES * size
                return packing


def _apart(first: np.ndarray, second: np.ndarray, edge: float, gap: np.ndarray) -> bool:
    difference = first[:, None] - second[None]
    difference -= edge * np.round(difference / edge)
    return bool((np.linalg.norm(difference, axis=2) > gap).all())


def _apart_from_images(positions: np.ndarray, edge: float, gap: np.ndarray) -> bool:
    shifts = edge * (np.stack(np.meshgrid(*3 * [[-1, 0, 1]]), axis=-1).reshape(-1, 3))
    shifts = shifts[np.any(shifts != 0, axis=1)]
    difference = positions[:, None, None] - positions[None, :, None] - shifts
    return bool((np.linalg.norm(difference, axis=3) > gap[:, :, None]).all())


def frames(molecule: Atoms, seed: int, count: int) -> Iterator[Atoms]:
    """Yield `count` frames of the motion from the packing of one seed.

    Raises:
        BrokenMoleculeError: if a bond breaks or forms.
    """
    generator = np.random.default_rng(seed)
    whole = expected_bonds(molecule)
    atoms = random_packing(molecule, generator)
    atoms.calc = TBLite(method="GFN1-xTB", verbosity=0)
    FIRE(atoms, logfile=None).run(fmax=0.5, steps=RELAXATION_STEPS)
    atoms.set_masses([HYDROGEN_MASS if number == 1 else None for number in atoms.numbers])
    # Half of the kinetic energy goes into the bonds at once.
    thermalize_momenta(atoms, temperature_K=2 * TEMPERATURE, rng=generator)
    Stationary(atoms)
    dynamics = Langevin(
        atoms,
        STEP * units.fs,
        temperature_K=TEMPERATURE,
        friction=FRICTION / units.fs,
        fixcm=False,
        rng=generator,
    )
    temperatures: list[float] = []
    dynamics.attach(lambda: temperatures.append(atoms.get_temperature()), interval=1)

    def check() -> None:
        if bonds(atoms) != whole:
            raise BrokenMoleculeError(f"after {dynamics.nsteps} steps")

    dynamics.attach(check, interval=STEPS_BETWEEN_CHECKS)
    for number in range(count):
        temperatures.clear()
        dynamics.run(STEPS_BETWEEN_FRAMES)
        check()
        yield Atoms(
            atoms.numbers,
            atoms.positions,
            cell=atoms.cell,
            pbc=True,
            info={
                "frame": number,
                "time": dynamics.nsteps * STEP,
                "temperature": round(float(np.mean(temperatures)), 1),
                "seed": seed,
            },
        )


def make_packing(molecule: Atoms, packing: int, count: int) -> list[Atoms]:
    """Return the frames of a packing, of the first of its seeds whose molecules stay whole."""
    for seed in range(packing, packing + 100 * SEED_STRIDE, SEED_STRIDE):
        try:
            images = list(frames(molecule, seed, count))
        except BrokenMoleculeError as error:
            print(f"seed {seed}: a bond broke or formed {error}; thrown away", flush=True)
            continue
        for atoms in images:
            atoms.info["packing"] = packing
        return images
    raise RuntimeError(f"No seed of packing {packing} keeps its molecules whole.")


def smallest_displacement(images: list[Atoms]) -> float:
    """Return the smallest root mean square displacement (Å) between two frames, drift removed."""
    smallest = np.inf
    for number, first in enumerate(images):
        for second in images[number + 1 :]:
            moved = second.positions - first.positions
            moved -= moved.mean(axis=0)
            smallest = min(smallest, float(np.sqrt((moved**2).sum(axis=1).mean())))
    return smallest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="gets one file for every packing")
    parser.add_argument("--packings", type=int, default=13, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first packing")
    parser.add_argument("--frames", type=int, default=4, help="frames of each packing")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    molecule = build_molecule()
    for packing in range(arguments.first, arguments.first + arguments.packings):
        path = arguments.folder / f"packing_{packing:02d}.extxyz"
        if not path.exists():
            images = make_packing(molecule, packing, arguments.frames)
            temporary = path.with_name(f".{path.name}")
            write(temporary, images, format="extxyz")
            os.replace(temporary, path)
        print(_summary(read(path, index=":")), flush=True)


def _summary(images: list[Atoms]) -> str:
    info = images[0].info
    reached = ", ".join(f"{atoms.info['temperature']:.0f}" for atoms in images)
    return (
        f"packing {info['packing']} (seed {info['seed']}): mean temperature before each frame "
        f"{reached} K; frames at least {smallest_displacement(images):.2f} Å apart"
    )


if __name__ == "__main__":
    main()
