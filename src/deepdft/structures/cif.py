"""CIF files: occupancies, disorder, symmetry; of molecules (mmCIF), alternate locations as well."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import gemmi
import numpy as np
from ase import Atoms

from deepdft.errors import FileFormatError
from deepdft.structures.cell_parameters import cell_vectors
from deepdft.structures.occupancy import Occupancies
from deepdft.structures.pdb import Site, reading_of
from deepdft.structures.structure import Reading, listed
from deepdft.structures.symbols import Symbol, require_symbol
from deepdft.structures.symmetry import group_of, operations_of, orbits, parse_operations

_OPERATIONS = (
    "_space_group_symop_operation_xyz",
    "_space_group_symop.operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_symmetry_equiv.pos_as_xyz",
    "_space_group_symop_magn_operation.xyz",
    "_space_group_symop_magn_operation_xyz",
)
_NAMES = (
    "_space_group_name_h-m_alt",
    "_space_group.name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_symmetry.space_group_name_h-m",
    "_space_group_name_h-m_full",
)
_HALL = (
    "_space_group_name_hall",
    "_space_group.name_hall",
    "_symmetry_space_group_name_hall",
    "_symmetry.space_group_name_hall",
)
_NUMBERS = (
    "_space_group_it_number",
    "_space_group.it_number",
    "_symmetry_int_tables_number",
    "_symmetry.int_tables_number",
)
_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")


@dataclass(frozen=True)
class _Sites:
    """The sites of a small structure as listed.

    Attributes:
        labels: their names.
        symbols: their elements.
        positions: (n, 3) fractional, or Å where `cartesian`.
        occupancies: (n,).
        groups: disorder group of each, "" for none, as "assembly:group".
        cartesian: whether the positions are in Å.
    """

    labels: list[str]
    symbols: list[Symbol]
    positions: np.ndarray
    occupancies: np.ndarray
    groups: list[str]
    cartesian: bool


def read_cif(text: str, path: str) -> Iterator[Reading]:
    """Yield the structures of a CIF file, one for each block that holds atoms.

    Raises:
        FileFormatError: if it is no CIF file, holds no atoms, or a site or its symmetry is unclear.
    """
    try:
        blocks = gemmi.cif.read_string(text)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise FileFormatError(f"{path} is not a valid CIF file: {reason}.") from None
    found = False
    for block in blocks:
        if block.find_loop("_atom_site.Cartn_x"):
            for reading in _macromolecule(block, path):
                found = True
                yield reading
        elif (
            block.find_loop("_atom_site_fract_x")
            or block.find_loop("_atom_site_Cartn_x")
            or block.find_pair("_atom_site_fract_x")
        ):
            found = True
            yield _small(block, path)
    if not found:
        raise FileFormatError(f"{path} holds no atoms.")


def _column(block: gemmi.cif.Block, tag: str) -> list[str]:
    return [gemmi.cif.as_string(value).strip() for value in block.find_values(tag)]


def _first(block: gemmi.cif.Block, tags: tuple[str, ...]) -> str:
    for tag in tags:
        values = [value for value in _column(block, tag) if value]
        if values:
            return values[0]
    return ""


def _numbers(block: gemmi.cif.Block, tag: str, path: str) -> np.ndarray:
    raw = list(block.find_values(tag))
    values = np.array([gemmi.cif.as_number(value) for value in raw])
    for value, number in zip(raw, values, strict=True):
        if not np.isfinite(number) and value not in ("?", "."):
            raise FileFormatError(f"{path}: '{value[:30]}' under {tag} is not a number.")
    return values


def _cell_of(block: gemmi.cif.Block, separator: str, path: str) -> list[float] | None:
    values = [_numbers(block, f"_cell{separator}{name}", path) for name in _CELL]
    present = [float(value[0]) for value in values if len(value) and np.isfinite(value[0])]
    if not present:
        return None
    if len(present) < 6:
        raise FileFormatError(f"{path} does not state all six lengths and angles of the cell.")
    return present


def _small(block: gemmi.cif.Block, path: str) -> Reading:
    sites = _sites(block, path)
    cell = _cell_of(block, "_", path)
    notes = list(dict.fromkeys(symbol.assumed for symbol in sites.symbols if symbol.assumed))
    numbers = np.array([symbol.number for symbol in sites.symbols])
    if cell is None:
        if not sites.cartesian:
            raise FileFormatError(f"{path} has fractional coordinates and no cell.")
        known = Occupancies(sites.occupancies, sites.labels)
        return Reading(Atoms(numbers, sites.positions), notes=notes, occupancies=known)
    vectors = cell_vectors(cell, path)
    positions = sites.positions
    if sites.cartesian:
        positions = positions @ np.linalg.inv(vectors)
    occupancies, kept, note = _one_group(sites)
    notes += note + _hydrogens(block)
    operations, note = _operations(block, cell, positions[kept], vectors, path)
    notes += note
    found = orbits(positions[kept], operations, vectors)
    source = np.repeat(kept, [len(orbit.positions) for orbit in found])
    values = np.repeat(occupancies[kept], [len(orbit.positions) for orbit in found])
    images = np.concatenate([orbit.positions for orbit in found])
    if len(operations) == 1:
        images = positions[source]
    atoms = Atoms(numbers[source], cell=vectors, pbc=True)
    atoms.set_scaled_positions(images)
    labels = [sites.labels[i] for i in source]
    if len(source) > len(kept):
        notes.append(f"symmetry was applied: {len(kept)} sites became {len(source)} atoms")
    return Reading(atoms, notes=notes, occupancies=Occupancies(values, labels))


def _sites(block: gemmi.cif.Block, path: str) -> _Sites:
    labels = _column(block, "_atom_site_label") or _column(block, "_atom_site_type_symbol")
    types = _column(block, "_atom_site_type_symbol") or labels
    cartesian = not list(block.find_values("_atom_site_fract_x"))
    kind = "Cartn" if cartesian else "fract"
    columns = [_numbers(block, f"_atom_site_{kind}_{axis}", path) for axis in "xyz"]
    if len({len(labels), *map(len, columns)}) > 1 or not labels:
        raise FileFormatError(f"{path} does not name every site with three coordinates.")
    positions = np.stack(columns, axis=1)
    occupancies = _numbers(block, "_atom_site_occupancy", path)
    if len(occupancies) != len(labels):
        occupancies = np.ones(len(labels))
    occupancies = np.where(np.isfinite(occupancies), occupancies, 1.0)
    groups = _column(block, "_atom_site_disorder_group") or [""] * len(labels)
    assemblies = _column(block, "_atom_site_disorder_assembly") or [""] * len(labels)
    named = [
        f"{assembly}:{group}" if group not in ("", "0") else ""
        for assembly, group in zip(assemblies, groups, strict=True)
    ]
    # Without coordinates: hydrogen that was not found, or a dummy.
    there = np.isfinite(positions).all(axis=1)
    symbols = [
        require_symbol(name or label, f"site {label} of {path}")
        for name, label, here in zip(types, labels, there, strict=True)
        if here
    ]
    kept = np.flatnonzero(there)
    if len(kept) == 0:
        raise FileFormatError(f"{path} has no site with coordinates.")
    return _Sites(
        [labels[i] for i in kept], symbols, positions[kept], occupancies[kept],
        [named[i] for i in kept], cartesian,
    )  # fmt: skip


def _one_group(sites: _Sites) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Keep, of every disordered assembly with several groups, the one occupied most."""
    shares: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for group, occupancy in zip(sites.groups, sites.occupancies, strict=True):
        if group:
            shares[group.partition(":")[0]][group].append(float(occupancy))
    several = {name: by for name, by in shares.items() if len(by) > 1}
    occupancies = sites.occupancies.copy()
    if not several:
        return occupancies, np.arange(len(sites.labels)), []
    best = {
        name: max(sorted(by), key=lambda group: float(np.mean(by[group])))
        for name, by in several.items()
    }
    kept = []
    for i, group in enumerate(sites.groups):
        assembly = group.partition(":")[0]
        if not group or assembly not in best:
            kept.append(i)
        elif group == best[assembly]:
            kept.append(i)
            occupancies[i] = 1.0
    left = [sites.labels[i] for i in range(len(sites.labels)) if i not in set(kept)]
    note = f"of alternate locations the one occupied most was taken: {listed(left)} left out"
    return occupancies, np.array(kept), [note]


