"""HDF5 files, which many programs write: opening them, and telling whose they are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deepdft.errors import DeepDFTError, FileFormatError
from deepdft.extras import import_extra
from deepdft.formats.source import Source
from deepdft.storage.damage import DAMAGE, reason_of

_MAGIC = b"\x89HDF\r\n\x1a\n"
_EXPANSION = 1100
"""Values that a dataset may claim for each byte stored (deflate's best)."""

POINTS = "chgcar_random"
"""The group of a file of values at scattered points (deepdft.formats.points)."""

_CONTENTS = (
    ("vasp-hdf5", "VASP", ("charge/charge",)),
    ("quantum-espresso-save", "Quantum ESPRESSO", ("MillerIndices", "rhotot_g")),
    ("siesta-netcdf", "SIESTA", ("gridfunc", "cell")),
    ("pyscf-checkpoint", "PySCF", ("mol", "scf")),
    ("pyscf-checkpoint", "PySCF", ("mol", "scf_data")),
    ("", "VASP without a density (LCHARGH5 = T writes vaspwave.h5)", ("results/positions",)),
    ("", "VASP without a density (LCHARGH5 = T writes vaspwave.h5)", ("input/incar",)),
    ("", "Quantum ESPRESSO (wave functions; the density is in charge-density.hdf5)",
     ("MillerIndices", "evc")),
    ("", "SIESTA (its density is in Rho.grid.nc)", ("GRID", "BASIS")),
    ("", "ABINIT", ("primitive_vectors", "reduced_atom_positions")),
    ("", "BerkeleyGW", ("mf_header",)),
    ("", "OpenMolcas", ("BASIS_FUNCTION_IDS", "CENTER_LABELS")),
    ("", "TREXIO", ("nucleus", "metadata")),
    ("", "QMCPACK", ("application", "format")),
    ("", "Octopus", ("octopus",)),
    ("", "DFTK or JLD2", ("_types",)),
    ("", "QCSchema", ("qcschema",)),
    ("", "CP2K", ("CP2K",)),
    ("", "AiiDA or Wien2k interfaces of TRIQS", ("dft_input",)),
)  # fmt: skip
"""Name of our format ("" for none), program, and what its files hold."""


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like HDF5."""
    return head.startswith(_MAGIC)


@contextmanager
def opened(source: Source) -> Iterator[Any]:
    """Open an HDF5 file for reading.

    Raises:
        FileFormatError: if it is none, or reading within the block shows that it is damaged.
        MissingDependencyError: if h5py is not installed.
    """
    h5py = import_extra("h5py", "Reading an HDF5 file")
    try:
        with source.open() as raw:
            seekable = raw if source.codec is None else io.BytesIO(raw.readall())
            with h5py.File(seekable, "r") as file:
                _require_whole(h5py, file)
                yield file
    except DeepDFTError:
        raise
    except (*DAMAGE, SystemError) as error:  # the latter where h5py visits what is damaged
        raise FileFormatError(
            f"{source.path} is not an HDF5 file, or damaged: {reason_of(error)}"
        ) from None


def _require_whole(h5py: Any, file: Any) -> None:
    """Raise `ValueError` if a file takes values from other files, whose paths it names."""

    def is_elsewhere(name: str, link: Any) -> str | None:
        return name if isinstance(link, h5py.ExternalLink) else None

    def is_outside(name: str, found: Any) -> str | None:
        return name if hasattr(found, "external") and (found.external or found.is_virtual) else None

    outside = file.visititems_links(is_elsewhere) or file.visititems(is_outside)
    if outside is not None:
        raise ValueError(f"'{str(outside)[:60]}' lies in another file")


def points_refusal(path: str) -> FileFormatError:
    """Return the error for a file of points that was taken for a density on a grid."""
    return FileFormatError(
        f"{path} holds values at scattered points, not on a grid, so there is no density to write, "
        "compare or store; deepdft.formats.points.read_points gives points and values."
    )


def dataset(source: Source, file: Any, place: str) -> Any:
    """Return a dataset that does not claim more values than the file holds.

    Raises:
        FileFormatError: if it does, or is not there.
    """
    found = file.get(place)
    if found is None or not hasattr(found, "size"):  # a group, or the name of a type
        raise FileFormatError(f"{source.path} has no dataset {place}.")
    if found.size * found.dtype.itemsize > _EXPANSION * max(1, found.id.get_storage_size()):
        raise FileFormatError(f"{source.path}: {place} claims more values than the file holds.")
    return found


def format_of(source: Source) -> str:
    """Return the name of the format that an HDF5 file's content is in.

    Raises:
        FileFormatError: if it is in none that is known; it names the program where that is.
    """
    with opened(source) as file:
        for name, _, places in _CONTENTS:
            if name and all(place in file for place in places):
                return name
        raise unknown(source, file)


def unknown(source: Source, file: Any) -> FileFormatError:
    """Return the error for a file without a density that we could read: whose it is, if known."""
    if POINTS in file:
        return points_refusal(source.path)
    for _, program, places in _CONTENTS:
        if all(place in file for place in places):
            return FileFormatError(
                f"{source.path} is an HDF5 file of {program}; no density can be read from it."
            )
    held = ", ".join(str(key)[:40] for key in list(file)[:8]) or "nothing"
    return FileFormatError(
        f"{source.path} is an HDF5 file of no program known here (it holds: {held}); densities are "
        "read from those of VASP, Quantum ESPRESSO, SIESTA and PySCF."
    )
