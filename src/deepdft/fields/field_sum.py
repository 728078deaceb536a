"""Several fields added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

from ase import Atoms
from numpy.typing import ArrayLike

from deepdft.arrays import FloatArray, Index
from deepdft.density import Grid
from deepdft.fields.field import Derivatives, Field, Order, check_order
from deepdft.levels import LevelOfTheory


class FieldSum:
    """The sum of fields of one structure: a `Field`.

    Args:
        fields: one or more.
        level: level of theory of the sum; default: that of the first.
    """

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

    @overload
    def at(self, points: ArrayLike, order: Literal[0] = 0) -> FloatArray: ...
    @overload
    def at(self, points: ArrayLike, order: Literal[1, 2]) -> Derivatives: ...
    def at(self, points: ArrayLike, order: Order = 0) -> FloatArray | Derivatives:
        """Return the values at points (n, 3) in Å, (n,), or with derivatives."""
        check_order(order, self.largest_order, "This sum of fields")
        if order:
            return _added([field.at(points, order) for field in self.fields])
        return _total([field.at(points) for field in self.fields])

    @overload
    def box(self, grid: Grid, start: Index, stop: Index, order: Literal[0] = 0) -> FloatArray: ...
    @overload
    def box(self, grid: Grid, start: Index, stop: Index, order: Literal[1, 2]) -> Derivatives: ...
    def box(
        self, grid: Grid, start: Index, stop: Index, order: Order = 0
    ) -> FloatArray | Derivatives:
        """Return the values on the index box start:stop of a grid, (mx, my, mz), as `at`."""
        check_order(order, self.largest_order, "This sum of fields")
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
