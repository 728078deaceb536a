"""Structures that commands are given, with what is said about them on the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from deepdft.errors import DeepDFTError

if TYPE_CHECKING:
    from deepdft.structures import Structure

Structures = Annotated[
    list[str],
    typer.Argument(
        metavar="STRUCTURE...",
        help="Structure files (xyz, cif, POSCAR, pdb, sdf, ...; all frames), or SMILES.",
    ),
]
ChosenModel = Annotated[
    str | None,
    typer.Option("-m", "--model", help="Bundled name or model folder; default: chosen."),
]
Skip = Annotated[
    bool,
    typer.Option("--skip", help="Go on behind structures that cannot be treated, list them."),
]
Charge = Annotated[
    int | None,
    typer.Option(metavar="E", help="Net charge of the structures, where their files state none."),
]
Multiplicity = Annotated[
    int | None,
    typer.Option(metavar="2S+1", help="Spin multiplicity, where the files state none."),
]
Ordered = Annotated[
    bool,
    typer.Option("--ordered", help="Pick an ordered structure where sites are occupied in part."),
]
Relax = Annotated[
    bool, typer.Option("--relax", help="Improve the geometry of molecules by GFN2-xTB first.")
]


class Refusals:
    """Structures that cannot be used: raised at once, or with `--skip` listed at the end."""

    def __init__(self, skip: bool) -> None:
        self.skip = skip
        self.found: list[tuple[str, DeepDFTError]] = []

    def add(self, name: str, error: DeepDFTError) -> None:
        """Take in a structure that cannot be used.

        Raises:
            DeepDFTError: the error itself, unless such structures are skipped.
        """
        if not self.skip:
            raise error
        self.found.append((name, error))

    def finish(self, console: Console) -> None:
        """List what was skipped, and leave with exit code 1 if anything was."""
        for name, error in self.found:
            console.print(
                f"skipped: {name}: {error}", highlight=False, soft_wrap=True, markup=False
            )
        if self.found:
            raise typer.Exit(1)


def print_notes(console: Console, structures: list[Structure]) -> None:
    """Print what was assumed of structures, a line each."""
    for structure in structures:
        for note in structure.notes:
            console.print(
                f"note: {structure.name}: {note}", highlight=False, soft_wrap=True, markup=False
            )


_SETTING = re.compile(r"[a-z][a-z_]+(\.\w+)*=")
"""Keys are words in small letters; SMILES begin with the letters of an element."""


def is_setting(text: str) -> bool:
    """Return whether an argument is KEY=VALUE rather than a path or SMILES, as CC=O is."""
    return _SETTING.match(text) is not None and not Path(text).exists()
