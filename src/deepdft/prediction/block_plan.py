"""What the values of a predicted store depend on: its blocks, the model, the structure."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from importlib.metadata import version

from ase import Atoms

import deepdft
from deepdft.architectures.settings import EvaluationSettings
from deepdft.arrays import Index
from deepdft.density import Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.geometry.blocks import block_shape, cubic_counts
from deepdft.prediction.trained_model import TrainedModel
from deepdft.storage.chunked_density import ChunkedDensity
from deepdft.storage.identities import model_identity, structure_identity

_TILE_POINTS = 512
"""Points of a block of the engine on a CPU."""


@dataclass(frozen=True)
class BlockPlan:
    """What the blocks of a store depend on, besides its grid.

    Attributes:
        identifier: random name of the store.
        block_shape: grid points along each axis of a block. Blocks are numbered with the last
            axis fastest.
        model: identity of architecture, options, weights and atomic baseline.
        model_name: what the model was called.
        structure: identity of the structure.
        settings: how the network is evaluated.
        device: "cpu" or "cuda", which round differently.
        versions: of the packages that the last bits depend on, for the record.
    """

    identifier: str
    block_shape: Index
    model: str
    model_name: str
    structure: str
    settings: EvaluationSettings
    device: str
    versions: dict[str, str]

    @classmethod
    def make(
        cls, model: TrainedModel, atoms: Atoms, shape: Index, device: str | None = None
    ) -> BlockPlan:
        """Return the plan of a new store; the device is the model's by default."""
        return cls(
            identifier=uuid.uuid4().hex,
            block_shape=shape,
            model=_model_identity(model),
            model_name=model.name,
            structure=structure_identity(atoms),
            settings=model.settings,
            device=device or model.device.partition(":")[0],
            versions={"deepdft": deepdft.__version__}
            | {name: version(name) for name in ("numpy", "numba")},
        )

    @classmethod
    def of_store(cls, store: ChunkedDensity) -> BlockPlan:
        """Return the plan of an existing store.

        Raises:
            FileFormatError: if it has none.
        """
        try:
            known = dict(store.attributes["plan"])
            i, j, k = known["block_shape"]
            settings = EvaluationSettings.from_dict(known["settings"])
            return cls(**known | {"block_shape": (i, j, k), "settings": settings})
        except (KeyError, TypeError, ValueError, ConfigurationError):
            raise FileFormatError(f"{store.path} does not say how it is to be filled.") from None

    def difference(self, other: BlockPlan) -> str:
        """Return what the values of two stores on the same grid would differ by, or nothing."""
        names = {
            "model": "model",
            "structure": "structure",
            "device": "kind of device (CPU or GPU)",
        }
        for name, words in names.items():
            if getattr(self, name) != getattr(other, name):
                return words
        return self.settings.difference(other.settings)


def block_shape_for(grid: Grid, points: int) -> Index:
    """Return the shape of blocks of about `points` points, about as long as wide in Å.

    They divide the grid evenly; where the last ones do not become thin by it, they are whole
    tiles of the engine.
    """
    wanted, tile = cubic_counts(grid, points, grid.shape), block_shape(grid, _TILE_POINTS)
    sizes = []
    for edge, unit, end in zip(wanted, tile, grid.shape, strict=True):
        even = math.ceil(end / max(1, round(end / edge)))
        whole = min(end, unit * math.ceil(even / unit))
        last = end - (math.ceil(end / whole) - 1) * whole
        sizes.append(whole if last >= whole / 2 else even)
    return sizes[0], sizes[1], sizes[2]


def _model_identity(model: TrainedModel) -> str:
    checkpoint = model.checkpoint
    shapes = checkpoint.electron_shapes if model.exact_electrons else None
    beside = {
        f"{prefix}{name}": value
        for prefix, tables in (("", model.baseline), ("electrons ", shapes))
        if tables is not None
        for name, value in (
            ("elements", list(tables.elements)),
            ("spacing", tables.spacing),
            ("knots", tables.knots),
        )
    }
    return model_identity(
        checkpoint.architecture,
        checkpoint.options.model_dump(mode="json"),
        checkpoint.elements,
        checkpoint.weights,
        beside or None,
    )
