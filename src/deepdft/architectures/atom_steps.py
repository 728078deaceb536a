"""Encoding atoms one interaction step at a time, for structures too large for memory at once."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from deepdft.geometry.graphs import Edges


class AtomSteps(Protocol):
    """What an architecture does to any part of the atoms in one interaction step.

    ::

        states = steps.initial(numbers)
        for t in range(steps.count):
            sent = steps.sent(t, states)                      # of all atoms
            states = steps.update(t, states, sent, edges)     # of any atoms, given their edges
            senders[t] = steps.sent_to_probes(t, states)          # after the last `sends` steps

    gives what `DensityModel.encode` returns. Every method but `update` looks at each atom alone.

    Attributes:
        count: number of interaction steps.
        sends: number of steps, the last ones, after which atoms send to probes.
        channels: width of what is sent to probes.
    """

    count: int
    sends: int
    channels: int

    def initial(self, numbers: Tensor) -> Tensor:
        """Return the states before the first step.

        Args:
            numbers: (atoms,) int64 atomic numbers.

        Returns:
            (atoms, width).
        """
        ...

    def sent(self, step: int, states: Tensor) -> Tensor:
        """Return what atoms send to atoms in a step, (atoms, width'), from their states."""
        ...

    def update(self, step: int, states: Tensor, sent: Tensor, edges: Edges) -> Tensor:
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

    def sent_to_probes(self, step: int, states: Tensor) -> Tensor:
        """Return what atoms send to probes, (atoms, channels), from their states after a step."""
        ...
