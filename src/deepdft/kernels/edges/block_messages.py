"""Messages of one interaction step to the receivers of a block, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.compilation import compiled
from deepdft.kernels.edges.interval_sums import sum_interval_pair, sum_interval_wide
from deepdft.kernels.simd.vectors import LANES, PANEL, WIDE, address


@compiled
def sum_messages(
    table: Any, senders: Any, atoms: Any, receivers: Any, weights: Any, starts: Any, knots: int,
    width: int, rows: int, out: Any,
) -> None:  # fmt: skip
    """Sum the messages of one step.

    Args:
        table: (knots * 3 * width,) entries of the step.
        senders: (atoms * width,) sender features of the step.
        atoms, receivers, weights, starts: see `deepdft.kernels.edges.block_edges.BlockEdges`.
        knots: number of knots.
        width: padded number of channels.
        rows: number of rows of `out` to fill.
        out: (rows * width,) messages.
    """
    for i in range(rows * width):
        out[i] = np.float32(0.0)
    stride = len(weights) // 6
    channel = 0
    while channel < width:
        wide = channel + WIDE * LANES <= width
        for k in range(knots - 1):
            first, last = starts[k], starts[k + 1]
            if first == last:
                continue
            entries = address(table, 3 * k * width + channel)
            if wide:
                sum_interval_wide(
                    entries, width, address(senders, channel), address(atoms, 0),
                    address(out, channel), address(receivers, 0), address(weights, 0), stride,
                    first, last,
                )  # fmt: skip
            else:
                sum_interval_pair(
                    entries, width, address(senders, channel), address(atoms, 0),
                    address(out, channel), address(receivers, 0), address(weights, 0), stride,
                    first, last,
                )  # fmt: skip
        channel += WIDE * LANES if wide else PANEL
