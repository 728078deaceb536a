"""Sites that are occupied in part, or by several elements: refused, or ordered with a note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from deepdft.errors import UnsupportedStructureError
from deepdft.structures.structure import listed

SAME_PLACE = 0.1
"""Å. Images of a site that are closer are one: the site lies on a symmetry element."""

FULL = 1e-3
"""How far from 1 an occupancy may be, sums of rounded ones included."""


@dataclass(frozen=True)
class Occupancies:
    """How far the sites of a structure are occupied.

    Attributes:
        values: (atoms,) 0 to 1.
        labels: (atoms,) names of the sites, the same for images by symmetry.
    """

    values: NDArray[np.float64]
    labels: list[str]

    def of(self, kept: NDArray[np.bool_]) -> Occupancies:
        """Return those of some of the atoms."""
        labels = [label for label, keep in zip(self.labels, kept, strict=True) if keep]
        return Occupancies(self.values[kept], labels)


def from_ase(atoms: Atoms) -> tuple[Atoms, Occupancies | None]:
    """Return what ASE's readers leave in `info["occupancy"]` or `arrays["occupancy"]`.

    ASE keeps one element of a mixed site; the others, in the dictionary alone, become atoms.

    Returns:
        All atoms, and their occupancies or None.
    """
    if "occupancy" in atoms.arrays:
        values = np.asarray(atoms.arrays["occupancy"])
        if values.dtype.kind not in "iuf" or not np.isfinite(values).all() or not values.any():
            # Zero for every atom is what programs write that do not know occupancies.
            return atoms, None
        return atoms, Occupancies(values.astype(np.float64), _numbered(atoms))
    table = atoms.info.get("occupancy")
    if not isinstance(table, dict) or "spacegroup_kinds" not in atoms.arrays:
        return atoms, None
    kinds = np.asarray(atoms.arrays["spacegroup_kinds"])
    shares: list[dict[str, float]] = [
        table.get(str(kind)) or table.get(int(kind)) or {} for kind in kinds
    ]
    found = [
        float(share.get(symbol, 1.0)) for share, symbol in zip(shares, atoms.symbols, strict=True)
    ]
    labels = [f"{symbol} (site {kind})" for symbol, kind in zip(atoms.symbols, kinds, strict=True)]
    whole = atoms.copy()
    whole.calc = atoms.calc
    for i, share in enumerate(shares):
        for symbol in set(share) - {atoms.symbols[i]}:
            added = atoms[i : i + 1]
            added.symbols = [symbol]
            whole.extend(added)
            found.append(float(share[symbol]))
            labels.append(f"{symbol} (site {kinds[i]})")
    return whole, Occupancies(np.array(found), labels)


def require_occupied(atoms: Atoms) -> None:
    """Refuse ASE atoms whose sites are occupied in part.

    Raises:
        UnsupportedStructureError: naming the sites.
    """
    whole, occupancies = from_ase(atoms)
    if occupancies is not None and (occupancies.values < 1 - FULL).any():
        occupied(whole, occupancies, ordered=False)


def forget_occupancies(atoms: Atoms) -> None:
    """Take away what ASE's readers left, once it has been looked at."""
    atoms.info.pop("occupancy", None)
    atoms.arrays.pop("occupancy", None)


def _numbered(atoms: Atoms) -> list[str]:
    return [f"{symbol}{i}" for i, symbol in enumerate(atoms.symbols)]


