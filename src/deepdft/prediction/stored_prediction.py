"""Predictions of any size: a grid in blocks, each written to a zarr group as soon as it is done.

A block of the grid is a chunk of the group. The blocks are fixed when the group is made and kept in
its attributes, with what they depend on: model, structure and filter tables. Whoever computes a
block, in whatever order, now or after an interruption, gets the same values; the atoms are encoded
once and the result is kept beside the chunks until the last one is there.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms

from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.reductions import Reductions
from deepdft.fields.walk import Progress
from deepdft.prediction.block_plan import BlockPlan, block_shape_for
from deepdft.prediction.encoded_store import (
    atom_states_of,
    encode_for,
    excess_of,
    stored_density,
)
from deepdft.prediction.predict import PredictionSummary, reductions_for, uncertainty_path
from deepdft.prediction.stored_uncertainty import fill_uncertainty
from deepdft.prediction.trained_model import TrainedModel
from deepdft.storage.chunked_density import ChunkedDensity
from deepdft.threads import available_threads

if TYPE_CHECKING:
    from deepdft.models.expected_errors.expected import Uncertainty
    from deepdft.prediction.distributed import Cluster

BLOCK_POINTS = 1 << 17
"""Points of a block: half a megabyte, and about two seconds of one CPU core."""

MOST_BLOCKS = 20_000
"""Larger grids get larger blocks: every block is a file."""


@dataclass(frozen=True)
class StoreSummary(PredictionSummary):
    """What was predicted into a store.

    Attributes:
        blocks: number of blocks of the store.
        blocks_computed: number of them that were not there before.
    """

    blocks: int
    blocks_computed: int


def predict_to_store(
    atoms: Atoms,
    path: str | Path,
    model: TrainedModel,
    grid: Grid,
    *,
    cluster: Cluster | None = None,
    block_points: int | None = None,
    progress: Progress | None = None,
    uncertainty: bool = False,
) -> StoreSummary:
    """Predict a density block by block into a zarr group, or go on with what is there of it.

    Memory does not grow with the grid, and by a few kB an atom. Interrupted at any moment, the
    same call goes on where it stopped.

    Args:
        atoms: the structure.
        path: the group's directory, new or begun by the same call.
        model: the model.
        grid: points.
        cluster: processes that compute the blocks; by default this one.
        block_points: points of a block, for a new group.
        progress: called with the number of points done.
        uncertainty: write the expected absolute error into a second group, at
            `deepdft.prediction.predict.uncertainty_path`.

    Raises:
        UnsupportedStructureError: if the model cannot treat the structure.
        ConfigurationError: if the path holds anything else, is being written to by another
            process, the cluster fails, or uncertainty is asked of a model that has no error model.
    """
    started = time.perf_counter()
    model.check(atoms)
    if uncertainty:
        model.require_error_model()
    device = None if cluster is None else cluster.device_type
    store = open_store(atoms, path, model, grid, block_points, device)
    properties = reductions_for(model, atoms, grid)
    report = progress or (lambda points: None)
    computed = 0
    expected: Uncertainty | None = None
    if _is_complete(store, properties):
        store.remove_leftovers()
        expected = model.uncertainty(store.atoms) if uncertainty else None
        report(grid.n_points)
    else:
        with store.sole_writer():
            expected = _uncertainty(store, model) if uncertainty else None
            missing = _missing(store, properties, report)
            computed = len(missing)
            fill_blocks(store, model, missing, properties, report, cluster)
            finish(store, properties=properties.results())
    beside = None if expected is None else uncertainty_path(path)
    if expected is not None and beside is not None:
        fill_uncertainty(beside, store, expected, model)
    return StoreSummary(
        path=Path(path),
        formula=atoms.get_chemical_formula(),
        grid=grid,
        model=model.name,
        properties=store.attributes["properties"],
        expected_electrons=model.expected_electrons(atoms),
        seconds=time.perf_counter() - started,
        blocks=store.n_chunks,
        blocks_computed=computed,
        uncertainty=expected,
        uncertainty_path=beside,
        warning=_warning(store, expected),
    )


def _uncertainty(store: ChunkedDensity, model: TrainedModel) -> Uncertainty:
    """Return what error to expect; the atoms of an unfinished store are encoded for both uses."""
    encode_for(store, model)
    states = atom_states_of(store)
    return model.uncertainty_of_encoded(store.atoms, states, excess_of(store))


def _warning(store: ChunkedDensity, expected: Uncertainty | None) -> str | None:
    found = [None if expected is None else expected.warning()]
    found.append(store.attributes.get("electron_count", {}).get("warning"))
    return "; ".join(sentence for sentence in found if sentence) or None


def _is_complete(store: ChunkedDensity, properties: Reductions) -> bool:
    known = store.attributes.get("properties", {})
    return (
        store.attributes["finished"]
        and properties.members.keys() <= known.keys()
        and all(map(store.has_chunk, range(store.n_chunks)))
    )


def open_store(
    atoms: Atoms,
    path: str | Path,
    model: TrainedModel,
    grid: Grid,
    block_points: int | None = None,
    device: str | None = None,
) -> ChunkedDensity:
    """Return the store at `path`, made if it does not exist.

    Args:
        atoms: the structure.
        path: the group's directory.
        model: the model.
        grid: points.
        block_points: points of a block, for a new group.
        device: kind of device that computes the blocks; default: the model's.

    Raises:
        ConfigurationError: if what exists is another prediction or nothing of ours.
    """
    points = block_points or max(BLOCK_POINTS, grid.n_points // MOST_BLOCKS)
    plan = BlockPlan.make(model, atoms, block_shape_for(grid, points), device)
    if not Path(path).exists():
        return ChunkedDensity.create(
            path, atoms, grid, plan.block_shape, level=model.level,
            attributes={"model": model.name, "plan": asdict(plan)},
        )  # fmt: skip
    store = ChunkedDensity(path)
    difference = plan.difference(BlockPlan.of_store(store))
    if not difference and store.grid != grid:
        difference = "grid"
    if difference:
        raise ConfigurationError(
            f"{path} holds a prediction with another {difference}; give another name, or remove it."
        )
    return store


def fill_blocks(
    store: ChunkedDensity,
    model: TrainedModel,
    blocks: list[int],
    properties: Reductions,
    progress: Progress,
    cluster: Cluster | None = None,
) -> None:
    """Compute blocks of a store.

    Args:
        store: the store.
        model: the model of its plan.
        blocks: which blocks.
        properties: take in the values of every block.
        progress: called with the number of points of every block.
        cluster: processes that compute the blocks; by default this one.
    """
    if not blocks:
        return
    encode_for(store, model)
    if cluster is None:
        stored_density(store, model).walk(blocks, properties, progress)
        return
    from deepdft.prediction.distributed import fill_on_cluster

    fill_on_cluster(store, model, blocks, properties, progress, cluster)


def finish(store: ChunkedDensity, **attributes: Any) -> None:
    """Mark a store as finished and remove what was only needed to fill it.

    Args:
        store: the store.
        attributes: what is known of it now.

    Raises:
        ConfigurationError: if a block is not there.
    """
    missing = [block for block in range(store.n_chunks) if not store.has_chunk(block)]
    if missing:
        raise ConfigurationError(
            f"{len(missing)} blocks that were computed are not in {store.path}; the workers have "
            "to write to the same file system."
        )
    store.finish(**attributes)


def _missing(store: ChunkedDensity, properties: Reductions, report: Progress) -> list[int]:
    """Return the blocks that are not there or damaged; lead the reductions through the others."""
    if store.attributes["finished"]:
        store.update_attributes(finished=False)

    def reduced(block: int) -> Reductions | None:
        values = store.read_chunk(block)
        if values is None:
            return None
        part = properties.fresh()
        part.add(store.grid, *store.box(block), values)
        return part

    missing = []
    with ThreadPoolExecutor(available_threads()) as pool:
        for block, part in enumerate(pool.map(reduced, range(store.n_chunks))):
            if part is None:
                missing.append(block)
                continue
            properties.merge(part)
            report(store.n_points(block))
    return missing
