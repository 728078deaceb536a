"""What a density file does not store otherwise, in a comment line that people and we can read.

Text formats have a free comment. Behind its words we write one JSON object, for example
``deepdft {"functional": "PBE", "core": "GTH-PBE"}``: the known fields of the level of theory,
and what the format cannot express (periodicity, the cell of the structure).
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import numpy as np
from ase import Atoms

from deepdft.density import Grid
from deepdft.levels import LevelOfTheory

_MARK = re.compile(r"\s*\bdeepdft (\{.*\})\s*$")


def describe(
    level: LevelOfTheory,
    comment: str,
    atoms: Atoms | None = None,
    grid: Grid | None = None,
    *,
    with_origin: bool = False,
    quantity: str = "density",
) -> str:
    """Return one line: the comment, then what is known, as JSON.

    With `atoms` and `grid` the periodicity is stored too, and the cell where it differs from that
    of the grid; `with_origin` also the origin of the grid, for formats that have none. A `quantity`
    that is no electron density is named (see `deepdft.formats.quantities`).
    """
    known: dict[str, Any] = {key: value for key, value in level.to_dict().items() if value}
    if atoms is not None and grid is not None:
        known["pbc"] = [bool(periodic) for periodic in atoms.pbc]
        if not np.allclose(np.asarray(atoms.cell), grid.cell, rtol=0, atol=1e-9):
            known["cell"] = np.asarray(atoms.cell).tolist()
        if with_origin and grid.origin.any():
            known["origin"] = grid.origin.tolist()
    if quantity != "density":
        known["quantity"] = quantity
    words = " ".join(strip_description(comment).split())
    return f"{words} deepdft {json.dumps(known)}".strip() if known else words


def strip_description(comment: str) -> str:
    """Return a comment without the JSON object."""
    return _MARK.sub("", comment)


def parse_description(comment: str) -> dict[str, Any]:
    """Return what the JSON object of a comment says, without anything that makes no sense.

    Keys: the fields of `LevelOfTheory` and `quantity` (strings), `pbc` (three booleans), `cell`
    (three vectors) and `origin` (three numbers).
    """
    match = _MARK.search(comment)
    if match is None:
        return {}
    try:
        known = json.loads(match[1])
    except (ValueError, RecursionError):
        return {}
    described: dict[str, Any] = {}
    for key in known.keys() & {"quantity", *(field.name for field in fields(LevelOfTheory))}:
        if isinstance(known[key], str):
            described[key] = known[key]
    for key, shape in (("pbc", (3,)), ("cell", (3, 3)), ("origin", (3,))):
        try:
            array = np.array(known[key], dtype=bool if key == "pbc" else np.float64)
        except (KeyError, ValueError, TypeError, OverflowError):
            continue
        if array.shape == shape and np.isfinite(array).all():
            described[key] = array
    return described
