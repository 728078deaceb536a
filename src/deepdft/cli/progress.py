"""How far a long command is: a bar on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import time
from typing import Any

import rich.progress
from rich.progress import ProgressColumn, TaskID

from deepdft.progress_lines import plain_line

INTERVAL = 30.0
"""Seconds between two plain lines."""


class Progress(rich.progress.Progress):
    """Rich's bar; where the output is no terminal, a line every half minute in its place.

    A line says how much of what is done, how quickly, and how long the rest will take.
    """

    def __init__(self, *columns: str | ProgressColumn, **options: Any) -> None:
        super().__init__(*columns, **options)
        self.disable = not self.console.is_terminal
        self._words = next((c for c in columns if isinstance(c, rich.progress.TextColumn)), None)
        self._begun = self._told = time.monotonic()

    def update(self, task_id: TaskID, **options: Any) -> None:
        """Change a task as `rich.progress.Progress.update` does."""
        super().update(task_id, **options)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Take a task further."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        now = time.monotonic()
        if not self.disable or now - self._told < INTERVAL:
            return
        self._told = now
        task = self._tasks[task_id]
        words = "" if self._words is None else self._words.text_format.format(task=task)
        line = plain_line(words or task.description, task.completed, task.total, now - self._begun)
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)
