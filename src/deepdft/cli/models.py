"""`deepdft models` and `deepdft info`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deepdft.density import LevelOfTheory


def models() -> None:
    """List the bundled models."""
    from deepdft.models.bundled import bundled_models
    from deepdft.models.checkpoint import read_description

    table = Table()
    for column in ("name", "elements", "level of theory", "test eps_mae / %", "data"):
        table.add_column(column)
    for name, folder in bundled_models().items():
        description = read_description(folder)
        card = description.get("card", {})
        error = card.get("test", {}).get("eps_mae_percent")
        table.add_row(
            name,
            " ".join(description["elements"]),
            str(LevelOfTheory.from_dict(description["level"])),
            "-" if error is None else f"{error:.3g}",
            str(card.get("data", "")),
        )
    Console().print(table)


def info(
    model: Annotated[str, typer.Argument(help="Bundled name or model folder.")] = "default",
) -> None:
    """Print a model's card."""
    from deepdft.models.bundled import find_model
    from deepdft.models.checkpoint import load_checkpoint, read_description

    folder = find_model(model)
    description = read_description(folder)
    parameters = sum(p.numel() for p in load_checkpoint(folder).network.parameters())
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{model}[/bold]")
    console.print(f"architecture: {description['architecture']}, {parameters:,} parameters")
    _print_entries(console, {"options": description["options"]}, 0)
    console.print(f"elements: {' '.join(description['elements'])}")
    console.print(f"level of theory: {LevelOfTheory.from_dict(description['level'])}")
    console.print(f"atomic first guess: {description.get('baseline') or 'none'}")
    _print_entries(console, description.get("card", {}), 0)


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
