"""What the frames of the crystals' pools say, by which the rule of the split goes."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from pymatgen.core import Composition


def frame_info(
    atoms: Atoms, name: str, group: str, prototype: str, magnetic: bool = False
) -> dict[str, Any]:
    """Return `info` of a frame; `key`, the reduced formula, decides on the part of the split."""
    key = Composition(atoms.get_chemical_formula()).reduced_formula
    return {
        "name": name, "key": key, "group": group, "prototype": prototype,
        "magnetic": int(magnetic),
    }  # fmt: skip
