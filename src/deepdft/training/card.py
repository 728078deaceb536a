"""What a training writes into the card of its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from deepdft.data import DensityDataset
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import DESCRIPTION, read_description
from deepdft.training.config import TrainConfig


def model_card(
    config: TrainConfig,
    training: DensityDataset,
    validation: DensityDataset,
    started_from: dict[str, Any] | None,
    changes: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return a model's card as it is before the first validation.

    Args:
        config: the run.
        training, validation: its densities.
        started_from: what `described_start` or `recorded_start` returned.
        changes: what was changed while the run was interrupted, see `settings.all_changes`.
    """
    sizes = [len(training.preview(i)) for i in range(len(training))]
    card: dict[str, Any] = {
        "training": {
            "structures": len(training),
            "validation_structures": len(validation),
            "median_atoms": float(np.median(sizes)),
            "largest_atoms": max(sizes),
            "configuration": config.model_dump(),
        }
    }
    if started_from is not None:
        card["training"]["started_from"] = started_from
    if changes:
        card["training"]["changes"] = [dict(entry) for entry in changes]
    charges = [_charge(training, i) for i in range(len(training))]
    card["charges"] = sorted(set(charges))
    if any(training.preview(i).get_initial_magnetic_moments().any() for i in range(len(training))):
        card["spin"] = True
    electrons = _electrons_per_element(training, np.array(charges))
    if electrons is not None:
        card["electrons"] = electrons
    return card


def described_start(
    start_from: str | Path | None, parent: Checkpoint | None
) -> dict[str, Any] | None:
    """Return what a fine-tuned model's card says of the model that its training begins with.

    Args:
        start_from: that model, as it was given; None if training begins with nothing.
        parent: the same, loaded.
    """
    if parent is None:
        return None
    return {
        "model": str(start_from),
        "level": parent.level.to_dict(),
        "training": parent.card.get("training", {}),
    }


def recorded_start(best: Path) -> dict[str, Any] | None:
    """Return the same of a run that has begun, from the folder of its best model so far."""
    if not (best / DESCRIPTION).exists():
        return None
    card = read_description(best)["card"]
    found: dict[str, Any] | None = card["training"].get("started_from")
    return found


def _charge(data: DensityDataset, index: int) -> int:
    return round(float(data.preview(index).info.get("charge") or 0.0))


def _electrons_per_element(
    training: DensityDataset, charges: NDArray[np.int64]
) -> dict[str, int] | None:
    """Infer how many electrons each element brings, if whole numbers explain the data."""
    elements = training.elements()
    every = np.array(
        [[(training.preview(i).numbers == z).sum() for z in elements] for i in range(len(training))]
    )
    # Some structures with each element: densities on grids have to be read to be counted.
    chosen = sorted({int(i) for column in every.T for i in np.flatnonzero(column)[:40]})
    counts = every[chosen]
    # Of the neutral structures.
    totals = np.array([training.n_electrons(i) for i in chosen]) + charges[chosen]
    found, _, rank, _ = np.linalg.lstsq(counts.astype(float), totals, rcond=None)
    whole = np.rint(found)
    if rank < len(elements) or np.abs(counts @ whole - totals).max() > 0.2:
        return None
    return {chemical_symbols[z]: int(n) for z, n in zip(elements, whole, strict=True)}
