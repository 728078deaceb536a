"""`deepdft models`, `deepdft info` and `deepdft import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdft.cli.common import give

if TYPE_CHECKING:
    from rich.console import Console

_FEW = 10
"""More elements than this are counted as well as listed."""


def models() -> None:
    """List the bundled models: what each is for, and how good it is.

    `deepdft predict` chooses among them by itself. The error is the mean eps_mae on structures
    held out of training; "electrons off" is how far a density's electrons are from their number.

    Examples:

    deepdft models

    deepdft models --json models.json
    """
    from rich.console import Console

    from deepdft.models.overview import bundled_overviews

    console = Console(markup=False, highlight=False, soft_wrap=True)
    found = bundled_overviews()
    for model in found:
        elements = model.coverage.elements
        listed = f"{len(elements)} elements: " if len(elements) > _FEW else ""
        console.print(model.coverage.model, style="bold")
        console.print(f"  for        {model.coverage.made_for}, net charge {model.charges}")
        console.print(f"  elements   {listed}{' '.join(elements)}")
        if model.error is not None:
            off = (
                "" if model.electrons_off is None else f"; electrons off {model.electrons_off:.3f}"
            )
            console.print(f"  eps_mae    {model.error:.3g} % ({model.part}){off}")
        console.print(f"  trained on {model.level}")
    give([model.as_dict() for model in found])


def info(
    model: Annotated[str, typer.Argument(help="Bundled name or model folder.")] = "default",
) -> None:
    """Print a model's card."""
    from rich.console import Console

    from deepdft.models.bundled import find_model, open_checkpoint
    from deepdft.models.expected_errors.error_model import load_error_model

    checkpoint = open_checkpoint(model)
    errors = load_error_model(find_model(model))
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(str(model), style="bold")
    console.print(f"architecture: {checkpoint.architecture}, {checkpoint.parameters:,} parameters")
    _print_entries(console, {"options": checkpoint.options.model_dump()}, 0)
    console.print(f"elements: {' '.join(checkpoint.symbols)}")
    console.print(f"level of theory: {checkpoint.level}")
    console.print(f"atomic first guess: {checkpoint.baseline or 'none'}")
    _print_entries(console, checkpoint.card, 0)
    known = "unknown" if errors is None else errors.about
    _print_entries(console, {"expected errors": known}, 0)
    give(
        {
            "model": str(model), "architecture": checkpoint.architecture,
            "parameters": checkpoint.parameters, "elements": checkpoint.symbols,
            "options": checkpoint.options.model_dump(mode="json"),
            "level_of_theory": checkpoint.level.to_dict(), "baseline": checkpoint.baseline,
            "card": checkpoint.card, "expected_errors": None if errors is None else errors.about,
        }
    )  # fmt: skip


def import_model(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="Directory with arguments.json and best_model.pth, or any model."
        ),
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Model folder to write.")],
    level: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE",
            help="Level of theory of its training data: functional=PBE, core=PAW, basis=..., "
            "code=... (repeat).",
        ),
    ] = None,
    elements: Annotated[
        str | None,
        typer.Option(
            metavar="SYMBOLS", help="Elements of its training data, as 'H C N O F'; others go."
        ),
    ] = None,
) -> None:
    """Turn a checkpoint of the authors' released code into a model folder.

    A folder holds safetensors and JSON, and what the checkpoint does not say: the level of theory.
    """
    from rich.console import Console

    from deepdft.levels import parse_level
    from deepdft.models.importing import import_model as run

    symbols = None if elements is None else elements.replace(",", " ").split()
    written = run(source, output, level=parse_level(level or []), elements=symbols)
    give({"folder": output, "architecture": written.architecture, "elements": written.elements,
          "level_of_theory": str(written.level)})  # fmt: skip
    Console(highlight=False, soft_wrap=True, markup=False).print(
        f"written: {output} ({written.architecture}, "
        f"{len(written.elements)} elements, {written.level})"
    )


def _print_entries(console: Console, entries: dict[str, Any], depth: int) -> None:
    for key, value in entries.items():
        label = "  " * depth + key.replace("_", " ")
        if isinstance(value, dict):
            console.print(f"{label}:")
            _print_entries(console, value, depth + 1)
        elif isinstance(value, list):
            console.print(f"{label}: {', '.join(map(str, value))}")
        else:
            console.print(f"{label}: {value}")
