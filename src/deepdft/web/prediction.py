"""The work of a prediction: a coarse picture first, then all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, UnsupportedStructureError
from deepdft.fields.atoms import SuperposedAtoms
from deepdft.fields.field import OnBoxes
from deepdft.fields.reductions import Reductions
from deepdft.fields.walk import slabs, walk
from deepdft.geometry.grids import DEFAULT_SPACING, choose_grid
from deepdft.prediction.predict import reductions_for
from deepdft.prediction.trained_model import TrainedModel
from deepdft.structures import Structure
from deepdft.web.facts import atom_facts, facts_of
from deepdft.web.jobs import Job
from deepdft.web.limits import Limits
from deepdft.web.models import Models
from deepdft.web.results import Result

if TYPE_CHECKING:
    from deepdft.models.expected_errors.expected import Uncertainty
    from deepdft.prediction.engine import ProbeEngine

_COARSE_SPACING = 0.25
_STEPS = 24
"""Parts of a walk; after each the job may be stopped, and says how far it is."""


def predict(
    job: Job, structure: Structure, models: Models, limits: Limits, model_name: str | None = None
) -> None:
    """Predict the density of a structure and publish what is known after each step.

    Args:
        job: takes what is published.
        structure: what to predict.
        models: where models come from.
        limits: see `Limits`.
        model_name: of the model, or None for the one made for the structure.

    Raises:
        DeepDFTError: if no model can treat the structure.
    """
    atoms = structure.atoms
    result = Result(structure.name, atoms, notes=structure.notes)
    job.publish(result)
    job.begin("loading the model")
    model = models.for_structure(atoms, model_name)
    job.begin("looking at the atoms")
    engine = model.engine(atoms)
    expected = _uncertainty(model, atoms, engine)
    warning = model.warning(engine)
    result = replace(
        result,
        model=model.name,
        level=str(model.level),
        warnings=() if warning is None else (f"{warning}.",),
    )
    coarse = grid_within(atoms, limits.coarse_points, _COARSE_SPACING)
    values = walked(job, "first picture", engine, coarse)
    density = Density(atoms, coarse, values, level=model.level)
    job.publish(replace(result, fields={"density": density}, quality="coarse"))
    grid = grid_within(atoms, limits.points, DEFAULT_SPACING)
    sums = reductions_for(model, atoms, grid)
    values = walked(job, "computing the density", engine, grid, sums)
    about = {"properties": sums.results()}
    density = Density(atoms, grid, values, level=model.level, metadata=about)
    result = replace(
        result,
        fields={"density": density},
        quality="full",
        facts=facts_of(density, expected, model.expected_electrons(atoms)),
        atom_facts=atom_facts(expected),
    )
    job.publish(result)
    if model.baseline is not None:
        atomic = SuperposedAtoms(model.baseline, atoms, threads=model.threads)
        below = walked(job, "subtracting free atoms", atomic, grid)
        result = result.with_field("deformation", replace(density, values=values - below))
        job.publish(result)
    if expected is not None:
        errors = walked(job, "estimating the error", expected, grid)
        result = result.with_field("error", replace(density, values=errors))
        job.publish(result)


def walked(
    job: Job, stage: str, field: OnBoxes, grid: Grid, sums: Reductions | None = None
) -> NDArray[np.float32]:
    """Return a field on a grid in single precision; the job counts the points."""
    job.begin(stage, grid.n_points)
    values = np.empty(grid.shape, dtype=np.float32)
    boxes = slabs(grid, points=max(1, grid.n_points // _STEPS))
    for start, stop, part in walk(field, grid, boxes, sums, job.advance):
        values[start[0] : stop[0]] = part
    return values


def grid_within(atoms: Atoms, points: int, spacing: float) -> Grid:
    """Return a grid of a spacing (Å), or a wider one that has no more than `points` points.

    Raises:
        ConfigurationError: if the structure is so wide that the points would be useless.
    """
    grid = choose_grid(atoms, spacing=spacing)
    while grid.n_points > points:
        spacing *= 1.01 * (grid.n_points / points) ** (1 / 3)
        if spacing > _WIDEST:
            raise ConfigurationError(
                "The structure is too wide for this page; 'deepdft predict' on the command line "
                "takes any size."
            )
        grid = choose_grid(atoms, spacing=spacing)
    return grid


_WIDEST = 2.0
"""Å between points from which on a picture shows nothing."""


def _uncertainty(model: TrainedModel, atoms: Atoms, engine: ProbeEngine) -> Uncertainty | None:
    try:
        return model.uncertainty(atoms, engine)
    except (ConfigurationError, UnsupportedStructureError):
        return None
