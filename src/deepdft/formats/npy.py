"""Bare NumPy arrays (.npy): values on a grid, and the structure from somewhere else.

An array (nx, ny, nz), or (nx, ny, nz, 1), over the unit cell, far faces not repeated. The
structure is in `NAME.info.json` beside `NAME.npy`, as the data of MALA have it (`atoms` with
`numbers`, `positions`, `cell`, `pbc`, Å; perhaps `number_of_electrons_exact` and `ecutwfc`, Ry), or
in the file that the option `structure` names.
"""

from __future__ import annotations

import json
import os
import tokenize
from io import RawIOBase
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats.interpretation import Interpretation, check_unit
from deepdft.formats.quantities import QUANTITIES, find_quantity
from deepdft.formats.source import Source
from deepdft.formats.structure_file import read_structure
from deepdft.storage.damage import DAMAGE, reason_of

_PIECE = 1 << 24


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like a NumPy array."""
    return head.startswith(b"\x93NUMPY")


def read(
    source: Source,
    *,
    quantity: str | None = None,
    unit: str | None = None,
    structure: str | None = None,
) -> Density:
    """Read an array of values over the unit cell of a structure.

    Args:
        source: the file.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.
        unit: "e/bohr^3" or "e/angstrom^3"; where not given, the electron count decides.
        structure: file with atoms and cell, any that ASE reads, instead of NAME.info.json.

    Raises:
        FileFormatError: if the file is damaged, is no grid of real numbers, or has no structure.
        ConfigurationError: if the structure that was named cannot be read or has no cell.
    """
    kind = QUANTITIES["density"] if quantity is None else find_quantity(quantity)
    unit = check_unit(unit)
    values = _read_values(source)
    about: dict[str, Any] = {}
    if structure is not None:
        atoms, notes = read_structure(structure), [f"The structure was taken from {structure}."]
    else:
        atoms, about, notes = _structure_beside(source)
    if atoms.cell.rank < 3:
        raise ConfigurationError(
            f"{source.path} is an array over a unit cell, but its structure has no cell."
        )
    interpretation = Interpretation(
        path=source.path,
        quantity=kind,
        unit=unit,
        default_unit="e/angstrom^3",
        pbc=[bool(periodic) for periodic in atoms.pbc],
        described=_level(about),
        notes=notes,
    )
    nx, ny, nz = values.shape
    grid = Grid(np.asarray(atoms.cell), (nx, ny, nz))
    density = interpretation.density(atoms, grid, values)
    _note_count(about, density)
    return density


def _read_values(source: Source) -> NDArray[np.float64]:
    try:
        with source.open() as file:
            shape, fortran_order, kind = _read_header(file)
            count = int(np.prod([int(n) for n in shape], dtype=object))
            size = count * kind.itemsize
            if kind.kind not in "fiu" or len(shape) not in (3, 4) or 0 in shape:
                raise ValueError(f"an array of shape {shape} and type {kind} is no grid of numbers")
            if len(shape) == 4 and shape[3] != 1:
                raise ValueError(f"it has {shape[3]} values a point; save one of them by itself")
            if source.size is not None and size > source.size:
                raise ValueError(f"it claims {count} values, which {source.size} bytes do not hold")
            data = _read_bytes(file, size)
    except (ValueError, SyntaxError, tokenize.TokenError, TypeError, EOFError) as error:
        raise FileFormatError(
            f"{source.path} holds no density on a grid, or it is damaged: {reason_of(error)}."
        ) from None
    order: Any = "F" if fortran_order else "C"
    table = np.frombuffer(data, dtype=kind).reshape(shape[:3], order=order)
    values = table.astype(np.float64)
    if not np.isfinite(values).all():
        raise FileFormatError(f"{source.path}: a value is not finite.")
    return values


def _read_header(file: RawIOBase) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"version {version} of the format is not known")
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = readers[version](file)
    return header


def _read_bytes(file: RawIOBase, size: int) -> bytearray:
    """Read `size` bytes, without making room for what does not come."""
    data = bytearray()
    while len(data) < size:
        piece = file.read(min(_PIECE, size - len(data)))
        if not piece:
            raise EOFError("it ends too early")
        data += piece
    return data


def _structure_beside(source: Source) -> tuple[Atoms, dict[str, Any], list[str]]:
    """Read NAME.info.json beside the array."""
    stem = os.path.splitext(source.name)[0]
    path = os.path.join(os.path.dirname(source.local), f"{stem}.info.json")
    try:
        with open(path, encoding="utf-8") as file:
            about: Any = json.load(file)
        known = about["atoms"]
        atoms = Atoms(
            numbers=np.array(known["numbers"], dtype=int),
            positions=np.array(known["positions"], dtype=np.float64).reshape(-1, 3),
            cell=np.array(known["cell"], dtype=np.float64),
            pbc=known.get("pbc", True),
        )
    except FileNotFoundError:
        raise FileFormatError(
            f"{source.path} has no structure, and there is no {os.path.basename(path)} beside it; "
            "pass structure=FILE."
        ) from None
    except DAMAGE as error:
        raise FileFormatError(f"{path} does not describe a structure: {reason_of(error)}") from None
    if not np.isfinite(np.asarray(atoms.cell)).all() or not np.isfinite(atoms.positions).all():
        raise FileFormatError(f"{path} does not describe a structure: a number is not finite.")
    return atoms, about, [f"The structure was taken from {os.path.basename(path)}."]


def _number(about: dict[str, Any], key: str) -> float | None:
    value = about.get(key)
    if not isinstance(value, (int, float)) or not abs(value) < 1e300:  # integers have no end
        return None
    return float(value)


def _level(about: dict[str, Any]) -> dict[str, str]:
    """Return what the description says about the calculation; `ibrav` is Quantum ESPRESSO's."""
    cutoff = _number(about, "ecutwfc")
    if cutoff is None or "ibrav" not in about:
        return {}
    return {"code": "Quantum ESPRESSO", "basis": f"{cutoff:g} Ry"}


def _note_count(about: dict[str, Any], density: Density) -> None:
    expected = _number(about, "number_of_electrons_exact")
    if expected is None or "quantity" in density.metadata:
        return
    agrees = abs(density.n_electrons - expected) <= max(0.1, 0.01 * expected)
    warning = "" if agrees else f"Warning: the array integrates to {density.n_electrons:.4f}. "
    density.metadata["notes"].append(f"{warning}Its description names {expected:g} electrons.")
