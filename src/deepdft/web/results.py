"""What a job shows: a structure, fields on grids, and facts in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray
from deepdft.density import Density
from deepdft.plotting.enclosed import DEFAULT_LEVEL, Enclosed
from deepdft.plotting.scenes import Scene
from deepdft.web.problems import Refusal

FieldName = Literal["density", "deformation", "error", "potential", "difference"]
"""The density; less superposed atoms; the expected error; the electrostatic potential; the
density less a reference."""

Quality = Literal["structure", "coarse", "full"]

SIGNED: tuple[FieldName, ...] = ("deformation", "potential", "difference")
"""Fields whose negative lobes are drawn as well."""

_LEVELS = 160
_CRYSTAL_SHARE = 0.75
_SIGNED_SHARE = 0.4


@dataclass(frozen=True)
class Fact:
    """A number with what it means.

    Attributes:
        name: what programs call it.
        label: what people call it.
        value: the number.
        unit: its unit, or "".
        words: one sentence on what it means.
        digits: digits after the point that are worth showing.
    """

    name: str
    label: str
    value: float
    unit: str
    words: str
    digits: int = 2


@dataclass(frozen=True)
class AtomFact:
    """What is known of one atom.

    Attributes:
        charge: atomic charge, e, or None.
        error: its share of the expected error, electrons, or None.
    """

    charge: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class FieldScale:
    """Between which values a field has surfaces worth drawing, and what they enclose.

    Attributes:
        unit: of the values.
        minimum: smallest value.
        maximum: largest value.
        default: value to begin with.
        levels: values from small to large.
        shares: of the field's integral (of its magnitude, where it is signed) inside each.
    """

    unit: str
    minimum: float
    maximum: float
    default: float
    levels: list[float]
    shares: list[float]


@dataclass(frozen=True)
class Result:
    """What there is to see of a job.

    Attributes:
        name: of the structure.
        atoms: the structure.
        quality: how far it is: the structure alone, a coarse picture, all of it.
        fields: each on its own grid, by name.
        facts: numbers in the order to show them.
        atom_facts: of each atom, or none.
        model: name of the model, or "" for a density from a file.
        level: level of theory.
        notes: what was assumed.
        warnings: what speaks against the result.
    """

    name: str
    atoms: Atoms
    quality: Quality = "structure"
    fields: Mapping[FieldName, Density] = field(default_factory=dict)
    facts: tuple[Fact, ...] = ()
    atom_facts: tuple[AtomFact, ...] = ()
    model: str = ""
    level: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    _known: dict[FieldName, tuple[Density, FieldScale]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def field_named(self, name: FieldName) -> Density:
        """Return a field.

        Raises:
            Refusal: if there is none.
        """
        if name not in self.fields:
            known = ", ".join(self.fields) or "nothing yet"
            raise Refusal(f"There is no {name} here (there is: {known}).", 404)
        return self.fields[name]

    def with_field(self, name: FieldName, density: Density) -> Result:
        """Return it with a field more."""
        return replace(self, fields={**self.fields, name: density})

    @cached_property
    def scene(self) -> Scene:
        """What is drawn of it."""
        density = next(iter(self.fields.values()), None)
        return Scene.of_structure(self.atoms) if density is None else Scene.of(density)

    def scene_of(self, cells: tuple[int, int, int]) -> Scene:
        """Return what is drawn of several cells of a crystal: one where nothing repeats."""
        if cells == (1, 1, 1) or not self.scene.is_crystal:
            return self.scene
        first, second, third = np.where(self.scene.box.repeats, cells, 1).tolist()
        return replace(self.scene, cells=(first, second, third))

    @cached_property
    def scales(self) -> dict[FieldName, FieldScale]:
        """The scale of each field that surfaces are drawn of."""
        found = {}
        for name, density in self.fields.items():
            # Sorting a field takes a while, and the next result has most of them again.
            known = self._known.get(name)
            if known is None or known[0] is not density:
                if not np.any(density.values):
                    continue
                known = self._known[name] = (density, _scale(name, density, self.scene.is_crystal))
            found[name] = known[1]
        return found


def _scale(name: FieldName, density: Density, periodic: bool) -> FieldScale:
    unit = "V" if name == "potential" else "e/Å³"
    minimum, maximum = float(density.values.min()), float(density.values.max())
    sizes: FloatArray = np.abs(density.values).astype(np.float64)
    enclosed = Enclosed(replace(density, values=sizes, spin=None))
    highest = enclosed.level(0.02)
    lowest = max(enclosed.level(0.999), 1e-5 * highest)
    if name in SIGNED:
        default = enclosed.level(_SIGNED_SHARE)
    elif name == "density" and not periodic:
        default = DEFAULT_LEVEL
        lowest = min(lowest, default / 2)
    else:
        default = enclosed.level(_CRYSTAL_SHARE)
    highest = max(highest, 2 * lowest)
    levels = np.geomspace(lowest, highest, _LEVELS)
    shares = [round(enclosed.share(float(level)), 5) for level in levels]
    default = float(np.clip(default, lowest, highest))
    return FieldScale(unit, minimum, maximum, default, levels.tolist(), shares)
