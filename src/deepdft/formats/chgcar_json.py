"""JSON of pymatgen's Chgcar, in which the Materials Project serves its charge densities.

Layout (monty's MSONable): `poscar.structure` (lattice, sites), `data.total` and `data.diff` or
`data.diff_x`, `diff_y`, `diff_z`: arrays (nx, ny, nz) of the density times the volume of the cell;
`data_aug`, the one-centre occupancies of each atom. The object may lie within another one.
pymatgen is not needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import FileFormatError
from deepdft.formats.elements import atomic_number
from deepdft.formats.interpretation import Interpretation
from deepdft.formats.occupancies import occupancies_text
from deepdft.formats.quantities import QUANTITIES, find_quantity, refusal
from deepdft.formats.source import Source
from deepdft.formats.text.json_arrays import read_json
from deepdft.levels import LevelOfTheory

_MARKS = (b"Chgcar", b"VolumetricData", b"pymatgen.io.vasp.outputs", b"pymatgen.io.common")
_OTHERS = {"Locpot": "potential", "Elfcar": "elf"}
_DEEPEST = 4


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like JSON of a Chgcar."""
    return head.lstrip()[:1] == b"{" and any(mark in head for mark in _MARKS)


def read(source: Source, *, quantity: str | None = None) -> Density:
    """Read JSON of pymatgen's Chgcar.

    Args:
        source: the file.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.

    Raises:
        FileFormatError: if the file is damaged or has no such object.
    """
    with source.open() as raw:
        content = read_json(raw, source.path)
    found = _find(content, _DEEPEST)
    if found is None:
        raise FileFormatError(
            f"{source.path} is JSON, but not of pymatgen's Chgcar: no object in it has a structure "
            "and data with a total density."
        )
    kind = QUANTITIES["density"] if quantity is None else find_quantity(quantity)
    name = str(found.get("@class"))
    if quantity is None and name in _OTHERS:
        raise refusal(source.path, _OTHERS[name], f"its class is {name}")
    try:
        return _assemble(source, found, kind.name)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
        raise FileFormatError(
            f"{source.path} cannot be used as JSON of pymatgen's Chgcar: {reason}."
        ) from None


def _find(content: Any, depth: int) -> dict[str, Any] | None:
    """Return the object that has a total density and a structure, here or further in."""
    if not isinstance(content, dict | list) or depth == 0:
        return None
    if isinstance(content, dict):
        data = content.get("data")
        if isinstance(data, dict) and "total" in data and {"poscar", "structure"} & content.keys():
            return content
    inner = content.values() if isinstance(content, dict) else content[:4]
    return next((found for part in inner if (found := _find(part, depth - 1)) is not None), None)


def _assemble(source: Source, content: dict[str, Any], name: str) -> Density:
    poscar = content.get("poscar") or {}
    atoms = _structure(poscar.get("structure") or content["structure"])
    data = content["data"]
    spins = [key for key in ("diff_x", "diff_y", "diff_z") if key in data]
    keys = ["total", *(spins if len(spins) == 3 else ["diff"] if "diff" in data else [])]
    blocks = [np.array(_array(data[key]), dtype=np.float64) for key in keys]
    if blocks[0].ndim != 3 or any(block.shape != blocks[0].shape for block in blocks):
        raise ValueError(f"its arrays have the shapes {[block.shape for block in blocks]}")
    if not all(np.isfinite(block).all() for block in blocks):
        raise ValueError("a value is not finite")
    nx, ny, nz = blocks[0].shape
    grid = Grid(np.asarray(atoms.cell), (nx, ny, nz))
    kind = QUANTITIES[name]
    if kind.is_density:
        for block in blocks:
            block /= grid.volume
    occupied = content.get("data_aug") or {}
    texts = [_occupancies(occupied.get(key)) for key in keys]
    metadata: dict[str, Any] = {"comment": str(poscar.get("comment") or "").strip()}
    if all(texts):
        metadata["augmentation"] = texts
    interpretation = Interpretation(
        path=source.path,
        quantity=kind,
        unit="e/angstrom^3",
        pbc=[True] * 3,
        level=LevelOfTheory(core="PAW", code="VASP") if all(texts) else LevelOfTheory(),
        metadata=metadata,
    )
    spin = None if len(blocks) == 1 else blocks[1] if len(blocks) == 2 else np.stack(blocks[1:])
    return interpretation.density(atoms, grid, blocks[0], spin)


def _array(value: Any) -> Any:
    """Return the numbers of an array as monty stores it, or of plain lists."""
    return value["data"] if isinstance(value, dict) else value


def _structure(content: dict[str, Any]) -> Atoms:
    cell = np.array(content["lattice"]["matrix"], dtype=np.float64).reshape(3, 3)
    numbers, positions = [], []
    for site in content["sites"]:
        if len(site["species"]) != 1 or abs(float(site["species"][0].get("occu", 1)) - 1) > 1e-6:
            raise ValueError(f"the site {site.get('label', site['species'])} is mixed or partial")
        name = str(site["species"][0]["element"])
        number = atomic_number(name)
        if number is None:
            raise ValueError(f"there is no element {name!r}")
        numbers.append(number)
        fractions = np.array(site["abc"], dtype=np.float64).reshape(3)
        positions.append(fractions @ cell)
    places = np.array(positions).reshape(-1, 3)
    if not (np.isfinite(cell).all() and np.isfinite(places).all()):
        raise ValueError("a coordinate is not finite")
    return Atoms(numbers=numbers, positions=places, cell=cell)


def _occupancies(content: Any) -> str:
    """Return the occupancies of one component as text; "" if there are none."""
    if isinstance(content, list):  # lines as they stood in the CHGCAR
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in map(str, content))
    if not isinstance(content, dict) or not content:
        return ""
    rows: list[NDArray[np.float64]] = [
        np.array(_array(content[key]), dtype=np.float64).ravel()
        for key in sorted(content, key=int)
        if not key.startswith("@")
    ]
    return occupancies_text([row.tolist() for row in rows])
