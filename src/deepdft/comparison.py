"""Two densities of the same thing, on the same grid or not: how far apart they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.geometry import get_distances

from deepdft.arrays import FloatArray
from deepdft.density import Comparison, Density
from deepdft.errors import ConfigurationError
from deepdft.fields.resampled import Resampled, resample
from deepdft.geometry.displacement import SAME_CELL, SAME_PLACE, largest_displacement


@dataclass(frozen=True)
class DensityComparison:
    """What `compare_densities` found; a is the reference.

    Attributes:
        statistics: on the grid of a.
        eps_mae_of_b: the same integral over that of |b| instead of |a|, a fraction.
        resampled: b on the grid of a, and how it got there.
        difference: b - a on the grid of a.
        largest_at: (3,) where |b - a| is largest, Å.
        nearest_atom: index of the atom of a closest to it, or None without atoms.
        nearest_distance: its distance, Å.
        atoms_apart: largest distance between atoms of a and b, Å; None for different molecules.
        warnings: what speaks against the comparison, one line each.
    """

    statistics: Comparison
    eps_mae_of_b: float
    resampled: Resampled
    difference: Density
    largest_at: FloatArray
    nearest_atom: int | None
    nearest_distance: float
    atoms_apart: float | None
    warnings: list[str]

    @property
    def has_moved_atoms(self) -> bool:
        """Whether a and b are the same molecule or crystal with its atoms in other places."""
        return self.atoms_apart is not None and self.atoms_apart > SAME_PLACE


def compare_densities(a: Density, b: Density, *, mix_levels: bool = False) -> DensityComparison:
    """Compare b with the reference a on the grid of a.

    Where the grids differ, b is resampled (see `deepdft.fields.resampled`).

    Args:
        a: the reference of eq. (7).
        b: what is compared with it.
        mix_levels: compare although the levels of theory differ.

    Raises:
        LevelOfTheoryError: if the levels of theory differ and `mix_levels` is not set.
        ConfigurationError: if one of them is a density and the other is something else, or a is
            zero everywhere.
    """
    if not mix_levels:
        a.level.require_match(b.level, "The densities cannot be compared")
    kinds = [density.metadata.get("quantity", "density") for density in (a, b)]
    if kinds[0] != kinds[1]:
        raise ConfigurationError(f"A {kinds[0]} cannot be compared with a {kinds[1]}.")
    moved = resample(b, a.grid)
    statistics = a.compare(moved.density, mix_levels=True)
    # Signs as in "what b has more than a".
    difference = moved.density.minus(a, mix_levels=True)
    known = {"quantity": "difference-density"} if kinds[0] == "density" else a.metadata
    difference = replace(difference, atoms=a.atoms, level=a.level, metadata=dict(known))
    size_of_b = float(np.abs(moved.density.values).sum(dtype=np.float64))
    size_of_a = float(np.abs(a.values).sum(dtype=np.float64))
    place = np.unravel_index(int(np.argmax(np.abs(difference.values))), a.grid.shape)
    point = a.grid.origin + (np.array(place) / a.grid.shape) @ a.grid.cell
    nearest, distance = _nearest_atom(a.atoms, point)
    apart = largest_displacement(a.atoms, b.atoms)
    return DensityComparison(
        statistics=statistics,
        eps_mae_of_b=statistics.eps_mae * size_of_a / size_of_b if size_of_b else float("inf"),
        resampled=moved,
        difference=difference,
        largest_at=point,
        nearest_atom=nearest,
        nearest_distance=distance,
        atoms_apart=apart,
        warnings=list(_warnings(a, b, statistics, apart)),
    )


def _nearest_atom(atoms: Atoms, point: FloatArray) -> tuple[int | None, float]:
    if len(atoms) == 0:
        return None, float("inf")
    _, distances = get_distances(point[None], atoms.positions, atoms.cell, atoms.pbc)
    nearest = int(distances[0].argmin())
    return nearest, float(distances[0, nearest])


def _warnings(a: Density, b: Density, statistics: Comparison, apart: float | None) -> Iterator[str]:
    if apart is None:
        formulas = [str(d.atoms.symbols.formula.format("hill")) for d in (a, b)]
        yield f"the structures differ: {formulas[0]} and {formulas[1]}"
    elif apart > SAME_PLACE:
        yield f"the structures differ: atoms are up to {apart:.3g} Å apart"
    cells = [np.asarray(d.atoms.cell) for d in (a, b)]
    if (a.atoms.pbc & b.atoms.pbc).any() and np.abs(cells[0] - cells[1]).max() > SAME_CELL:
        lengths = [", ".join(f"{x:.5g}" for x in d.atoms.cell.lengths()) for d in (a, b)]
        yield f"the cells differ: edges of {lengths[0]} and of {lengths[1]} Å"
    electrons = statistics.electrons
    if abs(electrons[1] - electrons[0]) > max(0.5, 0.01 * abs(electrons[0])):
        yield (
            f"the densities hold {electrons[0]:.3f} and {electrons[1]:.3f} electrons on this grid: "
            "another core treatment, another charge, or a box that cuts one of them"
        )
