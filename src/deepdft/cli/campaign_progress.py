"""A campaign's progress as a bar."""

from __future__ import annotations

from rich.progress import Progress

from deepdft.dft.campaign import CampaignProgress
from deepdft.dft.manifest import StructureRecord


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

    def finished(self, record: StructureRecord) -> None:
        self._running.remove(record.name)
        self._bar.update(self._task, advance=1, description=", ".join(self._running))
