"""Structure types of crystals, to be filled with elements.

A prototype is a space group with its occupied sites; the cell's size follows from the radii of what
it is filled with. Free coordinates and axial ratios are those of the mineral that names the type,
and are improved by relaxation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.geometry import find_mic
from ase.spacegroup import crystal

Site = tuple[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Prototype:
    """A structure type.

    Attributes:
        name: of the type.
        spacegroup: number in the International Tables.
        sites: role of the element ("A", "B", "X", ...) and fractional coordinates.
        counts: atoms of each role in the formula.
        ratios: b / a and c / a.
        angles: degrees.
        anion: the role that takes electrons, if one does.
    """

    name: str
    spacegroup: int
    sites: tuple[Site, ...]
    counts: Mapping[str, int]
    ratios: tuple[float, float] = (1.0, 1.0)
    angles: tuple[float, float, float] = (90.0, 90.0, 90.0)
    anion: str | None = "X"

    @property
    def roles(self) -> list[str]:
        """Roles to be filled, in order."""
        return list(self.counts)

    def filled(self, elements: Sequence[str]) -> Atoms:
        """Return the primitive cell with an element for each role.

        The closest contact is that of touching covalent spheres.
        """
        symbols = dict(zip(self.roles, elements, strict=True))
        unit = crystal(
            [symbols[role] for role, _ in self.sites],
            [place for _, place in self.sites],
            spacegroup=self.spacegroup,
            cellpar=[1.0, *self.ratios, *self.angles],
            primitive_cell=True,
        )
        atoms = Atoms(unit.numbers, cell=unit.cell, pbc=True)
        atoms.set_scaled_positions(unit.get_scaled_positions())
        atoms.set_cell(atoms.cell.array / _tightness(atoms), scale_atoms=True)
        return atoms


def _tightness(atoms: Atoms) -> float:
    """Return the smallest distance in units of the sum of two radii."""
    radii = np.array([covalent_radii[number] for number in atoms.numbers])
    pairs = atoms * (2, 2, 2)
    radii = np.tile(radii, 8)
    first, second = np.triu_indices(len(pairs), 1)
    distances = find_mic(pairs.positions[second] - pairs.positions[first], pairs.cell)[1]
    return float((distances / (radii[first] + radii[second])).min())


_HEXAGONAL = (90.0, 90.0, 120.0)
PROTOTYPES = {
    prototype.name: prototype
    for prototype in (
        Prototype("fcc", 225, (("A", (0, 0, 0)),), {"A": 1}, anion=None),
        Prototype("bcc", 229, (("A", (0, 0, 0)),), {"A": 1}, anion=None),
        Prototype("sc", 221, (("A", (0, 0, 0)),), {"A": 1}, anion=None),
        Prototype("diamond", 227, (("A", (0, 0, 0)),), {"A": 1}, anion=None),
        Prototype(
            "hcp", 194, (("A", (1 / 3, 2 / 3, 0.25)),), {"A": 1}, (1.0, 1.63), _HEXAGONAL, None
        ),
        Prototype("rocksalt", 225, (("A", (0, 0, 0)), ("X", (0.5, 0.5, 0.5))), {"A": 1, "X": 1}),
        Prototype("CsCl", 221, (("A", (0, 0, 0)), ("X", (0.5, 0.5, 0.5))), {"A": 1, "X": 1}),
        Prototype(
            "zincblende", 216, (("A", (0, 0, 0)), ("X", (0.25, 0.25, 0.25))), {"A": 1, "X": 1}
        ),
        Prototype(
            "wurtzite", 186, (("A", (1 / 3, 2 / 3, 0)), ("X", (1 / 3, 2 / 3, 0.375))),
            {"A": 1, "X": 1}, (1.0, 1.633), _HEXAGONAL,
        ),
        Prototype(
            "NiAs", 194, (("A", (0, 0, 0)), ("X", (1 / 3, 2 / 3, 0.25))), {"A": 1, "X": 1},
            (1.0, 1.5), _HEXAGONAL,
        ),
        Prototype(
            "fluorite", 225, (("A", (0, 0, 0)), ("X", (0.25, 0.25, 0.25))), {"A": 1, "X": 2}
        ),
        Prototype(
            "antifluorite", 225, (("A", (0.25, 0.25, 0.25)), ("X", (0, 0, 0))), {"A": 2, "X": 1}
        ),
        Prototype(
            "rutile", 136, (("A", (0, 0, 0)), ("X", (0.305, 0.305, 0))), {"A": 1, "X": 2},
            (1.0, 0.644),
        ),
        Prototype(
            "CdI2", 164, (("A", (0, 0, 0)), ("X", (1 / 3, 2 / 3, 0.25))), {"A": 1, "X": 2},
            (1.0, 1.6), _HEXAGONAL,
        ),
        Prototype(
            "perovskite", 221,
            (("A", (0, 0, 0)), ("B", (0.5, 0.5, 0.5)), ("X", (0.5, 0.5, 0))),
            {"A": 1, "B": 1, "X": 3},
        ),
        Prototype(
            "half-Heusler", 216,
            (("A", (0.5, 0.5, 0.5)), ("B", (0.25, 0.25, 0.25)), ("X", (0, 0, 0))),
            {"A": 1, "B": 1, "X": 1},
        ),
        Prototype(
            "NaFeO2", 166, (("A", (0, 0, 0.5)), ("B", (0, 0, 0)), ("X", (0, 0, 0.2585))),
            {"A": 1, "B": 1, "X": 2}, (1.0, 5.2), _HEXAGONAL,
        ),
        Prototype(
            "elpasolite", 225,
            (("A", (0.25, 0.25, 0.25)), ("B", (0, 0, 0)), ("C", (0.5, 0.5, 0.5)),
             ("X", (0.25, 0, 0))),
            {"A": 2, "B": 1, "C": 1, "X": 6},
        ),
        Prototype(
            "K2PtCl6", 225, (("A", (0.25, 0.25, 0.25)), ("B", (0, 0, 0)), ("X", (0.24, 0, 0))),
            {"A": 2, "B": 1, "X": 6},
        ),
        Prototype("Cu3Au", 221, (("A", (0, 0, 0)), ("B", (0.5, 0.5, 0))), {"A": 1, "B": 3},
                  anion=None),
        Prototype("L10", 123, (("A", (0, 0, 0)), ("B", (0.5, 0.5, 0.5))), {"A": 1, "B": 1},
                  (1.0, 1.3), anion=None),
        Prototype("B2", 221, (("A", (0, 0, 0)), ("B", (0.5, 0.5, 0.5))), {"A": 1, "B": 1},
                  anion=None),
        Prototype("AlB2", 191, (("A", (0, 0, 0)), ("X", (1 / 3, 2 / 3, 0.5))), {"A": 1, "X": 2},
                  (1.0, 1.08), _HEXAGONAL),
        Prototype("BN", 194, (("A", (1 / 3, 2 / 3, 0.25)), ("X", (1 / 3, 2 / 3, 0.75))),
                  {"A": 1, "X": 1}, (1.0, 2.2), _HEXAGONAL),
        Prototype("WC", 187, (("A", (0, 0, 0)), ("X", (1 / 3, 2 / 3, 0.5))), {"A": 1, "X": 1},
                  (1.0, 0.976), _HEXAGONAL),
    )
}  # fmt: skip
"""By name; those without an anion are filled with metals."""

INTERSTITIAL = {"rocksalt", "WC", "AlB2"}
"""Types of metals with small atoms in their gaps, such as NbC, WC and TiB2."""

KNOWN = {
    "rocksalt": "LiF LiCl NaF NaCl KCl KBr MgO CaO SrO TiN MgS PbS AgCl",
    "CsCl": "CsCl CsBr CsI TlCl",
    "zincblende": "GaAs GaP InP ZnS ZnSe CdTe SiC AlP AlAs CuCl",
    "wurtzite": "ZnO GaN AlN CdS",
    "fluorite": "CaF2 SrF2 BaF2 CeO2 ZrO2",
    "antifluorite": "Li2O Na2O K2S",
    "rutile": "TiO2 SnO2 MgF2 RuO2",
    "CdI2": "TiS2 MgBr2 PbI2 TiSe2",
    "NiAs": "NiAs FeS CoS",
    "perovskite": "SrTiO3 BaTiO3 KTaO3 CsPbBr3 NaMgF3",
    "diamond": "C Si Ge",
    "fcc": "Cu Ag Au Al Ni Pd Pt Pb Ca",
    "bcc": "Li Na K Fe Cr W Mo Nb",
    "hcp": "Mg Zn Ti Co Zr Be",
    "Cu3Au": "AuCu3 PtFe3 YAl3",
}
"""Crystals that everybody knows, by structure type."""


def elements_of_formula(formula: str, prototype: Prototype) -> list[str]:
    """Return the elements of a formula in the order of a prototype's roles."""
    found = Atoms(formula).symbols
    order = list(dict.fromkeys(found))
    counts = [sum(symbol == other for other in found) for symbol in order]
    if counts != list(prototype.counts.values()) or not set(order) <= set(atomic_numbers):
        raise ValueError(f"{formula} does not fit the structure type {prototype.name}.")
    return order
