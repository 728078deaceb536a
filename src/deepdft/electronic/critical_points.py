"""Points where the gradient of a density vanishes: attractors, bonds, rings, cages.

R. F. W. Bader, Atoms in Molecules (1990). From starting points between two, three and four atoms
that are near each other, steps go up along some eigenvectors of the Hessian and down along the
others until the gradient vanishes, as in P. L. A. Popelier, Chem. Phys. Lett. 228, 160 (1994), with
gradient and Hessian of the field itself. The numbers of the four kinds then have to fulfil
n - b + r - c = 1 for molecules (Poincaré and Hopf) and = 0 for crystals (Morse).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.fields.field import Derivatives, Field
from deepdft.fields.field_sum import FieldSum
from deepdft.fields.free_atoms import FrozenCores
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.units import BOHR

Kind = Literal["attractor", "bond", "ring", "cage"]
"""Critical points of rank 3 with 3, 2, 1 and 0 negative eigenvalues of the Hessian."""

_PAIR, _GROUP = 4.5, 3.6
"""Å. Distances up to which starting points lie between two, and between three or four, atoms."""

_MOST_STARTS = 20_000
_STEPS = 60
_LONGEST_STEP = 0.15
_CONVERGED = 1e-6
"""Length of the last step, Å."""

_SAME = 0.08
"""Å. Critical points of one kind nearer than this are one."""

_LEAST_DENSITY = 2e-3
"""e/Å^3. In emptier places a model's gradients mean nothing."""

_WITHIN_CORE = 0.45
"""Of the covalent radius; nearer to a nucleus with a core there is no bond."""

_AT_NUCLEUS = 0.3
"""Å. An attractor nearer than this to a nucleus is the nucleus."""


@dataclass(frozen=True)
class CriticalPoint:
    """A point where the gradient of a density vanishes.

    Attributes:
        kind: "attractor", "bond", "ring" or "cage".
        position: (3,) Å.
        density: e/Å^3.
        eigenvalues: (3,) of the Hessian, ascending, e/Å^5; not numbers at a nucleus with a core.
        atoms: of an attractor its nucleus, if it has one; of the others those nearest to it in
            units of their covalent radii: two of a bond, three of a ring, four of a cage.
    """

    kind: Kind
    position: FloatArray
    density: float
    eigenvalues: FloatArray
    atoms: tuple[int, ...]

    @property
    def laplacian(self) -> float:
        """Trace of the Hessian, e/Å^5."""
        return float(self.eigenvalues.sum())

    @property
    def ellipticity(self) -> float:
        """lambda_1 / lambda_2 - 1 of a bond: 0 where it is round, larger for double bonds."""
        return float(self.eigenvalues[0] / self.eigenvalues[1] - 1)

    @property
    def density_in_atomic_units(self) -> float:
        """e/bohr^3."""
        return self.density * BOHR**3


