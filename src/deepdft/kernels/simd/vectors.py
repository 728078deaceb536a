"""Vector registers of this processor, and functions written in terms of them.

Two inner loops carry nearly all of a prediction's arithmetic: a tile of a matrix product
(`deepdft.kernels.simd.tiles`), and the messages of edges that share an interval of the filter table
(`deepdft.kernels.edges.interval_sums`). Both are fast only if what they reuse stays in registers,
which loops over arrays do not express; they are written directly in LLVM's intermediate language,
with the help of `Vectors`. Numbers are float32.

Buffers come from `aligned_zeros`: a vector that crosses a cache line costs twice.

numba's disk cache watches the file of a cached function, not the files of what it calls: after a
change here or in one of the modules named, clear `__pycache__`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
_SHORT = ir.IntType(32)

INDEX = ir.IntType(64)
"""Type of places and counts."""


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


def padded_channels(channels: int) -> int:
    """Return the width of rows of messages, senders and tables: whole panels of vectors."""
    return padded(channels, PANEL)


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


def padded_rows(array: NDArray[Any]) -> NDArray[Any]:
    """Return rows (..., channels) as float32, aligned and of padded width.

    They are copied only if they are not all that already.
    """
    shape = (*array.shape[:-1], padded_channels(array.shape[-1]))
    ready = array.dtype == np.float32 and array.shape == shape and array.flags.c_contiguous
    if ready and array.ctypes.data % ALIGNMENT == 0:
        return array
    return aligned_copy(array.astype(np.float32, copy=False), shape)


def padded_blocks(array: NDArray[Any], sizes: Sequence[int]) -> NDArray[Any]:
    """Return an array whose last axis has blocks of channels, each padded to whole panels.

    Args:
        array: (..., sum of sizes).
        sizes: channels of each block.
    """
    if all(size % PANEL == 0 for size in sizes):
        return array
    parts = np.split(array, np.cumsum(sizes)[:-1], axis=-1)
    none = [(0, 0)] * (array.ndim - 1)
    return np.concatenate(
        [np.pad(part, [*none, (0, -part.shape[-1] % PANEL)]) for part in parts], axis=-1
    )


@intrinsic
def address(context: Any, array: Any, index: Any) -> Any:
    """Pointer to ``array[index]`` of a contiguous one-dimensional array; not checked."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = target.make_array(signature.args[0])(target, builder, values[0]).data
        return builder.gep(data, [values[1]])

    pointer: Any = types.CPointer
    return pointer(array.dtype)(array, types.int64), generate


@intrinsic
def float_pointer(context: Any, place: Any) -> Any:
    """Pointer to float32 numbers at a place in memory, an integer (`ndarray.ctypes.data`)."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], _FLOAT.as_pointer())

    pointer: Any = types.CPointer
    return pointer(types.float32)(types.int64), generate


class Vectors:
    """Operations on vectors in a function under construction."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.type = ir.VectorType(_FLOAT, LANES)
        self._bits = ir.VectorType(_SHORT, LANES)
        self._undefined = ir.Constant(self.type, ir.Undefined)
        self._first = self.constant_bits(0)

    def constant(self, number: float) -> Any:
        return ir.Constant(self.type, [number] * LANES)

    def constant_bits(self, bits: int) -> Any:
        return ir.Constant(self._bits, [bits] * LANES)

    def bits(self, vector: Any) -> Any:
        return self.builder.bitcast(vector, self._bits)

    def from_bits(self, bits: Any) -> Any:
        return self.builder.bitcast(bits, self.type)

    def at(self, pointer: Any, vector: int) -> Any:
        shifted = self.builder.gep(pointer, [INDEX(vector * LANES)])
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
