"""A campaign's progress as a bar."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepdft.dft.campaign import CampaignProgress


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
