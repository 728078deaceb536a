"""From the numbers of a file to a `Density`: units, periodicity, and whether it makes sense.

Every reader ends here. What a file cannot tell is assumed, and each assumption is one line in
``density.metadata["notes"]``. A strange electron count is noted, never refused: all-electron
densities on coarse grids miss their cores by far.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats.electrons import ElectronCounts, holds_cores
from deepdft.formats.elements import without_ghosts
from deepdft.formats.quantities import QUANTITIES, Quantity, refusal
from deepdft.formats.summary import Summary
from deepdft.levels import LevelOfTheory
from deepdft.units import PER_CUBIC_BOHR

UNITS = {"e/angstrom^3": 1.0, "e/bohr^3": PER_CUBIC_BOHR}
"""Names of the units that the option `unit` takes, in e/Å^3."""

_NEGATIVE_SHARE = 0.05
"""Share of the integral of |rho| that pseudo-densities may have below zero."""
_PERIODIC_FACE = 0.1
"""Density at the faces of a box, against its mean, from which on it is taken as periodic."""


@dataclass
class Interpretation:
    """What a reader knows about the values it has read.

    Attributes:
        path: the file, for messages.
        quantity: what the values are.
        unit: key of `UNITS` the values are in; None if the file does not say.
        default_unit: assumed if the electron count does not decide either.
        pbc: periodicity, or None if the file does not say.
        described: the JSON object of the comment (see `deepdft.formats.provenance`).
        charges: (n,) valence charges that the file gives to the nuclei, or None.
        level: level of theory that the format implies.
        metadata: what else to keep.
        notes: notes of the reader.
    """

    path: str
    quantity: Quantity
    unit: str | None
    default_unit: str = "e/bohr^3"
    pbc: bool | list[bool] | None = None
    described: dict[str, Any] = field(default_factory=dict)
    charges: NDArray[np.float64] | None = None
    level: LevelOfTheory = field(default_factory=LevelOfTheory)
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def density(
        self,
        atoms: Atoms,
        grid: Grid,
        values: NDArray[np.float64],
        spin: NDArray[np.float64] | None = None,
        summary: Summary | None = None,
    ) -> Density:
        """Return the density; `values` (and `spin`) are converted in place.

        Args:
            atoms: the structure.
            grid: the points.
            values: (nx, ny, nz).
            spin: (nx, ny, nz) or (3, nx, ny, nz).
            summary: of the values, where it is known already.

        Raises:
            FileFormatError: if the values cannot be a density and nothing else was asked for.
        """
        atoms = self._without_ghosts(atoms)
        level = LevelOfTheory.from_dict({**self.level.to_dict(), **self.described})
        summary = summary or Summary.of(values)
        if self.quantity.is_density:
            unit = self.unit or self._decide_unit(atoms, summary.total * grid.voxel_volume)
            factor = UNITS[unit]
        else:
            factor = self.quantity.atomic_unit if self.unit == "e/bohr^3" else 1.0
        for array in (values, spin):
            if array is not None and factor != 1.0:
                array *= factor
        self._require_finite(summary.times(factor), spin)
        if self.quantity.name == "density":
            self._refuse_signs(summary)
            electrons = summary.total * factor * grid.voxel_volume
            if holds_cores(atoms, grid, values):
                level = LevelOfTheory.from_dict({"core": "all-electron", **_known(level)})
                self._note_all_electron(atoms, electrons)
            else:
                self._note_electrons(atoms, electrons)
        else:
            self.metadata["quantity"] = self.quantity.name
        if np.linalg.det(grid.cell) < 0:
            self.notes.append(
                "The cell is left-handed: the three edges have a negative triple product, at which "
                "VASP stops."
            )
        self._set_periodicity(atoms, grid, values, factor * summary.size / summary.count)
        return Density(atoms, grid, values, spin, level, {**self.metadata, "notes": self.notes})

    def _require_finite(self, summary: Summary, spin: NDArray[np.float64] | None) -> None:
        """Refuse values that the volume of a tiny cell, or a unit, has made infinite."""
        with np.errstate(over="ignore", invalid="ignore"):
            of_spin = 0.0 if spin is None else float(spin.sum())
        if not np.isfinite([summary.smallest, summary.largest, summary.total, of_spin]).all():
            raise FileFormatError(
                f"{self.path}: a value is too large to be an electron density; "
                "the numbers or the cell are damaged."
            )

    def _without_ghosts(self, atoms: Atoms) -> Atoms:
        """Leave out centres that are no elements, and what the file says of each."""
        atoms, kept = without_ghosts(atoms, self.notes)
        if not kept.all():
            self.metadata.pop("augmentation", None)
            flags = self.metadata.get("selective_dynamics")
            if flags is not None and len(flags) == len(kept):
                self.metadata["selective_dynamics"] = list(compress(flags, kept))
            if self.charges is not None:
                self.charges = self.charges[kept]
        return atoms

    def _decide_unit(self, atoms: Atoms, total: float) -> str:
        """Return the unit whose electron count the elements allow."""
        counts = ElectronCounts.of(atoms.numbers)
        possible = [unit for unit, factor in UNITS.items() if counts.allow(total * factor)]
        unit = possible[0] if len(possible) == 1 else self.default_unit
        reason = "the other does not fit" if len(possible) == 1 else "neither fits better"
        numbers = " or ".join(f"{total * f:.4g} in {name}" for name, f in UNITS.items())
        self.notes.append(
            f"The file does not name its unit; taken as {unit} (electrons: {numbers}; {reason})."
        )
        return unit

    def _refuse_signs(self, summary: Summary) -> None:
        size = summary.size
        if size == 0:
            self.notes.append("The density is zero everywhere.")
        elif -summary.negative > _NEGATIVE_SHARE * size:
            share = -100 * summary.negative / size
            name = "difference-density" if abs(summary.total) < 0.01 * size else "orbital"
            name = "potential" if share > 60 else name
            raise refusal(self.path, name, f"{share:.0f} % of its integral is negative")

    def _note_all_electron(self, atoms: Atoms, electrons: float) -> None:
        expected = ElectronCounts.of(atoms.numbers).all_electron
        found = f"{electrons:.4f} of {expected} electrons"
        if abs(electrons - expected) <= max(0.1, 0.01 * expected):
            self.notes.append(f"An all-electron density, by its values at the nuclei: {found}.")
        else:
            self.notes.append(
                f"Warning: an all-electron density, by its values at the nuclei, with {found}; the "
                "grid is too coarse for the cores."
            )

    def _note_electrons(self, atoms: Atoms, electrons: float) -> None:
        counts = ElectronCounts.of(atoms.numbers)
        found = f"The density integrates to {electrons:.4f} electrons"
        if len(atoms) == 0:
            self.notes.append(f"{found}; the file has no atoms to compare with.")
        elif self.charges is not None:
            expected = float(self.charges.sum())
            if abs(electrons - expected) <= max(0.1, 0.01 * expected):
                self.notes.append(f"{found}, as the file's valence charges say.")
            else:
                self.notes.append(
                    f"Warning: {found[0].lower()}{found[1:]}, but the file's valence charges add "
                    f"up to {expected:g}."
                )
        elif abs(electrons - counts.all_electron) <= max(0.1, 0.01 * counts.all_electron):
            what = "all electrons" if counts.fewest < counts.all_electron else "as many as expected"
            self.notes.append(f"{found}: {what} of {formula(atoms)}.")
        elif counts.allow(electrons):
            self.notes.append(
                f"{found}; taken as a valence density ({counts.fewest} to {counts.most} are usual, "
                f"all electrons would be {counts.all_electron})."
            )
        else:
            self.notes.append(
                f"Warning: {found[0].lower()}{found[1:]}, but {formula(atoms)} has "
                f"{counts.fewest} to {counts.most} valence electrons and {counts.all_electron} in "
                "all; a coarse grid that misses the cores does that, and so does a wrong unit."
            )

    def _set_periodicity(
        self, atoms: Atoms, grid: Grid, values: NDArray[np.float64], mean: float
    ) -> None:
        if self.pbc is not None:
            atoms.pbc = self.pbc
        elif "pbc" in self.described:
            atoms.pbc = self.described["pbc"]
        else:
            atoms.pbc = periodic_axes(values, mean)
            words = {0: "no", 3: "every"}.get(int(atoms.pbc.sum()), "some")
            self.notes.append(
                f"The file does not say whether it is periodic; by the density at its faces, taken "
                f"as periodic along {words} axis (pbc={''.join('FT'[int(p)] for p in atoms.pbc)})."
            )
        if "cell" in self.described:
            atoms.cell = self.described["cell"]
        elif atoms.pbc.any():
            atoms.cell = grid.cell


def _known(level: LevelOfTheory) -> dict[str, str]:
    return {key: value for key, value in level.to_dict().items() if value}


def formula(atoms: Atoms) -> str:
    """Return the chemical formula of a structure."""
    return str(atoms.symbols.formula.format("hill"))


def periodic_axes(values: NDArray[np.floating[Any]], mean: float) -> NDArray[np.bool_]:
    """Return along which axes a density does not vanish towards the faces of its box.

    Args:
        values: (nx, ny, nz).
        mean: mean of their absolute values.
    """
    faces = [
        min(float(np.abs(values.take(index, axis)).mean()) for index in (0, -1))
        for axis in range(3)
    ]
    return np.array([face > _PERIODIC_FACE * mean > 0 for face in faces])


def check_unit(unit: str | None) -> str | None:
    """Return `unit` if it is one of `UNITS` or None.

    Raises:
        ConfigurationError: otherwise.
    """
    if unit is not None and unit not in UNITS:
        raise ConfigurationError(f"There is no unit '{unit}' (known: {', '.join(UNITS)}).")
    return unit


def atomic_unit_of(density: Density) -> float:
    """Return the value, in our units, of one atomic unit of what a density object holds."""
    name = density.metadata.get("quantity", "density")
    return QUANTITIES[name].atomic_unit if name in QUANTITIES else PER_CUBIC_BOHR
