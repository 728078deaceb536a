"""A pool of crystals: well-known ones by name, and structure types filled with elements.

    python recipes/crystals/structures.py runs/crystals_pool.extxyz --count 400 --copies 1
    python recipes/crystals/structures.py runs/small.extxyz --most-atoms 2 --without DATA

Prototypes (recipes/crystals/prototypes.py) are filled with combinations whose common oxidation
states add up to nothing (pymatgen knows them), with pairs of metals, or with a metal and a small
atom in its gaps; a random choice, the same for a seed. The second command makes crystals of one or
two atoms, which are quickly calculated, and none whose formula the data have in that space group.
Cells and positions are relaxed by CHGNet (`pip install chgnet`), symmetry kept;
--no-relax leaves those of touching spheres. With --copies, strained and rattled copies follow each.
Frames have `name`, `key` (the reduced formula, which decides on the part of the split), `group`,
`prototype` and `magnetic`; the magnetic elements' moments are parallel. CHGNet's crystals are near
PBE minima, not at them, and some do not exist. May be interrupted: what is done is kept.
"""

from __future__ import annotations

import argparse
import itertools
import json
import warnings
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path

import ase.io
import numpy as np
import spglib
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from frames import frame_info
from prototypes import INTERSTITIAL, KNOWN, PROTOTYPES, Prototype, elements_of_formula
from pymatgen.core import Composition, Element

from deepdft.data import open_dataset
from deepdft.extras import require_extra
from deepdft.storage.whole_files import replace_file

_SYMBOLS = (
    "H Li Be B C N O F Na Mg Al Si P S Cl K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Rb Sr Y "
    "Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Cs Ba La Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi"
)
ELEMENTS = _SYMBOLS.split()
ANIONS = {"H": -1, "F": -1, "Cl": -1, "Br": -1, "I": -1, "O": -2, "S": -2, "Se": -2, "Te": -2,
          "N": -3, "P": -3, "As": -3}  # fmt: skip
MOMENTS = {"Cr": 3.0, "Mn": 4.0, "Fe": 3.0, "Co": 2.0, "Ni": 1.0, "V": 1.0}
"""Initial moments, Bohr magnetons, all parallel."""
SMALL = ("H", "B", "C", "N")
"""Atoms that fit into the gaps of a metal, where oxidation states say nothing."""
LAYERED = {"CdI2", "NaFeO2", "BN"}
DRAWS = 300
"""Draws after which a structure type has nothing new, and the next one has its turn."""
SYMMETRY = 1e-3
"""How far atoms may be from symmetric places, Å."""
FORCE, MOST_STEPS = 0.05, 200
STRAIN, RATTLE = 0.03, 0.05
"""Standard deviations: of strains, and of displacements in Å."""


@cache
def states(symbol: str) -> tuple[int, ...]:
    """Return the common positive oxidation states of an element."""
    return tuple(state for state in Element(symbol).common_oxidation_states if state > 0)


@cache
def choices(prototype_name: str, role: str) -> tuple[str, ...]:
    """Return the elements that a role may be filled with."""
    if role == PROTOTYPES[prototype_name].anion:
        return tuple(
            {**ANIONS, **dict.fromkeys(SMALL)} if prototype_name in INTERSTITIAL else ANIONS
        )
    if PROTOTYPES[prototype_name].anion is not None:
        return tuple(symbol for symbol in ELEMENTS if states(symbol))
    if prototype_name == "diamond":
        return ("C", "Si", "Ge", "Sn")
    return tuple(symbol for symbol in ELEMENTS if Element(symbol).is_metal)


def is_sensible(prototype: Prototype, elements: Sequence[str]) -> bool:
    """Return whether elements may fill a prototype: different, with charges that add up to nothing.

    Where no role takes electrons, any different metals may; around small atoms, any metal.
    """
    if len(set(elements)) < len(elements):
        return False
    if prototype.anion is None:
        return True
    by_role = dict(zip(prototype.roles, elements, strict=True))
    anion = by_role.pop(prototype.anion)
    if prototype.name in INTERSTITIAL and anion in SMALL:
        return all(Element(symbol).is_metal for symbol in by_role.values())
    needed = -ANIONS[anion] * prototype.counts[prototype.anion]
    options = [
        [state * prototype.counts[role] for state in states(symbol)]
        for role, symbol in by_role.items()
    ]
    return any(sum(option) == needed for option in itertools.product(*options))


def known() -> Iterator[tuple[Prototype, tuple[str, ...]]]:
    """Yield the crystals that everybody knows, of the pool's elements."""
    for name, formulas in KNOWN.items():
        for formula in formulas.split():
            elements = elements_of_formula(formula, PROTOTYPES[name])
            if set(elements) <= set(ELEMENTS):
                yield PROTOTYPES[name], tuple(elements)


def name_of(prototype: Prototype, elements: Sequence[str]) -> str:
    """Return what a crystal is called."""
    return "-".join(elements) + f"_{prototype.name}"


def formula_of(prototype: Prototype, elements: Sequence[str]) -> str:
    """Return the reduced formula of a filled prototype."""
    amounts = dict(zip(elements, prototype.counts.values(), strict=True))
    return Composition(amounts).reduced_formula


def kinds_of(data: Sequence[str]) -> set[tuple[str, int]]:
    """Return the reduced formulas of data sets' crystals, with the numbers of space groups."""
    kinds = set()
    for crystals in map(open_dataset, data):
        for atoms in map(crystals.atoms, range(len(crystals))):
            cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
            formula = Composition(atoms.get_chemical_formula()).reduced_formula
            kinds.add((formula, spglib.get_symmetry_dataset(cell, SYMMETRY).number))
    return kinds


