"""What a model can treat, and the sentences for what it cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ase import Atoms

from deepdft.errors import UnsupportedStructureError
from deepdft.structures.charge import charge_and_multiplicity
from deepdft.structures.contacts import require_finite_positions
from deepdft.structures.molecules import Molecules
from deepdft.structures.occupancy import require_occupied
from deepdft.structures.open_shells import open_shell
from deepdft.structures.structure import listed

Kind = Literal["molecules", "liquid", "crystals"]
"""What a model was made for; a card says so under "kind"."""

_GAP = 4.5
"""How much further apart than bonded the images of a molecule in a cell are, Å."""

_CONDENSED = 25.0
"""A volume an atom, Å^3, that leaves no room around molecules: liquids have 10 to 15."""


@dataclass(frozen=True)
class Coverage:
    """Structures that a model was made for.

    Attributes:
        model: its name, for messages.
        elements: chemical symbols.
        charges: net charges that it knows, e.
        open_shells: whether it knows unpaired electrons.
        kind: what it was made for, or None where nobody has said.
        molecule: of a liquid, the formula of its molecules in Hill's order ("C3H4O3").
        needs: groups of chemical symbols; a structure has to hold one of each.
    """

    model: str
    elements: tuple[str, ...]
    charges: tuple[int, ...] = (0,)
    open_shells: bool = False
    kind: Kind | None = None
    molecule: str | None = None
    needs: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of_card(cls, model: str, elements: Sequence[str], card: Mapping[str, Any]) -> Coverage:
        """Return what a model's card says."""
        return cls(
            model,
            tuple(elements),
            charges=tuple(card.get("charges") or (0,)),
            open_shells=bool(card.get("spin")),
            kind=card.get("kind"),
            molecule=card.get("molecule"),
            needs=tuple(tuple(group) for group in card.get("needs", ())),
        )

    @property
    def is_special(self) -> bool:
        """Whether it is for one liquid, or one family of crystals."""
        return self.molecule is not None or bool(self.needs)

    @property
    def made_for(self) -> str:
        """The kind of structures: "molecules", "liquid C3H4O3", "crystals with Ni or Co and O"."""
        if self.molecule is not None:
            return f"liquid {self.molecule}"
        needs = " and ".join(" or ".join(group) for group in self.needs)
        return f"{self.kind or 'structures'}{' with ' if needs else ''}{needs}"

    @property
    def purpose(self) -> str:
        """Words for people: "molecules of H C N O F", "liquid C3H4O3"."""
        if self.molecule is not None:
            return self.made_for
        few = len(self.elements) <= 8
        shown = " ".join(self.elements) if few else f"{len(self.elements)} elements"
        return f"{self.kind or 'structures'} of {shown}"

    def foreign(self, atoms: Atoms) -> str | None:
        """Return why the model was not made for a structure that it may know the elements of.

        Words that go on from "it is for"; None where it was made for it.
        """
        isolated = is_isolated(atoms)
        symbols = set(atoms.get_chemical_symbols())
        if self.kind == "molecules" and not isolated:
            return "molecules, and the structure is periodic"
        if self.kind in ("liquid", "crystals") and isolated:
            return f"{'a liquid' if self.kind == 'liquid' else 'crystals'}, not for molecules"
        if self.molecule is not None and not _consists_of(atoms, self.molecule):
            return f"liquid {self.molecule}"
        for group in self.needs:
            if not symbols & set(group):
                return f"structures with {' or '.join(group)}"
        return None

    def check(self, atoms: Atoms) -> None:
        """Refuse what the model cannot treat.

        A molecule with unpaired electrons is told by an odd number of them, by a multiplicity or
        magnetic moments, or as one of a few known ground states; a multiplicity of 1 that is
        stated is believed. A crystal with an odd number of electrons in its cell may be a metal,
        unless it consists of molecules.

        Raises:
            UnsupportedStructureError: for no atoms, elements that are not known, positions that
                cannot be, a charge or a spin that is nonsense or that the model does not know.
        """
        if len(atoms) == 0:
            raise UnsupportedStructureError("The structure has no atoms.")
        self.check_elements(atoms.get_chemical_symbols())
        require_finite_positions(atoms)
        require_occupied(atoms)
        charge, multiplicity = charge_and_multiplicity(atoms)
        if charge not in self.charges:
            known = listed([f"{q:+d}" if q else "0" for q in self.charges])
            trained = "neutral structures only" if self.charges == (0,) else f"charges of {known}"
            raise UnsupportedStructureError(
                f"The structure carries a net charge of {charge:+d}; the model '{self.model}' was "
                f"trained on {trained}."
            )
        if not self.open_shells:
            only = f"the model '{self.model}' was trained on closed shells only"
            require_closed_shell(atoms, charge, multiplicity, only)

    def check_elements(self, symbols: Sequence[str]) -> None:
        """Refuse elements that the model does not know.

        Raises:
            UnsupportedStructureError: naming them.
        """
        unknown = sorted(set(symbols) - set(self.elements))
        if unknown:
            raise UnsupportedStructureError(
                f"The model '{self.model}' does not know {', '.join(unknown)}; it covers "
                f"{', '.join(self.elements)}."
            )


def is_isolated(atoms: Atoms) -> bool:
    """Return whether a structure is one or several molecules far from their periodic images.

    A molecule in a large cell is a molecule.
    """
    if not atoms.pbc.any() or len(atoms) == 0:
        return True
    if atoms.pbc.all() and atoms.get_volume() < _CONDENSED * len(atoms):
        return False
    clusters = Molecules(atoms, _GAP)
    return not any(clusters.is_endless(part) for part in clusters.parts)


def _consists_of(atoms: Atoms, formula: str) -> bool:
    parts = Molecules(atoms).parts
    return all(atoms[part].get_chemical_formula() == formula for part in parts)


def require_closed_shell(atoms: Atoms, charge: int, multiplicity: int | None, only: str) -> None:
    """Refuse a structure with unpaired electrons.

    Args:
        atoms: the structure.
        charge: net charge, e.
        multiplicity: 2S + 1, or None where nothing is said.
        only: words on what knows closed shells only, to end the message with.

    Raises:
        UnsupportedStructureError: see `Coverage.check`.
    """
    moments = np.asarray(atoms.get_initial_magnetic_moments())
    if np.abs(moments).max(initial=0.0) > 1e-3:
        raise UnsupportedStructureError(
            f"{atoms.get_chemical_formula()} has initial magnetic moments; {only}. Remove the "
            "moments to treat it as one."
        )
    electrons = int(atoms.numbers.sum()) - charge
    if electrons % 2 and not atoms.pbc.any():
        raise UnsupportedStructureError(
            f"{atoms.get_chemical_formula()} has an odd number of electrons; {only}."
        )
    if multiplicity is not None and multiplicity > 1:
        raise UnsupportedStructureError(
            f"{atoms.get_chemical_formula()} has unpaired electrons (multiplicity "
            f"{multiplicity}); {only}."
        )
    if multiplicity is None and not charge:
        found = open_shell(atoms)
        if found is not None:
            raise UnsupportedStructureError(
                f"There is {found}; {only}. If a closed shell is meant, say --multiplicity 1 "
                "(multiplicity=1)."
            )
