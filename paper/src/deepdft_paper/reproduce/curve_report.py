"""The learning curve as table, sentences, figure and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepdft.plotting.figures import new_figure, png
from deepdft.storage.whole_files import AtomicFile
from deepdft_paper.reproduce.learning_curve import CURVE, PAPER_SIZE, Curve, Shipped
from deepdft_paper.reproduce.power_law import Estimate, Fit, bootstrapped, seed_scatter

LABEL_NOISE = 0.03
"""eps_mae between the labels and the same calculation with tighter settings, %; no model that is
measured on such labels can show a smaller error."""
STILL_FALLING = 0.05
"""A run whose validation error fell by more than this in its last quarter was not converged."""
ENOUGH_SEEDS = 3
SIZES = 3
"""Sizes that a power law is fitted to at least: any two points lie on one, whatever they are. With
a floor it has a parameter more and needs one size more."""


@dataclass(frozen=True)
class CurveResult:
    """A curve with its fits.

    Attributes:
        curve: the runs.
        plain: power law without floor, None if there are too few sizes.
        with_floor: power law with a floor, None if there are too few sizes.
        shipped: the bundled model.
    """

    curve: Curve
    plain: Fit | None
    with_floor: Fit | None
    shipped: Shipped


def fitted(curve: Curve, shipped: Shipped) -> CurveResult:
    """Fit a curve with and without floor, and predict the errors of the bundled model and paper."""
    errors, wanted = curve.errors, (shipped.size, PAPER_SIZE)
    return CurveResult(
        curve,
        bootstrapped(errors, wanted) if len(errors) >= SIZES else None,
        bootstrapped(errors, wanted, floor=True) if len(errors) > SIZES else None,
        shipped,
    )


def rows(curve: Curve) -> Iterator[list[str]]:
    """Yield the table: size, steps, seeds, mean error, scatter of seeds, whether converged."""
    for size in curve.sizes:
        runs = curve.of_size(size)
        errors = np.array([run.error for run in runs])
        scatter = f"{errors.std(ddof=1):.4f}" if len(errors) > 1 else "-"
        falling = max(run.fell_in_last_quarter for run in runs)
        yield [
            f"{size:,}",
            ", ".join(f"{steps:,}" for steps in sorted({run.steps for run in runs})),
            str(len(runs)),
            f"{errors.mean():.4f}",
            scatter,
            f"{np.mean([run.standard_error for run in runs]):.4f}",
            f"{100 * falling:.0f} %",
        ]


COLUMNS = (
    "training molecules", "steps", "seeds", "mean eps_mae / %", "standard deviation of seeds",
    "standard error over test molecules", "validation error fell in the last quarter by",
)  # fmt: skip


def sentences(result: CurveResult) -> Iterator[str]:
    """Yield what the fit says and how far it can be trusted."""
    curve = result.curve
    scatter = seed_scatter(curve.errors)
    if scatter is not None:
        yield f"Seeds scatter by {100 * scatter:.1f} % of the error (pooled over sizes)."
    few = [size for size in curve.sizes if len(curve.of_size(size)) < ENOUGH_SEEDS]
    if few:
        yield f"Fewer than {ENOUGH_SEEDS} seeds at {', '.join(f'{size:,}' for size in few)}."
    if curve.outstanding:
        missing = ", ".join(f"{size:,} (seed {seed})" for size, seed in curve.outstanding)
        yield f"Begun and not evaluated yet, so not in the fit: {missing}."
    if result.plain is None:
        yield f"A power law is fitted to {SIZES} sizes or more."
        return
    yield _fit_sentence("eps_mae = a N^-b", result.plain)
    yield from _predictions("Without a floor", result.plain, result.shipped)
    if result.with_floor is not None:
        yield _fit_sentence("eps_mae = a N^-b + c", result.with_floor)
        yield from _predictions("With a floor", result.with_floor, result.shipped)
    else:
        yield f"A floor is fitted to {SIZES + 1} sizes or more."
    yield _warning(result)


def _fit_sentence(formula: str, fit: Fit) -> str:
    text = f"{formula}: a = {fit.law.scale:.3g} %, b = {_shown(fit.exponent, '')}"
    if "c" in formula:
        text += f", c = {_shown(fit.floor, ' %')}"
    return text + f" (in brackets the middle 95 % of {fit.draws:,} bootstrap samples)."


def _predictions(start: str, fit: Fit, shipped: Shipped) -> Iterator[str]:
    at_shipped = fit.predictions[shipped.size]
    inside = at_shipped.low <= shipped.error <= at_shipped.high
    yield (
        f"{start}, {shipped.size:,} molecules give {_shown(at_shipped, ' %')}; the bundled model, "
        f"trained on as many for {shipped.steps:,} steps, has {shipped.error:.4f} ± "
        f"{shipped.standard_error:.4f} % in {shipped.part}, {'inside' if inside else 'outside'} "
        "that interval."
    )
    at_paper = fit.predictions[PAPER_SIZE]
    text = f"{start}, the paper's {PAPER_SIZE:,} molecules give {_shown(at_paper, ' %')}"
    if at_paper.value < LABEL_NOISE:
        text += (
            f": below the noise of the labels, about {LABEL_NOISE} %, so that measured on such "
            "labels no model would show it"
        )
    yield text + "."


def _shown(estimate: Estimate, unit: str) -> str:
    return f"{estimate.value:.3g}{unit} [{estimate.low:.3g}, {estimate.high:.3g}]"


def _warning(result: CurveResult) -> str:
    largest = result.curve.sizes[-1]
    text = (
        f"This is an extrapolation by a factor of {PAPER_SIZE / largest:,.0f} beyond the largest "
        "run of the fit. The intervals hold the scatter of seeds and the choice of sizes; they do "
        "not hold that the law may change, that a network of this size may be too small, or the "
        "error over test molecules, which is common to all points."
    )
    steps = {run.steps for run in result.curve.runs}
    falling = [
        run.size for run in result.curve.runs if run.fell_in_last_quarter > STILL_FALLING
    ]  # fmt: skip
    if len(steps) > 1:
        text += " Larger sizes had more steps, as the table says."
    if falling:
        sizes = ", ".join(f"{size:,}" for size in sorted(set(falling)))
        text += f" Runs of {sizes} were not converged: longer training would lower their errors."
        if largest in falling and result.curve.sizes[0] not in falling:
            text += " The small sizes were, so b is rather too small and the predictions too high."
    return text


def markdown(result: CurveResult) -> str:
    """Return table and sentences."""
    spacing = result.curve.spacing
    points = "random points" if spacing is None else f"grids of {spacing:g} Å"
    tested = result.curve.runs[0].structures
    lines = [
        "# Learning curve of QM9",
        "",
        f"Mean eps_mae on {tested} test molecules ({points}) against the number of training "
        "molecules, drawn by the seed.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + " ---: |" * len(COLUMNS),
        *("| " + " | ".join(cells) + " |" for cells in rows(result.curve)),
        "",
        *(f"- {sentence}" for sentence in sentences(result)),
    ]
    return "\n".join(lines) + "\n"


def curve_picture(result: CurveResult) -> bytes:
    """Draw runs, fits with their intervals at the paper's size, and the bundled model apart.

    Returns:
        A PNG.
    """
    figure = new_figure(7.0, 4.4)
    axes = figure.add_subplot()
    runs, shipped = result.curve.runs, result.shipped
    axes.plot([r.size for r in runs], [r.error for r in runs], "o", ms=4, label="runs, each a seed")
    axes.errorbar(
        shipped.size, shipped.error, shipped.standard_error, fmt="s", color="tab:green", capsize=2,
        label=f"bundled model, {shipped.steps:,} steps, {shipped.part}, not in the fit",
    )  # fmt: skip
    sizes = np.geomspace(0.8 * runs[0].size, 1.3 * PAPER_SIZE, 200)
    for name, fit, color in (
        ("a N^-b", result.plain, "tab:blue"),
        ("a N^-b + c", result.with_floor, "tab:orange"),
    ):
        if fit is None:
            continue
        found = fit.predictions[PAPER_SIZE]
        axes.plot(sizes, fit.law(sizes), "--", color=color, lw=1, label=name)
        # An interval of the bootstrap need not hold the value from all runs.
        axes.vlines(PAPER_SIZE, found.low, found.high, color=color, lw=2)
        axes.plot(PAPER_SIZE, found.value, "D", color=color, ms=4)
    axes.axhline(LABEL_NOISE, color="0.6", lw=1, ls=":", label="noise of the labels, about")
    axes.axvline(PAPER_SIZE, color="0.8", lw=0.8, zorder=0)
    axes.set(xscale="log", yscale="log", xlabel="training molecules", ylabel="mean eps_mae / %")
    axes.legend(fontsize=7)
    return png(figure)


def as_json(result: CurveResult) -> dict[str, Any]:
    """Return the curve with its fits."""
    return result.curve.as_json() | {
        "shipped": asdict(result.shipped),
        "fits": {
            name: None if fit is None else asdict(fit)
            for name, fit in (("plain", result.plain), ("with_floor", result.with_floor))
        },
    }


def write_curve(folder: Path, result: CurveResult) -> list[str]:
    """Write `curve.json`, `curve.md` and `curve.png`.

    Returns:
        The names of the files.
    """
    files = {
        CURVE: (json.dumps(as_json(result), indent=1) + "\n").encode(),
        "curve.md": markdown(result).encode(),
        "curve.png": curve_picture(result),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        with AtomicFile(folder / name) as file:
            file.write(text)
    return list(files)
