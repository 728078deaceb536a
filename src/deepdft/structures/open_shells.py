"""Unpaired electrons that can be told from a geometry alone.

Electrons are counted for every molecule of a structure; of even numbers, ground states that are
known to be triplets are found: diatomics (Huber and Herzberg, Constants of Diatomic Molecules),
single atoms and carbenes. A carbene next to an atom with a lone pair (N, O, S, a halogen) is a
closed shell.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from deepdft.geometry.pairs import near_pairs
from deepdft.structures.molecules import Molecules

_TRIPLET_DIATOMICS = frozenset(
    frozenset(Counter(pair).items())
    for pair in (
        ("O", "O"), ("S", "S"), ("S", "O"), ("Se", "Se"), ("Se", "O"), ("Se", "S"), ("Te", "Te"),
        ("Te", "O"), ("N", "H"), ("N", "F"), ("N", "Cl"), ("N", "Br"), ("N", "I"), ("P", "H"),
        ("P", "F"), ("P", "Cl"), ("As", "H"), ("B", "B"), ("Al", "Al"), ("Si", "Si"),
        ("Ge", "Ge"), ("Si", "C"), ("B", "N"),
    )
)  # fmt: skip

_CLOSED_ATOMS = frozenset(
    # Noble gases; two electrons in the outermost s orbital and nothing else open.
    (2, 10, 18, 36, 54, 86, 118, 4, 12, 20, 38, 56, 88, 30, 48, 80, 46, 70, 102, 112)
)  # fmt: skip

_ALONE = 4.0
"""Å. Single atoms in a cell that are closer to another one may be a solid's."""

_LARGEST_ANGLE = np.cos(np.radians(140.0))
"""Cosine of the angle above which a carbon atom with two neighbours is sp, not a carbene."""

_APART = 1.0
"""Å. Molecules are certainly two if no atoms are closer than a bond that is longer by this."""

_TRIPLE_BOND = 1.31
"""Å. Two carbon atoms with two neighbours each are bonded more closely: an alkyne, also bent."""

_WITHOUT_LONE_PAIR = (atomic_numbers["H"], atomic_numbers["C"], atomic_numbers["Si"])


def open_shell(atoms: Atoms) -> str | None:
    """Return what has unpaired electrons in a neutral structure, or None.

    What is bonded to its own periodic images, and single atoms in a cell that are close to others,
    may be parts of a solid: nothing is said of them.

    Args:
        atoms: the structure.

    Returns:
        Words such as "O2, whose ground state is a triplet", to be read behind "there is".
    """
    molecules = Molecules(atoms)
    for part in _finite(molecules):
        found = None if atoms.numbers[part].sum() % 2 else _triplet(molecules, part)
        if found is not None:
            return found
    # A bond that is stretched does not make two radicals.
    apart = Molecules(atoms, _APART)
    parts = _finite(apart)
    odd = [apart.formula(part) for part in parts if atoms.numbers[part].sum() % 2]
    # Different molecules with odd numbers may be the ions of a salt.
    if odd and len(parts) == len(apart.parts) and (len(odd) % 2 or len(set(odd)) == 1):
        return f"{odd[0]}, which has an odd number of electrons"
    return None


def _finite(molecules: Molecules) -> list[np.ndarray]:
    """Return the molecules that are no part of a solid."""
    atoms = molecules.atoms
    if not atoms.pbc.any():
        return molecules.parts
    parts = [part for part in molecules.parts if not molecules.is_endless(part)]
    if all(len(part) > 1 for part in parts):
        return parts
    pairs = near_pairs(atoms, _ALONE)
    accompanied = {*pairs.first.tolist(), *pairs.second.tolist()}
    return [part for part in parts if len(part) > 1 or int(part[0]) not in accompanied]


def _triplet(molecules: Molecules, part: np.ndarray) -> str | None:
    """Return the words for a molecule with an even number of electrons."""
    atoms = molecules.atoms
    if len(part) == 1 and int(atoms.numbers[part[0]]) not in _CLOSED_ATOMS:
        formula = molecules.formula(part)
        return f"a single {formula} atom, whose ground state has unpaired electrons"
    if len(part) == 2 and frozenset(Counter(atoms.symbols[part]).items()) in _TRIPLET_DIATOMICS:
        return f"{molecules.formula(part)}, whose ground state is a triplet"
    carbon = atoms.numbers[part] == atomic_numbers["C"]
    for atom in part[carbon & (molecules.bond_counts[part] == 2)]:
        if _is_carbene(molecules, int(atom)):
            return f"a carbene ({molecules.formula(part)}, carbon atom {atom}, counted from 0)"
    return None


def _is_carbene(molecules: Molecules, atom: int) -> bool:
    """Return whether an atom with two bonds has bent ones, to hydrogen, carbon or silicon alone."""
    numbers = molecules.atoms.numbers
    bonded, vectors = molecules.bonds_of(atom)
    if any(numbers[other] not in _WITHOUT_LONE_PAIR for other in bonded):
        return False
    lengths = np.linalg.norm(vectors, axis=1)
    if vectors[0] @ vectors[1] / lengths.prod() < _LARGEST_ANGLE:
        return False
    alkyne = [
        numbers[other] == 6 and len(molecules.neighbours[other]) == 2 and length < _TRIPLE_BOND
        for other, length in zip(bonded, lengths, strict=True)
    ]
    return not any(alkyne)
