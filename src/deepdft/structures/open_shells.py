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

_LARGEST_ANGLE = np.cos(np.radians(140.0))
"""Cosine of the angle above which a carbon atom with two neighbours is sp, not a carbene."""

_TRIPLE_BOND = 1.31
"""Å. Two carbon atoms with two neighbours each are bonded more closely: an alkyne, also bent."""

_WITHOUT_LONE_PAIR = (atomic_numbers["H"], atomic_numbers["C"], atomic_numbers["Si"])


def open_shell(atoms: Atoms) -> str | None:
    """Return what has unpaired electrons in a neutral structure without a cell, or None.

    Args:
        atoms: the structure.

    Returns:
        Words such as "O2 (a triplet)", to be read behind "there is".
    """
    molecules = Molecules(atoms)
    odd = []
    for part in molecules.parts:
        formula = molecules.formula(part)
        numbers = atoms.numbers[part]
        if numbers.sum() % 2:
            odd.append(formula)
        elif len(part) == 1 and int(numbers[0]) not in _CLOSED_ATOMS:
            return f"a single {formula} atom, whose ground state has unpaired electrons"
        elif len(part) == 2 and _pair(atoms, part) in _TRIPLET_DIATOMICS:
            return f"{formula}, whose ground state is a triplet"
        else:
            carbene = _carbene(molecules, part)
            if carbene is not None:
                return f"a carbene ({formula}, carbon atom {carbene})"
    # Different molecules with odd numbers may be the two ions of a salt.
    if odd and (len(odd) % 2 or len(set(odd)) == 1):
        return f"{odd[0]}, which has an odd number of electrons"
    return None


def _pair(atoms: Atoms, part: np.ndarray) -> frozenset[tuple[str, int]]:
    return frozenset(Counter(atoms.symbols[part]).items())


def _carbene(molecules: Molecules, part: np.ndarray) -> int | None:
    """Return a carbon atom with two bent bonds, to hydrogen, carbon or silicon alone, or None."""
    atoms = molecules.atoms
    for index in part:
        bonded = molecules.neighbours[index]
        if atoms.numbers[index] != 6 or len(bonded) != 2:
            continue
        if any(atoms.numbers[other] not in _WITHOUT_LONE_PAIR for other in bonded):
            continue
        first, second = atoms.positions[bonded] - atoms.positions[index]
        cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        if cosine > _LARGEST_ANGLE and not any(
            _alkyne(molecules, int(index), other) for other in bonded
        ):
            return int(index)
    return None


def _alkyne(molecules: Molecules, index: int, other: int) -> bool:
    atoms = molecules.atoms
    return bool(
        atoms.numbers[other] == 6
        and len(molecules.neighbours[other]) == 2
        and np.linalg.norm(atoms.positions[index] - atoms.positions[other]) < _TRIPLE_BOND
    )