def _hydrogens(block: gemmi.cif.Block) -> list[str]:
    attached = [gemmi.cif.as_number(v) for v in block.find_values("_atom_site_attached_hydrogens")]
    missing = int(np.nansum(attached)) if attached else 0
    if not missing:
        return []
    return [f"the file states {missing} attached hydrogen atoms without coordinates: not added"]


def _operations(
    block: gemmi.cif.Block,
    cell: list[float],
    positions: np.ndarray,
    vectors: np.ndarray,
    path: str,
) -> tuple[list[gemmi.Op], list[str]]:
    listed_texts = next((c for c in (_column(block, tag) for tag in _OPERATIONS) if c), [])
    # Magnetic operations end in the reversal of time.
    texts = [",".join(text.split(",")[:3]) for text in listed_texts]
    operations = parse_operations(texts, path)
    name, hall, number = _first(block, _NAMES), _first(block, _HALL), _first(block, _NUMBERS)
    group = group_of(name, int(number[:9]) if number.isdecimal() else 0, hall, (cell[3], cell[5]))
    if len(operations) > 1:
        return operations, []
    if group is None:
        stated = name or hall or number
        if not operations and stated:
            raise FileFormatError(
                f"{path}: the space group '{stated}' is not known and no operations are listed."
            )
        return operations or [gemmi.Op("x,y,z")], []
    of_group = operations_of(group)
    if not operations or len(of_group) == 1:
        return of_group, []
    # Only the identity is listed. Either all atoms are, or the symmetry was forgotten.
    images = sum(len(orbit.positions) for orbit in orbits(positions, of_group, vectors))
    if _closed(positions, of_group, vectors):
        return operations, []
    return of_group, [
        f"the file lists the identity alone but names the space group {group.hm}, which was "
        f"applied ({images} atoms)"
    ]


