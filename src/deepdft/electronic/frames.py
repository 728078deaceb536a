"""Properties of many structures: frames of a trajectory, shared out over processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from typing import Any

from deepdft.electronic.properties import Properties, properties
from deepdft.errors import DeepDFTError
from deepdft.prediction.trained_model import TrainedModel
from deepdft.structures import Structure
from deepdft.threads import available_threads

_WORTH_PROCESSES = 8
"""Of fewer structures the start of further processes costs more than it brings."""

Outcome = Properties | DeepDFTError


def properties_of_frames(
    structures: Sequence[Structure], model: TrainedModel, *, processes: int | None = None,
    refused: Callable[[str, DeepDFTError], None] | None = None,
    progress: Callable[[], None] | None = None, **options: Any,
) -> list[Properties]:  # fmt: skip
    """Return the properties of structures in their order; the model is loaded once a process.

    Args:
        structures: what was read.
        model: the model.
        processes: how many; by default as many as there are CPUs, and one on a GPU or for a few
            structures.
        refused: told of structures that cannot be treated, which are then left out; by default
            the error is raised.
        progress: called for every structure that is done.
        options: as `deepdft.electronic.properties.properties` has them.

    Raises:
        DeepDFTError: see `properties`.
    """
    count = processes or _default_processes(structures, model)
    results = []
    with ExitStack() as stack:
        for structure, outcome in zip(
            structures, _outcomes(structures, model, count, options, stack), strict=True
        ):
            if progress is not None:
                progress()
            if isinstance(outcome, Properties):
                results.append(outcome)
            elif refused is None:
                raise outcome
            else:
                refused(structure.name, outcome)
    return results


def _default_processes(structures: Sequence[Structure], model: TrainedModel) -> int:
    if len(structures) < _WORTH_PROCESSES or model.device != "cpu" or model.folder is None:
        return 1
    return min(available_threads(), len(structures))


def _outcomes(
    structures: Sequence[Structure], model: TrainedModel, count: int, options: dict[str, Any],
    stack: ExitStack,
) -> Iterator[Outcome]:  # fmt: skip
    if count == 1 or model.folder is None:
        return (_outcome(structure, model, options) for structure in structures)
    # Fresh processes: one that was forked has the threads of this one's libraries, but dead.
    pool = ProcessPoolExecutor(
        count,
        mp_context=get_context("spawn"),
        initializer=_begin,
        initargs=(str(model.folder), model.name, options),
    )
    # Whoever interrupts does not wait for structures that nobody has begun with.
    stack.callback(pool.shutdown, cancel_futures=True)
    return pool.map(_in_worker, structures)


def _outcome(structure: Structure, model: TrainedModel, options: dict[str, Any]) -> Outcome:
    try:
        return properties(structure.atoms, model, name=structure.name, **options)
    except DeepDFTError as error:
        return error


_worker: dict[str, Any] = {}
"""Model and options of a worker process."""


def _begin(folder: str, name: str, options: dict[str, Any]) -> None:
    from deepdft.prediction.trained_model import load_model

    os.environ["OMP_NUM_THREADS"] = "1"
    # Ctrl-C reaches all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    model = load_model(folder, "cpu")
    model.name, model.threads = name, 1
    _worker.update(model=model, options=options)


def _in_worker(structure: Structure) -> Outcome:
    return _outcome(structure, _worker["model"], _worker["options"])
