"""Densities that commands are given: files of any format, tar members, densities in a store."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdft.density import Density
from deepdft.errors import FileFormatError

if TYPE_CHECKING:
    from deepdft.data.sources import DataSource

Quantity = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What the values are, if not a density (see the error)."),
]
Unit = Annotated[
    str | None, typer.Option(help="e/bohr^3 or e/angstrom^3 (VASP layout: rho*V), if known better.")
]
FormatName = Annotated[
    str | None, typer.Option("--format", metavar="NAME", help="Format of the input, by name.")
]


def reader_options(
    quantity: str | None = None, unit: str | None = None, format: str | None = None
) -> dict[str, Any]:
    """Return what was given of the options that all commands share."""
    given = {"quantity": quantity, "unit": unit, "format": format}
    return {key: value for key, value in given.items() if value is not None}


def read_density(path: str, options: dict[str, Any]) -> Density:
    """Read a density as `deepdft.data.reading.read_density` does.

    Raises:
        DeepDFTError: with the options of the command line in place of those of Python.
    """
    from deepdft.data.reading import read_density as read

    try:
        return read(path, **options)
    except FileFormatError as error:
        raise FileFormatError(as_options(str(error))) from None


def as_options(text: str) -> str:
    """Return a message about arguments of Python with the options of the command line."""
    return re.sub(r"\b(quantity|unit|format)='([^']+)'", r"--\1 '\2'", text)


def sources_of(path: str) -> list[DataSource]:
    """Return what a path stands for: several densities for tar files, lists, patterns and folders.

    Raises:
        DeepDFTError: if there is nothing, or no density in it.
    """
    import glob

    from deepdft.data.sources import find_sources
    from deepdft.io.archive import split_member

    if not (os.path.exists(split_member(path)[0]) or glob.has_magic(path)):
        raise FileFormatError(f"There is no file {path}.")
    return find_sources([path])
