"""Directories written by the training of the authors' released code.

`arguments.json` holds the command line of the training, `best_model.pth` a dictionary with the
weights under "model", the state of the optimiser, the number of steps and the best validation
error. The latter is opened by torch's loader of plain tensors (`weights_only`), which runs no code.

An embedding in these files has a row for each of 119 atomic numbers, seen in training or not. Which
were seen is read off the optimiser's state, where it is there: rows that never had a gradient.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepdft.architectures.base import DensityModel
from deepdft.architectures.registry import create_model
from deepdft.errors import FileFormatError
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.released_layout import ARGUMENTS, WEIGHTS
from deepdft.models.torch_files import read_tensors
from deepdft.storage.damage import reported
from deepdft.storage.json_files import read_json

_EMBEDDING = "atom_model.atom_embeddings.weight"
_MOST_ELEMENTS = 118
_FLOATING = (torch.float32, torch.float64)

Weights = dict[str, Tensor]
State = Mapping[str, Tensor]


def load_released_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a directory of the released code's training.

    The architecture and its sizes follow from the weights; the cutoff from the arguments. The level
    of theory is not known. The network has the type of the stored weights, float32.

    Args:
        folder: directory with `arguments.json` and `best_model.pth`.

    Raises:
        FileFormatError: if a file is missing, damaged, or of something else.
    """
    folder = Path(folder)
    arguments = _read_arguments(folder / ARGUMENTS)
    stored = _read_weights(folder / WEIGHTS)
    state: State = stored["model"]
    try:
        with reported(folder, "cannot be used as a checkpoint of the released code"):
            return _checkpoint(stored, state, arguments)
    except _Foreign as error:
        raise FileFormatError(
            f"{folder} cannot be used as a checkpoint of the released code: {error}."
        ) from None


def _checkpoint(stored: dict[str, Any], state: State, arguments: dict[str, Any]) -> Checkpoint:
    architecture = _architecture(state, arguments)
    elements = _elements(stored)
    options = _options(architecture, state, arguments)
    # The weights that a new network draws are thrown away.
    with torch.random.fork_rng(devices=[]):
        network = create_model(architecture, options, elements)
    network.to(state[_EMBEDDING].dtype)
    _fill(network, _TRANSLATIONS[architecture](state, options["steps"]), state, elements)
    return Checkpoint.of_network(network, card=_card(arguments, stored))


class _Foreign(Exception):
    """What does not fit, as the end of a sentence."""


def _read_arguments(path: Path) -> dict[str, Any]:
    arguments = read_json(path)
    cutoff = arguments.get("cutoff") if isinstance(arguments, dict) else None
    if isinstance(cutoff, bool) or not isinstance(cutoff, int | float) or not 0 < cutoff < math.inf:
        raise FileFormatError(
            f"{path} does not hold the arguments of a training of the released code: there is no "
            "positive 'cutoff'."
        )
    return dict(arguments)


def _read_weights(path: Path) -> dict[str, Any]:
    stored = read_tensors(path)
    state = stored.get("model") if isinstance(stored, dict) else None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) and value.dtype in _FLOATING
        for name, value in state.items()
    ):
        raise FileFormatError(f"{path} holds no weights under the key 'model'.")
    for name, value in state.items():
        if not bool(torch.isfinite(value).all()):
            raise FileFormatError(f"{path}: '{name[:60]}' has values that are not finite.")
    found: dict[str, Any] = stored
    return found


def _architecture(state: State, arguments: Mapping[str, Any]) -> str:
    if _EMBEDDING not in state:
        raise _Foreign(f"its weights have no '{_EMBEDDING}'")
    with_vectors = "atom_model.interactions.0.filter_layer.weight" in state
    stated = arguments.get("use_painn_model")
    if stated is not None and bool(stated) != with_vectors:
        raise _Foreign(
            f"{ARGUMENTS} says 'use_painn_model': {json.dumps(stated)}, its weights the opposite"
        )
    return "released-painn" if with_vectors else "released-schnet"


