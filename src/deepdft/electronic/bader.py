"""Bader's charges: space is cut along the surfaces of zero flux of a density.

The cells of the grid are shared out by the weights of M. Yu and D. R. Trinkle, J. Chem. Phys. 134,
064111 (2011): what flows from a cell to denser neighbours through the faces of its Voronoi cell
decides which share of it belongs to which maximum. A maximum belongs to the atom next to it.

Written here since `baderkit`, which has the same method, asks for releases of numba and typer that
are older than those used here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from scipy.spatial import Voronoi

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.compilation import compiled, inner
from deepdft.density import Density, Grid
from deepdft.electronic.ions import core_charges_at
from deepdft.errors import ConfigurationError
from deepdft.fields.free_atoms import FrozenCores
from deepdft.fields.resampled import periodic_axes
from deepdft.fields.walk import values_on
from deepdft.structures import charge_and_multiplicity

_FACE = 1e-6
"""Smallest face of a Voronoi cell, of the largest."""

_SHARES = 8
"""Most maxima that share a cell; further ones have next to nothing of it."""

_UNKNOWN, _FIRST_LIST = -1, -2


def bader_charges(density: Density, core_charges: FloatArray | None = None) -> FloatArray:
    """Return Bader's charges (atoms,) of a density on a grid, e.

    Surfaces are looked for in the density with frozen cores, so that every nucleus is a maximum;
    what is added up inside them is the density itself. Grid spacings of 0.1 Å and less give charges
    to about 0.01 e.

    Args:
        density: of a molecule with some vacuum, or of a whole cell.
        core_charges: (atoms,) charge of each nucleus with the electrons that the density leaves
            out; by default as the level of theory has it.

    Raises:
        LevelOfTheoryError: if the core charges are not known.
        UnsupportedStructureError: if there are no such cores.
        ConfigurationError: if the density is nowhere positive.
    """
    atoms, grid = density.atoms, density.grid
    charges = core_charges_at(density.level, atoms) if core_charges is None else core_charges
    values = np.asarray(density.values, dtype=np.float64)
    electrons = values.sum() * grid.voxel_volume
    if not electrons > 0:
        raise ConfigurationError("There are no electrons that could be shared out.")
    cores = atoms.numbers - charges
    whole = values
    if np.any(cores > 0.5):
        whole = values + values_on(FrozenCores(atoms, cores), grid)
    maxima, populations = basins(whole, values, grid, periodic_axes(density))
    owners = _nearest_atoms(atoms, grid.points().reshape(-1, 3)[maxima])
    held = np.bincount(owners, populations, len(atoms)) * grid.voxel_volume
    expected = float(charges.sum()) - charge_and_multiplicity(atoms)[0]
    result: FloatArray = charges - held * (expected / electrons)
    return result


def basins(
    density: FloatArray, shared: FloatArray, grid: Grid, periodic: tuple[bool, bool, bool]
) -> tuple[IntegerArray, FloatArray]:
    """Return the maxima of a density on a grid, and what each one's basin holds.

    Args:
        density: (nx, ny, nz) whose basins are looked for.
        shared: (nx, ny, nz) what is added up in them.
        grid: the points.
        periodic: along which axes it repeats.

    Returns:
        Places (m,) of the maxima in the flattened grid, and sums (m,) over points.
    """
    offsets, fluxes = _faces(grid)
    order = np.argsort(-density, axis=None, kind="stable")
    maxima, sums = _shared_out(
        density.ravel(), shared.ravel(), np.array(grid.shape), np.array(periodic), offsets, fluxes,
        order, _SHARES,
    )  # fmt: skip
    return maxima, sums


def _faces(grid: Grid) -> tuple[IntegerArray, FloatArray]:
    """Return the neighbours (n, 3) of a grid point, and area over distance of the faces (n,)."""
    around = np.arange(-2, 3)
    steps = np.stack(np.meshgrid(around, around, around, indexing="ij"), axis=-1).reshape(-1, 3)
    places = steps @ grid.voxel
    diagram = Voronoi(places)
    centre = len(steps) // 2
    offsets, fluxes = [], []
    for (one, other), corners in zip(diagram.ridge_points, diagram.ridge_vertices, strict=True):
        if centre not in (one, other) or -1 in corners:
            continue
        neighbour = int(one + other - centre)
        polygon = diagram.vertices[corners]
        middle = polygon.mean(axis=0)
        edges = np.cross(polygon - middle, np.roll(polygon, -1, axis=0) - middle)
        area = 0.5 * float(np.linalg.norm(edges, axis=1).sum())
        offsets.append(steps[neighbour])
        fluxes.append(area / float(np.linalg.norm(places[neighbour])))
    kept = np.array(fluxes) > _FACE * max(fluxes)
    return np.array(offsets)[kept].astype(np.int64), np.array(fluxes)[kept]


def _nearest_atoms(atoms: Atoms, places: FloatArray) -> IntegerArray:
    from ase.geometry import get_distances

    distances = get_distances(places, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)[1]
    return np.asarray(np.argmin(distances, axis=1), dtype=np.int64)


@inner
def _neighbour(place: int, offset: Any, shape: Any, periodic: Any) -> int:
    """Return the place of a point's neighbour, -1 beyond a face that does not repeat."""
    result = 0
    indices = (place // (shape[1] * shape[2]), place // shape[2] % shape[1], place % shape[2])
    for x in range(3):
        i = indices[x] + offset[x]
        if periodic[x]:
            i %= shape[x]
        elif i < 0 or i >= shape[x]:
            return -1
        result = result * shape[x] + i
    return result


@inner
def _taken_in(names: Any, parts: Any, used: int, name: int, part: float) -> int:
    """Add a part of a basin to a list of (name, part); return its new length."""
    for m in range(used):
        if names[m] == name:
            parts[m] += part
            return used
    if used == len(names):
        return used
    names[used], parts[used] = name, part
    return used + 1


@inner
def _flows(
    place: int, density: Any, basin: Any, listed_names: Any, listed_parts: Any, shape: Any,
    periodic: Any, offsets: Any, fluxes: Any, names: Any, parts: Any,
) -> int:  # fmt: skip
    """List the basins that a point's denser neighbours belong to; return how many."""
    used = 0
    for n in range(len(offsets)):
        other = _neighbour(place, offsets[n], shape, periodic)
        if other < 0 or basin[other] == _UNKNOWN:
            continue
        # On a plateau, what came first in the order takes the others with it.
        flux = max((density[other] - density[place]) * fluxes[n], 1e-300)
        known = basin[other]
        if known >= 0:
            used = _taken_in(names, parts, used, known, flux)
            continue
        row = _FIRST_LIST - known
        for piece in range(listed_names.shape[1]):
            if listed_names[row, piece] < 0:
                break
            share = flux * listed_parts[row, piece]
            used = _taken_in(names, parts, used, listed_names[row, piece], share)
    return used


@compiled
def _shared_out(
    density: Any, shared: Any, shape: Any, periodic: Any, offsets: Any, fluxes: Any, order: Any,
    most: int,
) -> Any:  # fmt: skip
    # Of each point: the basin that has all of it, or _FIRST_LIST minus its row in the lists.
    basin = np.full(len(density), _UNKNOWN, np.int64)
    listed_names, listed_parts = np.empty((1024, most), np.int64), np.empty((1024, most))
    maxima, sums = np.empty(256, np.int64), np.zeros(256)
    listed, found = 0, 0
    names, parts = np.empty(8 * most, np.int64), np.empty(8 * most)
    for place in order:
        used = _flows(
            place, density, basin, listed_names, listed_parts, shape, periodic, offsets, fluxes,
            names, parts,
        )  # fmt: skip
        if used == 0:
            if found == len(maxima):
                maxima = np.concatenate((maxima, np.empty(found, np.int64)))
                sums = np.concatenate((sums, np.zeros(found)))
            maxima[found], names[0] = place, found
            found += 1
        if used <= 1:
            basin[place] = names[0]
            sums[names[0]] += shared[place]
            continue
        if listed == len(listed_names):
            listed_names = np.concatenate((listed_names, np.empty_like(listed_names)))
            listed_parts = np.concatenate((listed_parts, np.empty_like(listed_parts)))
        largest = np.argsort(-parts[:used])[:most]
        kept = parts[largest].sum()
        listed_names[listed] = -1
        for n in range(len(largest)):
            share = parts[largest[n]] / kept
            listed_names[listed, n], listed_parts[listed, n] = names[largest[n]], share
            sums[names[largest[n]]] += share * shared[place]
        basin[place] = _FIRST_LIST - listed
        listed += 1
    return maxima[:found].copy(), sums[:found].copy()
