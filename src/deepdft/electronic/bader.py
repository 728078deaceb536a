"""Bader's charges: space is cut along the surfaces of zero flux of a density.

The cells of the grid are shared out by the weights of M. Yu and D. R. Trinkle, J. Chem. Phys. 134,
064111 (2011): what flows from a cell to denser neighbours through the faces of its Voronoi cell
decides which share of it belongs to which maximum. A maximum belongs to the atom next to it.

Written here since `baderkit`, which has the same method, asks for releases of numba and typer that
are older than those used here.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from ase import Atoms
from scipy.spatial import Voronoi

from deepdft.arrays import FloatArray, IntegerArray
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


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _shared_out(
    density: Any, shared: Any, shape: Any, periodic: Any, offsets: Any, fluxes: Any, order: Any,
    most: int,
) -> Any:  # fmt: skip
    count = len(density)
    # Of each point: the basin that has all of it, or minus a place in the lists of shares, less 2.
    basin = np.full(count, -1, np.int64)
    names = np.empty((1024, most), np.int64)
    parts = np.empty((1024, most))
    listed = 0
    maxima = np.empty(256, np.int64)
    sums = np.zeros(256)
    found = 0
    own_names, own_parts = np.empty(8 * most, np.int64), np.empty(8 * most)
    index = np.empty(3, np.int64)
    for place in order:
        index[0] = place // (shape[1] * shape[2])
        index[1] = place // shape[2] % shape[1]
        index[2] = place % shape[2]
        used, total = 0, 0.0
        for n in range(len(offsets)):
            other, outside = 0, False
            for x in range(3):
                i = index[x] + offsets[n, x]
                if periodic[x]:
                    i %= shape[x]
                elif i < 0 or i >= shape[x]:
                    outside = True
                other = other * shape[x] + i
            if outside:
                continue
            known = basin[other]
            if known == -1:
                continue
            flux = (density[other] - density[place]) * fluxes[n]
            if flux <= 0.0:
                # A plateau: what came first in the order takes the others with it.
                flux = 1e-300
            total += flux
            pieces = 1 if known >= 0 else most
            for piece in range(pieces):
                if known >= 0:
                    name, part = known, 1.0
                else:
                    name, part = names[-known - 2, piece], parts[-known - 2, piece]
                if name < 0:
                    break
                for m in range(used):
                    if own_names[m] == name:
                        own_parts[m] += flux * part
                        break
                else:
                    if used < len(own_names):
                        own_names[used], own_parts[used] = name, flux * part
                        used += 1
        if used == 0:
            if found == len(maxima):
                maxima = np.concatenate((maxima, np.empty(found, np.int64)))
                sums = np.concatenate((sums, np.zeros(found)))
            maxima[found] = place
            sums[found] += shared[place]
            basin[place] = found
            found += 1
            continue
        if used == 1:
            basin[place] = own_names[0]
            sums[own_names[0]] += shared[place]
            continue
        largest = np.argsort(-own_parts[:used])[:most]
        kept = 0.0
        for m in largest:
            kept += own_parts[m]
        if listed == len(names):
            names = np.concatenate((names, np.empty_like(names)))
            parts = np.concatenate((parts, np.empty_like(parts)))
        names[listed] = -1
        for n in range(len(largest)):
            share = own_parts[largest[n]] / kept
            names[listed, n], parts[listed, n] = own_names[largest[n]], share
            sums[own_names[largest[n]]] += share * shared[place]
        basin[place] = -listed - 2
        listed += 1
    return maxima[:found].copy(), sums[:found].copy()
