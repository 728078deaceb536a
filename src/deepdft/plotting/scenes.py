"""What a picture of a structure shows: its atoms, its cell, and the surfaces around them.

Files, notebooks and the page all take it from here. A molecule is whole, wherever the faces of a
periodic box would cut it; a crystal is shown cell by cell, with the atoms on its faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from scipy.spatial import cKDTree

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.density import Density
from deepdft.fields.resampled import periodic_axes
from deepdft.plotting.camera import chosen_axes
from deepdft.plotting.images import Box
from deepdft.plotting.meshes import MAX_POINTS, Mesh, Window, isosurface, lobes
from deepdft.plotting.structures import IONS, DrawnAtoms, bonds_between, edges_of
from deepdft.plotting.windows import CLEAR, whole_window
from deepdft.structures.coverage import is_isolated

_NEIGHBOURS = 6
"""Atoms among which that is found to which a piece of a surface belongs."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What is drawn of a structure.

    Attributes:
        box: the structure and the box in which it repeats.
        cells: how many boxes along each edge; one where it does not repeat.
    """

    box: Box
    cells: tuple[int, int, int] = (1, 1, 1)

    @classmethod
    def of(cls, density: Density, cells: tuple[int, int, int] = (1, 1, 1)) -> Scene:
        """Return what is drawn of a density."""
        grid = density.grid
        return cls(Box(density.atoms, grid.cell, grid.origin, periodic_axes(density)), cells)

    @classmethod
    def of_structure(cls, atoms: Atoms, cells: tuple[int, int, int] = (1, 1, 1)) -> Scene:
        """Return what is drawn of a structure that has no density yet."""
        first, second, third = atoms.pbc.tolist()
        cell = np.asarray(atoms.cell.complete())
        return cls(Box(atoms, cell, np.zeros(3), (first, second, third)), cells)

    @cached_property
    def is_crystal(self) -> bool:
        """Whether its cell is shown: molecules in a large one are molecules."""
        return not is_isolated(self.box.atoms)

    @cached_property
    def window(self) -> Window:
        """Which part of the box is shown, as fractions of its edges."""
        box = self.box
        window = whole_window(box.atoms.positions, box.edges, box.repeats, box.origin)
        ends = [(low, low + count) for (low, _), count in zip(window, self.cells, strict=True)]
        return ends[0], ends[1], ends[2]

    @cached_property
    def atoms(self) -> DrawnAtoms:
        """The atoms as they are drawn, and their bonds."""
        return self.atoms_within(self.window)

    def atoms_within(self, window: Window) -> DrawnAtoms:
        """Return the atoms that are drawn in a window."""
        positions, indices = self.box.drawn_within(window)
        numbers = self.box.atoms.numbers[indices]
        bonds = bonds_between(positions, numbers, IONS if self.is_crystal else ())
        return DrawnAtoms(positions, numbers, indices, bonds)

    @cached_property
    def edges(self) -> FloatArray | None:
        """(12, 2, 3) the edges around all cells of a crystal, Å; None for molecules."""
        if not self.is_crystal:
            return None
        low, high = np.array(self.window).T
        corner = self.box.positions(low[None])[0]
        return edges_of(corner, (high - low)[:, None] * self.box.edges)

    @property
    def places(self) -> FloatArray:
        """(n, 3) of every atom of the structure one image that is drawn, Å."""
        result = self.box.joined.copy()
        # Of several images the first one counts.
        result[self.atoms.indices[::-1]] = self.atoms.positions[::-1]
        return result

    @property
    def axes(self) -> FloatArray:
        """(3, 3) of a camera that shows much, see `chosen_axes`."""
        return chosen_axes(self.atoms.positions, self.is_crystal)

    def surface(self, field: Density, level: float, max_points: int = MAX_POINTS) -> Mesh:
        """Return the surface of a field around what is drawn, see `isosurface`.

        Args:
            field: on a grid over the same box.
            level: the value on it.
            max_points: grid points that are looked at; larger grids are averaged.
        """
        points = int(max_points / self._volume)
        return self._own(isosurface(field, level, window=self._reach, max_points=points))

    def lobes(
        self, field: Density, level: float, max_points: int = MAX_POINTS, *, smooth: bool = False
    ) -> list[Mesh]:
        """Return the surface at a value and that at its negative, see `lobes` of meshes."""
        points = int(max_points / self._volume)
        found = lobes(field, level, window=self._reach, max_points=points, smooth=smooth)
        return [self._own(mesh) for mesh in found]

    @cached_property
    def _reach(self) -> Window:
        """The window, and what molecules that stand out of it need."""
        box, molecules = self.box, self.box.in_molecules[self.atoms.indices]
        if not molecules.any():
            return self.window
        places = box.fractional(self.atoms.positions[molecules])
        clear = CLEAR * np.linalg.norm(np.linalg.inv(box.edges), axis=0)
        low, high = np.array(self.window).T
        first, last = places.min(axis=0) - clear, places.max(axis=0) + clear
        # Half a thousandth is a matter of rounding.
        repeats = np.array(box.repeats)
        first = np.where(repeats & (first < low - 5e-4), first, low)
        last = np.where(repeats & (last > high + 5e-4), last, high)
        ends = list(zip(first.tolist(), last.tolist(), strict=True))
        return ends[0], ends[1], ends[2]

    @property
    def _volume(self) -> float:
        """How many boxes the surfaces are looked for in."""
        return float(np.prod([high - low for low, high in self._reach]))

    def _own(self, mesh: Mesh) -> Mesh:
        """Return the part of a surface around drawn molecules, and what else is in the window."""
        if self._reach == self.window or not len(mesh.faces):
            return mesh
        middles = mesh.vertices[mesh.faces].mean(axis=1)
        low, high = np.array(self.window).T
        places = self.box.fractional(middles)
        inside = ((places >= low) & (places <= high)).all(axis=1)
        positions, indices = self.box.all_within(_wider(self._reach))
        nearest = self._owners(middles, positions, indices)
        drawn = cKDTree(self.atoms.positions).query(positions)[0] < 1e-3
        molecule = self.box.in_molecules[indices]
        return mesh.part(mesh.faces[np.where(molecule[nearest], drawn[nearest], inside)])

    def _owners(
        self, points: FloatArray, positions: FloatArray, indices: IntegerArray
    ) -> IntegerArray:
        """Return which of some atoms each point (n, 3) belongs to, measured from their surfaces."""
        count = min(_NEIGHBOURS, len(positions))
        distances, found = cKDTree(positions).query(points, count)
        distances, found = distances.reshape(-1, count), found.reshape(-1, count)
        distances = distances - covalent_radii[self.box.atoms.numbers[indices[found]]]
        result: IntegerArray = found[np.arange(len(points)), distances.argmin(axis=1)]
        return result


def _wider(window: Sequence[tuple[float, float]]) -> Window:
    """Return a window with half a box more on every side."""
    ends = [(low - 0.5, high + 0.5) for low, high in window]
    return ends[0], ends[1], ends[2]
