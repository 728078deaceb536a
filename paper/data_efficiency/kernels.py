"""Kernel ridge regression on frozen states of atoms, and on composition and bonds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import covalent_radii
from properties import PROPERTIES, FloatArray

LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Widths of the Gaussian kernel tried, in units of the median distance between descriptors."""

RIDGES = tuple(10.0**exponent for exponent in range(-11, 1))
"""Ridges tried, in units of the kernel's mean diagonal."""

_BOND = 1.25
"""Atoms nearer than this many sums of covalent radii are bonded."""


@dataclass(frozen=True)
class Kernels:
    """One kernel between molecules for each property.

    Attributes:
        name: what it was made with.
        matrices: by property, (all molecules, training molecules).
    """

    name: str
    matrices: dict[str, FloatArray]


@dataclass(frozen=True)
class Fit:
    """The kernel and ridge with the smallest validation error, and what they predict.

    Attributes:
        validation: mean absolute error, eV.
        choice: kernel and ridge.
        test: (test molecules,) predictions, eV.
    """

    validation: float
    choice: str
    test: FloatArray


def best_fits(
    kernels: Iterator[Kernels], parts: dict[str, slice], targets: dict[str, FloatArray]
) -> dict[str, Fit]:
    """Fit every kernel with every ridge; keep what validates best for each property.

    Args:
        kernels: candidates, rows ordered as `parts` says.
        parts: rows of "train", "validation" and "test".
        targets: by property, in the order of the rows; those of the test part are not used.
    """
    best: dict[str, Fit] = {}
    for kernel in kernels:
        for name in PROPERTIES:
            matrix, known = kernel.matrices[name], targets[name][parts["train"]]
            square = matrix[parts["train"]]
            unit = float(np.mean(np.diag(square)))
            values, vectors = np.linalg.eigh(square)
            mean = known.mean()
            projected = vectors.T @ (known - mean)
            for ridge in RIDGES:
                weights = vectors @ (projected / (np.maximum(values, 0.0) + ridge * unit))
                found = matrix[parts["validation"]] @ weights + mean
                error = float(np.abs(found - targets[name][parts["validation"]]).mean())
                if name not in best or error < best[name].validation:
                    test = matrix[parts["test"]] @ weights + mean
                    best[name] = Fit(error, f"{kernel.name}, ridge {ridge:.0e}", test)
    return best


def kernels_of_states(
    states: Sequence[torch.Tensor], numbers: Sequence[Any], training: int
) -> Iterator[Kernels]:
    """Compare atoms of the same element with a Gaussian; sum over the pairs of two molecules.

    The energy's kernel is the sum, as it is a sum over atoms; the gap's is the mean.

    Args:
        states: of each molecule's atoms, (steps, atoms, features); the first `training` molecules
            are those to learn from.
        numbers: atomic numbers of each molecule.
        training: how many.
    """
    sizes = np.array([len(z) for z in numbers], dtype=np.float64)
    for name, chosen in (("last step", slice(-1, None)), ("all steps", slice(None))):
        features = [s[chosen].transpose(0, 1).flatten(1) for s in states]
        known = torch.cat(features[:training])
        width = known.std(dim=0)
        kept = width > 1e-4 * width.max()
        mean, width = known.mean(dim=0)[kept], width[kept]
        scaled = torch.cat([(f[:, kept] - mean) / width for f in features])
        for length, sums in zip(LENGTHS, _summed_gaussians(scaled, numbers, training), strict=True):
            means = sums / (sizes[:, None] * sizes[None, :training])
            matrices = {"energy": sums, "gap": means}
            yield Kernels(f"{name}, length {length:g}", matrices)


def _summed_gaussians(
    features: torch.Tensor, numbers: Sequence[Any], training: int
) -> list[FloatArray]:
    every = np.concatenate(list(numbers))
    owner = np.repeat(np.arange(len(numbers)), [len(z) for z in numbers])
    total = [np.zeros((len(numbers), training)) for _ in LENGTHS]
    for element in np.unique(every):
        rows = np.flatnonzero(every == element)
        columns = rows[owner[rows] < training]
        if not len(columns):
            continue
        known = features[columns]
        starts = np.flatnonzero(np.diff(owner[columns], prepend=-1))
        molecules = owner[columns[starts]]
        sample = torch.cdist(
            known[:: max(1, len(known) // 300)], known[:: max(1, len(known) // 300)]
        )
        positive = sample[sample > 1e-3]
        median = float(positive.median()) if len(positive) else 1.0
        for first in range(0, len(rows), 1000):
            some = rows[first : first + 1000]
            squares = torch.cdist(features[some], known).square_()
            for sums, length in zip(total, LENGTHS, strict=True):
                gaussians = torch.exp(squares * (-0.5 / (length * median) ** 2)).double().numpy()
                by_column = np.add.reduceat(gaussians, starts, axis=1)
                here = np.zeros((len(some), training))
                here[:, molecules] = by_column
                np.add.at(sums, owner[some], here)
    return total


def kernels_of_bonds(molecules: Sequence[Atoms], training: int) -> Iterator[Kernels]:
    """Compare numbers of atoms, of bonds and of atoms with as many neighbours, with a Gaussian."""
    found = [_bond_counts(atoms) for atoms in molecules]
    kinds = sorted({kind for counts in found[:training] for kind in counts})
    counts = np.array([[c[kind] for kind in kinds] for c in found], dtype=np.float64)
    known = counts[:training]
    scaled = (counts - known.mean(axis=0)) / np.maximum(known.std(axis=0), 1e-3)
    squares = ((scaled**2).sum(1)[:, None] + (scaled[:training] ** 2).sum(1)[None]) - 2 * (
        scaled @ scaled[:training].T
    )
    square = squares[:training]
    median = float(np.median(square[square > 1e-6]))
    for length in LENGTHS:
        matrix = np.exp(-0.5 * np.maximum(squares, 0.0) / (length**2 * median))
        yield Kernels(f"length {length:g}", dict.fromkeys(PROPERTIES, matrix))


def _bond_counts(atoms: Atoms) -> Counter[str]:
    numbers, radii = atoms.numbers, covalent_radii[atoms.numbers]
    distances = atoms.get_all_distances()
    neighbours = np.zeros(len(atoms), dtype=int)
    counts: Counter[str] = Counter(f"{z}" for z in numbers)
    for i, j in combinations(range(len(atoms)), 2):
        reach = radii[i] + radii[j]
        if distances[i, j] < _BOND * reach:
            neighbours[[i, j]] += 1
            pair = sorted((int(numbers[i]), int(numbers[j])))
            # Shorter bonds of the same two elements are double, triple or aromatic.
            order = "" if 1 in pair else f" {round(distances[i, j] / reach, 1):.1f}"
            counts[f"{pair[0]}-{pair[1]}{order}"] += 1
    counts.update(f"{z} with {n}" for z, n in zip(numbers, neighbours, strict=True))
    return counts
