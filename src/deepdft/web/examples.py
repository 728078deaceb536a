"""Well-known molecules and crystals by name; see recipes/page/examples.py."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from ase import Atoms

from deepdft.errors import did_you_mean
from deepdft.structures.structure import CHARGE
from deepdft.web.problems import Refusal


@dataclass(frozen=True)
class Example:
    """A structure that comes with the page.

    Attributes:
        key: what links call it.
        name: for people.
        kind: "molecule" or "crystal".
        words: a few words on it.
        atoms: the structure.
    """

    key: str
    name: str
    kind: Literal["molecule", "crystal"]
    words: str
    atoms: Atoms


@functools.cache
def examples() -> dict[str, Example]:
    """Return all examples by key, those first that most people know."""
    text = files("deepdft.web").joinpath("examples.json").read_text(encoding="utf-8")
    found = {}
    for entry in json.loads(text):
        cell = entry.get("cell")
        atoms = Atoms(
            entry["symbols"], entry["positions"], cell=cell, pbc=None if cell is None else True
        )
        if entry.get("charge"):
            atoms.info[CHARGE] = entry["charge"]
        found[entry["key"]] = Example(
            entry["key"], entry["name"], entry["kind"], entry["words"], atoms
        )
    return found


def find_example(key: str) -> Example:
    """Return an example by its key or its name.

    Raises:
        Refusal: if there is none.
    """
    known = examples()
    if key in known:
        return known[key]
    for example in known.values():
        if key.casefold() in (example.key, example.name.casefold()):
            return example
    names = [example.name for example in known.values()]
    raise Refusal(f"There is no example '{key[:80]}'.{did_you_mean(key[:80], names)}", 404)
