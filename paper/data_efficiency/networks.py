"""Networks: the encoder of a density model, and a readout of its atoms' states."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from properties import PROPERTIES, FloatArray
from torch import Tensor, nn

from deepdft.architectures.equivariant.layers import Invariants
from deepdft.architectures.equivariant.model import Equivariant, EquivariantOptions
from deepdft.geometry.graphs import AtomGraph, concatenate_graphs

BATCH = 8
"""Molecules a step, and molecules encoded at once."""

_HIDDEN = 128
_AVERAGE = 0.99
_WARM_UP = 30
_VALIDATIONS = 15


def invariant_states(model: Equivariant, graph: AtomGraph) -> Tensor:
    """Return scalars and invariants of the tensors after every step, (steps, atoms, features)."""
    steps = model.atom_steps()
    options = model.options
    assert steps is not None
    assert isinstance(options, EquivariantOptions)
    invariants = Invariants(options.degree)
    states = steps.initial(graph.numbers)
    found = []
    for step in range(steps.count):
        states = steps.update(step, states, steps.sent(step, states), graph.edges)
        tensors = states[:, options.scalars :].unflatten(1, (-1, options.tensors))
        found.append(torch.cat((states[:, : options.scalars], invariants(tensors)), dim=1))
    return torch.stack(found)


def frozen_states(model: Equivariant, graphs: Sequence[AtomGraph]) -> list[Tensor]:
    """Return the states of each molecule's atoms, (steps, atoms, features)."""
    found: list[Tensor] = []
    with torch.no_grad():
        for first in range(0, len(graphs), BATCH):
            some = list(graphs[first : first + BATCH])
            states = invariant_states(model, concatenate_graphs(some))
            found += states.split([len(graph.numbers) for graph in some], dim=1)
    return found


@dataclass(frozen=True)
class Scale:
    """Means and widths over the training molecules.

    Attributes:
        mean, width: (properties,) eV; the energy's width is that of an atom's share.
        feature_mean, feature_width: (features,) of the states before training.
    """

    mean: Tensor
    width: Tensor
    feature_mean: Tensor
    feature_width: Tensor

    @classmethod
    def of(cls, states: Sequence[Tensor], targets: FloatArray) -> Scale:
        """Take them from states (steps, atoms, features) and targets (molecules, properties)."""
        last = torch.cat([s[-1] for s in states])
        width = targets.std(axis=0)
        width[0] /= math.sqrt(np.mean([s.shape[1] for s in states]))
        mean = np.array([0.0, targets[:, 1].mean()])
        feature_width = last.std(dim=0)
        return cls(
            torch.tensor(mean, dtype=torch.float32),
            torch.tensor(width, dtype=torch.float32),
            last.mean(dim=0),
            feature_width.clamp(min=1e-3 * float(feature_width.max())),
        )


class PropertyNetwork(nn.Module):
    """Atoms' states to properties: the energy as a sum over atoms, the gap as a mean.

    Args:
        encoder: encodes the atoms; with None the states are given.
        scale: of states and targets.
    """

    def __init__(self, encoder: Equivariant | None, scale: Scale) -> None:
        super().__init__()
        self.encoder = encoder
        self.scale = scale
        features = len(scale.feature_mean)
        self.readout = nn.Sequential(
            nn.Linear(features, _HIDDEN),
            nn.SiLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.SiLU(),
            nn.Linear(_HIDDEN, len(PROPERTIES)),
        )

    def forward(self, molecules: Sequence[AtomGraph] | Sequence[Tensor]) -> Tensor:
        """Return energy and gap of molecules (graphs, or last states), (molecules, 2) eV."""
        counts = [len(m.numbers) if isinstance(m, AtomGraph) else len(m) for m in molecules]
        if self.encoder is None:
            states = torch.cat([m for m in molecules if isinstance(m, Tensor)])
        else:
            graphs = [m for m in molecules if isinstance(m, AtomGraph)]
            states = invariant_states(self.encoder, concatenate_graphs(graphs))[-1]
        outputs = self.readout((states - self.scale.feature_mean) / self.scale.feature_width)
        owner = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        sums = outputs.new_zeros((len(counts), len(PROPERTIES))).index_add(0, owner, outputs)
        per_molecule = torch.stack((sums[:, 0], sums[:, 1] / torch.tensor(counts)), dim=1)
        return self.scale.mean + self.scale.width * per_molecule

    def parameters_in_use(self) -> list[nn.Parameter]:
        """Return the parameters that are trained."""
        found = list(self.readout.parameters())
        if self.encoder is not None:
            found += [*self.encoder.embedding.parameters(), *self.encoder.interactions.parameters()]
        return found


