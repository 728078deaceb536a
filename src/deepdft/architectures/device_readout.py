"""What an architecture offers where messages are summed on a GPU."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class DeviceReadout(Protocol):
    """Fused form of an architecture's readout.

    Attributes:
        row_multiple: the number of rows must be a multiple of this.
    """

    row_multiple: int

    def density(self, messages: Tensor) -> Tensor:
        """Return the density at probes, (rows,) float32 in e/Å^3.

        Args:
            messages: (steps, halves, rows, width) float16: the messages in half precision and,
                if halves is 2, what that leaves of them, times 2048. Channels are padded with
                zeros to `width`. One half asks for products of half precision, two for the
                accuracy of float32.

        Returns:
            Densities; not a number where a value exceeds the range of half precision.
        """
        ...
