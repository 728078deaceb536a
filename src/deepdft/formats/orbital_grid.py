"""Files that hold orbitals instead of values on a grid: the grid is ours to choose."""

from __future__ import annotations

from dataclasses import replace

from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.orbitals.density import OrbitalDensity
from deepdft.formats.electrons import ElectronCounts
from deepdft.formats.elements import without_ghosts
from deepdft.formats.interpretation import formula

DEFAULT_SPACING = 0.15
"""Distance between grid points, Å."""

DEFAULT_MARGIN = 5.0
"""How far the grid of a molecule reaches beyond the outermost nuclei, Å."""

_MOST_POINTS = 2_000_000_000


def density_on_grid(orbitals: OrbitalDensity, spacing: float, margin: float) -> Density:
    """Evaluate orbitals on a grid over the unit cell, or around a molecule.

    Ghosts are left out of the structure; missing electrons are a warning in the notes.

    Raises:
        ConfigurationError: if the spacing or margin is unusable or asks for too many points.
    """
    if not spacing > 0:
        raise ConfigurationError(f"Spacing must be positive, not {spacing} Å.")
    notes = [f"The density was evaluated from orbitals on a grid of {spacing:g} Å."]
    atoms, _ = without_ghosts(orbitals.atoms, notes)
    periodic = bool(atoms.pbc.all())
    grid = Grid.of_cell(atoms, spacing) if periodic else Grid.around(atoms, spacing, margin)
    if grid.n_points > _MOST_POINTS:
        raise ConfigurationError(
            f"A grid of {grid.shape[0]} x {grid.shape[1]} x {grid.shape[2]} points is too large; "
            "choose a larger spacing."
        )
    density = orbitals.on_grid(grid)
    notes += _missing(atoms, orbitals.n_electrons)
    if abs(density.n_electrons - orbitals.n_electrons) > 0.002 * orbitals.n_electrons:
        notes.append(
            f"The grid integrates to {density.n_electrons:.3f} of {orbitals.n_electrons:.3f} "
            "electrons; a smaller spacing or a larger margin is closer."
        )
    return replace(density, atoms=atoms, metadata={"notes": notes})


def _missing(atoms: Atoms, electrons: float) -> list[str]:
    """Return a warning if the orbitals hold another number of electrons than the elements allow."""
    counts = ElectronCounts.of(atoms.numbers)
    if counts.allow(electrons):
        return []
    return [
        f"Warning: the occupied orbitals hold {electrons:.4f} electrons, but {formula(atoms)} has "
        f"{counts.fewest} to {counts.most} valence electrons and {counts.all_electron} in all; "
        "it is an ion, or the file lacks some of the orbitals."
    ]
