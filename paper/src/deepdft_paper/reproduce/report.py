"""Table 1 in Markdown and JSON, its figures, and sentences on the paper's claims."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from deepdft.storage.whole_files import AtomicFile
from deepdft_paper.reproduce.claims import FENCE, PERCENTILE, SIGNIFICANCE, errors_of
from deepdft_paper.reproduce.drawing import structures_picture
from deepdft_paper.reproduce.histograms import Panel, histogram_picture
from deepdft_paper.reproduce.systems import PAPER_BASELINE_QM9
from deepdft_paper.reproduce.table import COLUMNS, cells
from deepdft_paper.reproduce.table1 import MARGIN, Choices, SystemResult
from deepdft_paper.spread.spread_table import TABLE, SpreadTable

TEN_TIMES = 10.0


def title(choices: Choices) -> str:
    """Return the heading of the table."""
    source = "models trained here" if choices.train else "bundled models"
    text = (
        f"Table 1, {source}; grids of {choices.spacing:g} Å reaching {MARGIN:g} Å beyond molecules"
    )
    if choices.quick:
        text += "; QUICK: this coarse grid gives estimates, not the figures of the documentation"
    return text


def notes(results: Sequence[SystemResult]) -> Iterator[str]:
    """Yield what must be known beside the table."""
    grouped = [r for r in results if r.row.model and r.system.group is not None]
    for result in grouped:
        yield (
            f"Error bars of '{result.system.title}' are over its {result.row.groups[0]} "
            f"{result.row.groups[1]}, which alone are independent."
        )
    yield (
        "The error bar of a maximum comes from drawing structures (or groups) with replacement; a "
        "maximum over more structures is larger."
    )
    yield f"The paper's superposed atomic densities: {PAPER_BASELINE_QM9:g} % on QM9."
    for result in results:
        wanted = len(result.system.members("test")) if result.measured else 0
        if result.row.test < wanted:
            yield (
                f"Of the {wanted} test structures of '{result.system.title}' {result.row.test} "
                "have been calculated so far."
            )
        if result.row.missing:
            yield result.row.missing


def claims(results: Sequence[SystemResult]) -> Iterator[str]:
    """Yield the paper's claims on outliers with what was found here, one paragraph each."""
    for result in results:
        if result.system.key == "qm9" and result.outliers:
            yield _ten_times(result)
            yield _rare(result)
    for result in results:
        if result.tail is not None:
            yield _tail(result)


def _ten_times(result: SystemResult) -> str:
    factors = np.array([outlier.better for outlier in result.outliers])
    all_of_them = np.array([entry.eps_mae_atoms / entry.eps_mae for entry in result.measured])
    verdict = "holds" if factors.min() >= TEN_TIMES else "does not hold for all of them"
    return (
        f'"Outliers are still about ten times better than superposed atoms" {verdict}: the '
        f"{len(factors)} molecules above the {PERCENTILE:g}th percentile are {factors.min():.0f} "
        f"to {factors.max():.0f} times better (median {np.median(factors):.0f}; all "
        f"{len(all_of_them)} molecules: {np.median(all_of_them):.0f})."
    )


def _rare(result: SystemResult) -> str:
    start = '"Outliers hold groups that are rare in training" '
    found = result.rarity
    if found is None:
        return start + "cannot be tested here: it is not known what training holds."
    verdict = "is supported" if found.holds else "is not shown"
    text = (
        f"{start}{verdict}: the rarest atomic environment of an outlier occurs in "
        f"{found.outliers:.0f} training molecules (median), that of another molecule in "
        f"{found.others:.0f}; one-sided rank-sum test p = {found.p_value:.3g}, with "
        f"{len(result.outliers)} outliers only. Over all {len(result.measured)} molecules the rank "
        f"correlation of that count with the error is {found.correlation:.2f} "
        f"(one-sided p = {found.correlation_p_value:.2g})"
    )
    if not found.holds and found.correlation_p_value < SIGNIFICANCE:
        text += (
            ": rare groups do go with larger errors on the whole, but these outliers do not show it"
        )
    return text + "."


def _tail(result: SystemResult) -> str:
    found = result.tail
    assert found is not None
    names = f" ({', '.join(found.beyond)})" if found.beyond else ""
    return (
        f"{result.system.title}: more than {FENCE:g} interquartile ranges above the third quartile "
        f"({found.fence:.3f} %) are {len(found.beyond)} of {len(result.measured)} structures"
        f"{names}; the largest error is {found.max_over_median:.2f} medians." + _verdict(result)
    )


