"""Several fields added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ase import Atoms

from deepdft.arrays import FloatArray, Index
from deepdft.density import Grid
from deepdft.fields.field import CheckedField, Derivatives, Field, Order
from deepdft.levels import LevelOfTheory


class FieldSum(CheckedField):
    """The sum of fields of one structure: a `Field`.

    Args:
        fields: one or more.
        level: level of theory of the sum; default: that of the first.
    """

    called = "This sum of fields"

    def __init__(self, fields: Sequence[Field], level: LevelOfTheory | None = None) -> None:
        self.fields = tuple(fields)
        self._level = level or fields[0].level

    @property
    def atoms(self) -> Atoms:
        """The structure."""
        return self.fields[0].atoms

    @property
    def level(self) -> LevelOfTheory:
        """Level of theory."""
        return self._level

    @property
    def largest_order(self) -> Order:
        """Largest order of derivatives that all have."""
        return min(field.largest_order for field in self.fields)

    def _at(self, points: FloatArray, order: Order) -> FloatArray | Derivatives:
        if order:
            return _added([field.at(points, order) for field in self.fields])
        return _total([field.at(points) for field in self.fields])

    def _box(self, grid: Grid, start: Index, stop: Index, order: Order) -> FloatArray | Derivatives:
        if order:
            return _added([field.box(grid, start, stop, order) for field in self.fields])
        return _total([field.box(grid, start, stop) for field in self.fields])


def _total(parts: Sequence[FloatArray]) -> FloatArray:
    result = parts[0]
    for part in parts[1:]:
        result = result + part
    return result


def _added(parts: Sequence[Derivatives]) -> Derivatives:
    hessians: list[Any] = [part.hessian for part in parts]
    return Derivatives(
        _total([part.value for part in parts]),
        _total([part.gradient for part in parts]),
        None if hessians[0] is None else _total(hessians),
    )
