"""PDB files (format 3.3): alternate locations, occupancies, formal charges, symmetry, models.

Only what decides a structure is read: https://www.wwpdb.org/documentation/file-format.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import gemmi
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from deepdft.errors import FileFormatError
from deepdft.structures.cell_parameters import cell_vectors
from deepdft.structures.occupancy import FULL, Occupancies
from deepdft.structures.structure import Reading, Statement, listed
from deepdft.structures.symbols import Symbol, require_symbol, symbol_of
from deepdft.structures.symmetry import group_of, operations_of, orbits
from deepdft.structures.text import number


@dataclass(frozen=True)
class Site:
    """An atom of a biomolecular file.

    Attributes:
        label: name, residue and number, for messages.
        residue: what its alternate locations go with.
        alternate: which of several locations, or an empty string.
        symbol: the element.
        position: Å.
        occupancy: 0 to 1.
        charge: formal charge, e, or None.
    """

    label: str
    residue: str
    alternate: str
    symbol: Symbol
    position: tuple[float, float, float]
    occupancy: float
    charge: int | None


def read_pdb(text: str, path: str) -> Iterator[Reading]:
    """Yield the models of a PDB file.

    Raises:
        FileFormatError: if a line is not what it should be, or a space group is not known.
    """
    cell, group = None, ""
    sites: list[Site] = []
    found = False
    for i, line in enumerate([*text.split("\n"), "END"]):
        record = line[:6].strip()
        if record == "CRYST1":
            cell, group = _crystal(line, f"line {i + 1} of {path}")
        elif record in ("ATOM", "HETATM"):
            sites.append(_site(line, f"line {i + 1} of {path}"))
        elif record in ("ENDMDL", "END") and sites:
            yield reading_of(sites, cell, group, path)
            sites, found = [], True
    if not found:
        raise FileFormatError(f"{path} holds no atoms.")


def _crystal(line: str, place: str) -> tuple[list[float] | None, str]:
    fields = [line[6:15], line[15:24], line[24:33], line[33:40], line[40:47], line[47:54]]
    if not any(field.strip() for field in fields):
        return None, ""
    return [number(field, place) for field in fields], line[55:66].strip()


def _site(line: str, place: str) -> Site:
    name = line[12:16]
    charge = re.fullmatch(r"(\d)([+-])|([+-])(\d)", line[78:80].strip())
    occupancy = line[54:60].strip()
    return Site(
        label=f"{name.strip()} of {line[17:20].strip()} {line[21:22].strip()}{line[22:27].strip()}",
        residue=line[17:27],
        alternate=line[16:17].strip(),
        symbol=_symbol(line, name, place),
        position=(
            number(line[30:38], place), number(line[38:46], place), number(line[46:54], place)
        ),
        occupancy=number(occupancy, place) if occupancy else 1.0,
        charge=None
        if charge is None
        else int((charge[2] or charge[3]) + (charge[1] or charge[4])),
    )  # fmt: skip


def _symbol(line: str, name: str, place: str) -> Symbol:
    element = line[76:78].strip()
    # Older programs write a segment's name there, or nothing.
    if element:
        return require_symbol(element, place)
    whole = symbol_of(name.strip())
    if whole is not None and whole.number == 0:
        return whole
    letters = re.sub(r"[^A-Za-z]", "", name[:2])
    if len(letters) == 2 and letters.capitalize() in atomic_numbers and line[:4] == "HETA":
        return Symbol(atomic_numbers[letters.capitalize()])
    first = re.sub(r"[^A-Za-z]", "", name)[:1]
    if letters.capitalize() in atomic_numbers and len(letters) == 2 and name.strip() == letters:
        return Symbol(atomic_numbers[letters.capitalize()])
    return require_symbol(first or name.strip(), place)


def reading_of(sites: list[Site], cell: list[float] | None, group: str, path: str) -> Reading:
    """Return a structure from the sites of a model, with its symmetry applied.

    Args:
        sites: of one model.
        cell: lengths (Å) and angles (degrees), or None.
        group: Hermann-Mauguin symbol, or an empty string.
        path: for messages.

    Raises:
        FileFormatError: if the space group is not known.
    """
    notes = list(dict.fromkeys(site.symbol.assumed for site in sites if site.symbol.assumed))
    sites, note = _one_location(sites)
    notes += note
    positions = np.array([site.position for site in sites])
    occupancies = np.array([site.occupancy for site in sites])
    if not occupancies.any():
        # What programs write that do not know occupancies.
        occupancies = np.ones(len(sites))
    numbers = np.array([site.symbol.number for site in sites])
    charge = sum(site.charge or 0 for site in sites)
    source = np.arange(len(sites))
    periodic = cell is not None and max(cell[:3]) > 1.001
    vectors = cell_vectors(cell, path) if cell is not None else np.zeros((3, 3))
    if periodic and group.replace(" ", "") not in ("", "P1"):
        source, positions, occupancies = _expanded(
            positions, occupancies, vectors, group, cell or [], path
        )
        charge *= len(source) // len(sites)
        notes.append(
            f"the symmetry of {group} was applied: {len(sites)} became {len(source)} atoms"
        )
    atoms = Atoms(numbers=numbers[source], positions=positions, cell=vectors, pbc=cell is not None)
    # A file that marks no charge is not one that says there is none.
    marked = any(site.charge for site in sites)
    stated = [Statement(charge, "the formal charges of its atoms")] if marked else []
    labels = [sites[i].label for i in source]
    return Reading(atoms, None, stated, [], notes, Occupancies(occupancies, labels))


def _one_location(sites: list[Site]) -> tuple[list[Site], list[str]]:
    """Keep, in every residue, the alternate location that is occupied most."""
    shares: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for site in sites:
        if site.alternate:
            shares[site.residue[3:]][site.alternate].append(site.occupancy)
    if not shares:
        return sites, []
    best = {
        residue: max(sorted(by), key=lambda name: float(np.mean(by[name])))
        for residue, by in shares.items()
    }
    kept = []
    for site in sites:
        if not site.alternate:
            kept.append(site)
        elif site.alternate == best[site.residue[3:]]:
            # Of the location that was chosen all is there.
            kept.append(Site(**{**site.__dict__, "occupancy": 1.0}))
    names = sorted(set(best.values()))
    return kept, [
        f"of alternate locations in {len(best)} residue{'s' * (len(best) > 1)} the one occupied "
        f"most was taken ({listed(names)}): {len(sites) - len(kept)} atoms left out"
    ]


def _expanded(
    positions: np.ndarray, occupancies: np.ndarray, vectors: np.ndarray, name: str,
    cell: list[float], path: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    group: gemmi.SpaceGroup | None = group_of(name, angles=(cell[3], cell[5]))
    if group is None:
        raise FileFormatError(f"{path}: the space group '{name}' is not known.")
    inverse = np.linalg.inv(vectors)
    found = orbits(positions @ inverse, operations_of(group), vectors)
    source = np.repeat(np.arange(len(found)), [len(orbit.positions) for orbit in found])
    # On a symmetry element, an atom is shared by the images that coincide.
    whole = np.array([orbit.coinciding for orbit in found]) * occupancies
    occupancies = np.where(whole <= 1 + FULL, whole, occupancies)[source]
    return source, np.concatenate([orbit.positions for orbit in found]) @ vectors, occupancies
