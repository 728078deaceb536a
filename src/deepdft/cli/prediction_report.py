"""What `deepdft predict` says of its densities: progress, a line for each, expected errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from deepdft.cli.progress import Progress

if TYPE_CHECKING:
    from deepdft.prediction import PredictionSummary

_ENOUGH = 20
"""Of so many held-out structures the spread of errors is told."""

_SUSPICIOUS = 0.02
"""Relative error of the electron count above which a prediction comes with a warning."""


class _PointRate(ProgressColumn):
    """Points per second."""

    def render(self, task: Task) -> Text:
        """Return the current rate."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} points/s")


def progress_bar(console: Console) -> Progress:
    """Return a bar that counts grid points."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _PointRate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def print_summary(console: Console, summary: PredictionSummary) -> None:
    """Print where a density is and what it holds, and warn where electrons are missing."""
    from deepdft.fields.reductions import described
    from deepdft.prediction import StoreSummary

    expected = summary.expected_electrons
    points: float = summary.grid.n_points
    blocks = ""
    if isinstance(summary, StoreSummary):
        points *= summary.blocks_computed / summary.blocks
        blocks = f", {summary.blocks_computed} of {summary.blocks} blocks were missing"
    console.print(
        f"{summary.path}: {summary.formula}, grid {'x'.join(map(str, summary.grid.shape))}, "
        f"{summary.electrons:.3f} electrons"
        + ("" if expected is None else f" (expected {expected})")
        + "".join(f", {words}" for words in described(summary.properties))
        + f"{blocks}, {summary.seconds:.1f} s, {points / summary.seconds:,.0f} points/s",
        highlight=False,
        soft_wrap=True,
    )
    if expected and abs(summary.electrons / expected - 1) > _SUSPICIOUS:
        console.print(
            f"warning: the density holds "
            f"{100 * abs(summary.electrons / expected - 1):.1f} % of electrons too "
            f"{'many' if summary.electrons > expected else 'few'}: {summary.formula} is probably "
            "outside what the model knows, or the grid cuts into the density",
            highlight=False,
            soft_wrap=True,
        )


def print_uncertainty(console: Console, summary: PredictionSummary) -> None:
    """Print the error to expect, if it was asked for."""
    expected = summary.uncertainty
    if expected is None:
        return
    low, high = (100 * end for end in expected.eps_mae_range)
    spread = (
        f"8 of 10 held-out structures: {low:.2g} to {high:.2g} %"
        if expected.held_out >= _ENOUGH
        else f"rough: learned from {expected.held_out} held-out structures"
    )
    console.print(
        f"{summary.uncertainty_path}: expected eps_mae {100 * expected.eps_mae:.2g} % ({spread})",
        highlight=False,
        soft_wrap=True,
    )
