"""Structures drawn flat: atoms as discs, bonds as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from numpy.typing import NDArray

from deepdft.extras import import_extra
from deepdft.plotting.figures import new_figure, png
from deepdft_paper.reproduce.environments import bonds

_DISC = 0.55
"""Radius of a disc in covalent radii."""
_LAYERS = 10.0
"""Layers of the drawing per Å."""
_COLUMNS = 4
_UNNAMED = ("C", "H")
"""Elements that are told by their colours alone."""


def flattened(atoms: Atoms) -> NDArray[np.float64]:
    """Return positions (n, 3), Å, turned so that the last axis is the one of least extent."""
    centred = atoms.positions - atoms.positions.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=True)
    return np.asarray(centred @ axes.T, dtype=np.float64)


def structures_picture(structures: Sequence[tuple[Atoms, str]]) -> bytes:
    """Draw molecules side by side, each projected along the direction in which it is thinnest.

    Args:
        structures: molecules with their captions.

    Returns:
        A PNG.
    """
    columns = min(_COLUMNS, len(structures))
    rows = -(-len(structures) // columns)
    figure = new_figure(3.0 * columns, 3.7 * rows)
    for number, (atoms, caption) in enumerate(structures):
        axes = figure.add_subplot(rows, columns, number + 1)
        _draw(axes, atoms)
        axes.set_title(caption, fontsize=8)
    return png(figure)


def _draw(axes: Any, atoms: Atoms) -> None:
    circle = import_extra("matplotlib.patches", "A picture").Circle
    points = flattened(atoms)
    radii = _DISC * covalent_radii[atoms.numbers]
    # What is nearer covers what is farther; each half of a bond lies just below its atom.
    depths = _LAYERS * points[:, 2]
    for first, second in bonds(atoms):
        middle = points[[first, second], :2].mean(axis=0)
        for end in (first, second):
            line = np.stack([points[end, :2], middle])
            axes.plot(*line.T, color="0.45", lw=3, zorder=depths[end] - 0.1)
    for point, depth, radius, number, symbol in zip(
        points, depths, radii, atoms.numbers, atoms.get_chemical_symbols(), strict=True
    ):
        disc = circle(
            point[:2], radius, facecolor=jmol_colors[number], edgecolor="0.2", lw=0.8, zorder=depth
        )
        axes.add_patch(disc)
        if symbol not in _UNNAMED:
            axes.text(*point[:2], symbol, ha="center", va="center", fontsize=8, zorder=depth + 0.01)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    reach = float(np.ptp(points[:, :2], axis=0).max()) / 2 + 0.8
    axes.set(
        xlim=(middle[0] - reach, middle[0] + reach),
        ylim=(middle[1] - reach, middle[1] + reach),
        aspect="equal",
        xticks=[],
        yticks=[],
    )
    axes.spines[:].set_visible(False)
