"""Activations of vectors with their derivatives by position, by the chain rule.

A jet is a value with its first and second derivatives, each a row of numbers `apart` from the one
before: value, x, y, z, xx, yy, zz, xy, xz, yz. The functions here take one panel of a row.
"""

from __future__ import annotations

from typing import Any

from numba import types

from deepdft.kernels.jets import COMPONENTS, PAIRS
from deepdft.kernels.simd.activations import sigmoid, softplus
from deepdft.kernels.simd.vectors import INDEX, Vectors, intrinsic

_DIRECTIONS = PAIRS[3]


def _load(vectors: Vectors, pointer: Any, apart: Any, order: int, j: int) -> list[Any]:
    builder = vectors.builder
    return [
        vectors.load(builder.gep(pointer, [builder.mul(apart, INDEX(i))]), j)
        for i in range(COMPONENTS[order])
    ]


def _store(vectors: Vectors, jet: list[Any], pointer: Any, apart: Any, j: int) -> None:
    builder = vectors.builder
    for i, value in enumerate(jet):
        vectors.store(value, builder.gep(pointer, [builder.mul(apart, INDEX(i))]), j)


def _of_function(vectors: Vectors, value: Any, slope: Any, curvature: Any, x: list[Any]) -> Any:
    """Return the jet of a function of the jet x, given its value, slope and curvature there."""
    multiply = vectors.builder.fmul
    result = [value, *(multiply(slope, first) for first in x[1:4])]
    for (i, k), second in zip(_DIRECTIONS, x[4:], strict=False):
        bent = multiply(multiply(curvature, x[1 + i]), x[1 + k])
        result.append(vectors.multiply_add(slope, second, bent))
    return result


def _product(vectors: Vectors, x: list[Any], y: list[Any], z: list[Any]) -> list[Any]:
    """Return the jet of ``x y + z``."""
    fma = vectors.multiply_add
    result = [fma(x[0], y[0], z[0])]
    for i in range(1, 4):
        result.append(fma(x[0], y[i], fma(x[i], y[0], z[i])))
    for place, (i, k) in enumerate(_DIRECTIONS[: len(x) - 4], start=4):
        mixed = fma(x[1 + i], y[1 + k], fma(x[1 + k], y[1 + i], z[place]))
        result.append(fma(x[0], y[place], fma(x[place], y[0], mixed)))
    return result


def _softplus_jets(order: int) -> Any:
    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer, apart = values
        vectors = Vectors(builder)
        for j in range(2):
            x = _load(vectors, pointer, apart, order, j)
            slope = sigmoid(vectors, x[0])
            curvature = builder.fmul(slope, builder.fsub(vectors.constant(1.0), slope))
            jet = _of_function(vectors, softplus(vectors, x[0]), slope, curvature, x)
            _store(vectors, jet, pointer, apart, j)
        return target.get_dummy_value()

    @intrinsic
    def softplus_jets(context: Any, pointer: Any, apart: Any) -> Any:
        return types.void(pointer, apart), generate

    return softplus_jets


softplus_first, softplus_second = _softplus_jets(1), _softplus_jets(2)
"""softplus of a panel of jets, in place; of order 1 and 2.

Arguments: pointer to the values; numbers between components.
"""


@intrinsic
def softplus_and_slope(context: Any, pointer: Any, slopes: Any) -> Any:
    """softplus of a panel, in place, and its slope; arguments: pointers to both."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer, slopes = values
        vectors = Vectors(builder)
        for j in range(2):
            x = vectors.load(pointer, j)
            vectors.store(sigmoid(vectors, x), slopes, j)
            vectors.store(softplus(vectors, x), pointer, j)
        return target.get_dummy_value()

    return types.void(pointer, slopes), generate


def _mix_jets(order: int) -> Any:
    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        update, gate, apart, states, states_apart = values
        vectors = Vectors(builder)
        one, two = vectors.constant(1.0), vectors.constant(2.0)
        for j in range(2):
            x = _load(vectors, gate, apart, order, j)
            share = sigmoid(vectors, x[0])
            slope = builder.fmul(share, builder.fsub(one, share))
            curvature = builder.fmul(slope, builder.fsub(one, builder.fmul(two, share)))
            kept = _of_function(vectors, share, slope, curvature, x)
            new = _load(vectors, update, apart, order, j)
            old = _load(vectors, states, states_apart, order, j)
            change = [builder.fsub(b, a) for a, b in zip(new, old, strict=True)]
            _store(vectors, _product(vectors, kept, change, new), states, states_apart, j)
        return target.get_dummy_value()

    @intrinsic
    def mix_jets(
        context: Any, update: Any, gate: Any, apart: Any, states: Any, states_apart: Any
    ) -> Any:
        return types.void(update, gate, apart, states, states_apart), generate

    return mix_jets


mix_first, mix_second = _mix_jets(1), _mix_jets(2)
"""``states = update + sigmoid(gate) (states - update)`` for a panel of jets; of order 1 and 2.

Arguments: pointers to the values of update and gate, and the numbers between their components;
pointer to the states, and the numbers between theirs.
"""
