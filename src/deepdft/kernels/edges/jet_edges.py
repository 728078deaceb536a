"""The edges of a block of probes for derivatives by the probes' position, sorted by interval.

A message with filter f contributes at a probe displaced by x from the atom, d = |x|, u = x / d:

    value f      gradient C x      Hessian B u u^T + C 1      with C = f' / d, B = f'' - f' / d

f, C and B are linear in the six coefficients of the polynomial of the edge's interval, in powers of
the distance from its left knot; their weights are found here. (In terms of the table's own entries
f'' is a difference of large numbers, 1e-3 of f in float32.)
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from deepdft.arrays import Array
from deepdft.compilation import compiled, inner
from deepdft.geometry.neighbours import ON_NUCLEUS
from deepdft.kernels.edges.block_edges import Workspace, find_sorted
from deepdft.kernels.jets import FACTORS
from deepdft.kernels.radial.hermite import HERMITE
from deepdft.kernels.simd.vectors import aligned_copy, padded_channels


class JetEdges(NamedTuple):
    """Edges of a block sorted by interval, in a workspace's buffers, longer than what is used.

    Attributes:
        points, n_receivers, atoms, receivers, starts: see `BlockEdges`.
        factors: (edges * FACTORS,) float32, by edge and then by factor.
        on_nucleus: (receivers,) whether a receiver is on a nucleus, where the cusp of the filters
            is left out.
    """

    points: Array
    n_receivers: int
    atoms: Array
    receivers: Array
    starts: Array
    factors: Array
    on_nucleus: Array


def interval_polynomials(entries: Array) -> Array:
    """Return the coefficients of a table's polynomials, of u^0 to u^5, u from 0 to 1.

    Args:
        entries: (steps, knots, 3, channels) of a table in float64, or the rounding of float32 shows
            in second derivatives.

    Returns:
        (steps, knots - 1, 6, padded channels) float32, aligned.
    """
    rows = np.concatenate((entries[:, :-1], entries[:, 1:]), axis=2)
    result = np.einsum("rp,tkrc->tkpc", np.array(HERMITE), rows).astype(np.float32)
    return aligned_copy(result, (*result.shape[:3], padded_channels(result.shape[3])))


@runtime_checkable
class JetNetwork(Protocol):
    """Compiled form of a network that knows its derivatives."""

    def jets(self, edges: JetEdges, polynomials: Array, order: int, workspace: Workspace) -> Array:
        """Return density and derivatives at the receivers, (components, receivers) float32.

        The result may live in the workspace: it is valid until the next block. Calls from several
        threads, each with its own workspace, must not disturb each other.

        Args:
            edges: of the block.
            polynomials: of the filters, see `interval_polynomials`.
            order: 1 or 2, see `COMPONENTS`.
            workspace: of the thread.
        """
        ...


def jet_edges(
    points: Array, image_atoms: Array, image_positions: Array, cutoff: float, spacing: float,
    knots: int, workspace: Workspace,
) -> JetEdges:  # fmt: skip
    """Find the edges from image atoms to probes; arguments as of `block_edges`."""
    capacity = len(points) * len(image_atoms)
    array = workspace.array
    receiving = array("receiving points", len(points), np.int32)
    atoms = array("edge atoms", capacity, np.int32)
    receivers = array("edge receivers", capacity, np.int32)
    starts = array("interval starts", knots, np.int64)
    factors = array("edge factors", FACTORS * capacity, np.float32)
    on_nucleus = array("on nucleus", len(points), np.bool_)
    offsets = array("found offsets", capacity, np.float64)
    # Until their factors are found, edges carry the image they come from in place of its atom.
    _, n_receivers = find_sorted(
        points, np.arange(len(image_atoms)), image_positions, cutoff, spacing, knots, workspace,
        array("found squares", capacity, np.float64), offsets, receiving, atoms, receivers, starts,
    )  # fmt: skip
    _fill(
        points, image_atoms, image_positions, spacing, offsets, receiving, n_receivers, atoms,
        receivers, starts, factors, on_nucleus,
    )  # fmt: skip
    return JetEdges(receiving, n_receivers, atoms, receivers, starts, factors, on_nucleus)


@compiled
def _fill(
    points: Any, image_atoms: Any, image_positions: Any, spacing: float, offsets: Any,
    receiving: Any, n_receivers: int, atoms: Any, receivers: Any, starts: Any, factors: Any,
    on_nucleus: Any,
) -> None:  # fmt: skip
    for p in range(n_receivers):
        on_nucleus[p] = False
    x = np.empty(3)
    for k in range(len(starts) - 1):
        for e in range(starts[k], starts[k + 1]):
            image, receiver = atoms[e], receivers[e]
            atoms[e] = image_atoms[image]
            for i in range(3):
                x[i] = points[receiving[receiver], i] - image_positions[image, i]
            distance = (k + offsets[e]) * spacing
            if distance < ON_NUCLEUS:
                on_nucleus[receiver] = True
            _fill_factors(offsets[e], distance, spacing, x, factors, e * FACTORS)


@inner
def _fill_factors(
    u: float, distance: float, spacing: float, x: Any, factors: Any, place: int
) -> None:
    """Fill in the factors of an edge whose distance is the share u of an interval from its knot."""
    on_nucleus = distance < ON_NUCLEUS
    first, second = 1.0 / (spacing * distance), 1.0 / (spacing * spacing)
    power = slope = curvature = 0.0
    for n in range(6):
        # u^n and its derivatives, from those of u^(n - 1).
        curvature = curvature * u + 2.0 * slope
        slope = slope * u + power
        power = power * u if n else 1.0
        across = second * curvature if on_nucleus else first * slope
        factors[place + n] = power
        factors[place + 6 + n] = across
        factors[place + 12 + n] = second * curvature - across
    inverse = 0.0 if on_nucleus else 1.0 / (distance * distance)
    for i in range(3):
        factors[place + 18 + i] = 0.0 if on_nucleus else x[i]
        factors[place + 21 + i] = x[i] * x[i] * inverse
    factors[place + 24] = x[0] * x[1] * inverse
    factors[place + 25] = x[0] * x[2] * inverse
    factors[place + 26] = x[1] * x[2] * inverse
