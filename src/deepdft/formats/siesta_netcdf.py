"""SIESTA's grids in NetCDF files: Rho.grid.nc, and what lies beside it in the same layout.

Layout (iogrid_netcdf.F90 of SIESTA): `cell` (3, 3), bohr; `gridfunc` (spin, n3, n2, n1), e/bohr^3;
the spin components are those of LABEL.RHO (see `deepdft.formats.siesta`). The file may be of the
classic kind or HDF5. It has no atoms; they are taken from the LABEL.XV beside it.
"""

from __future__ import annotations

import io
import os
import re
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import FileFormatError
from deepdft.formats import hdf5
from deepdft.formats.siesta import density_of, find_atoms, recognise
from deepdft.formats.source import Source
from deepdft.storage.damage import reason_of
from deepdft.units import BOHR

_OTHERS = (
    (re.compile(r"^DeltaRho\.", re.IGNORECASE), "difference-density"),
    (re.compile(r"^(LDOS)\.", re.IGNORECASE), "partial-density"),
    (re.compile(r"Potential\.|^Vna\.|^Chlocal\.", re.IGNORECASE), "potential"),
)


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like a classic NetCDF file."""
    return head[:3] == b"CDF" and head[3:4] in (b"\x01", b"\x02", b"\x05")


def read(source: Source, *, quantity: str | None = None, structure: str | None = None) -> Density:
    """Read a grid of SIESTA.

    Args:
        source: the file.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.
        structure: file with the atoms, any that ASE reads; instead of LABEL.XV beside the grid.

    Raises:
        FileFormatError: if the file is not such a grid, is damaged, or holds something else.
    """
    kind = recognise(source, quantity, _OTHERS)
    cell, values = _read_hdf5(source) if hdf5.sniff(source.head) else _read_classic(source)
    if values.ndim == 3:
        values = values[None]
    sensible = values.ndim == 4 and len(values) in (1, 2, 4, 8) and 0 not in values.shape
    if cell.shape != (3, 3) or not sensible:
        raise _damaged(source, f"a cell of shape {cell.shape}, values of shape {values.shape}")
    if cell.dtype.kind not in "iuf" or values.dtype.kind not in "iuf":
        raise _damaged(source, f"a cell of {cell.dtype}, values of {values.dtype}")
    cell = np.asarray(cell, dtype=np.float64)
    if not (np.isfinite(cell).all() and np.isfinite(values).all()):
        raise _damaged(source, "a value is not finite")
    if abs(np.linalg.det(cell)) < 1e-12:
        raise _damaged(source, "its cell has no volume")
    components = [np.asarray(block.transpose(2, 1, 0), dtype=np.float64) for block in values]
    shape = components[0].shape
    grid = Grid(cell * BOHR, (shape[0], shape[1], shape[2]))
    notes: list[str] = []
    atoms = _atoms(source, structure, notes)
    return density_of(source, kind, atoms, grid, components, notes)


def _damaged(source: Source, reason: str) -> FileFormatError:
    return FileFormatError(f"{source.path} is not a NetCDF grid of SIESTA, or damaged: {reason}.")


def _read_hdf5(source: Source) -> tuple[NDArray[Any], NDArray[Any]]:
    with hdf5.opened(source) as file:
        if "gridfunc" not in file or "cell" not in file:
            raise hdf5.unknown(source, file)
        cell, values = (hdf5.dataset(source, file, name)[()] for name in ("cell", "gridfunc"))
    return np.asarray(cell), np.asarray(values)


def _read_classic(source: Source) -> tuple[NDArray[Any], NDArray[Any]]:
    from scipy.io import netcdf_file

    if source.head[3:4] == b"\x05":
        raise FileFormatError(
            f"{source.path} is a NetCDF file of 64-bit data (CDF-5), which is not read; "
            "`nccopy -k nc4` turns it into one that is."
        )
    try:
        with source.open() as raw, netcdf_file(io.BytesIO(raw.readall()), mmap=False) as file:
            found = {name: file.variables.get(name) for name in ("cell", "gridfunc")}
            if None in found.values():
                held = ", ".join(sorted(map(str, file.variables))[:8]) or "nothing"
                program = "ABINIT" if "primitive_vectors" in file.variables else "another program"
                raise FileFormatError(
                    f"{source.path} is a NetCDF file of {program}, not a grid of SIESTA "
                    f"(it holds: {held})."
                )
            return tuple(np.array(variable[:]) for variable in found.values())  # type: ignore
    except FileFormatError:
        raise
    except Exception as error:  # whatever SciPy's parser stumbles over
        raise _damaged(source, reason_of(error)) from None


def _atoms(source: Source, structure: str | None, notes: list[str]) -> Atoms:
    """Return the atoms of the only LABEL.XV in the folder; the grid's name has no label."""
    folder = os.path.dirname(source.local)
    labels = sorted(name for name in os.listdir(folder or ".") if name.endswith(".XV"))
    label = labels[0] if len(labels) == 1 else "LABEL.XV"
    if len(labels) > 1:
        notes.append(f"There are several .XV files beside the grid ({', '.join(labels[:5])}).")
    return find_atoms(os.path.join(folder, label), structure, notes)
