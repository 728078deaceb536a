"""Charges, dipole and electrostatic potential of a predicted density."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deepdft.density import Density
from deepdft.electronic.charges import (
    ValuesOnGrid,
    charges_and_moments_over,
    electrostatic_potential,
)
from deepdft.errors import DeepDFTError
from deepdft.prediction.trained_model import TrainedModel
from deepdft.web.facts import dipole_fact
from deepdft.web.grids import grid_within, walked
from deepdft.web.jobs import Job
from deepdft.web.results import AtomFact, Fact, Result

if TYPE_CHECKING:
    from deepdft.prediction.engine import ProbeEngine

_SPACING = 0.2
"""Å between points that are enough for a potential: superposed atoms have theirs exactly."""

_POINTS = 250_000


def with_charges(job: Job, result: Result, model: TrainedModel, _: ProbeEngine) -> Result:
    """Return a result with atomic charges and the dipole moment, or with a note why not."""
    density = result.field_named("density")
    job.begin("sharing the electrons out among the atoms", density.grid.n_points)
    try:
        found = charges_and_moments_over(
            ValuesOnGrid(density.values), result.atoms, density.level, density.grid,
            model.core_charges(result.atoms), job.advance,
        )  # fmt: skip
    except DeepDFTError as error:
        return replace(result, notes=(*result.notes, f"No atomic charges: {error}"))
    known = result.atom_facts or (AtomFact(),) * len(result.atoms)
    atoms = tuple(
        replace(fact, charge=float(charge))
        for fact, charge in zip(known, found.charges, strict=True)
    )
    facts: list[Fact] = [fact for fact in result.facts if fact.name != "dipole"]
    if found.debye is not None:
        facts.insert(1, dipole_fact(found.debye))
    return replace(result, atom_facts=atoms, facts=tuple(facts))


def with_potential(job: Job, result: Result, model: TrainedModel, engine: ProbeEngine) -> Result:
    """Return a result with the electrostatic potential, or with a note why not."""
    atoms = result.atoms
    grid = grid_within(atoms, _POINTS, _SPACING)
    values = walked(job, "density for the potential", engine, grid)
    density = Density(atoms, grid, values, level=model.level)
    job.begin("electrostatic potential")
    try:
        potential = electrostatic_potential(density, model.core_charges(atoms), model.baseline)
        values = walked(job, "electrostatic potential", potential, grid)
    except DeepDFTError as error:
        return replace(result, notes=(*result.notes, f"No electrostatic potential: {error}"))
    return result.with_field("potential", replace(density, values=values))
