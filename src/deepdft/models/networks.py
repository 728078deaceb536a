"""Networks in torch from checkpoints, and weights from one network to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepdft.architectures.base import DensityModel
from deepdft.architectures.element_similarity import inferred_rows
from deepdft.architectures.registry import create_model
from deepdft.architectures.settings import EvaluationSettings
from deepdft.architectures.torch_threads import one_torch_thread
from deepdft.errors import FileFormatError

if TYPE_CHECKING:
    from deepdft.models.checkpoint import Checkpoint


def network_with_weights(
    checkpoint: Checkpoint, settings: EvaluationSettings | None = None, device: str = "cpu"
) -> DensityModel:
    """Return a checkpoint's network, in evaluation mode.

    torch's random state stays as it is.

    Args:
        checkpoint: description and weights.
        settings: how it is evaluated; default: from tables, in the type of the weights.
        device: as torch calls it.

    Raises:
        FileFormatError: if the weights do not fit.
    """
    # The weights that a new network draws are thrown away: nobody else's numbers must depend on it.
    with torch.random.fork_rng(devices=[]), one_torch_thread():
        network = create_model(
            checkpoint.architecture, checkpoint.options.model_dump(), checkpoint.elements
        )
        network.to(getattr(torch, checkpoint.precision))
        try:
            network.load_state_dict(
                {name: torch.tensor(array) for name, array in checkpoint.weights.items()}
            )
        except RuntimeError as error:
            raise FileFormatError(
                f"The weights do not fit the architecture '{checkpoint.architecture}': "
                f"{' '.join(str(error).splitlines()[:2])}"
            ) from None
        if settings is not None:
            network.settings = settings
            network.to(getattr(torch, settings.precision))
        network.to(device)
    return network.eval().requires_grad_(False)


def transfer_weights(source: DensityModel, target: DensityModel) -> None:
    """Copy the weights of `source` into `target`, element by element where they are per element.

    Rows of elements that only `target` knows are inferred from those of similar elements, as far
    as these say something about them; for the rest they stay as drawn.

    Raises:
        FileFormatError: if the two are of different architecture or options.
    """
    if source.architecture.name != target.architecture.name or source.options != target.options:
        raise FileFormatError(
            "Only a model of the same architecture and options can be fine-tuned: "
            f"{source.architecture.name} {source.options} against "
            f"{target.architecture.name} {target.options}."
        )
    rows = [target.elements.index(z) for z in source.elements if z in target.elements]
    known = [i for i, z in enumerate(source.elements) if z in target.elements]
    found = source.state_dict()
    with torch.no_grad():
        for name, tensor in target.state_dict().items():
            if name in target.architecture.per_element:
                tensor[rows] = found[name][known].to(tensor)
                _infer_rows(tensor, target.elements, rows)
            else:
                tensor.copy_(found[name])


def _infer_rows(embedding: Tensor, elements: Sequence[int], known: Sequence[int]) -> None:
    """Replace the rows of an embedding (elements, width) that are not among the `known` ones."""
    new = [row for row in range(len(elements)) if row not in set(known)]
    if not new or not known:
        return
    rows, open_share = inferred_rows(
        [elements[row] for row in known],
        embedding[known].double().cpu().numpy(),
        [elements[row] for row in new],
    )
    drawn = embedding[new] * torch.from_numpy(open_share).sqrt()[:, None].to(embedding)
    embedding[new] = torch.from_numpy(rows).to(embedding) + drawn
