"""Grids for pictures, and walks over them that can be watched and stopped."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.field import OnBoxes
from deepdft.fields.reductions import Reductions
from deepdft.fields.walk import slabs, walk
from deepdft.geometry.grids import choose_grid
from deepdft.web.jobs import Job

_STEPS = 24
"""Parts of a walk; after each the job may be stopped, and says how far it is."""

_FIRST_SECONDS = 0.25
"""For which the first picture may be computed."""

_FEWEST = 12_000
"""Points of a first picture in which a molecule is still recognised."""

_WIDEST = 2.0
"""Å between points from which on a picture shows nothing."""


def walked(
    job: Job, stage: str, field: OnBoxes, grid: Grid, sums: Reductions | None = None
) -> NDArray[np.float32]:
    """Return a field on a grid in single precision; the job counts the points."""
    job.begin(stage, grid.n_points)
    values = np.empty(grid.shape, dtype=np.float32)
    boxes = slabs(grid, points=max(1, grid.n_points // _STEPS))
    for start, stop, part in walk(field, grid, boxes, sums, job.advance):
        values[start[0] : stop[0]] = part
    return values


def grid_within(atoms: Atoms, points: int, spacing: float) -> Grid:
    """Return a grid of a spacing (Å), or a wider one that has no more than `points` points.

    Raises:
        ConfigurationError: if the structure is so wide that the points would be useless.
    """
    grid = choose_grid(atoms, spacing=spacing)
    while grid.n_points > points:
        spacing *= 1.01 * (grid.n_points / points) ** (1 / 3)
        if spacing > _WIDEST:
            raise ConfigurationError(
                "The structure is too wide for this page; 'deepdft predict' on the command line "
                "takes any size."
            )
        grid = choose_grid(atoms, spacing=spacing)
    return grid


def first_points(rate: float | None, most: int) -> int:
    """Return how many points a first picture may have, so that it is there at once.

    Args:
        rate: points per second that the model last did, or None where that is not known.
        most: not more than these.
    """
    if rate is None:
        return most
    return min(most, max(_FEWEST, int(rate * _FIRST_SECONDS)))
