"""Pictures of densities and errors, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepdft.density import Density
from deepdft.extras import import_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OUTLIER_FACTOR = 2.0
"""Structures whose error exceeds this many medians are marked."""


def error_histogram(errors: Mapping[str, Sequence[tuple[str, float]]]) -> bytes:
    """Draw the distribution of eps_mae as in Fig. 3 of the paper.

    Args:
        errors: for each predictor the (label, eps_mae in percent) of every structure; outliers of
            the first are marked with their labels.

    Returns:
        A PNG: histogram on logarithmic axes.
    """
    figure = new_figure(7.0, 4.2)
    axes = figure.add_subplot()
    everything = np.array([value for pairs in errors.values() for _, value in pairs])
    low, high = max(everything.min() * 0.8, 1e-6), max(everything.max() * 1.25, 2e-6)
    bins = np.geomspace(low, high, 41)
    for name, pairs in errors.items():
        values = np.array([value for _, value in pairs])
        label = f"{name}: mean {values.mean():.3g} %, max {values.max():.3g} %"
        axes.hist(values, bins=list(bins), histtype="stepfilled", alpha=0.6, label=label)
    first = sorted(next(iter(errors.values())), key=lambda pair: -pair[1])
    median = float(np.median([value for _, value in first]))
    for rank, (label, value) in enumerate(first[:5]):
        if value > _OUTLIER_FACTOR * median:
            axes.annotate(
                label,
                (value, 1.0),
                xytext=(0, 14 + 11 * rank),
                textcoords="offset points",
                ha="center",
                fontsize=7,
                arrowprops={"arrowstyle": "-", "lw": 0.5},
            )
    axes.set(xscale="log", yscale="log", xlabel="eps_mae / %", ylabel="structures")
    axes.set_ylim(bottom=0.7)
    axes.legend(fontsize=8)
    return png(figure)


def density_picture(predicted: Density, reference: Density | None = None) -> bytes:
    """Draw slices through the plane of a structure: prediction, reference and difference.

    The plane is the layer of grid points, along the axis in which the structure is thinnest,
    closest to the mean of the nuclei.

    Args:
        predicted: density on a grid.
        reference: density on the same grid, or None.

    Returns:
        A PNG.
    """
    atoms, grid = predicted.atoms, predicted.grid
    fractional = np.linalg.solve(grid.cell.T, (atoms.positions - grid.origin).T).T
    spread = np.ptp(fractional, axis=0) * np.linalg.norm(grid.cell, axis=1)
    axis = int(np.argmin(spread))
    layer = round(float(fractional[:, axis].mean()) * grid.shape[axis]) % grid.shape[axis]
    panels = [("predicted", predicted.slice(axis, layer), "e/Å³")]
    if reference is not None:
        difference = predicted.minus(reference).slice(axis, layer)
        panels += [
            ("DFT", reference.slice(axis, layer), "e/Å³"),
            ("predicted - DFT", difference, "e/Å³"),
        ]
    kept = [a for a in range(3) if a != axis]
    lengths = np.linalg.norm(grid.cell, axis=1)[kept]
    in_plane = fractional[:, kept] * lengths
    figure = new_figure(4.2 * len(panels), 4.2)
    for number, (title, values, unit) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), number + 1)
        signed = title.startswith("predicted -")
        limit = float(np.abs(values).max()) or 1.0
        image = axes.imshow(
            values.T if signed else np.sqrt(np.maximum(values.T, 0)),
            origin="lower",
            extent=(0, lengths[0], 0, lengths[1]),
            cmap="RdBu_r" if signed else "viridis",
            vmin=-limit if signed else 0.0,
            vmax=limit if signed else limit**0.5,
        )
        axes.scatter(in_plane[:, 0], in_plane[:, 1], s=6, c="white", edgecolors="black", lw=0.5)
        axes.set(title=title, xlabel="Å", ylabel="Å")
        figure.colorbar(image, ax=axes, label=unit if signed else f"square root, ({unit})^½")
    return png(figure)


def calibration_picture(
    structures: Sequence[tuple[str, float, float]], points: Sequence[tuple[float, float, float]]
) -> bytes:
    """Draw true against expected errors, of structures and of points.

    Args:
        structures: label, expected and true eps_mae in percent.
        points: mean expected and true error (e/Å^3) and volume of bins of points.

    Returns:
        A PNG: two panels, that of points on logarithmic axes; on the dashed lines both are equal.
    """
    figure = new_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2)
    expected, true = np.array([pair[1:] for pair in structures]).T
    left.scatter(expected, true, s=14, alpha=0.7)
    left.set(title="structures", xlabel="expected eps_mae / %", ylabel="true eps_mae / %")
    bins = np.array(points).reshape(-1, 3)
    bins = bins[(bins[:, :2] > 0).all(axis=1)]
    right.plot(bins[:, 0], bins[:, 1], "o-", ms=4)
    right.set(title="points", xlabel="expected |error| / (e/Å³)", ylabel="mean |error| / (e/Å³)")
    right.set(xscale="log", yscale="log")
    for axes, values in ((left, (expected, true)), (right, (bins[:, 0], bins[:, 1]))):
        if len(values[0]):
            ends = [np.min(values) * 0.8, np.max(values) * 1.25]
            axes.plot(ends, ends, "k--", lw=0.8)
    return png(figure)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches.

    Raises:
        MissingDependencyError: if matplotlib is not installed.
    """
    figures = import_extra("matplotlib.figure", "A picture")
    figure: Figure = figures.Figure(figsize=(width, height), layout="constrained")
    return figure


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG, drawn without a display."""
    import_extra("matplotlib.backends.backend_agg", "A picture").FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
