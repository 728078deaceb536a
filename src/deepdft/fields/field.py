"""What every field can do, whatever it is made of: values, gradients and Hessians at any point.

Superposed atoms, orbitals, the density of a network, expected errors and densities from files are
fields. Lengths are Å, densities e/Å^3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol, overload

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from deepdft.arrays import FloatArray, Index
from deepdft.density import Grid, as_points
from deepdft.errors import ConfigurationError
from deepdft.levels import LevelOfTheory

Order = Literal[0, 1, 2]
"""Of the derivatives asked for: 0 none, 1 the gradient, 2 the Hessian as well."""


class Derivatives(NamedTuple):
    """A field with its derivatives by position, at points or on a box of a grid (...).

    Attributes:
        value: (...) e/Å^3.
        gradient: (..., 3) e/Å^4.
        hessian: (..., 3, 3) e/Å^5, symmetric; None where only the gradient was asked for.
    """

    value: FloatArray
    gradient: FloatArray
    hessian: FloatArray | None

    @classmethod
    def zeros(cls, shape: Sequence[int], order: Order) -> Derivatives:
        """Return zeros for points of some shape."""
        hessian = np.zeros((*shape, 3, 3)) if order == 2 else None
        return cls(np.zeros(shape), np.zeros((*shape, 3)), hessian)

    def assign(self, place: Any, values: Derivatives, shape: Sequence[int]) -> None:
        """Put the values of a list of points, reshaped, to some place."""
        for target, found in zip(self, values, strict=True):
            if target is not None and found is not None:
                target[place] = found.reshape(*shape, *found.shape[1:])


class OnBoxes(Protocol):
    """Has values on the boxes of a grid, perhaps of one grid alone."""

    def box(self, grid: Grid, start: Index, stop: Index) -> NDArray[np.floating[Any]]:
        """Return the values on the index box start:stop of a grid, (mx, my, mz) e/Å^3."""
        ...


class Remembered:
    """The values of something on the box that was asked for last, for those who ask again."""

    def __init__(self, field: OnBoxes) -> None:
        self._field = field
        self._last: tuple[Grid, Index, Index, NDArray[np.floating[Any]]] | None = None

    def box(self, grid: Grid, start: Index, stop: Index) -> NDArray[np.floating[Any]]:
        """Return the values on the index box start:stop of a grid, (mx, my, mz) e/Å^3."""
        last = self._last
        if last is None or last[0] is not grid or last[1:3] != (start, stop):
            last = self._last = (grid, start, stop, self._field.box(grid, start, stop))
        return last[3]


class Field(Protocol):
    """Has a value at every point in space.

    The value at a point does not depend on what else is asked for: `at` and `box` agree to the
    last bit where both are evaluated in the same precision, and a box can be cut into others.
    """

    @property
    def atoms(self) -> Atoms:
        """The structure; the field repeats with its periodic cell vectors."""
        ...

    @property
    def level(self) -> LevelOfTheory:
        """Level of theory."""
        ...

    @property
    def largest_order(self) -> Order:
        """Largest order of derivatives that it has."""
        ...

    @overload
    def at(self, points: ArrayLike, order: Literal[0] = 0) -> FloatArray: ...
    @overload
    def at(self, points: ArrayLike, order: Literal[1, 2]) -> Derivatives: ...
    def at(self, points: ArrayLike, order: Order = 0) -> FloatArray | Derivatives:
        """Return the values at points (n, 3) in Å, (n,), or with derivatives.

        Raises:
            ConfigurationError: if the points have another shape or are not finite, or there are
                no derivatives of the order.
        """
        ...

    @overload
    def box(self, grid: Grid, start: Index, stop: Index, order: Literal[0] = 0) -> FloatArray: ...
    @overload
    def box(self, grid: Grid, start: Index, stop: Index, order: Literal[1, 2]) -> Derivatives: ...
    def box(
        self, grid: Grid, start: Index, stop: Index, order: Order = 0
    ) -> FloatArray | Derivatives:
        """Return the values on the index box start:stop of a grid, (mx, my, mz), as `at`."""
        ...


class CheckedField(ABC):
    """What has `_at` and `_box` as a `Field`: what is asked for is checked here, once.

    Attributes:
        called: how sentences about it begin; by default with the name of the class.
    """

    called = ""

    @property
    @abstractmethod
    def largest_order(self) -> Order:
        """Largest order of derivatives that it has."""

    @overload
    def at(self, points: ArrayLike, order: Literal[0] = 0) -> FloatArray: ...
    @overload
    def at(self, points: ArrayLike, order: Literal[1, 2]) -> Derivatives: ...
    def at(self, points: ArrayLike, order: Order = 0) -> FloatArray | Derivatives:
        """Return the values at points (n, 3) in Å, (n,), or with derivatives.

        Raises:
            ConfigurationError: if the points have another shape or are not finite, or there are
                no derivatives of the order.
        """
        check_order(order, self.largest_order, self.called or type(self).__name__)
        return self._at(as_points(points), order)

    @overload
    def box(self, grid: Grid, start: Index, stop: Index, order: Literal[0] = 0) -> FloatArray: ...
    @overload
    def box(self, grid: Grid, start: Index, stop: Index, order: Literal[1, 2]) -> Derivatives: ...
    def box(
        self, grid: Grid, start: Index, stop: Index, order: Order = 0
    ) -> FloatArray | Derivatives:
        """Return the values on the index box start:stop of a grid, (mx, my, mz), as `at`.

        Raises:
            ConfigurationError: if there are no derivatives of the order.
        """
        check_order(order, self.largest_order, self.called or type(self).__name__)
        return self._box(grid, start, stop, order)

    @abstractmethod
    def _at(self, points: FloatArray, order: Order) -> FloatArray | Derivatives:
        """Return the values at points (n, 3), float64, Å."""

    @abstractmethod
    def _box(self, grid: Grid, start: Index, stop: Index, order: Order) -> FloatArray | Derivatives:
        """Return the values on a box."""


def check_order(order: int, largest: int, what: str) -> None:
    """Raise ConfigurationError where a field has no derivatives of an order."""
    if order not in range(largest + 1):
        has = "no derivatives" if largest == 0 else f"derivatives up to order {largest}"
        raise ConfigurationError(f"{what} has {has}, not of order {order}.")
