"""Fig. 3 of the paper: distributions of errors, for each system one panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepdft.plotting.figures import new_figure, png

_BINS = 61


@dataclass(frozen=True)
class Panel:
    """One system.

    Attributes:
        title: its name.
        model: (n,) errors of the model, %.
        atoms: (n,) errors of superposed atomic densities, %.
        spread: eq. (8) of the same kind of structures, %, or None where it was not measured.
        outliers: (label, error in %) to be marked.
    """

    title: str
    model: NDArray[np.float64]
    atoms: NDArray[np.float64]
    spread: NDArray[np.float64] | None = None
    outliers: Sequence[tuple[str, float]] = ()


def histogram_picture(panels: Sequence[Panel]) -> bytes:
    """Draw the panels one below the other, on one logarithmic axis of errors.

    Returns:
        A PNG.
    """
    every = np.concatenate([v for p in panels for v in (p.model, p.atoms)])
    bins = np.geomspace(0.8 * every.min(), 1.25 * every.max(), _BINS)
    figure = new_figure(7.0, 0.6 + 2.6 * len(panels))
    first = None
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, number + 1, sharex=first)
        first = first or axes
        axes.hist(
            panel.model, bins=list(bins), color="tab:blue", alpha=0.7,
            label=f"model, mean {panel.model.mean():.3g} %",
        )  # fmt: skip
        axes.hist(
            panel.atoms, bins=list(bins), color="0.6",
            label=f"superposed atoms, mean {panel.atoms.mean():.3g} %",
        )  # fmt: skip
        if panel.spread is not None:
            axes.hist(
                panel.spread, bins=list(bins), histtype="step", color="tab:red", lw=1.5,
                label=f"spread of eight functionals (eq. 8), mean {panel.spread.mean():.3g} %",
            )  # fmt: skip
        for rank, (label, error) in enumerate(panel.outliers):
            axes.annotate(
                label, (error, 1.0), xytext=(0, 12 + 9 * rank), textcoords="offset points",
                ha="center", fontsize=6, arrowprops={"arrowstyle": "-", "lw": 0.5},
            )  # fmt: skip
        axes.set(xscale="log", yscale="log", ylabel="structures")
        axes.set_title(panel.title, fontsize=9)
        shown = [v for v in (panel.model, panel.atoms, panel.spread) if v is not None]
        tallest = max(np.histogram(values, bins)[0].max() for values in shown)
        # Room for the legend above the bars.
        axes.set_ylim(0.7, 12 * tallest)
        axes.legend(fontsize=7, loc="upper center")
    if first is not None:
        axes.set_xlabel("eps_mae, eps_mad / %")
    return png(figure)
