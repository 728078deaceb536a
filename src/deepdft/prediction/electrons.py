"""The number of electrons of a predicted density, and what is added to make it exact.

The number N that a structure has is known: the electrons of its neutral atoms less its charge. A
network predicts a density that holds nearly as many. What is missing, or too much, is added as

    (N - N_pred) s(r),   s(r) = sum over atoms i of f_Z(i)(|r - r_i|) / sum over atoms i of v_Z(i)

with f_Z, fitted to errors of the model (`deepdft.uncertainty.electrons`), telling where errors are
expected, and v_Z its integral. N_pred is an integral over points around the atoms
(`deepdft.fields.atoms.quadrature`), so that the correction does not depend on what is asked for; in
crystals over the cell (`deepdft.fields.atoms.cell_integral`), which does not change when they are
turned, or described by another cell.

Atoms so far from all others that no point feels both are a fragment of their own, with a whole
number of electrons: two ions far from each other are each as they are alone, and so is a neutral
molecule far from an ion. The charge of a fragment is the whole number that its atoms suggest; their
sum is the given one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from deepdft.arrays import FloatArray, Index, IntegerArray
from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.atoms.cell_integral import Valued, cell_integral
from deepdft.fields.atoms.quadrature import integrals_by_atom
from deepdft.geometry.connections import connected_parts
from deepdft.geometry.pairs import near_pairs
from deepdft.geometry.primitive_cell import primitive_cell
from deepdft.models.expected_errors.calibration import Excess
from deepdft.structures.coverage import is_isolated

SUSPICIOUS = 0.3
"""Electrons by which a fragment may be off before its charge is doubted."""

MOST_COUNTED, _FEWEST_COUNTED = 1_000, 100
"""Atoms of a fragment whose surroundings are looked at: of more, some of each element stand for
all, and at least so many of each."""

_MOST_TIMES = 10.0
"""Of the electrons that there should be: a model that gives more is none."""

_SUSPICIOUS_PART = 0.01
"""The same as a part of its electrons, where that is more."""


@dataclass(frozen=True)
class ElectronTarget:
    """How many electrons a structure has, and where errors of their number are expected.

    Attributes:
        core_charges: (atoms,) electrons that the neutral atoms bring.
        charge: net charge, e.
        shapes: f_Z, whose integrals are v_Z.
        reach: up to which atoms belong to one fragment, Å.
    """

    core_charges: FloatArray
    charge: int
    shapes: AtomicDensityTables
    reach: float


@dataclass(frozen=True, eq=False)
class ElectronCount:
    """Electrons of a predicted density without correction, and those that there should be.

    Attributes:
        atoms: the structure.
        fragment: (atoms,) number of each atom's fragment.
        charges: (fragments,) charge that each is taken to have, e.
        suggested: (fragments,) charge by the prediction itself, e.
        electrons: (fragments,) that there should be.
        amplitudes: (atoms,) factors of the atoms' functions in the correction.
    """

    atoms: Atoms
    fragment: IntegerArray
    charges: IntegerArray
    suggested: FloatArray
    electrons: FloatArray
    amplitudes: FloatArray

    @property
    def deviations(self) -> FloatArray:
        """Electrons that the prediction has too many of, (fragments,)."""
        return np.asarray(self.charges - self.suggested)

    @property
    def deviation(self) -> float:
        """Electrons that the prediction has too many of, in all."""
        return float(self.deviations.sum())

    @property
    def excess(self) -> Excess:
        """What the prediction's counting says of its other errors."""
        sizes = np.bincount(self.fragment).astype(np.float64)
        if not is_isolated(self.atoms):
            sizes[:] = np.inf
        return Excess(self.fragment, self.electrons, np.abs(self.deviations), sizes)

    def warning(self) -> str | None:
        """Return a sentence where the charge is not what the atoms suggest, else None."""
        limits = np.maximum(SUSPICIOUS, _SUSPICIOUS_PART * self.electrons)
        doubtful = np.abs(self.deviations) > limits
        if not doubtful.any():
            return None
        worst = int(np.argmax(np.abs(self.deviations) / limits))
        own = self.fragment == worst
        name = self.atoms[own].get_chemical_formula()
        part = name if len(self.charges) == 1 else f"the part {name}"
        found = self.electrons[worst] + self.deviations[worst]
        said = (
            f"the predicted density of {part} holds {found:.2f} electrons before it is corrected "
            f"to {self.electrons[worst]:.0f}"
        )
        suggested, given = round(float(self.suggested[worst])), int(self.charges[worst])
        if suggested == given:
            return f"{said}: it is probably outside what the model knows"
        return (
            f"the atoms suggest a charge of {suggested:+d} rather than {given:+d} ({said}); check "
            "the charge, and that no hydrogen is missing"
        ).replace("+0", "0")


