"""How an atom's share of the expected error depends on the distance from it.

The expected absolute error at a point is ``mu(r) = sum over atoms i of a_i g_Z(i)(|r - r_i|)``. The
shape g_Z of an element is a combination of B-splines with non-negative coefficients, and its
integral is one, so that a_i is the integral of atom i's share, in electrons. Shapes and shares are
fitted to errors y at points with volumes w by maximising ``sum of w (y log mu - mu)``: the
quasi-likelihood of a variance that grows with the mean, whose solution conserves the total error.
Its maximum is found by multiplications alone (Richardson, 1972; Lucy, 1974; as for mixtures of
distributions), which keep everything non-negative.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.fit import RadialBasis
from deepdft.uncertainty.residuals import Residuals

_SHAPE_POINTS = 1_500
"""Points of each structure that shapes are fitted to."""

_SHAPE_ITERATIONS = 200
_SHARE_ITERATIONS = 10
"""Few: shares go by distance first, and turn into noise when repeated until they no longer move."""

_SMALL = 1e-30


def fit_shapes(
    residuals: Sequence[Residuals],
    species: Sequence[IntegerArray],
    amplitudes: Sequence[FloatArray],
    n_elements: int,
    basis: RadialBasis,
) -> FloatArray:
    """Return the coefficients of each element's shape, (elements, functions).

    Elements without an atom get the mean of the others' shapes.

    Args:
        residuals: errors at points.
        species: of each structure, (atoms,) index of each atom's element.
        amplitudes: of each structure, (atoms,) relative sizes of the atoms' shares.
        n_elements: number of elements.
        basis: the functions.
    """
    functions = basis.functions()
    size = functions.c.shape[1]
    design, errors, weights = [], [], []
    for item, kinds, sizes in zip(residuals, species, amplitudes, strict=True):
        every = max(1, len(item.errors) // _SHAPE_POINTS)
        chosen = np.arange(0, len(item.errors), every)
        rows = np.zeros((len(chosen), n_elements, size), dtype=np.float32)
        pairs, row = _pairs_of(item, chosen)
        distances = np.minimum(item.distances[pairs], np.nextafter(basis.distances[-1], 0.0))
        atoms = item.senders[pairs]
        values = functions(distances.astype(np.float64)) * sizes[atoms, None]
        np.add.at(rows, (row, kinds[atoms]), values.astype(np.float32))
        design.append(rows.reshape(len(chosen), -1))
        errors.append(item.errors[chosen])
        weights.append(item.weights[chosen] * every / item.electrons)
    matrix = np.concatenate(design)
    y, w = np.concatenate(errors), np.concatenate(weights)
    norms = w @ matrix
    start = np.where(norms > 0, (w @ y) / max(norms.sum(), _SMALL), 0.0)
    found = _maximise(matrix, y, w, np.maximum(norms, _SMALL), start, _SHAPE_ITERATIONS)
    coefficients = found.reshape(n_elements, size)
    known = coefficients.sum(axis=1) > 0
    relative = coefficients[known] / coefficients[known].sum(axis=1, keepdims=True)
    coefficients[~known] = relative.mean(axis=0)
    return coefficients


def atom_shares(item: Residuals, species: IntegerArray, tables: AtomicDensityTables) -> FloatArray:
    """Return each atom's share of the absolute error of a structure, (atoms,) electrons.

    Their sum is the integral of the error over the points that have an atom in reach.

    Args:
        item: errors at points.
        species: (atoms,) index of each atom's table.
        tables: shapes, of integral one.
    """
    values = np.zeros(len(item.senders))
    for element in np.unique(species):
        own = species[item.senders] == element
        values[own] = tables.radial(tables.elements[element], item.distances[own])
    shape = (len(item.errors), len(species))
    # Images of an atom at the same point are added up.
    matrix = csr_array((values, item.senders, item.offsets), shape=shape)
    total = item.absolute_error
    start = np.full(len(species), total / len(species))
    return _maximise(
        matrix, item.errors, item.weights, np.ones(len(species)), start, _SHARE_ITERATIONS
    )


def _maximise(
    matrix: csr_array | FloatArray, errors: FloatArray, weights: FloatArray, norms: FloatArray,
    start: FloatArray, iterations: int,
) -> FloatArray:  # fmt: skip
    """Return x >= 0 that maximises ``sum of w (y log(A x)) - norms . x``."""
    result = start
    for _ in range(iterations):
        # In the matrix's own type: it would be copied into another one every time.
        expected = matrix @ result.astype(matrix.dtype)
        ratio = np.divide(errors, expected, out=np.zeros_like(errors), where=expected > _SMALL)
        result = result * (matrix.T @ (weights * ratio).astype(matrix.dtype)) / norms
    return np.asarray(result)


def _pairs_of(item: Residuals, points: IntegerArray) -> tuple[IntegerArray, IntegerArray]:
    """Return the pairs of chosen points, and the place of each pair's point among them."""
    counts = item.offsets[points + 1] - item.offsets[points]
    row = np.repeat(np.arange(len(points)), counts)
    first = np.concatenate(([0], np.cumsum(counts)[:-1]))
    pairs = np.arange(len(row)) - first[row] + item.offsets[points][row]
    return pairs, row
