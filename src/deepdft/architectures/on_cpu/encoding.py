"""Atoms encoded step after step, a chunk of them at a time.

A step of message passing needs nothing but the states that the neighbours had before it. So all
atoms take step after step, a chunk of them at a time: beside the result, memory holds the neighbour
list (some 300 bytes an atom), two rows of numbers per atom, and a chunk for each thread. What is
computed for an atom does not depend on its chunk.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np
from ase import Atoms

from deepdft.architectures.atom_steps import AtomSteps
from deepdft.architectures.interface import Allocator
from deepdft.arrays import Array
from deepdft.geometry.neighbours import EdgeArrays, atom_edges
from deepdft.threads import available_threads, run_in_threads

CHUNK_ATOMS = 256
"""Atoms that take a step together: what their edges need stays near the processor."""


class CpuAtomSteps(AtomSteps[Array, Any], Protocol):
    """What a network does to a chunk of atoms in one interaction step.

    Attributes:
        dtype: floating type.
        uses_directions: whether edges must have vectors.
    """

    dtype: Any
    uses_directions: bool

    def geometry(self, edges: EdgeArrays) -> Any:
        """Return what the edges to some receivers are worth in every step, for `update`."""
        ...


def encode(
    steps: CpuAtomSteps,
    atoms: Atoms,
    cutoff: float,
    threads: int | None,
    allocate: Allocator,
    chunk: int = CHUNK_ATOMS,
) -> Array:
    """Return what the atoms of a structure send to probes, (sends, atoms, channels).

    Args:
        steps: the network's interaction steps.
        atoms: the structure.
        cutoff: reach of an edge between atoms, Å.
        threads: CPU threads; default: all that this process may use.
        allocate: makes the result.
        chunk: atoms that take a step together.

    Raises:
        UnsupportedStructureError: see `CpuNetwork.encode`.
    """
    edges = atom_edges(atoms, cutoff, directions=steps.uses_directions)
    states = steps.initial(atoms.numbers.astype(np.int64))
    result = allocate((steps.sends, len(atoms), steps.channels), steps.dtype)
    chunks = [slice(first, first + chunk) for first in range(0, len(atoms), chunk)]
    silent = steps.count - steps.sends

    # A small structure's edges are prepared once, a large one's in every step, to save memory.
    @lru_cache(maxsize=1 if len(chunks) == 1 else 0)
    def geometry(start: int) -> Any:
        return steps.geometry(edges.of_receivers(start, min(start + chunk, len(atoms))))

    def send(step: int, sent: Array, part: slice) -> None:
        sent[part] = steps.sent(step, states[part])

    def update(step: int, sent: Array, part: slice) -> None:
        # In place: other chunks read what these atoms sent, not their states.
        states[part] = steps.update(step, states[part], sent, geometry(part.start))
        if step >= silent:
            result[step - silent, part] = steps.to_probes(step, states[part])

    count = threads or available_threads()
    for step in range(steps.count):
        # One atom tells how much is sent; it is kept once, whatever its size.
        one = steps.sent(step, states[:1])
        sent = np.empty((len(atoms), *one.shape[1:]), one.dtype)
        run_in_threads(partial(send, step, sent), chunks, count)
        run_in_threads(partial(update, step, sent), chunks, count)
        del sent
    return result
