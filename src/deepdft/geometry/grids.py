"""Which grid a prediction is made on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.density import Grid
from deepdft.errors import ConfigurationError

DEFAULT_SPACING = 0.1
"""Largest distance between points, Å."""

MOST_POINTS = 5 * 10**11
"""Of any grid: 2 TB in single precision."""

_LEAST_SINE = 0.1
"""Of the angle to the others from which on a vector shows a direction of its own."""

DEFAULT_VACUUM = 3.0
"""Space beyond the outermost nuclei in directions without periodicity, Å."""


def choose_grid(
    atoms: Atoms,
    *,
    spacing: float | None = None,
    shape: Sequence[int] | None = None,
    vacuum: float = DEFAULT_VACUUM,
) -> Grid:
    """Return a grid for a structure.

    Along periodic directions it spans the cell; along others it reaches `vacuum` (Å) beyond the
    outermost nuclei, at right angles to the periodic directions and as nearly along the cell's own
    vectors as that allows. Its axes are numbered as those of the cell and right-handed.

    Args:
        atoms: the structure.
        spacing: largest distance between points, Å; default 0.1.
        shape: number of points along each axis, instead of a spacing.
        vacuum: see above.

    Raises:
        ConfigurationError: if both or unusable values are given, or a periodic cell vector is
            zero.
    """
    if spacing is not None and shape is not None:
        raise ConfigurationError("Give either a spacing or the number of grid points, not both.")
    if spacing is not None and not (np.isfinite(spacing) and spacing > 0):
        raise ConfigurationError(f"The grid spacing must be positive, not {spacing} Å.")
    if not (np.isfinite(vacuum) and vacuum >= 0):
        raise ConfigurationError(f"The vacuum must not be negative, not {vacuum} Å.")
    if shape is not None and (len(shape) != 3 or min(shape) < 1):
        raise ConfigurationError(f"A grid needs three positive point counts, not {list(shape)}.")
    if len(atoms) == 0:
        raise ConfigurationError("There are no atoms to put a grid around.")
    step = DEFAULT_SPACING if spacing is None else spacing
    if not np.isfinite(atoms.positions).all() or not np.isfinite(np.array(atoms.cell)).all():
        raise ConfigurationError("A position or the cell of the structure is not finite.")
    if not atoms.pbc.any() and shape is None:
        require_points((np.ptp(atoms.positions, axis=0) + 2 * vacuum) / step)
        return Grid.around(atoms, step, vacuum)
    cell, origin = _box(atoms, vacuum)
    if shape is None:
        with np.errstate(over="ignore"):
            counts = np.maximum(np.ceil(np.linalg.norm(cell, axis=1) / step - 1e-9), 1)
        require_points(counts)
        shape = [int(n) for n in counts]
    require_points(shape)
    return Grid(cell, (int(shape[0]), int(shape[1]), int(shape[2])), origin)


def require_points(counts: Sequence[float] | FloatArray) -> None:
    """Refuse grids that nobody can mean.

    Args:
        counts: points along each axis, as far as they are known; not rounded.

    Raises:
        ConfigurationError: if there are more than `MOST_POINTS`.
    """
    product = math.prod(float(n) for n in counts)
    if not product <= MOST_POINTS:
        shown = " x ".join(f"{float(n):.3g}" for n in counts)
        raise ConfigurationError(
            f"A grid of {shown} points is too large: up to {MOST_POINTS:.0e} can be predicted; "
            "take a larger spacing or less vacuum."
        )


def _box(atoms: Atoms, vacuum: float) -> tuple[FloatArray, FloatArray]:
    """Cell and origin: the cell vector where periodic, a snug box where not."""
    cell = np.array(atoms.cell, dtype=np.float64)
    periodic = np.array(atoms.pbc)
    if (np.linalg.norm(cell[periodic], axis=1) < 1e-6).any():
        raise ConfigurationError("The structure is periodic along a cell vector that is zero.")
    if not periodic.any():
        cell = np.eye(3)
    elif not periodic.all():
        _fill_directions(cell, periodic)
    origin = np.zeros(3)
    fractional = np.linalg.solve(cell.T, atoms.positions.T).T
    for axis in np.flatnonzero(~periodic):
        # The thickness of the box is measured along the normal to the other two vectors, which
        # here is the direction of the vector itself.
        low, high = fractional[:, axis].min() - vacuum, fractional[:, axis].max() + vacuum
        origin = origin + low * cell[axis]
        cell[axis] = cell[axis] * max(high - low, 1e-3)
    return cell, origin


def _fill_directions(cell: FloatArray, periodic: NDArray[np.bool_]) -> None:
    """Put unit vectors at right angles to all others where a cell is not periodic.

    They are as near as can be to the cell's own vectors, or to the Cartesian axes of the same
    number where these do not help. The result is right-handed.
    """
    taken = np.linalg.qr(cell[periodic].T)[0].T
    missing = np.flatnonzero(~periodic)
    for axis in missing:
        wanted = [cell[axis], *np.roll(np.eye(3), -axis, axis=0)]
        across = [vector - (taken @ vector) @ taken for vector in wanted]
        sine = [
            np.linalg.norm(rest) / max(float(np.linalg.norm(vector)), 1e-6)
            for rest, vector in zip(across, wanted, strict=True)
        ]
        chosen = across[next(i for i, size in enumerate(sine) if size > _LEAST_SINE)]
        cell[axis] = chosen / np.linalg.norm(chosen)
        taken = np.vstack([taken, cell[axis]])
    if np.linalg.det(cell) < 0:
        cell[missing[-1]] *= -1
