"""Basis functions of a structure arranged so that many are evaluated at once.

A group is a set of shells with common exponents that sits on several atoms: every exponential is
then evaluated once for all its contractions and angular functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepdft.fields.orbitals.basis import Shell
from deepdft.kernels.angular.solid_harmonics import angular_functions


@dataclass(frozen=True)
class FunctionGroup:
    """Shells with common exponents on a set of atoms.

    Attributes:
        atoms: (a,) atoms that carry the shells.
        exponents: (k,) exponents, Å^-2.
        radial: (n, k) coefficients of the radial functions, rows ordered as `kinds` says.
        kinds: (angular momentum, Cartesian or not, number of radial functions) of each set of rows.
        rows: (f, a) index of each basis function among those of the structure.
        reach: distance beyond which every function is smaller than the threshold, Å.
    """

    atoms: NDArray[np.int64]
    exponents: NDArray[np.float64]
    radial: NDArray[np.float64]
    kinds: tuple[tuple[int, bool, int], ...]
    rows: NDArray[np.int64]
    reach: float

    def evaluate(self, points: Tensor, centres: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the functions at points (p, 3) around centres (a, 3), shape (f, a, p).

        Differences are taken in the dtype of the points, all else is computed in `dtype`.
        """
        x, y, z = (
            (points[:, axis][None, :] - centres[:, axis][:, None]).to(dtype) for axis in range(3)
        )
        square = x * x + y * y + z * z
        exponents = torch.as_tensor(-self.exponents, dtype=dtype, device=points.device)
        radial = torch.as_tensor(self.radial, dtype=dtype, device=points.device)
        gaussians = torch.exp(exponents[:, None, None] * square)
        contracted = (radial @ gaussians.reshape(len(exponents), -1)).reshape(-1, *square.shape)
        functions: list[Tensor] = []
        first = 0
        for momentum, cartesian, count in self.kinds:
            angular = angular_functions(momentum, cartesian, x, y, z)
            for index in range(first, first + count):
                functions.extend(contracted[index] * factor for factor in angular)
            first += count
        return torch.stack(functions)


def group_functions(shells: Sequence[tuple[Shell, ...]], threshold: float) -> list[FunctionGroup]:
    """Arrange the basis functions of a structure in groups.

    Args:
        shells: shells of each atom; functions are numbered atom by atom, shell by shell, radial
            function by radial function.
        threshold: size below which a function counts as zero, Å^-3/2.
    """
    starts = np.concatenate([[0], np.cumsum([sum(s.n_functions for s in of) for of in shells])])
    carriers: dict[tuple[Shell, ...], list[int]] = {}
    for atom, of_atom in enumerate(shells):
        carriers.setdefault(tuple(of_atom), []).append(atom)
    groups = []
    for of_atom, atoms in carriers.items():
        offsets = np.cumsum([0, *(shell.n_functions for shell in of_atom)])
        for members in _with_common_exponents(of_atom):
            groups.append(_group(of_atom, members, offsets, np.array(atoms), starts, threshold))
    return groups


def _with_common_exponents(shells: tuple[Shell, ...]) -> list[list[int]]:
    """Return lists of shells such that the first one's exponents contain all the others'."""
    gathered: list[list[int]] = []
    for index in sorted(range(len(shells)), key=lambda i: -len(shells[i].exponents)):
        for members in gathered:
            if set(shells[index].exponents) <= set(shells[members[0]].exponents):
                members.append(index)
                break
        else:
            gathered.append([index])
    return gathered


def _group(
    shells: tuple[Shell, ...],
    members: list[int],
    offsets: NDArray[np.int64],
    atoms: NDArray[np.int64],
    starts: NDArray[np.int64],
    threshold: float,
) -> FunctionGroup:
    exponents = list(dict.fromkeys(shells[members[0]].exponents))
    radial: list[NDArray[np.float64]] = []
    kinds = []
    within: list[int] = []
    for member in members:
        shell = shells[member]
        for coefficients in shell.coefficients:
            row = np.zeros(len(exponents))
            for exponent, coefficient in zip(shell.exponents, coefficients, strict=True):
                row[exponents.index(exponent)] += coefficient
            radial.append(row)
        kinds.append((shell.angular_momentum, shell.cartesian, len(shell.coefficients)))
        within.extend(range(offsets[member], offsets[member + 1]))
    alpha = np.array(exponents)
    momenta = [kind[0] for kind in kinds for _ in range(kind[2])]
    return FunctionGroup(
        atoms=atoms,
        exponents=alpha,
        radial=np.array(radial),
        kinds=tuple(kinds),
        rows=np.array(within)[:, None] + starts[atoms][None, :],
        reach=_reach(alpha, np.array(radial), momenta, threshold),
    )


def _reach(
    exponents: NDArray[np.float64],
    radial: NDArray[np.float64],
    momenta: list[int],
    threshold: float,
) -> float:
    """Return a distance beyond which no function exceeds `threshold`."""
    distances = np.linspace(0, math.sqrt(80 / exponents.min()), 2001)
    gaussians = np.exp(-exponents[:, None] * distances**2)
    bound = np.zeros_like(distances)
    for coefficients, momentum in zip(radial, momenta, strict=True):
        # |r^l Y_lm| <= r^l sqrt((2l + 1) / 4 pi); a Cartesian monomial is at most r^l.
        angular = distances**momentum * max(1.0, math.sqrt((2 * momentum + 1) / (4 * math.pi)))
        bound = np.maximum(bound, angular * (np.abs(coefficients) @ gaussians))
    above = np.flatnonzero(bound >= threshold)
    last = above[-1] if len(above) else 0
    return float(distances[min(last + 1, len(distances) - 1)])
