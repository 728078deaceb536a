"""Rows of Table 1: errors of a system as mean and maximum with standard errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepdft.arrays import FloatArray
from deepdft_paper.reproduce.measure import Measured
from deepdft_paper.reproduce.systems import PaperRow, System

_RESAMPLES = 4000

COLUMNS = (
    "system", "train / validation / test", "eps_mae mean / %", "max / %",
    "superposed atoms: mean / %", "max / %",
    "paper: other densities, other training size, not comparable",
)  # fmt: skip


@dataclass(frozen=True)
class Statistics:
    """Mean and maximum of errors in percent, with standard errors over independent groups.

    Attributes:
        mean: over structures.
        mean_error: standard error, None for a single group.
        max: the largest.
        max_error: standard error, None for a single group.
    """

    mean: float
    mean_error: float | None
    max: float
    max_error: float | None


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        system: title.
        train: structures that the model was trained on, None if its card does not say.
        validation: structures that it was validated on.
        test: structures of the test part.
        groups: number of independent groups among them, and what they are called.
        model: statistics of the model's errors, None if there is no model.
        atoms: those of superposed atoms, None if nothing was measured.
        paper: what the paper reports.
        missing: why there is no model, one sentence, or None.
    """

    system: str
    train: int | None
    validation: int | None
    test: int
    groups: tuple[int, str]
    model: Statistics | None
    atoms: Statistics | None
    paper: PaperRow
    missing: str | None = None


def statistics(errors: FloatArray, groups: Sequence[str]) -> Statistics:
    """Return mean and maximum of errors whose groups alone are independent.

    The standard error of the mean is that of a mean over clusters,
    sqrt(G / (G - 1) * sum_g (sum_(i in g) (e_i - mean))^2) / n; for groups of equal size it is the
    standard error of the groups' means, for groups of one the usual one. That of the maximum comes
    from drawing groups with replacement; it says little, for a maximum is one structure and can
    only be too small.

    Args:
        errors: (n,) percent.
        groups: group of each.
    """
    labels = sorted(set(groups))
    members = np.array([labels.index(group) for group in groups])
    mean = float(errors.mean())
    count = len(labels)
    if count < 2:
        return Statistics(mean, None, float(errors.max()), None)
    sums = np.bincount(members, weights=errors - mean)
    mean_error = math.sqrt(count / (count - 1) * float((sums**2).sum())) / len(errors)
    largest = np.array([errors[members == number].max() for number in range(count)])
    draws = np.random.default_rng(0).integers(count, size=(_RESAMPLES, count))
    return Statistics(mean, mean_error, float(errors.max()), float(largest[draws].max(1).std()))


def row_of(system: System, found: Sequence[Measured], card: dict[str, Any]) -> Row:
    """Return a system's row.

    Args:
        system: the system.
        found: errors on its test structures.
        card: of the model, for the counts of its training.
    """
    groups = [entry.group for entry in found]
    training = card.get("training", {})
    return Row(
        system.title,
        training.get("structures"),
        training.get("validation_structures"),
        len(found),
        (len(set(groups)), system.groups),
        statistics(100 * np.array([entry.eps_mae for entry in found]), groups),
        statistics(100 * np.array([entry.eps_mae_atoms for entry in found]), groups),
        system.paper,
    )


def without_model(system: System, reason: str) -> Row:
    """Return the row of a system that cannot be measured."""
    return Row(system.title, None, None, 0, (0, system.groups), None, None, system.paper, reason)


def cells(row: Row) -> list[str]:
    """Return a row as texts, one for each of `COLUMNS`."""
    paper = row.paper
    theirs = (
        f"{paper.train:,} / {paper.validation:,} / {paper.test:,}; "
        f"mean {paper.mean:.2f}, max {paper.max:.2f}"
    )
    if row.model is None or row.atoms is None:
        return [row.system, "-", "-", "-", "-", "-", theirs]
    counts = f"{_count(row.train)} / {_count(row.validation)} / {_count(row.test)}"
    if row.groups[0] != row.test:
        counts += f" ({row.groups[0]} {row.groups[1]})"
    return [
        row.system, counts, *_values(row.model), *_values(row.atoms), theirs,
    ]  # fmt: skip


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _values(found: Statistics) -> tuple[str, str]:
    return _with_error(found.mean, found.mean_error), _with_error(found.max, found.max_error)


def _with_error(value: float, error: float | None) -> str:
    return f"{value:.3f}" if error is None else f"{value:.3f} ± {error:.3f}"
