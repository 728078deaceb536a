"""The list of formats, and which one a file has: by its name, and by content where that is silent.

A format is a module with

- ``sniff(head: bytes) -> bool``: whether the first bytes of a file look like it;
- ``read(source: Source, **options) -> Density``;
- ``read_preview(source: Source, **options) -> Atoms``, if the structure comes before the values;
- ``write(path, density, **options)`` and ``open_writer(path, atoms, grid, *, level, comment,
  **options) -> SlabWriter``, if it can be written.

It is imported when it is needed. To add a format, add its module and one entry to `FORMATS`; a
package of its own names its entry, a `Format`, under `deepdft.formats`.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepdft.errors import ConfigurationError, FileFormatError, did_you_mean
from deepdft.formats import hdf5
from deepdft.formats.source import Source
from deepdft.plug_ins import FORMATS as GROUP
from deepdft.plug_ins import load_plug_in, plug_ins
from deepdft.storage.compression import CODECS


@dataclass(frozen=True)
class Format:
    """One file format.

    Attributes:
        name: what the option `format` calls it.
        title: for people.
        pattern: what file names of it look like (without the suffix of a compression).
        module: has `sniff` and `read`.
        writer: module with `write` and `open_writer`, or "".
        spin: whether spin densities are kept.
        cells: which cells it can hold.
        oracle: what its reader and writer are checked against.
    """

    name: str
    title: str
    pattern: re.Pattern[str]
    module: str
    writer: str
    spin: str
    cells: str
    oracle: str

    def sniff(self, head: bytes) -> bool:
        """Return whether the first bytes of a file look like this format."""
        return bool(importlib.import_module(self.module).sniff(head))

    @property
    def has_preview(self) -> bool:
        """Whether the structure can be read without the values."""
        return hasattr(importlib.import_module(self.module), "read_preview")

    def function(self, name: str) -> Callable[..., Any]:
        """Return the module's function `read`, `read_preview`, `write` or `open_writer`."""
        module = self.module if name.startswith("read") else self.writer
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return function


