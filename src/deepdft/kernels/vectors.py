"""Loops over whole vector registers, for kernels that LLVM does not find by itself.

Two inner loops carry nearly all of a prediction's arithmetic: a tile of a matrix product, and the
messages of edges that share an interval of the filter table. Both are fast only if what they reuse
stays in registers, which loops over arrays do not express; here they are written directly in LLVM's
intermediate language. Numbers are float32.

Buffers come from `aligned_zeros`: a vector that crosses a cache line costs twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import extending, types
from numba.core import config as numba_config
from numpy.typing import NDArray

ALIGNMENT = 64
"""Bytes of a cache line."""

# numba's own annotation asks callers for the arguments of the typing function.
intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = extending.intrinsic

_FUSE = ("contract",)  # a product and a sum may become one multiply-add
_FLOAT = ir.FloatType()
_INDEX = ir.IntType(64)
_SHORT = ir.IntType(32)


def _host_registers() -> tuple[int, bool]:
    """Return the float32 numbers in a vector register, and whether there are 32 registers."""
    settings: Any = numba_config
    features = settings.CPU_FEATURES
    if features is None and settings.CPU_NAME != "generic":
        features = binding.get_host_cpu_features().flatten()
    present = set((features or "").split(","))
    if "+avx512f" in present:
        return 16, True
    if "+avx" in present:
        return 8, False
    return 4, "+neon" in present


LANES, _MANY_REGISTERS = _host_registers()
"""float32 numbers in a vector register."""

PANEL = 2 * LANES
"""Columns of a tile of a matrix product; channels are padded to a multiple of it."""

TILE_ROWS = 8 if _MANY_REGISTERS else 4
"""Rows of a tile of a matrix product; probes are padded to a multiple of it."""

WIDE = 4 if _MANY_REGISTERS else 2
"""Vectors of a message summed in one pass over the edges (six table rows of each in registers)."""


def padded(count: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is at least `count`."""
    return -(-count // multiple) * multiple


def aligned_zeros(shape: int | tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array of zeros that starts at a cache line; memory is taken where it is touched."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    result: NDArray[Any] = memory[first : first + size].view(dtype).reshape(shape)
    return result


def aligned_copy(array: NDArray[Any], shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Return an aligned copy, padded with zeros at the end of each axis to `shape`."""
    shape = array.shape if shape is None else shape
    result = aligned_zeros(shape, array.dtype)
    result[tuple(slice(0, n) for n in array.shape)] = array
    return result


@intrinsic
def address(context: Any, array: Any, index: Any) -> Any:
    """Pointer to ``array[index]`` of a contiguous one-dimensional array; not checked."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = target.make_array(signature.args[0])(target, builder, values[0]).data
        return builder.gep(data, [values[1]])

    pointer: Any = types.CPointer
    return pointer(array.dtype)(array, types.int64), generate


class _Vectors:
    """Vector loads, stores and broadcasts in a function under construction."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.type = ir.VectorType(_FLOAT, LANES)
        self._undefined = ir.Constant(self.type, ir.Undefined)
        self._first = ir.Constant(ir.VectorType(_SHORT, LANES), [0] * LANES)

    def at(self, pointer: Any, vector: int) -> Any:
        shifted = self.builder.gep(pointer, [_INDEX(vector * LANES)])
        return self.builder.bitcast(shifted, self.type.as_pointer())

    def load(self, pointer: Any, vector: int) -> Any:
        value = self.builder.load(self.at(pointer, vector))
        value.align = 4
        return value

    def store(self, value: Any, pointer: Any, vector: int) -> None:
        self.builder.store(value, self.at(pointer, vector)).align = 4

    def broadcast(self, pointer: Any) -> Any:
        number = self.builder.load(pointer)
        one = self.builder.insert_element(self._undefined, number, _SHORT(0))
        return self.builder.shuffle_vector(one, self._undefined, self._first)

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        return self.builder.fadd(self.builder.fmul(x, y, flags=_FUSE), z, flags=_FUSE)


@intrinsic
def multiply_tile(
    context: Any, left: Any, left_stride: Any, panel: Any, bias: Any, depth: Any, out: Any,
    out_stride: Any,
) -> Any:  # fmt: skip
    """``out[:TILE_ROWS, :PANEL] = left[:TILE_ROWS, :depth] @ panel + bias``, depth at least one.

    left, panel, bias, out: pointers; panel is (depth, PANEL) contiguous, bias (PANEL,); strides
    count numbers.
    """

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        left, left_stride, panel, bias, depth, out, out_stride = values
        vectors = _Vectors(builder)
        initial = [vectors.load(bias, j) for j in range(2)]
        rows = [builder.gep(left, [builder.mul(left_stride, _INDEX(i))]) for i in range(TILE_ROWS)]
        entry, loop = builder.block, builder.append_basic_block("depth")
        after = builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(_INDEX)
        k.add_incoming(_INDEX(0), entry)
        sums = [[builder.phi(vectors.type) for _ in range(2)] for _ in rows]
        line = builder.gep(panel, [builder.mul(k, _INDEX(PANEL))])
        columns = [vectors.load(line, j) for j in range(2)]
        results = []
        for row, (first, second) in zip(rows, sums, strict=True):
            x = vectors.broadcast(builder.gep(row, [k]))
            results.append(
                [
                    vectors.multiply_add(x, columns[0], first),
                    vectors.multiply_add(x, columns[1], second),
                ]
            )
        following = builder.add(k, _INDEX(1))
        k.add_incoming(following, loop)
        for pair, found in zip(sums, results, strict=True):
            for total, start, result in zip(pair, initial, found, strict=True):
                total.add_incoming(start, entry)
                total.add_incoming(result, loop)
        builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
        builder.position_at_end(after)
        for i, found in enumerate(results):
            row = builder.gep(out, [builder.mul(out_stride, _INDEX(i))])
            for j, result in enumerate(found):
                vectors.store(result, row, j)
        return target.get_dummy_value()

    signature = types.void(left, left_stride, panel, bias, depth, out, out_stride)
    return signature, generate


def _sum_interval(count: int) -> Any:
    """Return the intrinsic that adds the messages of `count` vectors of channels."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        table, stride, senders, atoms, out, receivers, weights, weight_stride, first, last = values
        vectors = _Vectors(builder)
        entries = [
            [
                vectors.load(builder.gep(table, [builder.mul(stride, _INDEX(r))]), j)
                for j in range(count)
            ]
            for r in range(6)
        ]
        entry, loop = builder.block, builder.append_basic_block("edge")
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", first, last), loop, after)
        builder.position_at_end(loop)
        edge = builder.phi(_INDEX)
        edge.add_incoming(first, entry)

        def row_of(base: Any, indices: Any) -> Any:
            index = builder.sext(builder.load(builder.gep(indices, [edge])), _INDEX)
            return builder.gep(base, [builder.mul(index, stride)])

        sender, message = row_of(senders, atoms), row_of(out, receivers)
        factors = [
            vectors.broadcast(
                builder.gep(weights, [builder.add(edge, builder.mul(weight_stride, _INDEX(r)))])
            )
            for r in range(6)
        ]
        for j in range(count):
            value = builder.fmul(factors[0], entries[0][j])
            for r in range(1, 6):
                value = vectors.multiply_add(factors[r], entries[r][j], value)
            total = vectors.multiply_add(vectors.load(sender, j), value, vectors.load(message, j))
            vectors.store(total, message, j)
        following = builder.add(edge, _INDEX(1))
        edge.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, last), loop, after)
        builder.position_at_end(after)
        return target.get_dummy_value()

    @intrinsic
    def sum_interval(
        context: Any, table: Any, stride: Any, senders: Any, atoms: Any, out: Any,
        receivers: Any, weights: Any, weight_stride: Any, first: Any, last: Any,
    ) -> Any:  # fmt: skip
        signature = types.void(
            table, stride, senders, atoms, out, receivers, weights, weight_stride, first, last
        )
        return signature, generate

    return sum_interval


@intrinsic
def adjoint_interval(
    context: Any, table: Any, stride: Any, senders: Any, atoms: Any, gradient: Any,
    receivers: Any, weights: Any, weight_stride: Any, first: Any, last: Any,
    table_gradient: Any, sender_gradient: Any,
) -> Any:  # fmt: skip
    """Adjoint of `sum_interval_pair`: add to the gradients of table rows and senders.

    Arguments as there, with the gradient of the messages in place of the messages; then pointers to
    the gradients of the six rows of the table and of the senders' rows. At least one edge.
    """

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        (table, stride, senders, atoms, gradient, receivers, weights, weight_stride, first, last,
         table_gradient, sender_gradient) = values  # fmt: skip
        vectors = _Vectors(builder)
        places = [(r, j) for r in range(6) for j in range(2)]
        offsets = [builder.mul(stride, _INDEX(r)) for r in range(6)]
        entries = {(r, j): vectors.load(builder.gep(table, [offsets[r]]), j) for r, j in places}
        targets = [builder.gep(table_gradient, [offset]) for offset in offsets]
        initial = {(r, j): vectors.load(targets[r], j) for r, j in places}
        entry, loop = builder.block, builder.append_basic_block("edge")
        after = builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        edge = builder.phi(_INDEX)
        edge.add_incoming(first, entry)
        sums = {place: builder.phi(vectors.type) for place in places}

        def row_of(base: Any, index: Any) -> Any:
            return builder.gep(base, [builder.mul(index, stride)])

        atom = builder.sext(builder.load(builder.gep(atoms, [edge])), _INDEX)
        receiver = builder.sext(builder.load(builder.gep(receivers, [edge])), _INDEX)
        sender, incoming = row_of(senders, atom), row_of(gradient, receiver)
        outgoing = row_of(sender_gradient, atom)
        factors = [
            vectors.broadcast(
                builder.gep(weights, [builder.add(edge, builder.mul(weight_stride, _INDEX(r)))])
            )
            for r in range(6)
        ]
        found = {}
        for j in range(2):
            arriving = vectors.load(incoming, j)
            value = builder.fmul(factors[0], entries[0, j])
            for r in range(1, 6):
                value = vectors.multiply_add(factors[r], entries[r, j], value)
            vectors.store(
                vectors.multiply_add(arriving, value, vectors.load(outgoing, j)), outgoing, j
            )
            product = builder.fmul(arriving, vectors.load(sender, j))
            for r in range(6):
                found[r, j] = vectors.multiply_add(factors[r], product, sums[r, j])
        following = builder.add(edge, _INDEX(1))
        edge.add_incoming(following, loop)
        for place in places:
            sums[place].add_incoming(initial[place], entry)
            sums[place].add_incoming(found[place], loop)
        builder.cbranch(builder.icmp_signed("<", following, last), loop, after)
        builder.position_at_end(after)
        for r, j in places:
            vectors.store(found[r, j], targets[r], j)
        return target.get_dummy_value()

    signature = types.void(
        table, stride, senders, atoms, gradient, receivers, weights, weight_stride, first, last,
        table_gradient, sender_gradient,
    )  # fmt: skip
    return signature, generate


sum_interval_wide = _sum_interval(WIDE)
"""Add the messages of edges first..last-1, all in one interval of the table, for WIDE vectors.

Arguments: pointers to the six rows of the table, `stride` apart; to sender rows and the atom of
each edge; to message rows and the receiver of each edge; to the six weights of each edge, by
weight and then by edge, `weight_stride` apart; first and last + 1.
"""

sum_interval_pair = _sum_interval(2)
"""As `sum_interval_wide`, for two vectors (one panel)."""
