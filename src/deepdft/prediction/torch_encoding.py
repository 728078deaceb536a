"""What the atoms of a structure send to probes, in torch, chunk by chunk where they are many.

A step of message passing needs nothing but the states that the neighbours had before it. So all
atoms take step after step, a chunk of them at a time: beside the result, (steps, atoms, channels),
memory holds the neighbour list (some 300 bytes an atom), two numbers per atom and channel, and a
chunk for each thread. The result may be a file that is mapped into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from ase import Atoms
from torch import Tensor

from deepdft.architectures.atom_steps import AtomSteps
from deepdft.architectures.base import DensityModel
from deepdft.architectures.interface import Allocator
from deepdft.architectures.torch_threads import one_torch_thread
from deepdft.geometry.graphs import AtomGraph, Edges, atom_graph
from deepdft.threads import available_threads, run_in_threads

CHUNK_ATOMS = 4096
"""Atoms that take a step together; structures of up to so many are encoded at once."""


def encode_in_torch(
    network: DensityModel,
    atoms: Atoms,
    threads: int | None = None,
    allocate: Allocator | None = None,
    *,
    chunk: int | None = None,
) -> Tensor:
    """Return what the atoms send to probes, as `network.encode` does, in bounded memory.

    The result does not depend on the number of threads.

    Args:
        network: the network; its parameters tell the device and the type.
        atoms: the structure.
        threads: CPU threads; default: all that this process may use.
        allocate: makes the NumPy array that is filled; default: a tensor on the device.
        chunk: atoms that take a step together; default: `CHUNK_ATOMS`.

    Returns:
        (steps, atoms, channels), on the network's device or, of what was allocated, on the CPU.

    Raises:
        UnsupportedStructureError: if the network does not know an element, or the structure is
            unusable (see `deepdft.geometry.graphs.atom_graph`).
    """
    chunk = chunk or CHUNK_ATOMS
    graph = atom_graph(atoms, network.atom_cutoff, directions=network.architecture.uses_directions)
    # One torch thread at a time: products split among threads could round differently.
    with torch.inference_mode(), one_torch_thread():
        steps = network.atom_steps() if len(atoms) > chunk else None
        if steps is not None:
            result = _room(network, (steps.sends, len(atoms), steps.channels), allocate)
            _encode_in_chunks(network, steps, graph, chunk, threads or available_threads(), result)
            return result
        parameter = next(network.parameters())
        encoded = network.encode(graph.to(parameter.device, parameter.dtype))
        shape = encoded.shape[0], encoded.shape[1], encoded.shape[2]
        return encoded if allocate is None else _room(network, shape, allocate).copy_(encoded)


def _room(network: DensityModel, shape: tuple[int, int, int], allocate: Allocator | None) -> Tensor:
    parameter = next(network.parameters())
    if allocate is None:
        return torch.empty(shape, dtype=parameter.dtype, device=parameter.device)
    return torch.from_numpy(allocate(shape, torch.empty(0, dtype=parameter.dtype).numpy().dtype))


def _encode_in_chunks(
    network: DensityModel, steps: AtomSteps[Tensor, Edges], graph: AtomGraph, chunk: int,
    threads: int, result: Tensor,
) -> None:  # fmt: skip
    parameter = next(network.parameters())
    n_atoms = len(graph.numbers)
    starts = range(0, n_atoms, chunk)
    silent = steps.count - steps.sends
    states = steps.initial(graph.numbers.to(parameter.device))

    def send(step: int, sent: Tensor, start: int) -> None:
        part = slice(start, min(start + chunk, n_atoms))
        with _in_own_thread():
            sent[part] = steps.sent(step, states[part])

    def update(step: int, sent: Tensor, start: int) -> None:
        part = slice(start, min(start + chunk, n_atoms))
        edges = _edges_of(graph.edges, part.start, part.stop)
        edges = edges.to(parameter.device, parameter.dtype)
        with _in_own_thread():
            # In place: other chunks read what these atoms sent, not their states.
            states[part] = steps.update(step, states[part], sent, edges)
            if step >= silent:
                result[step - silent, part] = steps.to_probes(step, states[part]).to(result.device)

    for step in range(steps.count):
        sent = states.new_empty((n_atoms, steps.sent(step, states[:1]).shape[1]))
        run_in_threads(partial(send, step, sent), starts, threads)
        run_in_threads(partial(update, step, sent), starts, threads)


@contextmanager
def _in_own_thread() -> Iterator[None]:
    with one_torch_thread(), torch.inference_mode():
        yield


def _edges_of(edges: Edges, start: int, stop: int) -> Edges:
    """Return the edges of the receivers start:stop, renumbered from 0; senders keep theirs."""
    offsets = edges.offsets[start : stop + 1]
    chosen = slice(int(offsets[0]), int(offsets[-1]))
    vectors = None if edges.vectors is None else edges.vectors[chosen]
    return Edges(edges.senders[chosen], offsets - offsets[0], edges.distances[chosen], vectors)
