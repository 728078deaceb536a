"""Blocks of a store computed by other processes: of this machine, or of a dask cluster.

The store's folder is all that they share: a worker reads structure, model and encoded atoms from it
once, computes the blocks it is given and writes them itself. What travels is the number of a block
one way and its part of the reductions the other. A worker that dies takes with it the block it was
at, which is given to another.
"""

from __future__ import annotations

import importlib
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from deepdft.errors import ConfigurationError, DeepDFTError, FileFormatError
from deepdft.extras import import_extra, require_extra
from deepdft.fields.reductions import Reductions
from deepdft.fields.stored import StoredField
from deepdft.fields.walk import Progress
from deepdft.models.folder import load_checkpoint, save_checkpoint
from deepdft.prediction.block_plan import BlockPlan
from deepdft.prediction.devices import choose_device
from deepdft.prediction.encoded_store import stored_density
from deepdft.prediction.trained_model import TrainedModel
from deepdft.processes import shared_out
from deepdft.storage.chunked_density import ChunkedDensity
from deepdft.threads import available_threads

_MODEL = "model"
_SHARING_OUT = "Sharing out blocks by a dask scheduler"
_RETRIES = 2
"""How often a block is tried again after an error; the loss of a worker is counted by dask."""


@dataclass(frozen=True)
class Cluster:
    """Processes that compute blocks.

    Attributes:
        scheduler: address of a running dask scheduler, for example "tcp://10.0.0.1:8786".
        workers: number of processes to start on this machine instead.
        device: where a worker computes, see `deepdft.load_model`; "auto" is a GPU where this
            process has one, so that all workers compute alike.
        patience: seconds to wait for the scheduler, and for its first worker.
    """

    scheduler: str | None = None
    workers: int | None = None
    device: str = "auto"
    patience: float = 60.0

    def __post_init__(self) -> None:
        if (self.scheduler is None) == (self.workers is None):
            raise ConfigurationError("Give either the address of a scheduler or a worker count.")
        if self.workers is not None and self.workers < 1:
            raise ConfigurationError(f"There must be at least one worker, not {self.workers}.")
        if self.scheduler is not None:
            require_extra("distributed", _SHARING_OUT)

    @property
    def device_type(self) -> str:
        """Kind of the workers' devices: "cpu" or "cuda"."""
        if self.device == "auto":
            return choose_device("auto")
        return self.device.partition(":")[0]


def fill_on_cluster(
    store: ChunkedDensity,
    model: TrainedModel,
    blocks: list[int],
    properties: Reductions,
    progress: Progress,
    cluster: Cluster,
) -> None:
    """Compute blocks of a store on a cluster; the atoms must be encoded.

    Args:
        store: the store, on a file system that all workers see at the same path.
        model: the model of its plan.
        blocks: which blocks.
        properties: take in the values of every block, as they are done.
        progress: called with the number of points of every block.
        cluster: who computes.

    Raises:
        ConfigurationError: if there are no workers, or a block fails again and again. What was
            done until then stays done.
        RefusedBySystemError: if workers on this machine die.
    """
    _write_model(store, model)
    task = partial(
        compute_block,
        str(store.path.resolve()),
        BlockPlan.of_store(store).identifier,
        properties=properties.fresh(),
        threads=_threads_of_worker(model, cluster),
        device=cluster.device_type if cluster.device == "auto" else cluster.device,
    )
    with ExitStack() as stack:
        if cluster.workers is not None:
            done = shared_out(task, blocks, cluster.workers)
        else:
            done = _gathered(stack.enter_context(_client(cluster)), task, blocks)
        for block, part in stack.enter_context(closing(done)):
            properties.merge(part)
            progress(store.n_points(block))


def compute_block(
    path: str, identifier: str, block: int, *, properties: Reductions, threads: int | None,
    device: str,
) -> Reductions:  # fmt: skip
    """Compute one block and write it, in a worker; return what takes in its values, filled.

    Args:
        path: the store.
        identifier: of its plan, in case that another store is at the path by now.
        block: which block.
        properties: what takes in its values, still empty.
        threads: CPU threads; default: those of the process shared among its tasks.
        device: where to compute.

    Raises:
        ConfigurationError: if the worker does not see the store.
    """
    taken_in = properties.fresh()
    _density(path, identifier, threads, device).walk([block], taken_in)
    return taken_in


