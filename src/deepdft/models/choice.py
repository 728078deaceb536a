"""Which bundled model a structure is predicted with where none is named."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms

from deepdft.errors import UnsupportedStructureError
from deepdft.models.overview import bundled_overviews
from deepdft.structures.charge import charge_and_multiplicity
from deepdft.structures.coverage import Coverage

WAY_OUT = " Choose one with -m (model=...) all the same, or train your own."
"""What the command line and Python offer whoever asks for more than the models know; a page has
neither."""


def bundled_coverages() -> list[Coverage]:
    """Return what each bundled model was made for, 'default' first."""
    return [overview.coverage for overview in bundled_overviews()]


def choose_model(structures: Sequence[Atoms], way_out: str = WAY_OUT) -> Coverage:
    """Return what the bundled model for structures of their kind was made for; it has its name.

    Looks at elements, charges, and whether a structure is periodic. Models for one liquid or one
    family of crystals come before general ones.

    Args:
        structures: one or more; the model has to know all.
        way_out: what the error offers in the end.

    Raises:
        UnsupportedStructureError: if there is none, naming the nearest and what it lacks.
    """
    refusals: list[tuple[int, str]] = []
    coverages = bundled_coverages()
    for coverage in sorted(coverages, key=lambda known: not known.is_special):
        found = [_obstacle(coverage, atoms) for atoms in structures]
        worst = max(found, key=lambda obstacle: obstacle[0])
        if worst[0] == 0:
            return coverage
        refusals.append(worst)
    nearest = min(refusals, key=lambda refusal: refusal[0], default=(0, "none is bundled"))[1]
    wanted = sorted({symbol for atoms in structures for symbol in atoms.get_chemical_symbols()})
    raise UnsupportedStructureError(
        f"No bundled model was made for this structure ({', '.join(wanted)}). The nearest: "
        f"{nearest}.{way_out}"
    )


def _obstacle(coverage: Coverage, atoms: Atoms) -> tuple[int, str]:
    """Return how far a model is from treating a structure (0: not at all), and what is between."""
    unknown = sorted(set(atoms.get_chemical_symbols()) - set(coverage.elements))
    foreign = coverage.foreign(atoms)
    charge = charge_and_multiplicity(atoms)[0]
    name = f"'{coverage.model}'"
    if unknown:
        kind = 10 if foreign else 0
        return 100 + len(unknown) + kind, f"{name} does not know {', '.join(unknown)}"
    if foreign:
        return 10, f"{name} is for {foreign}"
    if charge not in coverage.charges:
        known = " and ".join(f"{q:+d}" if q else "0" for q in coverage.charges)
        nearest = min(abs(known - charge) for known in coverage.charges)
        return min(nearest, 9), f"{name} knows net charges of {known}, not of {charge:+d}"
    return 0, ""
