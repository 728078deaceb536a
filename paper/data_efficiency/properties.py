"""What is learned: energies and gaps of molecules, and which molecules learn them."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.units import Hartree

from deepdft.arrays import FloatArray
from deepdft.data import DensityDataset, open_dataset, read_split, shuffled_with_elements_first
from deepdft.errors import ConfigurationError, MissingDependencyError
from deepdft.geometry.graphs import AtomGraph, atom_graph

ATOM_CUTOFF = 4.0
"""Reach of an edge between atoms, Å: the default of the architecture `equivariant`."""


PROPERTIES = ("energy", "gap")


@dataclass(frozen=True)
class Molecules:
    """Molecules with their properties.

    Attributes:
        dataset: structures, whose `atoms.info["energy"]` is in eV.
        parts: positions in it by part of the split.
        gaps: (molecules,) eV.
    """

    dataset: DensityDataset
    parts: dict[str, list[int]]
    gaps: FloatArray

    @cached_property
    def elements(self) -> list[int]:
        """Atomic numbers that occur, ascending."""
        return self.dataset.elements()

    @cached_property
    def counts(self) -> FloatArray:
        """(molecules, elements) number of atoms of each element."""
        return np.array(
            [
                [(self.dataset.atoms(i).numbers == z).sum() for z in self.elements]
                for i in range(len(self.dataset))
            ],
            dtype=np.float64,
        )

    @cached_property
    def energies(self) -> FloatArray:
        """(molecules,) total energies, eV."""
        return np.array([self.dataset.atoms(i).info["energy"] for i in range(len(self.dataset))])

    @cached_property
    def graphs(self) -> list[AtomGraph]:
        """The atoms and their edges, float32."""
        return [
            atom_graph(self.dataset.atoms(i), ATOM_CUTOFF, directions=True).to(dtype=torch.float32)
            for i in range(len(self.dataset))
        ]

    def training_part(self, size: int, seed: int) -> list[int]:
        """Return the molecules that a density model of this size and seed was trained on."""
        order = shuffled_with_elements_first(self.dataset, self.parts["train"], seed)
        return order[:size]

    def targets(self, training: Sequence[int]) -> dict[str, FloatArray]:
        """Return what is to be learned of every molecule, eV.

        Of the energy, what a sum of one number for each element, fitted to the training molecules,
        leaves over.
        """
        fitted, *_ = np.linalg.lstsq(self.counts[training], self.energies[training], rcond=None)
        return {"energy": self.energies - self.counts @ fitted, "gap": self.gaps}


def read_molecules(data: Sequence[str], split: str) -> Molecules:
    """Open molecules of QM9 with their PBE energies, and add the gaps that QM9 lists.

    Raises:
        ConfigurationError: if the data have no energies or are not molecules of QM9.
        MissingDependencyError: without the package qm9pack.
    """
    dataset = open_dataset(list(data))
    if any("energy" not in dataset.atoms(i).info for i in range(len(dataset))):
        raise ConfigurationError("The data have no energies; give an archive that stores them.")
    listed = _gaps_of_qm9()
    try:
        gaps = np.array([listed[int(dataset.atoms(i).info["index"])] for i in range(len(dataset))])
    except KeyError as error:
        raise ConfigurationError(f"QM9 lists no gap of molecule {error}.") from None
    return Molecules(dataset, read_split(split, dataset), gaps)


def _gaps_of_qm9() -> dict[int, float]:
    """Return HOMO-LUMO gaps (B3LYP/6-31G(2df,p), eV) by QM9 number."""
    # The package itself cannot be imported where setuptools is recent; its data can be read.
    found = importlib.util.find_spec("qm9pack")
    if found is None or found.origin is None:
        raise MissingDependencyError(
            "QM9's gaps need qm9pack: pip install 'deepdft-density[recipes]'."
        )
    result: dict[int, float] = {}
    for file in sorted((Path(found.origin).parent / "data").glob("qm9_part*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            rows: Any = csv.DictReader(lines)
            result |= {int(r["Index"]): float(r["HOMO_LUMO_gap_au"]) * Hartree for r in rows}
    return result