def _gathered(
    client: Any, task: Callable[[int], Reductions], blocks: list[int]
) -> Generator[tuple[int, Reductions], None, None]:
    """Yield every block with what the reductions took in, as they are done."""
    distributed = import_extra("distributed", _SHARING_OUT)
    killed = importlib.import_module("distributed.scheduler").KilledWorker
    futures = client.map(task, blocks, pure=False, retries=_RETRIES)
    block_of = {future.key: block for future, block in zip(futures, blocks, strict=True)}
    finished = distributed.as_completed(futures, loop=client.loop)
    # Nobody else may hold on to a result: it would be computed again if its worker died.
    del futures
    for future in finished:
        block = block_of[future.key]
        try:
            part = future.result()
        except DeepDFTError:
            raise
        except killed:
            raise ConfigurationError(
                f"Block {block} was given up, because one worker after another died with it "
                "(perhaps for lack of memory); the same command goes on with what is missing."
            ) from None
        except ModuleNotFoundError as error:
            raise ConfigurationError(f"A worker cannot compute: {error}.") from None
        except Exception as error:
            raise ConfigurationError(
                f"Block {block} failed on the cluster: {type(error).__name__}: {error}"
            ) from error
        future.release()
        yield block, part


@contextmanager
def _client(cluster: Cluster) -> Iterator[Any]:
    distributed = import_extra("distributed", _SHARING_OUT)
    try:
        client = distributed.Client(
            cluster.scheduler, set_as_default=False, timeout=cluster.patience
        )
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"No dask scheduler answers at '{cluster.scheduler}': {error}"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=cluster.patience)
        except TimeoutError:
            raise ConfigurationError(
                f"The scheduler at '{cluster.scheduler}' has no workers; start some with "
                f"'dask worker {cluster.scheduler}'."
            ) from None
        yield client


def _threads_of_worker(model: TrainedModel, cluster: Cluster) -> int | None:
    if cluster.workers is None:
        return model.threads
    return max(1, (model.threads or available_threads()) // cluster.workers)


def _write_model(store: ChunkedDensity, model: TrainedModel) -> None:
    """Put the model where workers find it; whoever has the store then has the model."""
    below = None if model.baseline is None else model.checkpoint.baseline or "tables"
    checkpoint = replace(model.checkpoint, baseline=below, tables=model.baseline)
    save_checkpoint(checkpoint, store.work_folder / _MODEL)


_loaded: dict[tuple[str, str, int | None, str], StoredField] = {}
_loading = threading.Lock()


def _density(path: str, identifier: str, threads: int | None, device: str) -> StoredField:
    """Return what computes blocks of a store, loaded once in a process."""
    key = (path, identifier, threads, device)
    with _loading:
        if key not in _loaded:
            _loaded.clear()  # A long-lived worker keeps the last structure and no others.
            _loaded[key] = _load(path, identifier, threads, device)
        return _loaded[key]


def _load(path: str, identifier: str, threads: int | None, device: str) -> StoredField:
    try:
        store = ChunkedDensity(path)
        plan = BlockPlan.of_store(store)
        checkpoint = load_checkpoint(store.work_folder / _MODEL)
    except FileFormatError as error:
        raise ConfigurationError(
            f"The worker on {socket.gethostname()} cannot use {path}, which has to be on a file "
            f"system that all workers share: {error}"
        ) from None
    if plan.identifier != identifier:
        raise ConfigurationError(f"{path} was replaced while it was being filled.")
    model = TrainedModel(
        checkpoint, plan.model_name, settings=plan.settings, device=choose_device(device)
    )
    model.threads = threads or _threads_of_task()
    return stored_density(store, model)


def _threads_of_task() -> int:
    """Return how many threads one of the tasks that run at once in this worker may use."""
    from distributed import get_worker

    return max(1, available_threads() // int(get_worker().state.nthreads))
