"""Layers of a network for rows of float32 numbers: a matrix product and an activation."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.arrays import Array
from deepdft.compilation import FUSED, inner
from deepdft.kernels.simd.tiles import multiply_tile_softplus
from deepdft.kernels.simd.vectors import (
    PANEL,
    TILE_ROWS,
    address,
    aligned_zeros,
    padded_channels,
)

_U = np.uint64  # unsigned places spare the check for negative ones, which defeats vectorisation


def packed_matrix(weight: Array, inputs: int) -> Array:
    """Reorder (inputs, outputs) weights into panels: (panels, inputs, PANEL), padded with zeros."""
    outputs = padded_channels(weight.shape[1])
    result = aligned_zeros((outputs // PANEL, inputs, PANEL), np.float32)
    full = np.zeros((inputs, outputs), np.float32)
    full[: weight.shape[0], : weight.shape[1]] = weight
    result[...] = full.reshape(inputs, outputs // PANEL, PANEL).transpose(1, 0, 2)
    return result


def padded_vector(values: Array) -> Array:
    """Return float32 values padded with zeros to the width of rows, aligned."""
    result = aligned_zeros(padded_channels(len(values)), np.float32)
    result[: len(values)] = values
    return result


@inner(fast=FUSED | {"reassoc"})
def dot_product(left: Any, first: int, right: Any, length: int) -> Any:
    """Return the product of ``left[first : first + length]`` and `right`."""
    total = np.float32(0.0)
    for i in range(length):
        total += left[_U(first) + _U(i)] * right[i]
    return total


@inner
def softplus_layer(
    left: Any, left_first: int, left_stride: int, weight: Any, bias: Any, depth: int, rows: int,
    out: Any, out_first: int, out_stride: int,
) -> None:  # fmt: skip
    """``out = softplus(left @ weight + bias)`` for rows starting at given places.

    Args:
        left, left_first, left_stride: inputs, place of the first row, distance between rows.
        weight, bias: as `packed_matrix` and `padded_vector` return them, the weight flattened.
        depth: number of inputs.
        rows: number of rows, rounded up to whole tiles.
        out, out_first, out_stride: as for the inputs.
    """
    for panel in range(len(bias) // PANEL):
        columns = address(weight, panel * depth * PANEL)
        for row in range(0, rows, TILE_ROWS):
            place = out_first + row * out_stride + panel * PANEL
            multiply_tile_softplus(
                address(left, left_first + row * left_stride), left_stride, columns,
                address(bias, panel * PANEL), depth, address(out, place), out_stride,
            )  # fmt: skip
