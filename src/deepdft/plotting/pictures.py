"""Pictures of errors, as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deepdft.plotting.figures import new_figure, png

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
