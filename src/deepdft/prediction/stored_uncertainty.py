"""Expected errors in a zarr group beside that of the density, block by block.

The blocks are those of the density. Interrupted at any moment, the same call goes on with what is
missing; what is there of another structure, model or grid is refused.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepdft.errors import ConfigurationError
from deepdft.fields.stored import StoredField
from deepdft.prediction.block_plan import BlockPlan
from deepdft.prediction.trained_model import TrainedModel
from deepdft.storage.chunked_density import ChunkedDensity

if TYPE_CHECKING:
    from deepdft.models.expected_errors.expected import Uncertainty


def fill_uncertainty(
    path: Path, density: ChunkedDensity, expected: Uncertainty, model: TrainedModel
) -> None:
    """Write the expected absolute error of a density, e/Å^3, or what is missing of it.

    Args:
        path: directory of the group, new or begun by the same call.
        density: the store of the density.
        expected: the structure's expected error.
        model: the model.

    Raises:
        ConfigurationError: if the path holds anything else, or another process is filling it.
    """
    errors = model.require_error_model()
    plan = BlockPlan.of_store(density)
    # What the values depend on is the error model as well, and the weights that it was fitted to.
    plan = replace(plan, model=f"{plan.model} {errors.identity}")
    store = _opened(path, density, plan, model)
    if store.attributes["finished"]:
        store.remove_leftovers()
        return
    with store.sole_writer():
        if store.attributes["finished"]:
            return
        StoredField(store, expected).walk(range(store.n_chunks))
        store.finish(expected_eps_mae=expected.eps_mae)


def _opened(
    path: Path, density: ChunkedDensity, plan: BlockPlan, model: TrainedModel
) -> ChunkedDensity:
    if not path.exists():
        about = {
            "model": model.name,
            "plan": asdict(plan),
            "comment": "expected absolute error of the density",
        }
        return ChunkedDensity.create(
            path, density.atoms, density.grid, density.chunk_shape, level=model.level,
            attributes=about,
        )  # fmt: skip
    store = ChunkedDensity(path)
    difference = plan.difference(BlockPlan.of_store(store))
    same = store.grid == density.grid and store.chunk_shape == density.chunk_shape
    if difference or not same:
        raise ConfigurationError(
            f"{path} holds expected errors with another {difference or 'grid'}; give another name, "
            "or remove it."
        )
    return store