def _named(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


FORMATS = (
    Format(
        "cube",
        "Gaussian cube",
        _named(r"\.(cube|cub)$"),
        "deepdft.formats.cube",
        "deepdft.formats.cube",
        "yes, as further values of each voxel",
        "any, with origin",
        "ASE, PySCF",
    ),
    Format(
        "vasp",
        "VASP CHGCAR, CHG, AECCAR, PARCHG, LOCPOT, ELFCAR",
        _named(r"(^|[._\s-])(chgcar|chg|aeccar\d?|parchg|locpot|elfcar|chgdiff)([._\s-]|$)"),
        "deepdft.formats.vasp",
        "deepdft.formats.vasp_writer",
        "yes, collinear and not",
        "any",
        "ASE, pymatgen",
    ),
    Format(
        "chgcar-json",
        "JSON of pymatgen's Chgcar (Materials Project)",
        _named(r"(chgcar|chg|aeccar|parchg|locpot|elfcar)[^/]*\.json$"),
        "deepdft.formats.chgcar_json",
        "",
        "yes, collinear and not",
        "any",
        "pymatgen",
    ),
    Format(
        "xsf",
        "XCrySDen XSF",
        _named(r"\.xsf$"),
        "deepdft.formats.xsf",
        "deepdft.formats.xsf_writer",
        "no",
        "any, with origin",
        "ASE, pymatgen",
    ),
    Format(
        "siesta",
        "SIESTA RHO (binary)",
        re.compile(r"\.(RHO|DRHO|LDOS|VH|VT|VNA|TOCH)$"),
        "deepdft.formats.siesta",
        "",
        "yes, collinear and not",
        "any",
        "Fortran records written by SciPy; a file of SIESTA",
    ),
    Format(
        "quantum-espresso",
        "Quantum ESPRESSO pp.x plot file",
        _named(r"\.(pp|filplot)$"),
        "deepdft.formats.quantum_espresso",
        "",
        "no",
        "any (all ibrav)",
        "files of pp.x 6.7 (plot and cube); lattice constants",
    ),
    Format(
        "quantum-espresso-save",
        "Quantum ESPRESSO charge-density.dat, .hdf5",
        _named(r"charge-density[^/]*\.(dat|hdf5)$"),
        "deepdft.formats.quantum_espresso_save",
        "deepdft.formats.quantum_espresso_writer",
        "yes, collinear and not",
        "any",
        "files and pp.x of version 6.7; h5py",
    ),
    Format(
        "siesta-netcdf",
        "SIESTA NetCDF grid",
        _named(r"\.grid\.nc$"),
        "deepdft.formats.siesta_netcdf",
        "",
        "yes, collinear and not",
        "any",
        "NetCDF files written by SciPy, h5py",
    ),
    Format(
        "vasp-hdf5",
        "VASP vaspwave.h5, vaspout.h5",
        _named(r"vasp(wave|out).*\.(h5|hdf5)$"),
        "deepdft.formats.vasp_hdf5",
        "",
        "yes, collinear and not",
        "any",
        "pymatgen, h5py",
    ),
    Format(
        "npz",
        "NumPy archive",
        _named(r"\.npz$"),
        "deepdft.formats.npz",
        "deepdft.formats.npz",
        "yes, collinear and not",
        "any, with origin",
        "NumPy",
    ),
    Format(
        "npy",
        "NumPy array with its structure beside",
        _named(r"\.npy$"),
        "deepdft.formats.npy",
        "",
        "no",
        "any",
        "a file of MALA; NumPy",
    ),
    Format(
        "zarr",
        "zarr group",
        _named(r"\.zarr$"),
        "deepdft.formats.zarr_density",
        "deepdft.formats.zarr_density",
        "yes, collinear and not",
        "any, with origin",
        "zarr",
    ),
    Format(
        "molden",
        "Molden",
        _named(r"\.(molden|mold)([._](input|inp|in))?$"),
        "deepdft.formats.molden",
        "",
        "yes",
        "none, or any at the Gamma point",
        "PySCF; a file of CP2K",
    ),
    Format(
        "pyscf-checkpoint",
        "PySCF checkpoint",
        _named(r"\.(chk|chkfile)$"),
        "deepdft.formats.pyscf_checkpoint",
        "",
        "yes",
        "none, or any at the Gamma point",
        "PySCF",
    ),
)


def formats() -> list[Format]:
    """Return all formats, ours first; those of packages that cannot be used are left out."""
    return [*FORMATS, *(entry for _, entry in _of_others() if isinstance(entry, Format))]


def _of_others() -> Iterator[tuple[str, Format | ConfigurationError]]:
    """Yield names and formats of other packages, or why they cannot be used."""
    ours = {entry.name for entry in FORMATS}
    for name in plug_ins(GROUP):
        if name in ours:
            continue
        try:
            yield name, load_plug_in(GROUP, name, Format, "format")
        except ConfigurationError as error:
            yield name, error


def find_format(name: str) -> Format:
    """Return the format that `name` names.

    Raises:
        ConfigurationError: if there is none, or the package that brings it cannot be used.
    """
    for entry in FORMATS:
        if entry.name == name:
            return entry
    others = dict(_of_others())
    found = others.get(name)
    if isinstance(found, Format):
        return found
    if found is not None:
        raise found
    names = [*(entry.name for entry in FORMATS), *others]
    raise ConfigurationError(
        f"There is no format '{name}' (known: {', '.join(names)}).{did_you_mean(name, names)}"
    )


def format_to_read(source: Source) -> Format:
    """Return the format of a file by its name, or by its content.

    Raises:
        FileFormatError: if neither tells.
    """
    named = _format_of_name(source.name)
    if named is not None:
        return named
    if hdf5.sniff(source.head):
        return find_format(hdf5.format_of(source))
    for entry in FORMATS:
        if entry.sniff(source.head):
            return entry
    unusable = []
    for name, other in _of_others():
        try:
            if isinstance(other, Format) and other.sniff(source.head):
                return other
        except Exception as error:  # whatever a module of others does while it is imported
            other = ConfigurationError(f"The format '{name}' cannot be used: {error}.")
        if isinstance(other, ConfigurationError):
            unusable.append(f" {other}")
    raise FileFormatError(
        f"{source.path} is in no known format, neither by its name nor by its content (known: "
        f"{', '.join(entry.title for entry in formats())}).{''.join(unusable)}"
    )


def format_to_write(path: str | Path) -> Format:
    """Return the format that the name of a file to be written asks for.

    Raises:
        ConfigurationError: if the name asks for none, or for one that cannot be written.
    """
    name = Path(path).name
    for codec in CODECS:
        if name.lower().endswith(codec.suffix):
            name = name[: -len(codec.suffix)]
            break
    entry = _format_of_name(name)
    if entry is None:
        raise ConfigurationError(
            f"{path}: the name does not tell the format; use for example .cube, .CHGCAR or .npz."
        )
    if not entry.writer:
        raise ConfigurationError(f"{path}: {entry.title} files are read, but not written.")
    return entry


def _format_of_name(name: str) -> Format | None:
    """Return the format that the end of a file name speaks of: `CHGCAR.xsf` is an XSF file."""
    known = formats()
    ends = [match.end() if (match := entry.pattern.search(name)) else 0 for entry in known]
    return known[ends.index(max(ends))] if max(ends) else None


def check_options(function: Callable[..., Any], options: dict[str, Any], what: str) -> None:
    """Raise `ConfigurationError` for an option that `function` does not take."""
    known = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    for option in options:
        if option not in known:
            raise ConfigurationError(
                f"{what} has no option '{option}' (known: {', '.join(known) or 'none'})."
                f"{did_you_mean(option, known)}"
            )
