"""Messages of scalars and spherical tensors between atoms.

With R what an edge e from atom j weighs messages by, and A what j sends,

    scalars:  out[i, c]    = sum over edges e of i of  R0[e, c] A0[j, c]
    tensors:  out[i, m, c] = sum over edges e of i of  R1[e, l(m), c] A1[j, c] Y[e, m]
                                                     + R2[e, l(m), c] A2[j, c] V[j, m, c]

A1 is spread over the spherical harmonics Y of an edge, and tensors V are passed on. On a CPU one
compiled loop over the edges replaces arrays of (edges, M, channels) and of (edges, width).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.compilation import FUSED, compiled, inner


@inner(fast=FUSED)
def _put(out: Any, left: Any, right: Any) -> None:
    for c in range(len(out)):
        out[c] = left[c] * right[c]


@inner(fast=FUSED)
def _add(out: Any, left: Any, right: Any) -> None:
    # One array written in each loop: more would defeat vectorisation. So would sums of indices,
    # which might be negative: callers pass slices.
    for c in range(len(out)):
        out[c] += left[c] * right[c]


@inner(fast=FUSED)
def _add_multiple(out: Any, left: Any, factor: Any) -> None:
    for c in range(len(out)):
        out[c] += left[c] * factor


@inner(fast=FUSED)
def _part(row: Any, start: int, number: int, width: int) -> Any:
    first = start + number * width
    return row[first : first + width]


@compiled(fast=FUSED)
def sum_tensor_messages(
    functions: Any, sent: Any, harmonics: Any, senders: Any, offsets: Any, layout: Any, out: Any
) -> None:
    scalars, channels, degrees, passes = layout
    spread = np.empty(channels, sent.dtype)
    passed = np.empty(channels, sent.dtype)
    for i in range(len(offsets) - 1):
        summed = out[i]
        for e in range(offsets[i], offsets[i + 1]):
            weights, arriving = functions[e], sent[senders[e]]
            _add(summed[:scalars], weights[:scalars], arriving[:scalars])
            for degree in range(degrees):
                factors = _part(arriving, scalars, 0, channels)
                _put(spread, _part(weights, scalars, degree, channels), factors)
                if passes:
                    factors = _part(arriving, scalars, 1, channels)
                    _put(passed, _part(weights, scalars, degrees + degree, channels), factors)
                for m in range(degree * degree, (degree + 1) * (degree + 1)):
                    component = _part(summed, scalars, m, channels)
                    _add_multiple(component, spread, harmonics[e, m])
                    if passes:
                        _add(component, passed, _part(arriving, scalars, m + 2, channels))


@compiled(fast=FUSED)
def add_tensor_adjoint(
    functions: Any, sent: Any, harmonics: Any, senders: Any, offsets: Any, layout: Any,
    gradient: Any, to_functions: Any, to_sent: Any,
) -> None:  # fmt: skip
    scalars, channels, degrees, passes = layout
    to_spread = np.empty(channels, sent.dtype)
    to_passed = np.empty(channels, sent.dtype)
    passed = np.empty(channels, sent.dtype)
    for i in range(len(offsets) - 1):
        given = gradient[i]
        for e in range(offsets[i], offsets[i + 1]):
            weights, arriving = functions[e], sent[senders[e]]
            to_weights, to_arriving = to_functions[e], to_sent[senders[e]]
            _put(to_weights[:scalars], given[:scalars], arriving[:scalars])
            _add(to_arriving[:scalars], given[:scalars], weights[:scalars])
            for degree in range(degrees):
                first = _part(weights, scalars, degree, channels)
                second = _part(weights, scalars, degrees + degree, channels)
                to_spread[:] = 0.0
                to_passed[:] = 0.0
                if passes:
                    _put(passed, second, _part(arriving, scalars, 1, channels))
                for m in range(degree * degree, (degree + 1) * (degree + 1)):
                    component = _part(given, scalars, m, channels)
                    _add_multiple(to_spread, component, harmonics[e, m])
                    if passes:
                        _add(to_passed, component, _part(arriving, scalars, m + 2, channels))
                        _add(_part(to_arriving, scalars, m + 2, channels), component, passed)
                to_first = _part(to_weights, scalars, degree, channels)
                _put(to_first, to_spread, _part(arriving, scalars, 0, channels))
                _add(_part(to_arriving, scalars, 0, channels), to_spread, first)
                if passes:
                    to_second = _part(to_weights, scalars, degrees + degree, channels)
                    _put(to_second, to_passed, _part(arriving, scalars, 1, channels))
                    _add(_part(to_arriving, scalars, 1, channels), to_passed, second)
