"""Densities that commands are given: files of any format, tar members, densities in a store."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdft.errors import ConfigurationError, FileFormatError

if TYPE_CHECKING:
    from deepdft.data import DensityDataset
    from deepdft.data.sources import DataSource
    from deepdft.density import Density

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


ReaderOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--read",
        metavar="NAME=VALUE",
        help="Further options of the format's reader (docs/formats.md), as pbc=true, "
        "structure=POSCAR or 'species=[Fe, O]' (repeat).",
    ),
]


def reader_options(
    quantity: str | None = None,
    unit: str | None = None,
    format: str | None = None,
    others: list[str] | None = None,
) -> dict[str, Any]:
    """Return the options of readers that were given.

    Raises:
        ConfigurationError: if one is not of the form NAME=VALUE.
    """
    from deepdft.storage.yaml_text import option_value

    named = {"quantity": quantity, "unit": unit, "format": format}
    given: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    for text in others or []:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise ConfigurationError(f"--read must be NAME=VALUE, not '{text}'.")
        given[name] = option_value(value, f"--read {text[:80]}")
    return given


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
    text = re.sub(r"\b(species=\[\.\.\.\]|structure=FILE)", r"--read '\1'", text)
    return re.sub(r"\b(quantity|unit|format)='([^']+)'", r"--\1 '\2'", text)


def sources_of(path: str) -> list[DataSource]:
    """Return what a path stands for: several densities for tar files, lists, patterns and folders.

    Raises:
        DeepDFTError: if there is nothing, or no density in it.
    """
    import glob

    from deepdft.data.sources import find_sources
    from deepdft.storage.tar_members import split_member

    if not (os.path.exists(split_member(path)[0]) or glob.has_magic(path)):
        raise FileFormatError(f"There is no file {path}.")
    return find_sources([path])


def part_of(dataset: DensityDataset, split: str, option: str) -> DensityDataset:
    """Return the part of a dataset that ``FILE:PART`` names.

    Raises:
        ConfigurationError: if the option is not of that form, or there is no such part.
    """
    from deepdft.data import split_part

    file, separator, part = split.rpartition(":")
    if not separator or not file:
        raise ConfigurationError(f"{option} must be FILE:PART, as splits.json:test, not '{split}'.")
    return split_part(file, part, dataset)
