"""Products of orbital coefficients and basis functions, a tile of orbitals and points at a time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from deepdft.kernels.simd.loops import counted
from deepdft.kernels.simd.vectors import INDEX, LANES, TILE_ROWS, intrinsic

TILE_ORBITALS = TILE_ROWS
"""Orbitals of a tile; coefficients are padded to a multiple of it."""

TILE_BYTES = 2 * 4 * LANES
"""Bytes of the points of a tile, two vectors."""

_FUSE = ("contract",)


@intrinsic
def orbital_tile(
    context: Any, functions: Any, stride: Any, rows: Any, coefficients: Any, depth: Any, out: Any,
    out_stride: Any,
) -> Any:  # fmt: skip
    """``out[o, :] = sum_k coefficients[rows[k], o] * functions[k, :]`` for a tile.

    Arguments: pointer to the functions and their stride between rows, in numbers; pointer to the
    rows (depth,) int64; pointer to the coefficients, (..., TILE_ORBITALS) contiguous; depth, at
    least one; pointer to out and its stride. Points go in two vectors of the functions' type.
    """
    single = functions.dtype == types.float32
    number = ir.FloatType() if single else ir.DoubleType()
    lanes = LANES if single else LANES // 2
    align = 4 if single else 8
    vector = ir.VectorType(number, lanes)

    def place(builder: Any, pointer: Any, index: int) -> Any:
        return builder.bitcast(builder.gep(pointer, [INDEX(index * lanes)]), vector.as_pointer())

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        functions, stride, rows, coefficients, depth, out, out_stride = values
        zero = ir.Constant(vector, [0.0] * lanes)
        undefined = ir.Constant(vector, ir.Undefined)
        first = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        with counted(builder, INDEX(0), depth) as loop:
            sums = [[loop.carried(zero) for _ in range(2)] for _ in range(TILE_ORBITALS)]
            line = builder.gep(functions, [builder.mul(loop.index, stride)])
            columns = []
            for j in range(2):
                column = builder.load(place(builder, line, j))
                column.align = align
                columns.append(column)
            row = builder.load(builder.gep(rows, [loop.index]))
            own = builder.gep(coefficients, [builder.mul(row, INDEX(TILE_ORBITALS))])
            results: list[list[Any]] = []
            for o, totals in enumerate(sums):
                scalar = builder.load(builder.gep(own, [INDEX(o)]))
                one = builder.insert_element(undefined, scalar, ir.IntType(32)(0))
                factor = builder.shuffle_vector(one, undefined, first)
                results.append([])
                for column, total in zip(columns, totals, strict=True):
                    product = builder.fmul(factor, column, flags=_FUSE)
                    result = builder.fadd(product, total, flags=_FUSE)
                    loop.hand_on(total, result)
                    results[-1].append(result)
        for o, found in enumerate(results):
            line = builder.gep(out, [builder.mul(out_stride, INDEX(o))])
            for j, result in enumerate(found):
                builder.store(result, place(builder, line, j)).align = align
        return target.get_dummy_value()

    signature = types.void(functions, stride, rows, coefficients, depth, out, out_stride)
    return signature, generate