def _closed(positions: np.ndarray, operations: list[gemmi.Op], vectors: np.ndarray) -> bool:
    """Return whether all images of the sites are sites themselves."""
    for orbit in orbits(positions, operations, vectors):
        steps = orbit.positions[:, None] - positions[None]
        steps = (steps - np.round(steps)) @ vectors
        if (np.linalg.norm(steps, axis=2).min(axis=1) > 0.1).any():
            return False
    return True


def _macromolecule(block: gemmi.cif.Block, path: str) -> Iterator[Reading]:
    table = block.find(
        "_atom_site.",
        ["type_symbol", "label_atom_id", "Cartn_x", "Cartn_y", "Cartn_z", "?label_alt_id",
         "?label_comp_id", "?label_asym_id", "?label_seq_id", "?auth_seq_id", "?occupancy",
         "?pdbx_formal_charge", "?pdbx_PDB_model_num"],
    )  # fmt: skip
    cell = _cell_of(block, ".", path)
    name = _first(block, _NAMES)
    models: dict[str, list[Site]] = {}
    for row in table:

        def text(column: int, row: gemmi.cif.Table.Row = row) -> str:
            if not row.has(column):
                return ""
            return str(gemmi.cif.as_string(row[column])).strip()

        xyz = [gemmi.cif.as_number(row[i]) for i in (2, 3, 4)]
        place = f"{path}: atom {text(1)}"
        if not np.isfinite(xyz).all():
            raise FileFormatError(f"{place} has coordinates that are no numbers.")
        chain, number = text(7), text(9) or text(8)
        charge = text(11)
        models.setdefault(text(12), []).append(
            Site(
                f"{text(1)} of {text(6)} {chain}{number}",
                f"   {chain} {number}",
                text(5),
                require_symbol(text(0), place),
                (xyz[0], xyz[1], xyz[2]),
                gemmi.cif.as_number(text(10), 1.0) if text(10) else 1.0,
                int(charge) if re.fullmatch("[+-]?[0-9]{1,3}", charge) else None,
            )
        )
    for sites in models.values():
        yield reading_of(sites, cell, name, path)
