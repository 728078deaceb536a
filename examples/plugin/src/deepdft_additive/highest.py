"""A command: where a density is highest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepdft.cli.commands import CommandPlace

PLACE = CommandPlace(
    where="deepdft_additive.highest:highest",
    summary="Say where a density is highest.",
    examples={
        "highest": (
            "deepdft highest molecule.cube",
            "deepdft highest CHGCAR",
        )
    },
)


def highest(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A density.")],
) -> None:
    """Print the grid point of a density with the largest value, in Å, and the value."""
    # What takes time to import is imported when the command runs, not for `deepdft --help`.
    import numpy as np

    import deepdft
    from deepdft.cli.common import give

    density = deepdft.read(file)
    place = np.unravel_index(int(np.argmax(density.values)), density.grid.shape)
    x, y, z = density.grid.points()[place]
    print(f"{density.values[place]:.4f} {density.unit} at {x:.3f} {y:.3f} {z:.3f} Å")
    give({"value": density.values[place], "unit": density.unit, "place": (x, y, z)})  # for --json
