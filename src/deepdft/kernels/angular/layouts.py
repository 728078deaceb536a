"""How rows of channels with angular momenta are made up."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple


@dataclass(frozen=True)
class AngularLayout:
    """How many channels each angular momentum has, and where they are.

    Channels of messages and tables are ordered by l. A sender's row holds, for each l, its
    2 l + 1 components one after the other, each with the channels of that l.

    Attributes:
        channels: number of channels of l = 0, 1, ...
        softness: length that softens the directions, Å.
    """

    channels: tuple[int, ...]
    softness: float

    @property
    def largest(self) -> int:
        """The largest angular momentum."""
        return len(self.channels) - 1

    @property
    def width(self) -> int:
        """Number of channels of messages and tables."""
        return sum(self.channels)

    @property
    def sender_width(self) -> int:
        """Numbers that an atom sends."""
        return sum((2 * momentum + 1) * count for momentum, count in enumerate(self.channels))

    @property
    def message_starts(self) -> tuple[int, ...]:
        """First channel of each l, and the end."""
        return (0, *accumulate(self.channels))

    @property
    def sender_starts(self) -> tuple[int, ...]:
        """First number of each l in a sender's row, and the end."""
        sizes = ((2 * momentum + 1) * count for momentum, count in enumerate(self.channels))
        return (0, *accumulate(sizes))


class MessageLayout(NamedTuple):
    """How rows of `functions` and `sent` are made up.

    Attributes:
        scalars: columns of R0 and of A0.
        channels: of the tensors.
        degrees: L + 1.
        passes: whether tensors are passed on: without it R2, A2 and V are absent.
    """

    scalars: int
    channels: int
    degrees: int
    passes: bool

    @property
    def factors(self) -> int:
        """Number of columns of A1 and A2."""
        return (2 if self.passes else 1) * self.channels

    @property
    def functions(self) -> int:
        """Number of columns of `functions`: R0, then R1 and R2 by degree."""
        return self.scalars + self.factors * self.degrees