def _options(architecture: str, state: State, arguments: Mapping[str, Any]) -> dict[str, Any]:
    steps = 0
    while any(name.startswith(f"atom_model.interactions.{steps}.") for name in state):
        steps += 1
    options: dict[str, Any] = {
        "cutoff": float(arguments["cutoff"]),
        "steps": steps,
        "channels": int(state[_EMBEDDING].shape[-1]),
    }
    for key, option in (("num_interactions", "steps"), ("node_size", "channels")):
        stated = arguments.get(key, options[option])
        if stated != options[option]:
            raise _Foreign(
                f"{ARGUMENTS} says '{key}': {json.dumps(stated)}, its weights {options[option]}"
            )
    if architecture == "released-painn":
        first = state["atom_model.interactions.0.filter_layer.weight"]
        options["radial_functions"] = int(first.shape[-1])
    return options


def _elements(stored: Mapping[str, Any]) -> list[int]:
    """Return the atomic numbers that training has seen, or all, if that is not known."""
    embedding: Tensor = stored["model"][_EMBEDDING]
    if embedding.dim() != 2 or len(embedding) < 2:
        raise _Foreign(f"'{_EMBEDDING}' has the shape {list(embedding.shape)}")
    numbers = range(1, min(len(embedding), _MOST_ELEMENTS + 1))
    try:
        place = list(stored["model"]).index(_EMBEDDING)
        squares = stored["optimizer"]["state"][place]["exp_avg_sq"]
    except (KeyError, TypeError, IndexError):
        return list(numbers)
    if not isinstance(squares, Tensor) or squares.shape != embedding.shape:
        return list(numbers)
    seen = (squares != 0).any(dim=1)
    return [z for z in numbers if seen[z]] or list(numbers)


