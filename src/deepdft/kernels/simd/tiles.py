"""Tiles of matrix products, with activations applied while a tile is in registers.

A tile has TILE_ROWS rows and PANEL columns (two vectors): with 16 running sums and 32 vector
registers every number loaded is used several times, and the product runs at nine tenths of what
the processor's multiply-add units can do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types

from deepdft.kernels.simd.activations import identity, sigmoid, silu, softplus
from deepdft.kernels.simd.loops import counted
from deepdft.kernels.simd.vectors import INDEX, PANEL, TILE_ROWS, Vectors, intrinsic


def _multiply_tile(activation: Callable[[Vectors, Any], Any]) -> Any:
    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        left, left_stride, panel, bias, depth, out, out_stride = values
        vectors = Vectors(builder)
        initial = [vectors.load(bias, j) for j in range(2)]
        rows = [builder.gep(left, [builder.mul(left_stride, INDEX(i))]) for i in range(TILE_ROWS)]
        with counted(builder, INDEX(0), depth) as loop:
            sums = [[loop.carried(start) for start in initial] for _ in rows]
            line = builder.gep(panel, [builder.mul(loop.index, INDEX(PANEL))])
            columns = [vectors.load(line, j) for j in range(2)]
            results: list[list[Any]] = []
            for row, totals in zip(rows, sums, strict=True):
                x = vectors.broadcast(builder.gep(row, [loop.index]))
                results.append([])
                for column, total in zip(columns, totals, strict=True):
                    result = vectors.multiply_add(x, column, total)
                    loop.hand_on(total, result)
                    results[-1].append(result)
        for i, found in enumerate(results):
            row = builder.gep(out, [builder.mul(out_stride, INDEX(i))])
            for j, result in enumerate(found):
                vectors.store(activation(vectors, result), row, j)
        return target.get_dummy_value()

    @intrinsic
    def multiply_tile(
        context: Any, left: Any, left_stride: Any, panel: Any, bias: Any, depth: Any, out: Any,
        out_stride: Any,
    ) -> Any:  # fmt: skip
        signature = types.void(left, left_stride, panel, bias, depth, out, out_stride)
        return signature, generate

    return multiply_tile


multiply_tile = _multiply_tile(identity)
"""``out[:TILE_ROWS, :PANEL] = left[:TILE_ROWS, :depth] @ panel + bias``, depth at least one.

Arguments: pointer to left and its stride between rows, in numbers; pointers to the panel,
(depth, PANEL) contiguous, and the bias, (PANEL,); depth; pointer to out and its stride.
"""

multiply_tile_softplus = _multiply_tile(softplus)
"""softplus of what `multiply_tile` gives."""

multiply_tile_sigmoid = _multiply_tile(sigmoid)
"""sigmoid of what `multiply_tile` gives."""

multiply_tile_silu = _multiply_tile(silu)
"""x / (1 + exp(-x)) of what `multiply_tile` gives."""


@intrinsic
def mix_tile(context: Any, new: Any, kept: Any, states: Any, stride: Any) -> Any:
    """``states = new + kept * (states - new)`` for a tile.

    Arguments: pointers to `new` and `kept`, contiguous tiles; pointer to the states and their
    stride between rows.
    """

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        new, kept, states, stride = values
        vectors = Vectors(builder)
        for i in range(TILE_ROWS):
            row = builder.gep(states, [builder.mul(stride, INDEX(i))])
            for j in range(2):
                update, share = vectors.load(new, 2 * i + j), vectors.load(kept, 2 * i + j)
                change = builder.fsub(vectors.load(row, j), update)
                vectors.store(vectors.multiply_add(share, change, update), row, j)
        return target.get_dummy_value()

    return types.void(new, kept, states, stride), generate