def occupied(atoms: Atoms, occupancies: Occupancies, ordered: bool) -> tuple[Atoms, list[str]]:
    """Return a structure without sites that are occupied in part.

    Args:
        atoms: all sites; several elements on one are several atoms at the same place.
        occupancies: of each.
        ordered: pick, for the images of every site, whole atoms in numbers closest to the
            occupancies; the first images get the element that there is most of.

    Returns:
        The structure, and a note for every kind of site that was ordered.

    Raises:
        UnsupportedStructureError: if a site is occupied in part and `ordered` is not set, or an
            occupancy is not between 0 and 1.
    """
    values = occupancies.values
    wrong = np.flatnonzero(~((values >= -FULL) & (values <= 1 + FULL)))
    if len(wrong):
        raise UnsupportedStructureError(
            f"The site {occupancies.labels[wrong[0]]} has an occupancy of {values[wrong[0]]:g}; "
            "it must be between 0 and 1."
        )
    partial = np.flatnonzero(values < 1 - FULL)
    if len(partial) == 0:
        return atoms, []
    if not ordered:
        # Atoms that are not there at all are left out without asking.
        if (values[partial] > FULL).any():
            raise UnsupportedStructureError(_refusal(atoms, occupancies, partial))
        kept = values > FULL
        return atoms[kept], [f"{int((~kept).sum())} sites with an occupancy of 0 are left out"]
    keep = values >= 1 - FULL
    notes = []
    for group in _kinds_of_site(atoms, occupancies, partial):
        chosen, note = _order(atoms, occupancies, group)
        keep[chosen] = True
        notes.append(note)
    return atoms[keep], notes


def _refusal(atoms: Atoms, occupancies: Occupancies, partial: NDArray[np.intp]) -> str:
    sites = list(dict.fromkeys(_site(atoms, occupancies, i) for i in partial))
    are = "site is" if len(sites) == 1 else "sites are"
    return (
        f"The {are} occupied in part: {listed(sites)}; no density is that of an average. Give an "
        "ordered structure, or pass --ordered (ordered=True) to have one picked."
    )


def _site(atoms: Atoms, occupancies: Occupancies, index: int) -> str:
    label, element = occupancies.labels[index], chemical_symbols[max(atoms.numbers[index], 0)]
    name = label if element in label else f"{label} ({element})"
    return f"{name} {occupancies.values[index]:.3g}"


def _kinds_of_site(
    atoms: Atoms, occupancies: Occupancies, partial: NDArray[np.intp]
) -> list[list[list[int]]]:
    """Return, for every kind of site, its places, each with the atoms that share it."""
    from ase.geometry import find_mic

    places: list[list[int]] = []
    for index in partial:
        for place in places:
            step = find_mic(
                atoms.positions[index] - atoms.positions[place[0]], atoms.cell, atoms.pbc
            )
            if step[1] < SAME_PLACE:
                place.append(int(index))
                break
        else:
            places.append([int(index)])
    kinds: dict[tuple[str, ...], list[list[int]]] = {}
    for place in places:
        key = tuple(sorted(occupancies.labels[i] for i in place))
        kinds.setdefault(key, []).append(place)
    return list(kinds.values())


def _order(
    atoms: Atoms, occupancies: Occupancies, places: Sequence[Sequence[int]]
) -> tuple[list[int], str]:
    """Choose an atom, or none, for each of several places of one kind."""
    values, labels = occupancies.values, occupancies.labels
    by_share = sorted(places[0], key=lambda i: -values[i])
    shares = [values[i] for i in by_share]
    total = sum(shares)
    if total > 1 + 5 * FULL:
        names = listed([_site(atoms, occupancies, i) for i in by_share])
        raise UnsupportedStructureError(f"One place is occupied by more than one atom: {names}.")
    counts = _whole_numbers([*shares, max(0.0, 1.0 - total)], len(places))
    order = [number for number, count in enumerate(counts) for _ in range(count)]
    wanted = [labels[i] for i in by_share]
    chosen = []
    for place, number in zip(places, order, strict=True):
        if number < len(wanted):
            chosen += [i for i in place if labels[i] == wanted[number]][:1]
    what = [_site(atoms, occupancies, i) for i in by_share]
    said = [
        f"{count} of {len(places)} {chemical_symbols[max(atoms.numbers[i], 0)]}"
        for i, count in zip(by_share, counts, strict=False)
    ]
    return chosen, f"ordered by choice: {listed(what)} became {listed(said)}"


def _whole_numbers(shares: Sequence[float], count: int) -> list[int]:
    """Return whole numbers with a given sum that are closest to shares of it."""
    exact = np.array(shares) / sum(shares) * count
    result = np.floor(exact + 1e-9).astype(int)
    rest = count - int(result.sum())
    for index in np.argsort(-(exact - result), kind="stable")[:rest]:
        result[index] += 1
    return [int(n) for n in result]
