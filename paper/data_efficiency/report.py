"""Tables and figure of what was learned from how many molecules."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from properties import PROPERTIES, Molecules

from deepdft.storage.whole_files import replace_file

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from reporting import machine

Record = dict[str, Any]
Curve = dict[int, "Point"]

PAIRS = (
    ("density states (same molecules), kernel", "untrained states, kernel"),
    ("density states (all molecules), kernel", "untrained states, kernel"),
    ("density states (same molecules), network", "direct"),
    ("density states (all molecules), network", "direct"),
    ("fine-tuned (density of the same molecules)", "direct"),
    ("fine-tuned (density of all molecules)", "direct"),
)
"""Ways that know densities, each with its like that knows none."""

TITLES = {"energy": "Energy (PBE, per molecule)", "gap": "HOMO-LUMO gap (B3LYP)"}


class Point:
    """One way at one size.

    Attributes:
        errors: by seed, (test molecules,) absolute errors, meV.
    """

    def __init__(self, errors: dict[int, Any]) -> None:
        self.errors = errors
        self.by_molecule = np.mean(list(errors.values()), axis=0)

    @property
    def mean(self) -> float:
        """Mean absolute error, meV."""
        return float(self.by_molecule.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean over test molecules, meV."""
        return float(self.by_molecule.std(ddof=1) / np.sqrt(len(self.by_molecule)))

    @property
    def seeds(self) -> float | None:
        """Standard deviation of the seeds' means, meV, if there are several."""
        means = [float(np.mean(e)) for e in self.errors.values()]
        return float(np.std(means, ddof=1)) if len(means) > 1 else None

    def minus(self, other: Point) -> tuple[float, float] | None:
        """Return the mean difference on the same seeds and its standard error over molecules."""
        common = sorted(set(self.errors) & set(other.errors))
        if not common:
            return None
        change = np.mean([self.errors[s] - other.errors[s] for s in common], axis=0)
        return float(change.mean()), float(change.std(ddof=1) / np.sqrt(len(change)))


def curves(records: Sequence[Record], name: str) -> dict[str, Curve]:
    """Return each way's points by size; of several learning rates the one that validates best."""
    best: dict[tuple[str, int, int], Record] = {}
    for record in records:
        key = record["way"], record["size"], record["seed"]
        if key not in best or record["relative_validation"] < best[key]["relative_validation"]:
            best[key] = record
    errors: dict[str, dict[int, dict[int, Any]]] = {}
    for (way, size, seed), record in sorted(best.items()):
        values = 1e3 * np.array(record["errors"][name])
        errors.setdefault(way, {}).setdefault(size, {})[seed] = values
    return {
        way: {size: Point(found) for size, found in sorted(sizes.items())}
        for way, sizes in errors.items()
    }


def needed(reference: Curve, error: float) -> tuple[str, float]:
    """Return how many molecules a way needs for an error, by log-log interpolation of its curve.

    Returns:
        "<" or ">" and the end of the curve where the error lies beyond it, else "" and the number.
    """
    sizes = list(reference)
    for before, size in zip([None, *sizes[:-1]], sizes, strict=True):
        if reference[size].mean > error:
            continue
        if before is None:
            return "<", float(size)
        high, low = np.log(reference[before].mean), np.log(reference[size].mean)
        part = (high - np.log(error)) / (high - low)
        return "", float(np.exp(np.log(before) + part * np.log(size / before)))
    return ">", float(sizes[-1])


def write_report(
    options: argparse.Namespace,
    ways: Sequence[str],
    molecules: Molecules,
    records: Sequence[Record],
) -> str:
    """Write `tables.md`, `summary.json` and `errors.png`, and return the first."""
    folder: Path = options.report or options.output
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: curves(records, name) for name in PROPERTIES}
    text = "\n".join(_text(found, ways, molecules))
    replace_file(folder / "tables.md", text.encode())
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    summary = {
        "command": shlex.join(["python", "paper/data_efficiency/learn.py", *words]),
        "machine": machine(),
        "mean_absolute_errors_meV": {
            name: {
                way: {
                    size: {"mean": p.mean, "standard_error": p.standard_error,
                           "seeds": {s: float(np.mean(e)) for s, e in p.errors.items()}}
                    for size, p in curve.items()
                }
                for way, curve in found[name].items()
            }
            for name in PROPERTIES
        },
    }  # fmt: skip
    replace_file(folder / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    _draw(found, ways, folder / "errors.png")
    return text


def _text(
    found: dict[str, dict[str, Curve]], ways: Sequence[str], molecules: Molecules
) -> Iterator[str]:
    test = molecules.parts["test"]
    targets = molecules.targets(molecules.parts["train"])
    yield (
        f"Mean absolute errors in meV on {len(test)} test molecules ± their standard error over "
        "molecules (in parentheses the standard deviation of seeds, where there are several)."
    )
    for name in PROPERTIES:
        table = found[name]
        sizes = sorted({size for curve in table.values() for size in curve})
        width = 1e3 * float(np.abs(targets[name][test] - np.median(targets[name][test])).mean())
        yield f"\n**{TITLES[name]}**; mean absolute deviation from the median: {width:.0f} meV\n"
        yield _row(["molecules", *map(str, sizes)])
        yield _row(["---", *["---:"] * len(sizes)])
        for way in (w for w in ways if w in table):
            yield _row([way, *(_cell(table[way].get(size)) for size in sizes)])
        yield "\nChange by knowing densities, meV ± standard error; and how many times as many"
        yield "molecules its like without densities needs for the same error:\n"
        yield _row(["", "instead of", *map(str, sizes)])
        yield _row(["---", "---", *["---:"] * len(sizes)])
        for way, other in PAIRS:
            if way in table and other in table:
                cells = [_change(table[way], table[other], size) for size in sizes]
                yield _row([way, other, *cells])
    yield ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(point: Point | None) -> str:
    if point is None:
        return ""
    seeds = "" if point.seeds is None else f" ({point.seeds:.0f})"
    return f"{point.mean:.0f} ± {point.standard_error:.0f}{seeds}"


def _change(curve: Curve, other: Curve, size: int) -> str:
    if size not in curve or size not in other:
        return ""
    change = curve[size].minus(other[size])
    if change is None:
        return ""
    sign, count = needed(other, curve[size].mean)
    return f"{change[0]:+.0f} ± {change[1]:.0f}; {sign}{count / size:.1f}"


def _draw(found: dict[str, dict[str, Curve]], ways: Sequence[str], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 5.2), layout="constrained")
    for axis, name in zip(axes, PROPERTIES, strict=True):
        for number, way in enumerate(ways):
            curve = found[name].get(way)
            if not curve:
                continue
            style = "o--" if "all molecules" in way else "o-"
            axis.errorbar(
                list(curve), [p.mean for p in curve.values()],
                [p.standard_error for p in curve.values()], fmt=style, color=f"C{number}",
                label=way, capsize=2, markersize=4,
            )  # fmt: skip
        axis.set(
            xscale="log", yscale="log", title=TITLES[name], xlabel="training molecules",
            ylabel="mean absolute error, meV",
        )  # fmt: skip
        axis.grid(visible=True, which="both", alpha=0.25)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8)
    picture = BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    plt.close(figure)
    replace_file(path, picture.getvalue())
