"""Band energies that pw.x has saved: gaps, and how far two sets of them are apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from deepdft.arrays import FloatArray
from deepdft.errors import CalculationError
from deepdft.formats.quantum_espresso_schema import NAME
from deepdft.units import HARTREE

WINDOW = 3.0
"""Bands so far from the middle of the gap, or from the Fermi energy, are near it, eV."""


@dataclass(frozen=True, eq=False)
class Bands:
    """Band energies at k-points, without spin.

    Attributes:
        energies: (k-points, bands) eV, ascending.
        weights: (k-points,) of sum one.
        electrons: in the cell.
        fermi: Fermi energy, eV; None where pw.x names none.
    """

    energies: FloatArray
    weights: FloatArray
    electrons: float
    fermi: float | None

    @property
    def occupied(self) -> int:
        """Bands that are filled, were it an insulator."""
        return round(self.electrons / 2)

    @property
    def edges(self) -> tuple[float, float] | None:
        """Highest energy of filled and lowest of empty bands, eV; None for metals.

        On the mesh of k-points; metals have an odd number of electrons, or bands that overlap.
        """
        count = self.occupied
        if abs(self.electrons - 2 * count) > 1e-6 or count >= self.energies.shape[1]:
            return None
        top, bottom = self.energies[:, count - 1].max(), self.energies[:, count].min()
        return (float(top), float(bottom)) if bottom > top else None

    @property
    def gap(self) -> float:
        """Band gap on the mesh, eV; 0 for metals."""
        return 0.0 if self.edges is None else self.edges[1] - self.edges[0]

    @property
    def middle(self) -> float:
        """The middle of the gap, or the Fermi energy, eV."""
        if self.edges is not None:
            return sum(self.edges) / 2
        count = min(self.occupied, self.energies.shape[1] - 1)
        between = (self.energies[:, max(count - 1, 0)].max() + self.energies[:, count].min()) / 2
        return float(between) if self.fermi is None else self.fermi


@dataclass(frozen=True)
class BandDifference:
    """How far bands are from reference ones.

    Attributes:
        gap: difference of the gaps, eV.
        near: mean absolute difference near the gap, eV, with the mean difference taken off.
        shift: the mean difference near the gap, eV: an energy that all bands share has no meaning
            in a crystal without end.
        count: energies compared.
    """

    gap: float
    near: float
    shift: float
    count: int


def compare_bands(found: Bands, reference: Bands, window: float = WINDOW) -> BandDifference:
    """Compare bands at the same k-points.

    Raises:
        CalculationError: if there are others.
    """
    bands = min(found.energies.shape[1], reference.energies.shape[1])
    if len(found.energies) != len(reference.energies):
        raise CalculationError(
            f"Bands at {len(found.energies)} and at {len(reference.energies)} k-points cannot be "
            "compared."
        )
    ours, theirs = found.energies[:, :bands], reference.energies[:, :bands]
    half = window + reference.gap / 2
    near = np.abs(theirs - reference.middle) <= half
    weights = np.where(near, reference.weights[:, None], 0.0)
    weights /= weights.sum()
    difference = ours - theirs
    shift = float((weights * difference).sum())
    mean = float((weights * np.abs(difference - shift)).sum())
    return BandDifference(found.gap - reference.gap, mean, shift, int(near.sum()))


def read_bands(save: str | Path) -> Bands:
    """Read the band energies of a save folder.

    Raises:
        CalculationError: if there are none, or those of two spins.
    """
    path = Path(save) / NAME
    try:
        root = ElementTree.parse(path).getroot()
        structure = root.find("output/band_structure")
        if structure is None:
            raise ValueError("it has no bands")
        if (structure.findtext("lsda") or "").strip() == "true":
            raise ValueError("its bands are of two spins")
        energies, weights = [], []
        for point in structure.findall("ks_energies"):
            found = point.find("eigenvalues")
            k = point.find("k_point")
            if found is None or found.text is None or k is None:
                raise ValueError("a k-point has no energies")
            energies.append([float(word) * HARTREE for word in found.text.split()])
            weights.append(float(k.get("weight") or 1.0))
        fermi = structure.findtext("fermi_energy")
        electrons = float(structure.findtext("nelec") or "nan")
        table = np.array(energies)
        if table.ndim != 2 or not np.isfinite(table).all() or not np.isfinite(electrons):
            raise ValueError("its energies are not complete")
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise CalculationError(f"The bands in {path} cannot be used: {error}.") from None
    shares = np.array(weights) / sum(weights)
    return Bands(
        np.sort(table, axis=1), shares, electrons, None if fermi is None else float(fermi) * HARTREE
    )
