"""Affine maps of rows, with an activation: in float32 compiled, in other types by NumPy.

A row's result depends on this row alone, bit by bit, and no thread but the caller's does any work.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from deepdft.arrays import Array
from deepdft.compilation import compiled
from deepdft.kernels.jets import logistic
from deepdft.kernels.simd.layers import packed_matrix, padded_vector
from deepdft.kernels.simd.tiles import multiply_tile, multiply_tile_silu, multiply_tile_softplus
from deepdft.kernels.simd.vectors import PANEL, TILE_ROWS, float_pointer, padded_channels

_ACTIVATIONS = {"none": 0, "softplus": 1, "silu": 2}

_CHUNK = 12 * TILE_ROWS
"""Rows that are multiplied with one panel after the other while they are in the nearest cache."""


class Dense:
    """``activation(x @ weight + bias)``.

    Args:
        weight: (inputs, outputs), or (maps, inputs, outputs) for several.
        bias: (outputs,) or None.
        activation: "none", "softplus" or "silu".
    """

    def __init__(
        self,
        weight: Array,
        bias: Array | None = None,
        activation: Literal["none", "softplus", "silu"] = "none",
    ) -> None:
        self.inputs, self.outputs = weight.shape[-2:]
        self.dtype = weight.dtype
        self._activation = activation
        self._weight, self._bias = weight, bias
        if self.dtype == np.float32:
            maps = weight.reshape(-1, self.inputs, self.outputs)
            self._packed = np.stack([packed_matrix(one, self.inputs) for one in maps])
            self._padded_bias = padded_vector(np.zeros(self.outputs) if bias is None else bias)

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        """Map rows (n, inputs); the result is contiguous, or `out`."""
        if out is None:
            out = np.empty((len(x), self.outputs), self.dtype)
        self.each(x[:, None], out[:, None])
        return out

    def each(self, x: Array, out: Array) -> None:
        """Map every component of rows (n, components, inputs) to `out` (n, components, outputs)."""
        if self.dtype == np.float32:
            self._multiply(x, [0] * x.shape[1], out)
            return
        result = x @ self._weight
        if self._bias is not None:
            result += self._bias
        out[...] = self._activated(result)

    def by_degree(self, tensors: Array) -> Array:
        """Apply map l to the components of degree l of tensors (n, M, inputs)."""
        out = np.empty((*tensors.shape[:2], self.outputs), self.dtype)
        degrees = [d for d in range(len(self._weight)) for _ in range(2 * d + 1)]
        if self.dtype == np.float32:
            self._multiply(tensors, degrees, out)
        else:
            for m, degree in enumerate(degrees):
                out[:, m] = tensors[:, m] @ self._weight[degree]
        return out

    def _activated(self, x: Array) -> Array:
        if self._activation == "softplus":
            return np.asarray(np.logaddexp(0, x))
        return x * logistic(x) if self._activation == "silu" else x

    def _multiply(self, x: Array, maps: list[int], out: Array) -> None:
        """Multiply each component with a map; both arrays may be parts of wider ones."""
        rows, components = out.shape[:2]
        if rows == 0:
            return
        x = _long_enough(x)
        target = out
        if self.outputs % PANEL or rows < TILE_ROWS:
            wide = padded_channels(self.outputs)
            target = np.empty((max(rows, TILE_ROWS), components, wide), np.float32)
        places = np.arange(components)
        packed = self._packed
        _multiply_rows(
            x.ctypes.data + places * x.strides[1], x.strides[0] // 4,
            packed.ctypes.data + np.array(maps) * packed.strides[0], self._padded_bias.ctypes.data,
            target.ctypes.data + places * target.strides[1], target.strides[0] // 4,
            len(target), self.inputs, packed.shape[1], _ACTIVATIONS[self._activation],
        )  # fmt: skip
        if target is not out:
            out[...] = target[:rows, :, : self.outputs]


def _long_enough(x: Array) -> Array:
    """Return rows of neighbouring numbers, as many as a tile has."""
    if len(x) >= TILE_ROWS and x.strides[2] == 4 and x.dtype == np.float32:
        return x
    result = np.zeros((max(len(x), TILE_ROWS), *x.shape[1:]), np.float32)
    result[: len(x)] = x
    return result


@compiled
def _multiply_rows(
    lefts: Any, left_stride: int, weights: Any, bias: int, outs: Any, out_stride: int, rows: int,
    depth: int, panels: int, activation: int,
) -> None:  # fmt: skip
    """Multiply at least TILE_ROWS rows of each component.

    Args:
        lefts, weights, outs: where each component begins in memory.
        left_stride, out_stride: numbers between rows.
        bias: where the bias is.
        rows: number of rows.
        depth: inputs.
        panels: of outputs.
        activation: a value of `_ACTIVATIONS`.
    """
    for component in range(len(lefts)):
        left, weight, out = lefts[component], weights[component], outs[component]
        for start in range(0, rows, _CHUNK):
            stop = min(start + _CHUNK, rows)
            for panel in range(panels):
                columns = float_pointer(weight + 4 * panel * depth * PANEL)
                shift = float_pointer(bias + 4 * panel * PANEL)
                for first in range(start, stop, TILE_ROWS):
                    # The last tile overlaps with the one before it.
                    row = min(first, rows - TILE_ROWS)
                    source = float_pointer(left + 4 * row * left_stride)
                    target = float_pointer(out + 4 * (row * out_stride + panel * PANEL))
                    arguments = (source, left_stride, columns, shift, depth, target, out_stride)
                    if activation == 1:
                        multiply_tile_softplus(*arguments)
                    elif activation == 2:
                        multiply_tile_silu(*arguments)
                    else:
                        multiply_tile(*arguments)
