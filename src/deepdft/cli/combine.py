"""`deepdft combine`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deepdft.cli.common import give
from deepdft.cli.inputs import (
    Quantity,
    ReaderOptions,
    Unit,
    as_options,
    read_density,
    reader_options,
)
from deepdft.errors import ConfigurationError

_SIGNS = {"+": 1.0, "-": -1.0}


def combine(
    terms: Annotated[
        list[str],
        typer.Argument(
            metavar="A + B ...",
            help="Densities with + or - between them, as words of their own: up.cube + down.cube.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File; its name tells the format.")
    ],
    result: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What the result is, as spin-density; by default a density, with a minus a "
            "difference-density.",
        ),
    ] = None,
    spin: Annotated[
        bool,
        typer.Option("--spin", help="Of UP + DOWN also keep UP - DOWN, as the spin density."),
    ] = False,
    mix_levels: Annotated[
        bool, typer.Option("--mix-levels", help="Combine different levels of theory all the same.")
    ] = False,
    quantity: Quantity = None,
    unit: Unit = None,
    read: ReaderOptions = None,
) -> None:
    """Add and subtract densities on one grid.

    Total density and spin density of two spin channels, all electrons of VASP's AECCAR0 and
    AECCAR2, difference densities:

    deepdft combine up.cube + down.cube -o total.cube

    deepdft combine up.cube - down.cube --result spin-density -o spin.cube

    deepdft combine AECCAR0 + AECCAR2 -o all.CHGCAR

    deepdft combine AB.cube - A.cube - B.cube -o bond.cube
    """
    from deepdft.formats import write
    from deepdft.formats.combination import Term
    from deepdft.formats.combination import combine as combined
    from deepdft.formats.quantities import QUANTITIES, find_quantity
    from deepdft.formats.registry import format_to_write

    entry = format_to_write(output)
    if result is not None:
        find_quantity(result)
    options = reader_options(quantity, unit, others=read)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    parsed = [
        Term(sign, os.path.basename(path), read_density(path, options))
        for sign, path in parse_terms(terms)
    ]
    density = combined(parsed, quantity=result, spin=spin, mix_levels=mix_levels)
    for note in density.metadata.get("notes", []):
        console.print(f"note: {as_options(note)}")
    write(output, density)
    kind = QUANTITIES[density.metadata.get("quantity", "density")]
    what = f"{density.n_electrons:.4f} electrons" if kind.name == "density" else kind.name
    if kind.is_density and kind.name != "density":
        what = f"{kind.name}, integral {density.n_electrons:.4f}"
    give({"file": output, "format": entry.title, "grid": density.grid.shape,
          "quantity": kind.name, "integral": density.n_electrons})  # fmt: skip
    points = "x".join(map(str, density.grid.shape))
    console.print(f"written: {output} ({entry.title}, {points} points, {what})")


def parse_terms(words: list[str]) -> list[tuple[float, str]]:
    """Return sign and path of each term of `A + B - C`, given as words or as one text.

    Raises:
        ConfigurationError: if signs and paths do not take turns, or there is only one path.
    """
    parts: list[str] = []
    for word in words:
        if os.path.exists(word):
            parts.append(word)
        else:
            parts += [part for part in re.split(r"\s+([+-])\s+|^([+-])\s+", word) if part]
    if parts and parts[0] not in _SIGNS:
        parts.insert(0, "+")
    signs, paths = parts[::2], parts[1::2]
    if (
        len(signs) != len(paths)
        or any(sign not in _SIGNS for sign in signs)
        or any(path in _SIGNS for path in paths)
        or len(paths) < 2
    ):
        raise ConfigurationError(
            f"'{' '.join(words)}' is not of the form A + B or A - B, with blanks around the signs."
        )
    return [(_SIGNS[sign], path) for sign, path in zip(signs, paths, strict=True)]