def _verdict(result: SystemResult) -> str:
    if result.system.key == "qm9":
        return ""
    claim = ' "No outliers" '
    assert result.tail is not None
    return claim + ("does not hold." if result.tail.beyond else "holds.")


def markdown(results: Sequence[SystemResult], choices: Choices) -> str:
    """Return the table, its notes and the claims."""
    lines = [f"# {title(choices)}", "", "| " + " | ".join(COLUMNS) + " |"]
    lines.append("| --- |" + " ---: |" * (len(COLUMNS) - 2) + " --- |")
    lines += ["| " + " | ".join(cells(result.row)) + " |" for result in results]
    lines += ["", *(f"- {note}" for note in notes(results))]
    found = list(claims(results))
    if found:
        lines += ["", "## What the paper says of outliers", "", *(f"- {text}" for text in found)]
    for result in results:
        if result.system.key == "qm9" and result.outliers:
            lines += ["", *_outlier_table(result)]
    return "\n".join(lines) + "\n"


def _outlier_table(result: SystemResult) -> Iterator[str]:
    yield "| molecule | eps_mae / % | times better than superposed atoms | rarest environment |"
    yield "| --- | ---: | ---: | --- |"
    for outlier in result.outliers:
        entry = outlier.measured
        rare = f"{outlier.rarest}, in {outlier.count} training molecules" if outlier.rarest else "?"
        yield (
            f"| {entry.formula}, QM9 {entry.name} | {100 * entry.eps_mae:.3f} | "
            f"{outlier.better:.0f} | {rare} |"
        )


def write_report(
    results: Sequence[SystemResult], choices: Choices, spread: Path | None
) -> list[str]:
    """Write `table1.md`, `table1.json`, `eps_mae.png` and `outliers.png` into the output folder.

    Args:
        results: of the systems.
        choices: how they were made.
        spread: folder of `deepdft spread` for QM9, laid over its histogram, or None.

    Returns:
        The names of the files.
    """
    contents: dict[str, bytes] = {
        "table1.md": markdown(results, choices).encode(),
        "table1.json": (json.dumps(as_json(results, choices), indent=1) + "\n").encode(),
    }
    measured = [result for result in results if result.measured]
    if measured:
        panels = [_panel(result, spread) for result in measured]
        contents["eps_mae.png"] = histogram_picture(panels)
    drawn = [pair for result in measured if result.system.key == "qm9" for pair in _drawn(result)]
    if drawn:
        contents["outliers.png"] = structures_picture(drawn)
    choices.output.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with AtomicFile(choices.output / name) as file:
            file.write(content)
    return list(contents)


def as_json(results: Sequence[SystemResult], choices: Choices) -> dict[str, Any]:
    """Return the table with all that is said about it."""
    return {
        "title": title(choices),
        "rows": [asdict(result.row) for result in results],
        "notes": list(notes(results)),
        "claims": list(claims(results)),
        "systems": {
            result.system.key: {
                "tail": asdict(result.tail) if result.tail else None,
                "rarity": asdict(result.rarity) if result.rarity else None,
                "outliers": [asdict(outlier) for outlier in result.outliers],
            }
            for result in results
            if result.measured
        },
    }


def _panel(result: SystemResult, spread: Path | None) -> Panel:
    found = result.measured
    of_functionals = None
    if spread is not None and result.system.key == "qm9":
        rows = SpreadTable.read(spread).rows.values()
        of_functionals = 100 * np.array([row["eps_mad"] for row in rows])
    return Panel(
        f"{result.system.title}, {len(found)} test structures",
        errors_of(found),
        100 * np.array([entry.eps_mae_atoms for entry in found]),
        of_functionals,
        [(o.measured.formula, 100 * o.measured.eps_mae) for o in result.outliers]
        if result.system.key == "qm9"
        else (),
    )


def _drawn(result: SystemResult) -> Iterator[tuple[Any, str]]:
    atoms = dict(zip((entry.name for entry in result.measured), result.atoms, strict=True))
    for outlier in result.outliers:
        entry = outlier.measured
        caption = f"{entry.formula} (QM9 {entry.name})\neps_mae {100 * entry.eps_mae:.2f} %"
        if outlier.rarest:
            caption += f"\n{outlier.rarest}: {outlier.count} training molecules"
        yield atoms[entry.name], caption


def default_spread() -> Path | None:
    """Return the measured spread of functionals of a checkout, if this is one."""
    folder = Path("docs/evaluation/spread")
    return folder if (folder / TABLE).exists() else None
