"""A structure as it is drawn, in the words of an answer: atoms, bonds, the edges of cells."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from pydantic import BaseModel, Field

from deepdft.plotting.scenes import Scene
from deepdft.web.problems import Refusal

_MOST = 4000
"""Atoms that a browser draws without a pause."""


class DrawnAtom(BaseModel):
    """An atom where it is drawn."""

    element: str
    x: float = Field(description="Å")
    y: float = Field(description="Å")
    z: float = Field(description="Å")
    index: int = Field(description="Number of the atom in the structure, from 0.")
    bonds: list[int] = Field(description="Places in this list of the atoms it is bonded to.")


class DrawnStructure(BaseModel):
    """What is drawn of a structure."""

    atoms: list[DrawnAtom]
    cell: list[list[float]] | None = Field(description="Rows are cell vectors, Å; of crystals.")
    corner: list[float] = Field([0.0, 0.0, 0.0], description="Where the first cell begins, Å.")
    cells: list[int] = Field([1, 1, 1], description="How many cells there are along each edge.")
    look: list[list[float]] = Field(
        description="Directions to the right, up and to the viewer that show much."
    )


def formula_of(atoms: Atoms, crystal: bool) -> str:
    """Return a formula as people know it: NaCl of the crystal, whatever its cell; else Hill's."""
    formula = atoms.symbols.formula
    return str(formula.reduce()[0].format("periodic") if crystal else formula.format("hill"))


def drawn_structure(scene: Scene) -> DrawnStructure:
    """Return what is drawn of a structure.

    Raises:
        Refusal: if these are more atoms than can be drawn.
    """
    atoms, box = scene.atoms, scene.box
    if len(atoms.indices) > max(_MOST, len(box.atoms)):
        raise Refusal(
            f"So many cells have {len(atoms.indices)} atoms, and at most {_MOST} are drawn; show "
            "fewer.",
            413,
        )
    drawn = [
        DrawnAtom(element=symbol, x=x, y=y, z=z, index=index, bonds=partners)
        for symbol, (x, y, z), index, partners in zip(
            atoms.symbols,
            atoms.positions.round(4).tolist(),
            atoms.indices.tolist(),
            atoms.partners,
            strict=True,
        )
    ]
    corner = box.positions(np.array([[low for low, _ in scene.window]]))[0]
    return DrawnStructure(
        atoms=drawn,
        cell=box.edges.round(6).tolist() if scene.is_crystal else None,
        corner=corner.round(6).tolist(),
        cells=list(scene.cells),
        look=scene.axes.round(6).tolist(),
    )
