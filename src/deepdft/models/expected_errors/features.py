"""How far an atom's surroundings are from those of the training atoms of its element.

Features x of an atom are what the encoder made of it (`DensityModel.atom_features`). With the mean
m_Z of the training atoms of element Z, and one scale per feature,

    y = (x - m_Z) / scale,    u_k = v_k . y / sqrt(lambda_k),    q = |y|^2 - sum_k (v_k . y)^2

v_k and lambda_k are the leading principal components of y over the training atoms of all elements,
q is what they leave over. Per element u is whitened once more, t = W_Z u, with a covariance that is
drawn towards that of all elements where training has few atoms of Z. The distance

    d = sqrt((|t|^2 / K + q / q_Z) / 2)

(Mahalanobis's distance in the space of the components, and the squared prediction error outside
of it, as in the monitoring of processes: Jackson & Mudholkar, 1979) is one for a typical atom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepdft.arrays import FloatArray, IntegerArray

COMPONENTS = 32
"""Most principal components kept."""

_MOST_NUMBERS = 40_000
"""Components are fewer where D of them would be more numbers than this: error models stay small."""

_PRIOR = 2 * COMPONENTS
"""So many atoms of all elements count in the covariance of each."""

_SMALLEST = 1e-6
"""Components that vary less than this relative to the largest are left out, and features that vary
less relative to the largest value."""


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """Training statistics of features, with D features and K components.

    Attributes:
        means: (elements, D) mean features.
        scales: (D,) what features are divided by; infinite where they do not vary.
        components: (D, K) v_k / sqrt(lambda_k).
        variances: (K,) lambda_k.
        whitening: (elements, K, K) W_Z, lower triangles.
        leftovers: (elements,) q_Z, the mean of q.
    """

    means: FloatArray
    scales: FloatArray
    components: FloatArray
    variances: FloatArray
    whitening: FloatArray
    leftovers: FloatArray

    def locate(self, features: FloatArray, species: IntegerArray) -> tuple[FloatArray, FloatArray]:
        """Return whitened coordinates t (atoms, K) and distances d (atoms,).

        Args:
            features: (atoms, D).
            species: (atoms,) index of each atom's element.
        """
        scaled = (features - self.means[species]) / self.scales
        projected = scaled @ self.components
        coordinates = np.empty_like(projected)
        for element in np.unique(species):
            own = species == element
            coordinates[own] = projected[own] @ self.whitening[element].T
        leftover = _leftover(scaled, projected, self.variances)
        squares = (coordinates**2).mean(axis=1) + leftover / self.leftovers[species]
        return coordinates, np.sqrt(0.5 * squares)


def fit_feature_space(
    features: FloatArray, species: IntegerArray, n_elements: int, components: int = COMPONENTS
) -> FeatureSpace:
    """Return the statistics of training atoms.

    Args:
        features: (atoms, D).
        species: (atoms,) index of each atom's element; every element must occur.
        n_elements: number of elements.
        components: most components to keep.
    """
    counts = np.bincount(species, minlength=n_elements)
    means = np.zeros((n_elements, features.shape[1]))
    np.add.at(means, species, features)
    means = _rounded(means / counts[:, None])
    centred = features - means[species]
    scales = np.sqrt((centred**2).mean(axis=0))
    scales = _rounded(np.where(scales > _SMALLEST * np.abs(features).max(), scales, np.inf))
    scaled = centred / scales
    values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    values, vectors = values[::-1], vectors[:, ::-1]
    varying = int((values > _SMALLEST * values[0]).sum())
    kept = max(1, min(components, varying, _MOST_NUMBERS // features.shape[1]))
    # Where nothing varies (an encoder that sees elements only) all coordinates are zero.
    variances = _rounded(np.where(values[:kept] > 1e-12, values[:kept], 1.0))
    # Half precision: a third of the file; what follows is computed from the rounded numbers.
    directions = (vectors[:, :kept] / np.sqrt(variances)).astype(np.float16).astype(np.float64)
    projected = scaled @ directions
    leftover = _leftover(scaled, projected, variances)
    prior = float(leftover.mean())
    whitening, leftovers = [], []
    for element in range(n_elements):
        own = projected[species == element]
        covariance = own.T @ own + _PRIOR * np.eye(kept)
        factor = np.linalg.cholesky(covariance / (len(own) + _PRIOR))
        whitening.append(np.tril(np.linalg.inv(factor)))
        total = leftover[species == element].sum() + _PRIOR * prior
        leftovers.append(total / (len(own) + _PRIOR))
    return FeatureSpace(
        means, scales, directions, variances, _rounded(np.array(whitening)),
        _rounded(np.maximum(leftovers, 1e-12)),
    )  # fmt: skip


def packed(triangles: FloatArray) -> FloatArray:
    """Return lower triangles (elements, K, K) row by row, (elements, K (K + 1) / 2)."""
    rows, columns = np.tril_indices(triangles.shape[-1])
    return triangles[:, rows, columns]


def unpacked(numbers: FloatArray, size: int) -> FloatArray:
    """Return what `packed` was given, of K = `size`.

    Raises:
        ValueError: if these are not as many numbers as such triangles have.
    """
    rows, columns = np.tril_indices(size)
    if numbers.shape[1:] != rows.shape:
        raise ValueError(f"triangles of {size} rows cannot have the shape {numbers.shape}")
    triangles = np.zeros((len(numbers), size, size))
    triangles[:, rows, columns] = numbers
    return triangles


def _leftover(scaled: FloatArray, projected: FloatArray, variances: FloatArray) -> FloatArray:
    within = (projected**2 * variances).sum(axis=1)
    # Differences of rounded numbers; never quite zero, so that quotients are defined.
    result: FloatArray = np.maximum((scaled**2).sum(axis=1) - within, 1e-9)
    return result


def _rounded(values: FloatArray) -> FloatArray:
    """Return the numbers as they will be stored."""
    return np.asarray(values, dtype=np.float32).astype(np.float64)