def combinations(
    count: int, seed: int, most_atoms: int = 12, without: Collection[tuple[str, int]] = ()
) -> Iterator[tuple[Prototype, tuple[str, ...]]]:
    """Yield the known crystals and then random others, types taking turns; no two the same.

    Args:
        count: how many.
        seed: of the random choice.
        most_atoms: in a primitive cell.
        without: reduced formulas and space groups (as numbers) that are left out.
    """
    seen: set[tuple[str, tuple[str, ...]]] = set()
    generator = np.random.default_rng(seed)
    types = [
        p for p in PROTOTYPES.values() if len(p.filled(ELEMENTS[: len(p.roles)])) <= most_atoms
    ]

    def drawn() -> Iterator[tuple[Prototype, tuple[str, ...]]]:
        while True:
            before = len(seen)
            for prototype in types:
                for _ in range(DRAWS):
                    elements = tuple(
                        str(generator.choice(choices(prototype.name, role)))
                        for role in prototype.roles
                    )
                    fresh = (prototype.name, elements) not in seen
                    if fresh and is_sensible(prototype, elements):
                        yield prototype, elements
                        break
            if len(seen) == before:
                return  # Nothing new in a whole turn.

    found = 0
    for prototype, elements in itertools.chain(known(), drawn()):
        if found == count:
            return
        if (prototype.name, elements) in seen or prototype not in types:
            continue
        seen.add((prototype.name, elements))
        if (formula_of(prototype, elements), prototype.spacegroup) not in without:
            found += 1
            yield prototype, elements


def group_of(prototype: Prototype, elements: Sequence[str]) -> str:
    """Return the group of a crystal, as in the data."""
    if len(set(elements)) == 1:
        return "element"
    if prototype.name in LAYERED:
        return "layered"
    if prototype.anion is None:
        return "intermetallic"
    if "O" in elements:
        return "oxide"
    negative = [Element(symbol).X for symbol in elements]
    return "ionic" if max(negative) - min(negative) > 1.5 else "covalent"


def described(atoms: Atoms, prototype: Prototype, elements: Sequence[str], name: str) -> Atoms:
    """Return a crystal with what the frames of the pool say."""
    magnetic = any(symbol in MOMENTS for symbol in elements)
    found = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    if magnetic:
        found.set_initial_magnetic_moments([MOMENTS.get(s, 0.0) for s in found.symbols])
    group = group_of(prototype, elements)
    found.info = frame_info(found, name, group, prototype.name, magnetic)
    return found


def relaxed(atoms: Atoms, calculator: Calculator) -> Atoms | None:
    """Return a crystal with its cell and positions relaxed; None where that does not converge."""
    found = atoms.copy()
    found.calc = calculator
    found.set_constraint(FixSymmetry(found))
    converged = FIRE(FrechetCellFilter(found), logfile=None).run(fmax=FORCE, steps=MOST_STEPS)
    found.set_constraint()
    sensible = 0.5 < found.get_volume() / atoms.get_volume() < 4.0
    return found if converged and sensible else None


def copies(atoms: Atoms, count: int, generator: np.random.Generator) -> Iterator[Atoms]:
    """Yield strained and rattled copies; they belong to the same formula."""
    for number in range(1, count + 1):
        copy = atoms.copy()
        strain = generator.normal(scale=STRAIN, size=(3, 3))
        copy.set_cell(copy.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        copy.positions += generator.normal(scale=RATTLE, size=copy.positions.shape)
        copy.info = {**atoms.info, "name": f"{atoms.info['name']}_copy{number}"}
        yield copy


def chgnet() -> Calculator:
    """Return CHGNet as a calculator."""
    require_extra("chgnet", "Relaxing crystals")
    from chgnet.model.dynamics import CHGNetCalculator

    # That pymatgen knows no symmetry that is kept, at every step.
    warnings.filterwarnings("ignore", "Only FixAtoms", module="chgnet")
    return CHGNetCalculator(use_device="cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="extended XYZ file to write")
    parser.add_argument("--count", type=int, default=200, help="crystals, before copies")
    parser.add_argument("--copies", type=int, default=0, help="strained and rattled ones of each")
    parser.add_argument("--most-atoms", type=int, default=12, help="in a primitive cell")
    parser.add_argument(
        "--without", nargs="+", default=[], metavar="DATA", help="data whose crystals are left out"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-relax", action="store_true", help="leave touching spheres")
    arguments = parser.parse_args()
    calculator = None if arguments.no_relax else chgnet()
    parts = arguments.path.with_suffix(".parts")
    parts.mkdir(parents=True, exist_ok=True)
    frames: list[Atoms] = []
    most_atoms: int = arguments.most_atoms
    chosen = combinations(arguments.count, arguments.seed, most_atoms, kinds_of(arguments.without))
    for number, (prototype, elements) in enumerate(chosen):
        name = name_of(prototype, elements)
        part = parts / f"{number:05d}_{name}.json"
        if not part.exists():
            atoms = prototype.filled(elements)
            found = atoms if calculator is None else relaxed(atoms, calculator)
            content = None if found is None or len(found) > most_atoms else found.todict()
            replace_file(part, (json.dumps(content, default=np.ndarray.tolist) + "\n").encode())
        content = json.loads(part.read_text())
        if content is None:
            print(f"left out: {name} does not relax")
            continue
        atoms = Atoms(content["numbers"], content["positions"], cell=content["cell"], pbc=True)
        frames.append(described(atoms, prototype, elements, name))
        # A generator of its own, so that copies do not depend on what comes before.
        generator = np.random.default_rng([arguments.seed, number])
        frames += copies(frames[-1], arguments.copies, generator)
    ase.io.write(arguments.path, frames, format="extxyz")
    print(f"written: {arguments.path} ({len(frames)} structures)")


if __name__ == "__main__":
    main()
