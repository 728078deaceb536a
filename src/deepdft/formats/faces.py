"""Whether the last layer of a periodic grid repeats its first: layers 0 and n stand for one place.

XSF files should repeat it and cube files should not; programs do either. One axis alone cannot
tell: layers in the vacuum are equal anyway, and so are those at both sides of a mirror. So all axes
are asked together, and the electrons are counted both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepdft.formats.electrons import ElectronCounts

Array = NDArray[np.floating[Any]]
_Float = TypeVar("_Float", bound=np.floating[Any])

_SAME = 1e-4
"""Difference of equal layers, relative to their largest value: the digits of a file."""
_TELLING = 0.1
"""Mean of a layer, relative to that of the grid, below which it says nothing."""
_CHANGE = 20.0
"""How much more than from each other equal layers must differ from their neighbours."""
_WHOLE = 0.02
"""Distance to a whole number of electrons up to which a count is one."""


@dataclass(frozen=True)
class Faces:
    """Which last layers repeat the first.

    Attributes:
        repeated: axes along which they do.
        notes: what has to be said of it.
    """

    repeated: tuple[int, ...]
    notes: list[str] = field(default_factory=list)


def find_repeated(
    values: Array,
    axes: Sequence[int],
    numbers: ArrayLike,
    voxel_volume: Callable[[tuple[int, ...]], float],
    units: Sequence[float],
    *,
    usual: bool,
    told: bool | None = None,
) -> Faces:
    """Decide along which axes the last layer of a grid repeats the first.

    Args:
        values: (nx, ny, nz).
        axes: those along which the question is open.
        numbers: atomic numbers.
        voxel_volume: volume of a voxel if the layers of these axes are repeated, Å^3.
        units: factors to e/Å^3 that the values may be in; empty if they are no density.
        usual: what the format says.
        told: what the user says.
    """
    axes = tuple(axis for axis in axes if values.shape[axis] > 1)
    if told is not None or not axes:
        return Faces(axes if told else ())
    mean = float(np.abs(values).mean(dtype=np.float64))
    seen = {axis: _look(values, axis, mean) for axis in axes}
    sure = tuple(axis for axis in axes if seen[axis] == "repeated")
    open_axes = tuple(axis for axis in axes if seen[axis] in ("mirror", "vacuum"))
    differ = len(sure) + len(open_axes) < len(axes)
    both = tuple(sorted(sure + open_axes))
    if not open_axes or (not usual and set(seen.values()) <= {"vacuum", "different"}):
        return Faces(sure)
    counts = {chosen: _integral(values, chosen) * voxel_volume(chosen) for chosen in {sure, both}}
    allowed = ElectronCounts.of(numbers)
    fitting = [
        chosen for chosen in (sure, both) if any(_fits(allowed, counts[chosen] * u) for u in units)
    ]
    by_count = fitting[0] if len(fitting) == 1 else None
    if sure and not differ:
        decided: tuple[int, ...] | None = both
    elif differ and not sure:
        decided = sure
    else:
        decided = by_count
    repeated = decided if decided is not None else (both if usual else sure)
    contradicted = by_count not in (None, repeated)
    if units and (decided is None or contradicted):
        return Faces(repeated, [_warning(repeated, sure, both, counts, units)])
    return Faces(repeated)


def describe_faces(repeated: Sequence[int], usual: bool, axes: Sequence[int]) -> list[str]:
    """Return a note where the last layers are not what the format says."""
    odd = [axis for axis in axes if (axis in repeated) != usual]
    if not odd:
        return []
    names = _names(odd)
    if usual:
        return [f"The grid does not repeat its far face along {names}."]
    return [f"The last layer repeats the first along {names}; it was left out."]


def crop(values: NDArray[_Float], axes: Sequence[int]) -> NDArray[_Float]:
    """Return an array (..., nx, ny, nz) without its last layers along some axes, a view."""
    index = [slice(0, -1) if axis in axes else slice(None) for axis in range(3)]
    return values[(..., *index)]


def _look(values: Array, axis: int, mean: float) -> str:
    """Return what one axis says: repeated, different, mirror (equal, but perhaps for that) or
    vacuum (also where the density does not change)."""
    layers = {index: values.take(index, axis) for index in (0, 1, -2, -1)}
    sizes = {index: float(np.abs(layer).mean()) for index, layer in layers.items()}
    if min(sizes[0], sizes[-1]) <= _TELLING * mean:
        return "vacuum"
    equal = _SAME * float(np.abs(layers[0]).max())
    apart = float(np.abs(layers[0] - layers[-1]).max())
    if apart > equal:
        return "different"
    change = max(
        float(np.abs(layers[0] - layers[1]).max()), float(np.abs(layers[-1] - layers[-2]).max())
    )
    if change <= _CHANGE * apart or change <= equal:
        return "vacuum"
    if float(np.abs(layers[1] - layers[-2]).max()) <= equal:
        return "mirror"
    return "repeated"


def _integral(values: Array, repeated: Sequence[int]) -> float:
    return float(crop(values, repeated).sum(dtype=np.float64))


def _fits(allowed: ElectronCounts, electrons: float) -> bool:
    return allowed.allow(electrons) and abs(electrons - round(electrons)) <= _WHOLE


def _warning(
    repeated: tuple[int, ...],
    sure: tuple[int, ...],
    both: tuple[int, ...],
    counts: dict[tuple[int, ...], float],
    units: Sequence[float],
) -> str:
    names = _names([axis for axis in both if axis not in sure])
    unit = units[0]
    taken = "taken as repeated" if repeated == both else "taken as not repeated"
    return (
        f"Warning: it is not clear whether the last layer repeats the first along {names}; {taken} "
        f"({counts[both] * unit:.4f} electrons if it does, {counts[sure] * unit:.4f} if not); pass "
        f"repeated={'false' if repeated == both else 'true'} if that is wrong."
    )


def _names(axes: Sequence[int]) -> str:
    names = ["abc"[axis] for axis in axes]
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), names[-1]])
