"""What a target of the search for faults is (benchmarks/fuzz.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Run = Callable[[bytes, Path], None]
CASES = Path(__file__).parents[1] / "tests" / "cases"


@dataclass(frozen=True)
class Target:
    """Something that takes input from strangers.

    Attributes:
        seeds: valid inputs.
        run: takes an input and a folder of its own, in which files may be written.
    """

    seeds: tuple[bytes, ...]
    run: Run


class UnusableAnswer(Exception):
    """An input was accepted, and what came of it makes no sense."""
