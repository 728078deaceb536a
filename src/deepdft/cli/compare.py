"""`deepdft compare`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from deepdft.comparison import DensityComparison
    from deepdft.density import Density


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="The reference.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What is compared with it.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Write the difference density B - A, on the grid of A."
        ),
    ] = None,
    mix_levels: Annotated[
        bool, typer.Option("--mix-levels", help="Compare different levels of theory all the same.")
    ] = False,
    quantity: Quantity = None,
    unit: Unit = None,
    read: ReaderOptions = None,
) -> None:
    """Measure how far one density is from another (eps_mae, eq. 7).

    Where the grids differ, B is resampled onto the grid of A: by its Fourier series if both span
    the same periodic cell, else by splines.
    """
    from deepdft.comparison import compare_densities

    console = Console(highlight=False, soft_wrap=True, markup=False)
    options = reader_options(quantity, unit, others=read)
    densities = [read_density(path, options) for path in (a, b)]
    result = compare_densities(*densities, mix_levels=mix_levels)
    for name, path, density in zip("AB", (a, b), densities, strict=True):
        counts = " x ".join(map(str, density.grid.shape))
        formula = density.atoms.symbols.formula.format("hill")
        console.print(f"{name}: {path} ({formula}, {counts} points, {density.level})")
        for note in density.metadata.get("notes", []):
            console.print(f"   note: {as_options(note)}")
    _print_result(console, result, densities[0])
    statistics = result.statistics
    give(
        {
            "a": a, "b": b, "eps_mae": statistics.eps_mae, "eps_mae_of_b": result.eps_mae_of_b,
            "largest_difference": statistics.max_absolute, "largest_at": result.largest_at,
            "root_mean_square": statistics.root_mean_square, "electrons": statistics.electrons,
            "unit": densities[0].unit, "warnings": result.warnings,
        }
    )  # fmt: skip
    if output is not None:
        from deepdft.formats import write

        words = f"difference density, {Path(b).name} - {Path(a).name}"
        write(output, replace(result.difference, spin=None), comment=words)
        console.print(f"written: {output} (B - A)")


def _print_result(console: Console, result: DensityComparison, reference: Density) -> None:
    statistics = result.statistics
    unit = reference.unit
    electrons = statistics.electrons
    place = ", ".join(f"{x:.3f}" for x in result.largest_at)
    near = ""
    if result.nearest_atom is not None:
        symbol = reference.atoms.symbols[result.nearest_atom]
        near = f", {result.nearest_distance:.2f} Å from {symbol} (atom {result.nearest_atom})"
    lines = [
        ("B on the grid of A", result.resampled.describe()),
        (
            "eps_mae",
            f"{100 * statistics.eps_mae:.6g} % of A ({100 * result.eps_mae_of_b:.6g} % of B)",
        ),
        ("largest |B - A|", f"{statistics.max_absolute:.6g} {unit} at {place} Å{near}"),
        ("root mean square", f"{statistics.root_mean_square:.6g} {unit}"),
        (
            "electrons" if unit == "e/Å^3" else "integrals",
            f"{electrons[0]:.5f} and {electrons[1]:.5f}, B - A: {electrons[1] - electrons[0]:+.5f}",
        ),
    ]
    spins = (reference.total_spin, result.resampled.density.total_spin)
    if result.difference.spin is not None and isinstance(spins[0], float):
        error = float(abs(result.difference.spin).sum()) * reference.grid.voxel_volume
        lines.append(
            ("spin", f"{spins[0]:.5f} and {spins[1]:.5f}, |B - A| integrates to {error:.5f}")
        )
    for heading, text in lines:
        console.print(f"{heading + ':':20} {text}")
    for warning in result.warnings:
        console.print(f"{'warning:':20} {warning}")
