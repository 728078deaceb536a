"""Affine maps of rows, with an activation: in float32 compiled, in other types by NumPy.

A row's result depends on this row alone, bit by bit, and no thread but the caller's does any work.
"""

from __future__ import annotations

from typing import Any, Literal

import numba
import numpy as np
from numpy.typing import NDArray

from deepdft.kernels.jets import logistic
from deepdft.kernels.simd.layers import packed_matrix, padded_vector
from deepdft.kernels.simd.tiles import multiply_tile, multiply_tile_silu, multiply_tile_softplus
from deepdft.kernels.simd.vectors import PANEL, TILE_ROWS, float_pointer

Array = NDArray[Any]

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
            self._packed = [packed_matrix(one, self.inputs) for one in maps]
            self._padded_bias = padded_vector(np.zeros(self.outputs) if bias is None else bias)

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        """Map rows (n, inputs); the result is contiguous, or `out`."""
        if out is None:
            out = np.empty((len(x), self.outputs), self.dtype)
        if self.dtype == np.float32:
            _multiply(x, self._packed[0], self._padded_bias, _ACTIVATIONS[self._activation], out)
            return out
        result = x @ self._weight
        if self._bias is not None:
            result += self._bias
        out[...] = self._activated(result)
        return out

    def by_degree(self, tensors: Array) -> Array:
        """Apply map l to the components of degree l of tensors (n, M, inputs)."""
        out = np.empty((*tensors.shape[:2], self.outputs), self.dtype)
        for degree in range(len(self._weight)):
            for m in range(degree**2, (degree + 1) ** 2):
                if self.dtype == np.float32:
                    _multiply(tensors[:, m], self._packed[degree], self._padded_bias, 0, out[:, m])
                else:
                    out[:, m] = tensors[:, m] @ self._weight[degree]
        return out

    def _activated(self, x: Array) -> Array:
        if self._activation == "softplus":
            return np.asarray(np.logaddexp(0, x))
        return x * logistic(x) if self._activation == "silu" else x


def _multiply(x: Array, packed: Array, bias: Array, activation: int, out: Array) -> None:
    """Multiply rows; both arrays may be parts of wider ones."""
    rows, outputs = out.shape
    if rows == 0:
        return
    x = _long_enough(x.astype(np.float32, copy=False))
    target = out
    if len(bias) != outputs or rows < TILE_ROWS:
        target = np.empty((max(rows, TILE_ROWS), len(bias)), np.float32)
    _multiply_rows(
        x.ctypes.data, x.strides[0] // 4, len(target), packed.ctypes.data, bias.ctypes.data,
        packed.shape[1], packed.shape[0], activation, target.ctypes.data, target.strides[0] // 4,
    )  # fmt: skip
    if target is not out:
        out[...] = target[:rows, :outputs]


def _long_enough(x: Array) -> Array:
    """Return rows of neighbouring numbers, as many as a tile has."""
    if len(x) >= TILE_ROWS and x.strides[1] == 4 and x.strides[0] % 4 == 0:
        return x
    result = np.zeros((max(len(x), TILE_ROWS), x.shape[1]), np.float32)
    result[: len(x)] = x
    return result


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _multiply_rows(
    left: int, left_stride: int, rows: int, weight: int, bias: int, depth: int, panels: int,
    activation: int, out: int, out_stride: int,
) -> None:  # fmt: skip
    """Multiply at least TILE_ROWS rows; places are addresses in memory, strides in numbers."""
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
                if activation == 1:
                    multiply_tile_softplus(
                        source, left_stride, columns, shift, depth, target, out_stride
                    )
                elif activation == 2:
                    multiply_tile_silu(
                        source, left_stride, columns, shift, depth, target, out_stride
                    )
                else:
                    multiply_tile(source, left_stride, columns, shift, depth, target, out_stride)
