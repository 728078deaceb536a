"""Encoding atoms one interaction step at a time, for structures too large for memory at once.

The same for both halves of an architecture: arrays are torch's in its `model.py`, NumPy's in its
`cpu.py`.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

Rows = TypeVar("Rows")
"""Arrays of one library, with a row for each atom."""
Surroundings = TypeVar("Surroundings", contravariant=True)
"""What a network wants to know of the edges to some receivers."""


class AtomSteps(Protocol[Rows, Surroundings]):
    """What a network does to any part of the atoms in one interaction step.

    ::

        states = steps.initial(numbers)
        for t in range(steps.count):
            sent = steps.sent(t, states)                     # of all atoms
            states = steps.update(t, states, sent, edges)    # of any atoms, given their edges
            senders[t] = steps.to_probes(t, states)          # after the last `sends` steps

    gives what `encode` of the network returns. Every method but `update` looks at each atom alone.

    Attributes:
        count: number of interaction steps.
        sends: number of steps, the last ones, after which atoms send to probes.
        channels: width of what is sent to probes.
    """

    count: int
    sends: int
    channels: int

    def initial(self, numbers: Any) -> Rows:
        """Return the states before the first step.

        Args:
            numbers: (atoms,) int64 atomic numbers.

        Returns:
            (atoms, width).
        """
        ...

    def sent(self, step: int, states: Rows) -> Rows:
        """Return what atoms send to atoms in a step, (atoms, width'), from their states."""
        ...

    def update(self, step: int, states: Rows, sent: Rows, edges: Surroundings) -> Rows:
        """Return the states after a step.

        Args:
            step: which step, from 0.
            states: (receivers, width) of those atoms that are the receivers of `edges`.
            sent: (atoms, width') of all atoms.
            edges: from all atoms to the receivers.

        Returns:
            (receivers, width).
        """
        ...

    def to_probes(self, step: int, states: Rows) -> Rows:
        """Return what atoms send to probes, (atoms, channels), from their states after a step."""
        ...
