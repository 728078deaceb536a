"""What the atoms of a structure send to probes, chunk by chunk of atoms where they are many.

A step of message passing needs nothing but the states that the neighbours had before it. So all
atoms take step after step, a chunk of them at a time: beside the result, (steps, atoms, channels),
memory holds the neighbour list (some 300 bytes an atom), two numbers per atom and channel, and a
chunk for each thread. The result may be a file that is mapped into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor

from deepdft.architectures.atom_steps import AtomSteps
from deepdft.architectures.base import DensityModel
from deepdft.geometry.graphs import AtomGraph, Edges, atom_graph
from deepdft.prediction.torch_threads import one_torch_thread
from deepdft.storage.replace import replacing
from deepdft.threads import available_threads, run_in_threads

CHUNK_ATOMS = 4096
"""Atoms that take a step together; structures of up to so many are encoded at once."""

Allocator = Callable[[tuple[int, int, int]], Tensor]


def encode_atoms(
    network: DensityModel, atoms: Atoms, threads: int | None = None, *, chunk: int = CHUNK_ATOMS
) -> Tensor:
    """Return what the atoms send to probes, as `network.encode` does, in bounded memory.

    The result does not depend on the number of threads.

    Args:
        network: the network; its parameters tell the device and the type.
        atoms: the structure.
        threads: CPU threads; default: all that this process may use.
        chunk: atoms that take a step together.

    Returns:
        (steps, atoms, channels), on the network's device.

    Raises:
        UnsupportedStructureError: if the network does not know an element, or the structure is
            unusable (see `deepdft.geometry.graphs.atom_graph`).
    """
    parameter = next(network.parameters())

    def allocate(shape: tuple[int, int, int]) -> Tensor:
        return torch.empty(shape, dtype=parameter.dtype, device=parameter.device)

    return _encode(network, atoms, threads, chunk, allocate)


def write_atom_states(
    network: DensityModel,
    atoms: Atoms,
    path: str | Path,
    threads: int | None = None,
    *,
    chunk: int = CHUNK_ATOMS,
) -> None:
    """Write what `encode_atoms` returns into a file that `map_atom_states` opens.

    The file appears whole or not at all; memory holds no copy of it.

    Args:
        network: the network.
        atoms: the structure.
        path: an .npy file.
        threads: CPU threads; default: all that this process may use.
        chunk: atoms that take a step together.

    Raises:
        UnsupportedStructureError: as `encode_atoms`.
    """
    parameter = next(network.parameters())
    kind = torch.empty(0, dtype=parameter.dtype).numpy().dtype
    mapped: list[NDArray[Any]] = []

    def allocate(shape: tuple[int, int, int]) -> Tensor:
        mapped.append(np.lib.format.open_memmap(place, "w+", kind, shape))
        return torch.from_numpy(mapped[0])

    with replacing(path) as place:
        _encode(network, atoms, threads, chunk, allocate)
        mapped[0].flush()  # type: ignore[attr-defined]
        mapped.clear()


def map_atom_states(path: str | Path) -> NDArray[Any]:
    """Return the content of a file that `write_atom_states` has written, (steps, atoms, channels).

    It is mapped into memory: what is read is loaded from disk, and processes share it.
    """
    # Copy on write, because torch warns about arrays that cannot be written to.
    array: NDArray[Any] = np.load(path, mmap_mode="c")
    return array


def _encode(
    network: DensityModel, atoms: Atoms, threads: int | None, chunk: int, allocate: Allocator
) -> Tensor:
    graph = atom_graph(atoms, network.atom_cutoff, directions=network.architecture.uses_directions)
    # One torch thread at a time: products split among threads could round differently.
    with torch.inference_mode(), one_torch_thread():
        steps = network.atom_steps() if len(atoms) > chunk else None
        if steps is not None:
            return _encode_in_chunks(
                network, steps, graph, chunk, threads or available_threads(), allocate
            )
        parameter = next(network.parameters())
        encoded = network.encode(graph.to(parameter.device, parameter.dtype))
        result = allocate((encoded.shape[0], encoded.shape[1], encoded.shape[2]))
        return result.copy_(encoded)


def _encode_in_chunks(
    network: DensityModel, steps: AtomSteps, graph: AtomGraph, chunk: int, threads: int,
    allocate: Allocator,
) -> Tensor:  # fmt: skip
    parameter = next(network.parameters())
    n_atoms = len(graph.numbers)
    starts = range(0, n_atoms, chunk)
    result = allocate((steps.sends, n_atoms, steps.channels))
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
                sent_to_probes = steps.sent_to_probes(step, states[part])
                result[step - silent, part] = sent_to_probes.to(result.device)

    for step in range(steps.count):
        sent = states.new_empty((n_atoms, steps.sent(step, states[:1]).shape[1]))
        run_in_threads(partial(send, step, sent), starts, threads)
        run_in_threads(partial(update, step, sent), starts, threads)
    return result


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
