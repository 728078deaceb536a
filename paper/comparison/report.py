"""Tables of a comparison, in Markdown and JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from runs import Record

from deepdft.arrays import FloatArray

_RESAMPLES = 2000

RATIO = "ratio"
"""The column that says how many times as large an error is as another row's."""

COLUMNS = (
    "row", "mean", "median", "95th percentile", "max", RATIO, "seeds", "learning rate",
    "parameters", "steps", "probes/s", "minutes", "validation", "",
)  # fmt: skip

STATISTICS: dict[str, Callable[..., Any]] = {
    "mean": np.mean,
    "median": np.median,
    "percentile_95": lambda values, axis=None: np.percentile(values, 95, axis=axis),
    "max": np.max,
}


def statistics(errors: FloatArray) -> dict[str, dict[str, float]]:
    """Return mean, median, 95th percentile and maximum of errors, each with a standard error.

    The standard error of the mean is the usual one; those of the others come from resampling the
    structures. That of a maximum says little: it is one structure.

    Args:
        errors: (structures,) percent.
    """
    generator = np.random.default_rng(0)
    resampled = errors[generator.integers(len(errors), size=(_RESAMPLES, len(errors)))]
    result = {}
    for name, function in STATISTICS.items():
        spread = float(np.std(function(resampled, axis=1)))
        if name == "mean":
            spread = float(errors.std(ddof=1)) / math.sqrt(len(errors)) if len(errors) > 1 else 0.0
        result[name] = {"value": float(function(errors)), "standard_error": spread}
    return result


def entry(row: str, tests: Sequence[Record], trainings: Sequence[Record]) -> Record:
    """Return a row of a table: errors averaged over seeds structure by structure.

    Args:
        row: its name.
        tests: what `runs.tested` returned for each seed.
        trainings: what `runs.trained` returned for each seed; none for what was not trained here.
    """
    names = list(tests[0]["errors"])
    every = np.array([[test["errors"][name] for name in names] for test in tests])
    seeds = every.mean(axis=1)
    result: Record = {
        "row": row,
        "structures": len(names),
        "eps_mae_percent": statistics(every.mean(axis=0)),
        "seeds": len(tests),
        "spread_of_seeds": float(seeds.std(ddof=1)) if len(seeds) > 1 else None,
        "errors": dict(zip(names, every.mean(axis=0).tolist(), strict=True)),
    }
    if trainings:
        result |= {
            key: float(np.mean([training[key] for training in trainings]))
            for key in ("steps", "seconds", "probes_per_second", "best")
        }
        result |= {
            "parameters": trainings[0]["parameters"],
            "rate": trainings[0]["rate"],
            "size": trainings[0]["size"],
            # None where a training elsewhere does not tell.
            "converged": None
            if trainings[0]["converged"] is None
            else all(training["converged"] for training in trainings),
            "fell_in_last_quarter": max(t["fell_in_last_quarter"] for t in trainings),
        }
    return result


def with_ratios(entries: Sequence[Record], row: str) -> list[Record]:
    """Return entries with their mean error over that of one row, if that is among them.

    The standard error is from resampling the structures, the same ones for both.
    """
    reference = next((item for item in entries if item["row"] == row), None)
    if reference is None:
        return list(entries)
    names = list(reference["errors"])
    below = np.array([reference["errors"][name] for name in names])
    chosen = np.random.default_rng(0).integers(len(names), size=(_RESAMPLES, len(names)))
    result = []
    for item in entries:
        errors = np.array([item["errors"][name] for name in names])
        ratios = errors[chosen].mean(axis=1) / below[chosen].mean(axis=1)
        ratio = {
            "to": row,
            "value": float(errors.mean() / below.mean()),
            "standard_error": float(np.std(ratios)),
        }
        result.append({**item, "ratio": ratio})
    return result


def table(title: str, entries: Sequence[Record], rates: dict[str, list[float]]) -> str:
    """Return a Markdown table under a heading.

    Args:
        title: heading.
        entries: what `entry` returned.
        rates: learning rates that were tried, by row.
    """
    to = next((f"times {item['ratio']['to']}" for item in entries if "ratio" in item), "")
    columns = [to if column == RATIO else column for column in COLUMNS]
    lines = [f"## {title}", "", "| " + " | ".join(columns) + " |"]
    lines.append("| --- |" + " ---: |" * (len(COLUMNS) - 2) + " --- |")
    for item in entries:
        lines.append("| " + " | ".join(_cells(item, rates.get(item["row"], []))) + " |")
    return "\n".join(lines) + "\n"


def _cells(item: Record, tried: list[float]) -> list[str]:
    cells = [item["row"]]
    for name in STATISTICS:
        found = item["eps_mae_percent"][name]
        cells.append(f"{found['value']:.3f} ± {found['standard_error']:.3f}")
    found = item.get("ratio")
    cells.append(f"{found['value']:.2f} ± {found['standard_error']:.2f}" if found else "")
    spread = item["spread_of_seeds"]
    cells.append(str(item["seeds"]) if spread is None else f"{item['seeds']} (± {spread:.3f})")
    if "rate" not in item:
        return [*cells, "", "", "", "", "", "", ""]
    remarks = []
    if item["converged"] is None:
        remarks.append(f"{item['size']} training structures; convergence not known")
    elif not item["converged"]:
        remarks.append(f"not converged (− {100 * item['fell_in_last_quarter']:.0f} %)")
    if len(tried) > 1 and item["rate"] in (min(tried), max(tried)):
        remarks.append("rate at the end of those tried")
    return [
        *cells, f"{item['rate']:g}", f"{item['parameters']:,}", f"{item['steps']:,.0f}",
        f"{item['probes_per_second']:,.0f}", f"{item['seconds'] / 60:.1f}",
        "" if item["converged"] is None else f"{item['best']:.3f}",
        "; ".join(remarks),
    ]  # fmt: skip