def counted(
    density: Valued, atoms: Atoms, target: ElectronTarget,
    baseline: AtomicDensityTables | None, cutoff: float, threads: int | None = None,
) -> ElectronCount:  # fmt: skip
    """Count the electrons of a predicted density.

    Args:
        density: e/Å^3, without correction.
        atoms: the structure.
        target: how many there should be.
        baseline: superposed atoms, whose electrons are known, or None.
        cutoff: distance from atoms beyond which the density is that of the superposed atoms, Å.
        threads: CPU threads; default: all that this process may use.

    Raises:
        ConfigurationError: if the density holds ten times what it should, or no number at all.
    """
    fragment = fragments(atoms, target.reach)
    cores = _sums(fragment, target.core_charges)
    found = electrons_by_fragment(density, atoms, fragment, baseline, cutoff, threads)
    absurd = ~(np.abs(found) <= _MOST_TIMES * (cores + 1.0))  # also where it is no number
    if absurd.any():
        raise ConfigurationError(
            f"The model gives {found[absurd][0]:.3g} electrons where there should be about "
            f"{cores[absurd][0]:.0f}: its weights are too large or damaged."
        )
    suggested = cores - found
    charges = whole_charges(suggested, target.charge)
    sizes = _sums(fragment, integrals_of(target.shapes, atoms))
    amplitudes = ((suggested - charges) / sizes)[fragment]
    return ElectronCount(atoms, fragment, charges, suggested, cores - charges, amplitudes)


def electrons_by_fragment(
    density: Valued, atoms: Atoms, fragment: IntegerArray, baseline: AtomicDensityTables | None,
    cutoff: float, threads: int | None = None,
) -> FloatArray:  # fmt: skip
    """Return the electrons of a density by fragment, (fragments,); see `counted`.

    Args:
        density: see `counted`.
        atoms: the structure.
        fragment: (atoms,) number of each atom's fragment.
        baseline: see `counted`.
        cutoff: see `counted`.
        threads: see `counted`.
    """
    function = density
    known = np.zeros(len(atoms))
    if baseline is not None:
        function = _Difference(density, SuperposedAtoms(baseline, atoms, threads=threads))
        known = integrals_of(baseline, atoms)
    whole = not fragment.any()
    if whole and atoms.pbc.all():
        primitive = primitive_cell(atoms)
        if len(primitive.atoms) <= MOST_COUNTED:
            return np.array([known.sum() + cell_integral(function, atoms, primitive, threads)])
    if whole and len(atoms) > MOST_COUNTED:
        return np.array([known.sum() + _from_some(function, atoms, cutoff, threads)])
    return _sums(fragment, known + integrals_by_atom(function.at, atoms, cutoff, threads))


def _from_some(function: Valued, atoms: Atoms, cutoff: float, threads: int | None) -> float:
    """Return the integral of a function from the shares of some atoms of each element.

    They are drawn at random, always the same of a structure.
    """
    generator = np.random.default_rng(0)
    total, part = 0.0, MOST_COUNTED / len(atoms)
    for number in np.unique(atoms.numbers):
        own = np.flatnonzero(atoms.numbers == number)
        count = min(len(own), max(_FEWEST_COUNTED, round(part * len(own))))
        some = np.sort(generator.choice(own, count, replace=False))
        shares = integrals_by_atom(function.at, atoms, cutoff, threads, some)
        total += float(shares.mean()) * len(own)
    return total


@dataclass(frozen=True, eq=False)
class _Difference:
    """A density less superposed atoms, whose sharp parts are theirs."""

    density: Valued
    below: SuperposedAtoms

    def at(self, points: ArrayLike) -> FloatArray:
        return self.density.at(points) - self.below.at(points)

    def box(self, grid: Grid, start: Index, stop: Index) -> FloatArray:
        return self.density.box(grid, start, stop) - self.below.box(grid, start, stop)


def integrals_of(tables: AtomicDensityTables, atoms: Atoms) -> FloatArray:
    """Return the integral of each atom's table, (atoms,)."""
    known = {symbol: tables.electrons(symbol) for symbol in set(atoms.symbols)}
    return np.array([known[symbol] for symbol in atoms.symbols])


def _sums(fragment: IntegerArray, values: FloatArray) -> FloatArray:
    """Return the sums of atoms' values over fragments, (fragments,)."""
    return np.asarray(np.bincount(fragment, values), dtype=np.float64)


def fragments(atoms: Atoms, reach: float) -> IntegerArray:
    """Return the number of each atom's fragment: what `reach` (Å) and shorter steps connect."""
    found = np.zeros(len(atoms), dtype=np.int64)
    # Of large structures, short steps connect most, and there are far fewer of them.
    for steps in (0.5 * reach, reach):
        pairs = near_pairs(atoms, steps)
        found = connected_parts(len(atoms), pairs.first, pairs.second)
        if not found.any():
            break
    return found


def whole_charges(suggested: FloatArray, total: int) -> IntegerArray:
    """Return the whole numbers (n,) next to `suggested` whose sum is `total`.

    Where rounding gives another sum, those change by one that are off most.
    """
    charges = np.rint(suggested).astype(np.int64)
    step = int(np.sign(total - charges.sum()))
    for _ in range(abs(total - int(charges.sum()))):
        charges[np.argmax(step * (suggested - charges))] += step
    return charges
