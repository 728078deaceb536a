"""From any reference densities to a training store."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from deepdft.data.dataset import EVALUATION_MARGIN, EVALUATION_SPACING, DensityDataset
from deepdft.data.training_store_writer import TrainingStoreWriter
from deepdft.density import Density
from deepdft.errors import DeepDFTError
from deepdft.levels import LevelOfTheory, completed_level


@dataclass(frozen=True)
class FillSummary:
    """What was done to a store.

    Attributes:
        added: densities that were written.
        present: densities that the store had already, by name.
        skipped: (name, reason) of those that could not be read or stored.
    """

    added: int
    present: int
    skipped: list[tuple[str, str]]


def fill_store(
    path: str | Path,
    dataset: DensityDataset,
    *,
    assumed: LevelOfTheory | None = None,
    mix_levels: bool = False,
    without_spin: bool = False,
    skip_unusable: bool = False,
    spacing: float = EVALUATION_SPACING,
    margin: float = EVALUATION_MARGIN,
    workers: int = 1,
    progress: Callable[[str], None] | None = None,
) -> FillSummary:
    """Write all densities of a dataset into a training store, in their order.

    Densities whose names the store has already are left out, so that an interrupted conversion goes
    on where it stopped.

    Args:
        path: the store; made where there is none, else appended to.
        dataset: what to write.
        assumed: fields of the level of theory for densities that do not know them.
        mix_levels: accept densities of different levels of theory.
        without_spin: leave out spin densities.
        skip_unusable: go on behind a density that cannot be read or stored.
        spacing: of the grid for molecules given by orbitals, Å.
        margin: how far that grid reaches beyond the outermost nuclei, Å.
        workers: threads that read ahead.
        progress: called with a structure's name after it is done.

    Raises:
        ConfigurationError: if the store cannot be written, or a density cannot be stored.
        DeepDFTError: if a density cannot be read.
        LevelOfTheoryError: if levels of theory differ and `mix_levels` is not set.
    """

    def read(index: int) -> Density:
        density = dataset.on_grid(index, spacing, margin)
        level = completed_level(density.level, assumed or LevelOfTheory())
        return replace(density, level=level, spin=None if without_spin else density.spin)

    skipped: list[tuple[str, str]] = []
    added = 0
    names = dataset.names
    with TrainingStoreWriter(path, mix_levels=mix_levels) as writer:
        wanted = [index for index, name in enumerate(names) if name not in writer]
        for index, future in _read_ahead(read, wanted, workers):
            try:
                writer.append(names[index], future.result())
                added += 1
            except DeepDFTError as error:
                if not skip_unusable:
                    raise
                skipped.append((names[index], str(error)))
            if progress is not None:
                progress(names[index])
    return FillSummary(added, len(names) - len(wanted), skipped)


def _read_ahead(
    read: Callable[[int], Density], wanted: Sequence[int], workers: int
) -> Iterator[tuple[int, Future[Density]]]:
    """Yield results in order while the next ones are being read."""
    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting: deque[tuple[int, Future[Density]]] = deque()
        try:
            for index in wanted:
                waiting.append((index, pool.submit(read, index)))
                if len(waiting) > workers:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for _, future in waiting:
                future.cancel()
