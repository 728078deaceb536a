"""The probes' part of the architecture `deepdft` on a GPU: gates, updates, density, in one kernel.

Equations (5), (6) and the readout network of `deepdft.architectures.deepdft.model.DeepDFT`. Nothing
between the messages and the density leaves the multiprocessor. Tensor cores multiply numbers of
half precision and sum in float32; for the accuracy of float32 every number is split into two, ``x =
high + low / 2048``, and a product into three, ``high high + (low high + high low) / 2048``. That
keeps 22 bits of 24 and, below 65504, the range: beyond it the density is not a number, which
callers look for.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from deepdft.kernels.triton.sums import LOW_SCALE, padded_width

LARGEST_WIDTH = 128
"""Wider layers would not fit the shared memory of a multiprocessor."""

ROWS = 64
"""Probes of a program: their states, gates and the sums of a product fill the registers."""


class GatedReadout:
    """Evaluates the node networks of the architecture for many probes at once.

    Args:
        hidden, update, gate, readout_hidden, readout_output, shift: as of
            `deepdft.architectures.deepdft.block_network.GatedNetwork`, all on one device; no wider
            than `LARGEST_WIDTH`.
    """

    row_multiple = ROWS

    def __init__(
        self, hidden: tuple[Tensor, Tensor], update: tuple[Tensor, Tensor],
        gate: tuple[Tensor, Tensor], readout_hidden: tuple[Tensor, Tensor],
        readout_output: tuple[Tensor, float], shift: float,
    ) -> None:  # fmt: skip
        steps, f = hidden[0].shape[:2]
        width = padded_width(f)
        # Padded with zeros. For each step W6, W7, W4, W5, by input and output; last, in the first
        # place, the hidden layer of the readout.
        weights = hidden[0].new_zeros((steps + 1, 4, width, width))
        biases = hidden[0].new_zeros((steps + 1, 4, width))
        layers = (
            (hidden[0][..., f:], hidden[1][..., f:]), gate,
            (hidden[0][..., :f], hidden[1][..., :f]), update,
        )  # fmt: skip
        for place, (weight, bias) in enumerate(layers):
            weights[:steps, place, :f, :f] = weight
            biases[:steps, place, :f] = bias[:, 0]
        weights[steps, 0, :f, :f] = readout_hidden[0]
        biases[steps, 0, :f] = readout_hidden[1]
        high = weights.half()
        low = ((weights - high.float()) * LOW_SCALE).half()
        self._weights = torch.stack((high, low), dim=2)
        self._biases = biases
        self._output = torch.nn.functional.pad(readout_output[0], (0, width - f)).contiguous()
        self._shift = float(readout_output[1]) + shift

    def density(self, messages: Tensor) -> Tensor:
        """Return the density of probes.

        Args:
            messages: (steps, halves, rows, width) float16, see
                `deepdft.kernels.triton.sums.summed_messages`; rows is a multiple of
                `row_multiple`. One half gives products of half precision, two those of float32.

        Returns:
            (rows,) float32, e/Å^3; not a number where values exceed half precision's range.
        """
        steps, halves, rows, width = messages.shape
        result = torch.empty(rows, dtype=torch.float32, device=messages.device)
        if rows:
            _density_kernel[(rows // ROWS,)](
                messages, self._weights, self._biases, self._output, self._shift, result, rows,
                steps, width, ROWS, halves, num_warps=4, num_stages=1, enable_fp_fusion=True,
            )  # fmt: skip
        return result


@triton.jit(do_not_specialize=["shift", "steps"])
def _density_kernel(
    messages, weights, biases, output, shift, result, rows, steps,
    WIDTH: tl.constexpr, ROWS: tl.constexpr, HALVES: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    k = tl.arange(0, WIDTH)
    place = row[:, None] * WIDTH + k[None, :]
    plane = rows.to(tl.int64) * WIDTH
    MATRIX: tl.constexpr = 2 * WIDTH * WIDTH
    state = tl.zeros([ROWS, WIDTH], tl.float32)
    for _ in range(steps):
        high = tl.load(messages + place)
        low = high
        if HALVES == 2:
            low = tl.load(messages + plane + place)
        gate = _layer(high, low, weights, biases, WIDTH, HALVES)
        gate = _softplus(gate)
        high_gate, low_gate = _split(gate)
        gate = _layer(high_gate, low_gate, weights + MATRIX, biases + WIDTH, WIDTH, HALVES)
        gate = 1.0 / (1.0 + tl.exp(-gate))
        new = _layer(high, low, weights + 2 * MATRIX, biases + 2 * WIDTH, WIDTH, HALVES)
        new = _softplus(new)
        high_new, low_new = _split(new)
        new = _layer(high_new, low_new, weights + 3 * MATRIX, biases + 3 * WIDTH, WIDTH, HALVES)
        state = new + gate * (state - new)
        messages += HALVES * plane
        weights += 4 * MATRIX
        biases += 4 * WIDTH
    high, low = _split(state)
    hidden = _softplus(_layer(high, low, weights, biases, WIDTH, HALVES))
    density = tl.sum(hidden * tl.load(output + k)[None, :], 1) + shift
    tl.store(result + row, density)


@triton.jit
def _layer(high, low, weight, bias, WIDTH: tl.constexpr, HALVES: tl.constexpr):
    """Product of inputs (rows, width) and weights, plus bias."""
    k = tl.arange(0, WIDTH)
    place = k[:, None] * WIDTH + k[None, :]
    weight_high = tl.load(weight + place)
    if HALVES == 2:
        total = tl.dot(low, weight_high)
        total = tl.dot(high, tl.load(weight + WIDTH * WIDTH + place), total)
        total = tl.dot(high, weight_high, total * (1.0 / 2048.0))
    else:
        total = tl.dot(high, weight_high)
    return total + tl.load(bias + k)[None, :]


@triton.jit
def _split(x):
    high = x.to(tl.float16)
    low = ((x - high.to(tl.float32)) * 2048.0).to(tl.float16)
    return high, low


@triton.jit
def _softplus(x):
    """ln(1 + exp(x)); the polynomial for ln(1 + e) / e, 0 <= e <= 1, is right to 2e-8."""
    e = tl.exp(-tl.abs(x))
    p = 0.00512610236 * e - 0.0290740654
    p = p * e + 0.0775160864
    p = p * e - 0.136022478
    p = p * e + 0.190768808
    p = p * e - 0.248353988
    p = p * e + 0.333181202
    p = p * e - 0.499994457
    p = p * e + 0.99999994
    return p * e + tl.maximum(x, 0.0)