def predicted(
    network: PropertyNetwork, molecules: Sequence[AtomGraph] | Sequence[Tensor]
) -> Tensor:
    """Return predictions without gradients, (molecules, 2) eV."""
    with torch.no_grad():
        return torch.cat(
            [network(molecules[i : i + BATCH]) for i in range(0, len(molecules), BATCH)]
        )


@dataclass(frozen=True)
class Outcome:
    """What a training has found, for each property.

    Attributes:
        validation: smallest validation error, eV.
        step: when.
        test: (test molecules, properties) predictions of the weights of that time, eV.
    """

    validation: dict[str, float]
    step: dict[str, int]
    test: dict[str, FloatArray]


def train(
    network: PropertyNetwork,
    parts: dict[str, Sequence[AtomGraph]] | dict[str, Sequence[Tensor]],
    targets: dict[str, Tensor],
    *,
    rate: float,
    steps: int,
    seed: int,
) -> Outcome:
    """Train with Adam, mean absolute error in units of the targets' widths, and averaged weights.

    Energy and gap are learned together; for each the weights with the smallest validation error
    are kept.

    Args:
        network: is trained.
        parts: molecules of "train", "validation" and "test".
        targets: (molecules, properties) of "train" and "validation", eV.
        rate: largest learning rate; a short rise and half a cosine.
        steps: of 8 molecules.
        seed: of the order of the molecules.
    """
    used = network.parameters_in_use()
    optimizer = torch.optim.Adam(used, lr=rate, betas=(0.9, 0.99))
    averaged = copy.deepcopy(network)
    kept = averaged.parameters_in_use()
    generator = np.random.default_rng(seed)
    order: list[int] = []
    best: dict[str, tuple[float, int, PropertyNetwork]] = {}
    width = targets["train"].std(dim=0)
    for step in range(1, steps + 1):
        while len(order) < BATCH:
            order += generator.permutation(len(targets["train"])).tolist()
        chosen, order = order[:BATCH], order[BATCH:]
        factor = min(1.0, step / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.param_groups[0]["lr"] = rate * max(factor, 0.01)
        optimizer.zero_grad(set_to_none=True)
        found = network([parts["train"][i] for i in chosen])
        (((found - targets["train"][chosen]) / width).abs().mean(dim=0).sum()).backward()
        norm = nn.utils.clip_grad_norm_(used, 5.0)
        if bool(torch.isfinite(norm)):
            optimizer.step()
        decay = min(_AVERAGE, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(kept, used, 1.0 - decay)
        if step % max(1, steps // _VALIDATIONS) == 0 or step == steps:
            _keep_best(best, averaged, parts["validation"], targets["validation"], step)
    test = {name: predicted(best[name][2], parts["test"]) for name in PROPERTIES}
    return Outcome(
        {name: best[name][0] for name in PROPERTIES},
        {name: best[name][1] for name in PROPERTIES},
        {name: test[name][:, p].double().numpy() for p, name in enumerate(PROPERTIES)},
    )


def _keep_best(
    best: dict[str, tuple[float, int, PropertyNetwork]],
    network: PropertyNetwork,
    molecules: Sequence[AtomGraph] | Sequence[Tensor],
    targets: Tensor,
    step: int,
) -> None:
    errors = (predicted(network, molecules) - targets).abs().mean(dim=0).tolist()
    for name, error in zip(PROPERTIES, errors, strict=True):
        if name not in best or error < best[name][0]:
            best[name] = (error, step, copy.deepcopy(network))
