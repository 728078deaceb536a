"""The work of a prediction: a coarse picture first, then all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ase import Atoms

from deepdft.density import Density
from deepdft.errors import ConfigurationError, UnsupportedStructureError
from deepdft.fields.atoms import SuperposedAtoms
from deepdft.geometry.grids import DEFAULT_SPACING
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.predict import reductions_for
from deepdft.prediction.trained_model import TrainedModel
from deepdft.structures import Structure
from deepdft.web.electrostatics import with_charges, with_potential
from deepdft.web.facts import atom_facts, facts_of
from deepdft.web.grids import first_points, grid_within, walked
from deepdft.web.jobs import Job
from deepdft.web.limits import Limits
from deepdft.web.models import Models
from deepdft.web.results import Result

if TYPE_CHECKING:
    from deepdft.models.expected_errors.expected import Uncertainty

_COARSE_SPACING = 0.25

_SMOOTH_SPACING = 0.2
"""Å between points of fields without detail."""


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
    quick = model.engine(atoms, exact_electrons=False)
    result = replace(result, model=model.name, level=str(model.level))
    points = first_points(models.rate(model.name), limits.coarse_points)
    coarse = grid_within(atoms, points, _COARSE_SPACING)
    values = walked(job, "first picture", quick, coarse)
    density = Density(atoms, coarse, values, level=model.level)
    job.publish(replace(result, fields={"density": density}, quality="coarse"))
    job.begin("counting the electrons")
    engine = _exact(model, quick)
    expected = _uncertainty(model, atoms, quick)
    warning = model.warning(engine, expected)
    if warning is not None:
        result = replace(result, warnings=(f"{warning}.",))
    result = _whole(job, result, model, engine, expected, limits)
    models.note_rate(model.name, job.rate)
    job.publish(result)
    for step in (_with_deformation, with_charges, with_potential):
        result = step(job, result, model, engine)
        job.publish(result)
    if expected is not None:
        grid = grid_within(atoms, limits.points, _SMOOTH_SPACING)
        errors = walked(job, "estimating the error", expected, grid)
        job.publish(result.with_field("error", Density(atoms, grid, errors, level=model.level)))


def _exact(model: TrainedModel, quick: ProbeEngine) -> ProbeEngine:
    """Return an engine with the right number of electrons; no atom is encoded again."""
    return ProbeEngine(
        model.evaluator, model.baseline, quick.atoms, model.threads, quick.senders,
        level=model.level, electrons=model.electron_target(quick.atoms),
    )  # fmt: skip


def _whole(
    job: Job, result: Result, model: TrainedModel, engine: ProbeEngine,
    expected: Uncertainty | None, limits: Limits,
) -> Result:  # fmt: skip
    """Return the result with the whole density and the first facts."""
    atoms = result.atoms
    grid = grid_within(atoms, limits.points, DEFAULT_SPACING)
    sums = reductions_for(model, atoms, grid)
    values = walked(job, "computing the density", engine, grid, sums)
    about = {"properties": sums.results()}
    density = Density(atoms, grid, values, level=model.level, metadata=about)
    return replace(
        result,
        fields={"density": density},
        quality="full",
        facts=facts_of(density, expected, model.expected_electrons(atoms)),
        atom_facts=atom_facts(expected),
    )


def _with_deformation(job: Job, result: Result, model: TrainedModel, _: ProbeEngine) -> Result:
    """Return the result with what changes when free atoms join, where these are known."""
    if model.baseline is None:
        return result
    density = result.field_named("density")
    atomic = SuperposedAtoms(model.baseline, result.atoms, threads=model.threads)
    below = walked(job, "subtracting free atoms", atomic, density.grid)
    return result.with_field("deformation", replace(density, values=density.values - below))


def _uncertainty(model: TrainedModel, atoms: Atoms, engine: ProbeEngine) -> Uncertainty | None:
    try:
        return model.uncertainty(atoms, engine)
    except (ConfigurationError, UnsupportedStructureError):
        return None