def _card(arguments: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    training = {
        "steps": stored.get("step"),
        "best_validation_mae": stored.get("best_val_mae"),
        "dataset": arguments.get("dataset"),
        "ignore_pbc": arguments.get("ignore_pbc"),
    }
    known = {k: v for k, v in training.items() if isinstance(v, int | float | str)}
    return {"data": "checkpoint of the released code", "training": known}


# From the released names to ours. Their maps are (outputs, inputs), one a step; ours are stacked.


def _fill(network: DensityModel, weights: Weights, state: State, elements: list[int]) -> None:
    weights["embedding.weight"] = state[_EMBEDDING][elements]
    for name in ("weight", "bias"):
        weights[f"readout_hidden.{name}"] = _taken(state, f"probe_model.readout_function.0.{name}")
        weights[f"readout_output.{name}"] = _taken(state, f"probe_model.readout_function.2.{name}")
    for name, expected in network.state_dict().items():
        if weights[name].shape != expected.shape:
            raise _Foreign(
                f"'{name}' has the shape {list(weights[name].shape)} where a model of these sizes "
                f"has {list(expected.shape)}"
            )
    used = sum(weight.numel() for weight in weights.values())
    used += state[_EMBEDDING].numel() - weights["embedding.weight"].numel()
    if used != sum(weight.numel() for weight in state.values()):
        raise _Foreign("it has weights that the released architecture does not have")
    network.load_state_dict(weights)


def _taken(state: State, name: str) -> Tensor:
    if name not in state:
        raise _Foreign(f"its weights have no '{name}'")
    return state[name]


def _stacked(state: State, steps: int, name: str, template: str) -> Weights:
    """Return a stacked map from one map a step, whose names have the step for '#'."""
    names = [template.replace("#", str(t)) for t in range(steps)]
    return {
        f"{name}.weight": _matrices(state, [f"{n}.weight" for n in names]),
        f"{name}.bias": _stack(state, [f"{n}.bias" for n in names])[:, None],
    }


def _matrices(state: State, names: list[str]) -> Tensor:
    matrices = _stack(state, names)
    if matrices.dim() != 3:
        raise _Foreign(f"'{names[0]}' is not a matrix")
    return matrices.transpose(1, 2).contiguous()


def _stack(state: State, names: list[str]) -> Tensor:
    found = [_taken(state, name) for name in names]
    if len({tuple(tensor.shape) for tensor in found}) != 1:
        raise _Foreign(f"'{names[0]}' is not the same size in every step")
    return torch.stack(found)


def _schnet(state: State, steps: int) -> Weights:
    weights: Weights = {}
    message = "message_function.msg_function"
    for ours, theirs in {
        "atom_messages": f"atom_model.interactions.#.message_sum_module.{message}",
        "probe_messages": f"probe_model.messagesum_layers.#.{message}",
    }.items():
        weights |= _two_layers(state, steps, f"{ours}.filters", f"{theirs}_edge")
        weights |= _two_layers(state, steps, f"{ours}.pair", f"{theirs}_node")
    for ours, theirs in {
        "atom_update": "atom_model.interactions.#.state_transition_function",
        "probe_gate": "probe_model.probe_state_gate_functions.#",
        "probe_update": "probe_model.probe_state_transition_functions.#",
    }.items():
        weights |= _two_layers(state, steps, ours, theirs)
    return weights


def _two_layers(state: State, steps: int, name: str, template: str) -> Weights:
    hidden = _stacked(state, steps, f"{name}.hidden", f"{template}.0")
    return hidden | _stacked(state, steps, f"{name}.output", f"{template}.2")


def _painn(state: State, steps: int) -> Weights:
    weights: Weights = {}
    places = {
        "atom": ("atom_model.interactions.#", "atom_filters"),
        "probe": ("probe_model.message_layers.#", "probe_filter_layer"),
    }
    for part, (theirs, filters) in places.items():
        for kind, values in _stacked(state, steps, "", f"{theirs}.filter_layer").items():
            rows = _thirds(values, _FILTERS).transpose(0, 1).flatten(0, 1)
            weights[f"{filters}.linear{kind}"] = rows.contiguous()
        sent = _two_layers(state, steps, f"{part}_sent", f"{theirs}.scalar_message_mlp")
        weights |= _reordered(sent, f"{part}_sent.output", _FILTERS)
        update = f"{part}_model.scalar_vector_update.#"
        mlp = _two_layers(state, steps, f"{part}_update", f"{update}.combined_mlp")
        weights |= _reordered(mlp, f"{part}_update.output", _UPDATE)
        for name in ("U", "V"):
            names = [f"{update}.linear{name}.weight".replace("#", str(t)) for t in range(steps)]
            weights[f"{part}_update.{name}"] = _matrices(state, names)
    gate = "probe_model.message_layers.#.update_gate_mlp"
    weights |= _stacked(state, steps, "probe_gate_hidden", f"{gate}.0")
    return weights | _stacked(state, steps, "probe_gate_output", f"{gate}.2")


_FILTERS = (2, 0, 1)
"""Where the released code has our scalars, vectors and directions among three thirds."""

_UPDATE = (2, 1, 0)
"""Where it has our factors of vectors, of products, and the addend."""


def _thirds(values: Tensor, order: tuple[int, int, int]) -> Tensor:
    """Split outputs into three: (steps, inputs, 3 n) to (steps, 3, inputs, n)."""
    if values.shape[2] % 3:
        raise _Foreign(f"a layer has {values.shape[2]} outputs, which three parts cannot share")
    parts = values.chunk(3, dim=2)
    return torch.stack([parts[place] for place in order], dim=1)


def _reordered(weights: Weights, name: str, order: tuple[int, int, int]) -> Weights:
    changed = dict(weights)
    for kind in ("weight", "bias"):
        parts = _thirds(weights[f"{name}.{kind}"], order).unbind(1)
        changed[f"{name}.{kind}"] = torch.cat(parts, dim=2)
    return changed


_TRANSLATIONS: dict[str, Callable[[State, int], Weights]] = {
    "released-schnet": _schnet,
    "released-painn": _painn,
}
