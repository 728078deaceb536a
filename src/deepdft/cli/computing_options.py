"""Options of commands that compute with a model: where, with how many threads, and how."""

from __future__ import annotations

from typing import Annotated

import typer

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads [default: all].")]
ExactElectrons = Annotated[
    bool,
    typer.Option(
        "--exact-electrons/--no-exact-electrons",
        help="Correct densities to have as many electrons as the structures.",
    ),
]
Vacuum = Annotated[
    float, typer.Option(help="Space around molecules beyond the outermost nuclei, Å.")
]
