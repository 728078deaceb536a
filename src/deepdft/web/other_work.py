"""The work of jobs that predict nothing: a density from a file, a comparison of two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from deepdft.comparison import DensityComparison, compare_densities
from deepdft.density import Density
from deepdft.plotting.averages import averaged
from deepdft.web.facts import facts_of, facts_of_comparison
from deepdft.web.jobs import Job
from deepdft.web.limits import Limits
from deepdft.web.results import Result


def show(job: Job, name: str, density: Density, limits: Limits) -> None:
    """Show a density from a file as it is.

    Args:
        job: takes what is published.
        name: of the file.
        density: what it holds.
        limits: with more points than these, averages over blocks are shown.
    """
    job.begin("looking at the density")
    notes = list(density.metadata.get("notes", []))
    values, grid = averaged(density.values, density.grid, limits.file_points)
    if grid.n_points < density.grid.n_points:
        notes.append(
            f"{density.grid.n_points:,} points were averaged over blocks to {grid.n_points:,}"
        )
    shown = replace(
        density, values=values.astype(np.float32), grid=grid, spin=None, metadata={"notes": notes}
    )
    job.publish(
        Result(
            name,
            density.atoms,
            quality="full",
            fields={"density": shown},
            facts=facts_of(shown),
            level=str(density.level),
            notes=tuple(notes),
        )
    )


def compare(job: Job, density: Result, reference: Result, *, mix_levels: bool) -> None:
    """Show how far a density is from a reference, on the reference's grid.

    Raises:
        LevelOfTheoryError: if the levels of theory differ and `mix_levels` is not set.
        ConfigurationError: if they cannot be compared.
    """
    job.begin("comparing")
    pair = [result.field_named("density") for result in (reference, density)]
    found = compare_densities(pair[0], pair[1], mix_levels=mix_levels)
    difference = replace(
        found.difference, values=found.difference.values.astype(np.float32), spin=None
    )
    job.publish(
        Result(
            f"{density.name} less {reference.name}",
            reference.atoms,
            quality="full",
            fields={"difference": difference},
            facts=facts_of_comparison(found),
            level=f"{density.level} less {reference.level}",
            notes=(found.resampled.describe(),),
            warnings=tuple(_warnings(found)),
        )
    )


def _warnings(found: DensityComparison) -> Iterator[str]:
    """Yield the warnings of a comparison as sentences, and what to do where that helps."""
    for warning in found.warnings:
        yield f"{warning[:1].upper()}{warning[1:]}."
    if found.has_moved_atoms:
        yield (
            "To have both at the same places, open your file first and press “Predict it and "
            "compare”."
        )
