"""Sums and differences of densities: both spins, core and valence, what a bond changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepdft.density import Density
from deepdft.errors import ConfigurationError
from deepdft.formats.interpretation import Interpretation, formula
from deepdft.formats.quantities import find_quantity
from deepdft.geometry.displacement import SAME_CELL, SAME_PLACE, largest_displacement
from deepdft.levels import LevelOfTheory, common_level


@dataclass(frozen=True)
class Term:
    """One density of a sum.

    Attributes:
        sign: 1.0 or -1.0.
        name: what messages call it.
        density: its values.
    """

    sign: float
    name: str
    density: Density


def combine(
    terms: Sequence[Term],
    *,
    quantity: str | None = None,
    spin: bool = False,
    mix_levels: bool = False,
) -> Density:
    """Add and subtract densities on the same grid.

    The structure and the level of theory are those of the first; what differs in the structures
    of the others, and whether the electrons fit, is told in ``metadata["notes"]``.

    Args:
        terms: at least two.
        quantity: what the result is (see `deepdft.formats.quantities`); by default a density, or
            a difference density where something is subtracted.
        spin: the terms are the densities of spin up and spin down; their difference is kept as
            the spin density.
        mix_levels: combine although levels of theory differ.

    Raises:
        ConfigurationError: if the grids or the kinds of values differ, or both spins are not two
            densities to be added.
        LevelOfTheoryError: if the levels of theory differ and `mix_levels` is not set.
    """
    first = terms[0]
    signs = [term.sign for term in terms]
    if spin and signs != [1.0, 1.0]:
        raise ConfigurationError("Both spins are two densities, UP + DOWN.")
    level = first.density.level
    if not mix_levels:
        level = common_level((t.density.level for t in terms), "The densities cannot be combined")
    for term in terms[1:]:
        _require_same_grid(first, term)
    name = quantity or ("density" if min(signs) > 0 else "difference-density")
    total = np.zeros(first.density.grid.shape)
    for term in terms:
        total += term.sign * term.density.values
    notes = [note for term in terms[1:] for note in _differences(first, term)]
    spins = [term.density.spin for term in terms]
    magnetisation = None
    if spin:
        magnetisation = np.asarray(terms[0].density.values - terms[1].density.values, np.float64)
    elif len({None if s is None else s.shape for s in spins}) == 1 and spins[0] is not None:
        magnetisation = np.zeros(spins[0].shape)
        for term, spin_density in zip(terms, spins, strict=True):
            magnetisation += term.sign * np.asarray(spin_density)
    elif any(s is not None for s in spins):
        notes.append("Not all have the same spin density, so the result has none.")
    interpretation = Interpretation(
        path=" ".join(f"{'+' if t.sign > 0 else '-'} {t.name}" for t in terms).removeprefix("+ "),
        quantity=find_quantity(name),
        unit="e/angstrom^3",
        pbc=[bool(periodic) for periodic in first.density.atoms.pbc],
        level=_without_core(level) if _parts_of_all(terms) else level,
        notes=notes,
    )
    interpretation.metadata["comment"] = interpretation.path
    atoms = first.density.atoms.copy()
    cell = atoms.cell.copy()
    made = interpretation.density(atoms, first.density.grid, total, magnetisation)
    made.atoms.cell = cell
    return made


def _parts_of_all(terms: Sequence[Term]) -> bool:
    """Return whether one term holds the cores and another does not say that it does."""
    return len({term.density.level.core for term in terms}) > 1


def _without_core(level: LevelOfTheory) -> LevelOfTheory:
    return LevelOfTheory.from_dict({**level.to_dict(), "core": ""})


def _require_same_grid(first: Term, other: Term) -> None:
    grids = first.density.grid, other.density.grid
    if grids[0].shape != grids[1].shape:
        counts = [" x ".join(map(str, grid.shape)) for grid in grids]
        raise ConfigurationError(
            f"{first.name} has {counts[0]} points, {other.name} {counts[1]}; densities are "
            "combined on one grid."
        )
    if not grids[0].is_close(grids[1], SAME_CELL):
        raise ConfigurationError(
            f"{first.name} and {other.name} have grids of as many points, but of another cell or "
            "another origin."
        )
    kinds = [t.density.metadata.get("quantity", "density") for t in (first, other)]
    groups = [find_quantity(kind).is_density for kind in kinds]
    if groups[0] != groups[1] or (not groups[0] and kinds[0] != kinds[1]):
        raise ConfigurationError(
            f"{first.name} holds {find_quantity(kinds[0]).title}, {other.name} "
            f"{find_quantity(kinds[1]).title}."
        )


def _differences(first: Term, other: Term) -> list[str]:
    """Return a note if the structures differ."""
    a, b = first.density.atoms, other.density.atoms
    moved = largest_displacement(a, b)
    if moved is None:
        return [
            f"The structures differ ({formula(a)} and {formula(b)}); that of {first.name} is kept."
        ]
    if moved <= SAME_PLACE:
        return []
    return [
        f"Warning: the structures differ: atoms of {other.name} are up to {moved:.3g} Å from those "
        f"of {first.name}, whose structure is kept."
    ]
