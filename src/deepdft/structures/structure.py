"""A structure that was understood, and what it takes to understand one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ase import Atoms

if TYPE_CHECKING:
    from deepdft.structures.occupancy import Occupancies

CHARGE = "charge"
"""Key of `atoms.info` that holds the net charge, an integer, of a structure that was read."""

MULTIPLICITY = "multiplicity"
"""Key of `atoms.info` that holds the spin multiplicity 2S + 1 where it is known."""


@dataclass(frozen=True)
class Structure:
    """A structure with a name to call its output by.

    Attributes:
        name: file stem, with the frame's number for several frames, or the SMILES string.
        atoms: the structure; `atoms.info["charge"]` and `atoms.info["multiplicity"]` hold charge
            and spin where they were stated.
        notes: what was assumed, a line each.
    """

    name: str
    atoms: Atoms
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadOptions:
    """What is said about structures besides their files.

    Attributes:
        charge: net charge, e; None leaves it to the file.
        multiplicity: spin multiplicity 2S + 1; None leaves it to the file.
        ordered: pick an ordered structure where sites are occupied in part.
        relax: improve the geometry by GFN2-xTB.
    """

    charge: int | None = None
    multiplicity: int | None = None
    ordered: bool = False
    relax: bool = False


@dataclass(frozen=True)
class Statement:
    """A charge or a multiplicity as something states it.

    Attributes:
        value: as written.
        where: what states it, to be read behind "as": "total_charge=1".
        firm: false for what was only concluded and gives way to what is stated.
        problem: a sentence on why it cannot be used, or an empty string.
    """

    value: object
    where: str
    firm: bool = True
    problem: str = ""


@dataclass
class Reading:
    """What a file holds, before it is judged.

    Attributes:
        atoms: as read; ghosts have the atomic number 0.
        name: of the structure, or None.
        charges: statements of the net charge.
        multiplicities: statements of 2S + 1.
        notes: what a reader assumed.
        occupancies: of sites that may be occupied in part, or None.
        force_field: whether the geometry is a force field's.
    """

    atoms: Atoms
    name: str | None = None
    charges: list[Statement] = field(default_factory=list)
    multiplicities: list[Statement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    occupancies: Occupancies | None = None
    force_field: bool = False


def listed(items: Sequence[str], limit: int = 5) -> str:
    """Return "a, b and c", or "a, b, c and 7 others" of a longer list."""
    shown = list(items[:limit])
    if len(items) > limit:
        shown.append(f"{len(items) - limit} others")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
