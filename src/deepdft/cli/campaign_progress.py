"""A campaign's progress as a bar, and what is left of it when it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepdft.cli.progress import Progress
from deepdft.dft.calculation import ReferenceCalculation
from deepdft.dft.campaign import CampaignProgress, run_campaign
from deepdft.dft.manifest import read_manifest
from deepdft.structures import Structure


class Shown(CampaignProgress):
    """Shows what has ended, and which structures are being calculated.

    Args:
        bar: where.
    """

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None)
        self._running: list[str] = []

    def planned(self, count: int) -> None:
        self._bar.update(self._task, total=count)

    def started(self, name: str) -> None:
        self._running.append(name)
        self._bar.update(self._task, description=", ".join(self._running))

    def finished(self, name: str, error: str | None) -> None:
        self._running.remove(name)
        self._bar.update(self._task, advance=1, description=", ".join(self._running))


def progress_bar(console: Console) -> Progress:
    """Return the bar of calculations."""
    return Progress(
        TextColumn("calculating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.description}", markup=False),
        console=console, transient=True,
    )  # fmt: skip


def run_and_collect(
    structures: Sequence[Structure],
    calculation: ReferenceCalculation,
    store: Path,
    collect: Callable[[], str],
    *,
    jobs: int = 1,
) -> None:
    """Run a campaign with its bar, collect what it has, and print that and what failed.

    What is there is collected as well when the campaign is interrupted.

    Args:
        structures: to calculate.
        calculation: with which program and settings.
        store: folder of the campaign.
        collect: called at the end; returns what it has written, for the screen.
        jobs: worker processes.
    """
    console = Console(highlight=False, soft_wrap=True, markup=False)
    try:
        with progress_bar(console) as bar:
            run_campaign(structures, calculation, store, jobs=jobs, progress=Shown(bar))
    finally:
        if (store / "manifest.json").exists():
            print(f"written: {collect()}")
    for record in read_manifest(store).structures.values():
        if record.error:
            print(f"failed: {record.name}: {record.error}")