@dataclass(frozen=True)
class Topology:
    """All critical points that were found of a structure's density.

    Attributes:
        points: attractors, bonds, rings, cages.
        expected: what n - b + r - c has to be: 1 of a molecule, 0 of a crystal; None of slabs and
            chains.
    """

    points: tuple[CriticalPoint, ...]
    expected: int | None

    def of(self, kind: Kind) -> list[CriticalPoint]:
        """Return those of one kind."""
        return [point for point in self.points if point.kind == kind]

    @property
    def sum(self) -> int:
        """n - b + r - c."""
        signs = dict(zip(get_args(Kind), (1, -1, 1, -1), strict=True))
        return sum(signs[point.kind] for point in self.points)

    @property
    def is_complete(self) -> bool:
        """Whether the numbers of critical points can be those of a whole density."""
        return self.expected is None or self.sum == self.expected

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the points as JSON has them, in Å and e."""
        return [
            {
                "kind": point.kind,
                "position_A": point.position.tolist(),
                "density_e/A3": point.density,
                "eigenvalues_e/A5": [v if np.isfinite(v) else None for v in point.eigenvalues],
                "atoms": list(point.atoms),
            }
            for point in self.points
        ]


def topology(valence: Field, core_electrons: FloatArray) -> Topology:
    """Return the critical points of a density.

    Args:
        valence: the density, with derivatives up to order 2; for one with all electrons there are
            no core electrons.
        core_electrons: (atoms,) that the density leaves out; frozen cores are put in their places,
            so that nuclei are maxima.

    Raises:
        UnsupportedStructureError: if there is no such core.
        ConfigurationError: if the density has no derivatives.
    """
    atoms = valence.atoms
    fields = [valence]
    if np.any(core_electrons):
        fields.append(FrozenCores(atoms, core_electrons))
    density = FieldSum(fields)
    has_core = np.asarray(core_electrons) > 0
    found: list[CriticalPoint] = []
    heavy = np.flatnonzero(has_core | (np.asarray(atoms.numbers) > 2))
    values = density.at(atoms.positions[heavy]) if len(heavy) else np.empty(0)
    for atom, value in zip(heavy.tolist(), values, strict=True):
        place = np.array(atoms.positions[atom])
        found.append(CriticalPoint("attractor", place, float(value), np.full(3, np.nan), (atom,)))
    light = [atom for atom in range(len(atoms)) if atom not in set(heavy.tolist())]
    starts = _starting_points(atoms)
    starts[3] = np.concatenate([starts[3], atoms.positions[light]])
    for negative, points in starts.items():
        for place, derivatives in _converged(density, points, negative):
            _add(found, atoms, place, derivatives, negative, has_core)
    periodic = int(np.sum(atoms.pbc))
    expected = {0: 1, 3: 0}.get(periodic)
    kinds = get_args(Kind)
    return Topology(tuple(sorted(found, key=lambda point: kinds.index(point.kind))), expected)


def _starting_points(atoms: Atoms) -> dict[int, FloatArray]:
    """Return starting points by the number of negative eigenvalues they look for."""
    centres, places = _neighbourhood(atoms)
    starts: dict[int, list[FloatArray]] = {3: [], 2: [], 1: [], 0: []}
    first = set(np.flatnonzero(centres).tolist())
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    for i in sorted(first):
        near = [j for j in np.flatnonzero(distances[i] < _PAIR).tolist() if _later(i, j, first)]
        starts[2] += [_between(places[[i, j]], share) for j in near for share in (0.35, 0.5, 0.65)]
        close = [j for j in near if distances[i, j] < _GROUP]
        for size, negative in ((2, 1), (3, 0)):
            for group in combinations(close, size):
                if all(distances[a, b] < _GROUP for a, b in combinations(group, 2)):
                    starts[negative].append(places[[i, *group]].mean(axis=0))
                if len(starts[negative]) > _MOST_STARTS:
                    break
    return {negative: np.array(points).reshape(-1, 3) for negative, points in starts.items()}


def _later(i: int, j: int, first: set[int]) -> bool:
    """Return whether a pair is to be looked at from its first atom, so that it is seen once."""
    return j != i and (j > i or j not in first)


def _between(pair: FloatArray, share: float) -> FloatArray:
    point: FloatArray = (1 - share) * pair[0] + share * pair[1]
    return point


def _neighbourhood(atoms: Atoms) -> tuple[FloatArray, FloatArray]:
    """Return the atoms and their images next by: whether they are in the cell, and places."""
    lower, upper = atoms.positions.min(axis=0), atoms.positions.max(axis=0)
    images = images_in_reach(atoms.positions, atoms.cell.array, atoms.pbc, lower, upper, _PAIR)
    own = np.linalg.norm(images.positions - atoms.positions[images.atoms], axis=1) < 1e-6
    order = np.argsort(~own, kind="stable")
    return own[order], images.positions[order]


def _converged(
    density: FieldSum, points: FloatArray, negative: int
) -> Iterable[tuple[FloatArray, Derivatives]]:
    """Yield where the searches from some points for one kind of critical point end."""
    places, step_lengths = points.copy(), np.full(len(points), np.inf)
    going = np.arange(len(points))
    upward = np.arange(3) < negative
    for _ in range(_STEPS):
        if len(going) == 0:
            break
        found = density.at(places[going], 2)
        assert found.hessian is not None
        values, vectors = np.linalg.eigh(found.hessian)
        along = np.einsum("pij,pi->pj", vectors, found.gradient)
        size = np.maximum(np.abs(values), 1e-8)
        # Newton's step where the signs are those looked for, else its opposite.
        steps = np.einsum("pij,pj->pi", vectors, np.where(upward, along, -along) / size)
        lengths = np.linalg.norm(steps, axis=1)
        steps *= np.minimum(1.0, _LONGEST_STEP / np.maximum(lengths, 1e-12))[:, None]
        places[going] += steps
        step_lengths[going] = lengths
        lost = (found.value < _LEAST_DENSITY / 4) | (
            np.linalg.norm(places[going] - points[going], axis=1) > _PAIR
        )
        step_lengths[going[lost]] = np.inf
        going = going[(lengths > _CONVERGED) & ~lost]
    ended = np.flatnonzero(step_lengths <= _CONVERGED)
    if len(ended) == 0:
        return
    unique = _distinct(density.atoms, places[ended])
    found = density.at(unique, 2)
    assert found.hessian is not None
    for row, place in enumerate(unique):
        yield place, Derivatives(found.value[row], found.gradient[row], found.hessian[row])


def _distinct(atoms: Atoms, places: FloatArray) -> FloatArray:
    kept: list[FloatArray] = []
    for place in places:
        if all(_distance(atoms, place, other) > _SAME for other in kept):
            kept.append(place)
    return np.array(kept)


def _distance(atoms: Atoms, one: FloatArray, other: FloatArray) -> float:
    """Return the distance of two points, over periodic images."""
    return float(_distances(atoms, one, other[None])[0])


def _distances(atoms: Atoms, place: FloatArray, others: FloatArray) -> FloatArray:
    from ase.geometry import find_mic

    difference = others - place
    if not atoms.pbc.any():
        lengths: FloatArray = np.linalg.norm(difference, axis=1)
        return lengths
    return np.asarray(find_mic(difference, atoms.cell, atoms.pbc)[1])


def _add(
    found: list[CriticalPoint], atoms: Atoms, place: FloatArray, derivatives: Derivatives,
    negative: int, has_core: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Take in a critical point if it is one of the kind, and none that is known."""
    assert derivatives.hessian is not None
    eigenvalues = np.asarray(np.linalg.eigvalsh(derivatives.hessian), dtype=np.float64)
    value = float(derivatives.value)
    if value < _LEAST_DENSITY or int((eigenvalues < 0).sum()) != negative:
        return
    kind: Kind = get_args(Kind)[3 - negative]
    distances = _distances(atoms, place, atoms.positions)
    radii = covalent_radii[atoms.numbers]
    if (has_core & (distances < _WITHIN_CORE * radii)).any():
        return
    order = np.argsort(distances / radii)
    nearest = int(order[0])
    if kind == "attractor":
        # Of a nucleus without a core, or of none.
        own: tuple[int, ...] = (nearest,) if distances[nearest] < _AT_NUCLEUS else ()
    else:
        own = tuple(sorted(int(atom) for atom in order[: 5 - negative - 1]))
    for known in found:
        if known.kind == kind and _distance(atoms, place, known.position) < _SAME:
            return
    found.append(CriticalPoint(kind, place, value, eigenvalues, own))
