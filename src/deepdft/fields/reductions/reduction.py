"""What a reduction over a field is, and all of them that take part in a walk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ase import Atoms

from deepdft.arrays import FloatArray, Index
from deepdft.density import Grid
from deepdft.fields.field import OnBoxes
from deepdft.fields.reductions.sums import ExactSums
from deepdft.levels import LevelOfTheory

Result = float | dict[str, float] | list[float]
"""A number, numbers by name, or a number for each atom, as they go into files."""


@dataclass(frozen=True)
class Subject:
    """What is known of the field that a walk goes through.

    Attributes:
        atoms: the structure.
        level: level of theory.
        grid: the points of the walk.
        core_charges: (atoms,) charge of each nucleus with the electrons that the field leaves
            out, in elementary charges; None where it is not known.
        reference: what the field is compared with, or None.
    """

    atoms: Atoms
    level: LevelOfTheory
    grid: Grid
    core_charges: FloatArray | None = None
    reference: OnBoxes | None = None


class Reduction(ABC):
    """Something that is added up over the boxes of a walk, in whatever order and by whomever.

    A module of this package that defines one takes part in every walk: predictions in memory, into
    files and stores, on several processes, and evaluations; or, if it says so, in those walks that
    ask for it.

    Attributes:
        name: of its result, in files.
        unit: of the difference of two results.
        on_request: whether it takes part only where it is asked for by name.
    """

    name: ClassVar[str]
    unit: ClassVar[str] = ""
    on_request: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def of(cls, subject: Subject) -> Self | None:
        """Return an empty one, or None where it has no meaning."""

    @abstractmethod
    def fresh(self) -> Self:
        """Return an empty one for the same subject."""

    @abstractmethod
    def add(self, grid: Grid, start: Index, stop: Index, values: Any) -> None:
        """Take in the values (mx, my, mz) on the index box start:stop of a grid."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Take in what another one has taken in; in which order does not matter."""

    @abstractmethod
    def result(self) -> Result:
        """Return what has come together."""

    @staticmethod
    def describe(result: Any) -> str:
        """Return a few words that a summary of one line tells of a result; empty for none."""
        return ""

    @staticmethod
    def difference(one: Any, other: Any) -> float:
        """Return how far two results are apart."""
        return float(abs(one - other))


class Integral(Reduction):
    """A reduction that is some function of sums over the points."""

    count: ClassVar[int] = 1
    """Number of sums."""

    def __init__(self) -> None:
        self._sums = ExactSums(self.count)

    @classmethod
    def of(cls, subject: Subject) -> Self | None:
        """Return an empty one."""
        return cls()

    def fresh(self) -> Self:
        """Return an empty one for the same subject."""
        other = object.__new__(type(self))
        vars(other).update(vars(self), _sums=ExactSums(self.count))
        return other

    @abstractmethod
    def integrals(self, grid: Grid, start: Index, stop: Index, values: Any) -> Iterable[float]:
        """Return the `count` integrals over a box of a grid."""

    def add(self, grid: Grid, start: Index, stop: Index, values: Any) -> None:
        """Take in the values on a box."""
        self._sums.add(self.integrals(grid, start, stop, values))

    def merge(self, other: Self) -> None:
        """Take in what another one has taken in."""
        self._sums.merge(other._sums)

    def result(self) -> Result:
        """Return the first sum."""
        return self._sums.totals()[0]


class Reductions:
    """Several reductions that are led through a walk together.

    Args:
        members: the reductions, each of another name.
    """

    def __init__(self, members: Iterable[Reduction] = ()) -> None:
        self.members = {member.name: member for member in members}

    def fresh(self) -> Reductions:
        """Return empty ones for the same subject."""
        return Reductions(member.fresh() for member in self.members.values())

    def add(self, grid: Grid, start: Index, stop: Index, values: Any) -> None:
        """Take in the values on the index box start:stop of a grid."""
        for member in self.members.values():
            member.add(grid, start, stop, values)

    def merge(self, other: Reductions) -> None:
        """Take in what others of the same names have taken in."""
        for name, member in self.members.items():
            member.merge(other.members[name])

    def results(self) -> dict[str, Result]:
        """Return each one's result by its name."""
        return {name: member.result() for name, member in self.members.items()}


def flattened(results: Mapping[str, Result], prefix: str = "") -> dict[str, float]:
    """Return numbers by name for a table: a result of several becomes NAME_PART.

    Numbers for each atom are counted from 1: NAME_1, NAME_2, ...
    """
    flat = {}
    for name, result in results.items():
        if isinstance(result, list):
            result = {str(number): value for number, value in enumerate(result, 1)}
        parts = result.items() if isinstance(result, dict) else [("", result)]
        for part, value in parts:
            flat[prefix + "_".join(filter(None, (name, part)))] = value
    return flat
