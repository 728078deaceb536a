"""Batches of random probes. Every draw is a function of seed, step and process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from deepdft.data import DensityDataset
from deepdft.errors import ConfigurationError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.geometry.graphs import (
    AtomGraph,
    Edges,
    atom_graph,
    concatenate_edges,
    concatenate_graphs,
    probe_edges,
)
from deepdft.training.config import SamplingConfig
from deepdft.training.epochs import Epochs

_VALIDATION_STREAM = 1 << 20
"""Keeps the draws of validation apart from those of training."""
_KEPT_BYTES = 1 << 29
"""Of graphs, and of validation batches, that are kept in memory; others are made each time."""


@dataclass(frozen=True)
class ProbeBatch:
    """Probes of several structures, ready for a model.

    Attributes:
        graph: atoms of all structures.
        edges: from atoms to probes.
        target: (probes,) reference density, e/Å^3.
        baseline: (probes,) superposed atomic densities, or zeros, e/Å^3.
        weights: (probes,) see `Probes`.
        structure: (probes,) int64 which structure a probe belongs to.
    """

    graph: AtomGraph
    edges: Edges
    target: Tensor
    baseline: Tensor
    weights: Tensor
    structure: Tensor

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> ProbeBatch:
        """Return the batch on `device`."""
        return ProbeBatch(
            self.graph.to(device, dtype),
            self.edges.to(device, dtype),
            self.target.to(device, dtype),
            self.baseline.to(device, dtype),
            self.weights.to(device, dtype),
            self.structure.to(device),
        )


class BatchBuilder:
    """Draws probes of structures of a dataset and joins them to batches.

    Args:
        dataset: structures with reference densities.
        cutoff: reach of the model's edges from atoms to probes, Å.
        baseline: atomic densities below the network, if any.
        dtype: floating type of the batches.
        directions: whether the model needs the edges' vectors.
        atom_cutoff: reach of the model's edges between atoms, Å; `cutoff` by default.
        reach: how far from an atom probes are drawn, Å; default: up to the cutoff.
    """

    def __init__(
        self,
        dataset: DensityDataset,
        cutoff: float,
        baseline: AtomicDensityTables | None,
        dtype: torch.dtype = torch.float32,
        *,
        directions: bool = False,
        atom_cutoff: float | None = None,
        reach: float | None = None,
    ) -> None:
        self.dataset = dataset
        self.cutoff = cutoff
        self.atom_cutoff = cutoff if atom_cutoff is None else atom_cutoff
        self.baseline = baseline
        self.dtype = dtype
        self.directions = directions
        self.reach = cutoff if reach is None else reach
        self._graphs: dict[int, AtomGraph] = {}
        self._kept_bytes = 0

    def build(
        self, indices: list[int], probes: int, importance: float, generator: np.random.Generator
    ) -> ProbeBatch:
        """Return a batch with about `probes` probes in each of the structures `indices`."""
        graphs, edges, columns = [], [], []
        for number, index in enumerate(indices):
            atoms = self.dataset.atoms(index)
            drawn = self.dataset.draw(
                index, probes, generator, cutoff=self.reach, importance=importance
            )
            graphs.append(self._graph(index, atoms))
            edges.append(probe_edges(atoms, drawn.points, self.cutoff, directions=self.directions))
            below = (
                np.zeros(len(drawn.points))
                if self.baseline is None
                else SuperposedAtoms(self.baseline, atoms, threads=1).at(drawn.points)
            )
            owner = np.full(len(drawn.points), float(number))
            columns.append(np.stack((drawn.values, below, drawn.weights, owner)))
        counts = [graph.numbers.shape[0] for graph in graphs]
        table = torch.from_numpy(np.concatenate(columns, axis=1))
        return ProbeBatch(
            concatenate_graphs(graphs).to(dtype=self.dtype),
            concatenate_edges(edges, counts).to(dtype=self.dtype),
            table[0].to(self.dtype),
            table[1].to(self.dtype),
            table[2].to(self.dtype),
            table[3].long(),
        )

    def _graph(self, index: int, atoms: Atoms) -> AtomGraph:
        graph = self._graphs.get(index)
        if graph is None:
            graph = atom_graph(atoms, self.atom_cutoff, directions=self.directions)
            size = _bytes_of(graph)
            if self._kept_bytes + size <= _KEPT_BYTES:
                self._kept_bytes += size
                self._graphs[index] = graph
        return graph


class TrainingBatches(IterableDataset[ProbeBatch]):
    """The batches of `count` consecutive steps, from wherever the run stands.

    Args:
        builder: draws the probes.
        sampling: how many structures and probes.
        seed: seed of the run.
        count: steps in one pass (an epoch of the trainer).
        workers: threads that draw the probes of the next steps while one is computed; without any
            they are drawn in between. The batches are the same.
        factors: how much more often each structure is seen, see `Epochs`.
    """

    def __init__(
        self,
        builder: BatchBuilder,
        sampling: SamplingConfig,
        seed: int,
        count: int,
        workers: int = 0,
        factors: NDArray[np.float64] | None = None,
    ) -> None:
        self.builder = builder
        self.sampling = sampling
        self.seed = seed
        self.count = count
        self.workers = workers
        self._epochs = Epochs(len(builder.dataset), seed, factors)
        self.first_step = 0
        self.rank = 0
        self.processes = 1

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[ProbeBatch]:
        # A generator: the first step is asked for when the first batch is.
        steps = range(self.first_step, self.first_step + self.count)
        yield from self._drawn_ahead(steps) if self.workers else self._drawn_in_between(steps)

    def _drawn_in_between(self, steps: range) -> Iterator[ProbeBatch]:
        for step in steps:
            # The disk works while this step is computed.
            self._announce(self.structures(step + 1))
            yield self.batch(step)

    def _drawn_ahead(self, steps: range) -> Iterator[ProbeBatch]:
        waiting: deque[Future[ProbeBatch]] = deque()
        with ThreadPoolExecutor(self.workers, "probes") as pool:
            try:
                for step in steps:
                    structures = self.structures(step)
                    self._announce(structures)
                    waiting.append(pool.submit(self._build, step, structures))
                    if len(waiting) > 2 * self.workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                # A run that ends early does not wait for what nobody will use.
                pool.shutdown(wait=False, cancel_futures=True)

    def _announce(self, structures: list[int]) -> None:
        for index in structures:
            self.builder.dataset.prefetch(index)

    def batch(self, step: int) -> ProbeBatch:
        """Return the batch of one step of this process."""
        return self._build(step, self.structures(step))

    def _build(self, step: int, structures: list[int]) -> ProbeBatch:
        generator = np.random.default_rng((self.seed, step, self.rank))
        sampling = self.sampling
        return self.builder.build(structures, sampling.probes, sampling.importance, generator)

    def structures(self, step: int) -> list[int]:
        """Return the structures of one step: a new random order of all of them every epoch."""
        per_step = self.sampling.structures * self.processes
        first = step * per_step + self.rank * self.sampling.structures
        positions = range(first, first + self.sampling.structures)
        return [self._epochs.structure(position) for position in positions]


class ValidationBatches(torch.utils.data.Dataset[ProbeBatch]):
    """The same probes at every validation, one structure a batch."""

    def __init__(self, builder: BatchBuilder, probes: int, seed: int) -> None:
        self.builder = builder
        self.probes = probes
        self.seed = seed
        self._batches: dict[int, ProbeBatch] = {}
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self.builder.dataset)

    def __getitem__(self, index: int) -> ProbeBatch:
        if index >= len(self):
            raise IndexError(index)
        batch = self._batches.get(index)
        if batch is None:
            generator = np.random.default_rng((self.seed, index, _VALIDATION_STREAM))
            batch = self.builder.build([index], self.probes, 0.5, generator)
            if not batch.target.any():
                raise ConfigurationError(
                    f"The density of {self.builder.dataset.names[index]} is zero wherever it was "
                    "looked at; it cannot be validated with: leave it out."
                )
            size = _bytes_of(batch)
            if self._kept_bytes + size <= _KEPT_BYTES:
                self._kept_bytes += size
                self._batches[index] = batch
        return batch


def _bytes_of(value: object) -> int:
    """Return what the tensors of a graph or a batch take in memory."""
    if isinstance(value, Tensor):
        return value.nbytes
    return sum(map(_bytes_of, vars(value).values())) if hasattr(value, "__dict__") else 0
