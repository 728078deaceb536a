"""What the values of a predicted store depend on: its blocks, the model, the structure."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from importlib.metadata import version

from ase import Atoms

from deepdft.architectures.base import DensityModel
from deepdft.density import Grid
from deepdft.errors import FileFormatError
from deepdft.geometry.blocks import Index, block_shape, cubic_counts
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
        precision: floating type of the computation.
        device: "cpu" or "cuda", which round differently.
        filters: "tabulated" or "direct".
        table_spacing: distance between the knots of tables, Å.
        versions: of the packages that the last bits depend on, for the record.
    """

    identifier: str
    block_shape: Index
    model: str
    model_name: str
    structure: str
    precision: str
    device: str
    filters: str
    table_spacing: float
    versions: dict[str, str]

    @classmethod
    def make(
        cls, model: TrainedModel, atoms: Atoms, shape: Index, device: str | None = None
    ) -> BlockPlan:
        """Return the plan of a new store; the device is the model's by default."""
        network = model.network
        return cls(
            identifier=uuid.uuid4().hex,
            block_shape=shape,
            model=_model_identity(model),
            model_name=model.name,
            structure=structure_identity(atoms),
            precision=_precision(network),
            device=device or model.network_device.type,
            filters=network.settings.filters,
            table_spacing=network.settings.table_spacing,
            versions={name: version(name) for name in ("deepdft", "torch", "numpy", "numba")},
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
            return cls(**known | {"block_shape": (i, j, k)})
        except (KeyError, TypeError, ValueError):
            raise FileFormatError(f"{store.path} does not say how it is to be filled.") from None

    def difference(self, other: BlockPlan) -> str:
        """Return what the values of two stores on the same grid would differ by, or nothing."""
        names = {
            "model": "model",
            "structure": "structure",
            "precision": "floating type",
            "device": "kind of device (CPU or GPU)",
            "filters": "way to evaluate filters",
            "table_spacing": "spacing of filter tables",
        }
        for name, words in names.items():
            if getattr(self, name) != getattr(other, name):
                return words
        return ""


def _precision(network: DensityModel) -> str:
    kind = str(next(network.parameters()).dtype).removeprefix("torch.")
    return (
        kind
        if network.settings.products == "float32"
        else f"{kind}, products of {network.settings.products}"
    )


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
    network, baseline = model.network, model.baseline
    below = None
    if baseline is not None:
        below = {
            "elements": list(baseline.elements), "spacing": baseline.spacing,
            "knots": baseline.knots,
        }  # fmt: skip
    return model_identity(
        network.architecture.name,
        network.options.model_dump(mode="json"),
        [int(number) for number in network.elements],
        {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()},
        below,
    )
