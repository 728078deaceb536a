"""Networks in torch as prediction sees them: on a GPU, in float64, or without a form of their own.

The parameters of the network tell the device and the type of the computation.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from deepdft.architectures.base import DensityModel
from deepdft.architectures.derivatives import in_double_precision
from deepdft.architectures.interface import Allocator
from deepdft.architectures.settings import Precision
from deepdft.architectures.torch_threads import one_torch_thread
from deepdft.arrays import Array, FloatArray, IntegerArray
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.geometry.graphs import edges_to_images
from deepdft.kernels.autograd.tables import RadialTable
from deepdft.kernels.triton.support import triton_serves
from deepdft.prediction.torch_encoding import encode_in_torch

if TYPE_CHECKING:
    from deepdft.prediction.device_engine import DeviceEngine

PROBES_PER_BLOCK = {"cpu": (64, 64, 64), "cuda": (32768, 4096, 4096)}
"""By order of the derivatives. On a CPU a block's filters, messages and layers stay in cache."""


class TorchNetwork:
    """Evaluates a network in torch.

    Args:
        model: the network, in evaluation mode.
    """

    def __init__(self, model: DensityModel) -> None:
        self.model = model
        self.elements, self.cutoff = model.elements, model.cutoff
        self.atom_cutoff = model.atom_cutoff
        parameter = next(model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        precision = cast(Precision, str(self.dtype).removeprefix("torch."))
        self.settings = replace(model.settings, precision=precision)

    def encode(
        self, atoms: Atoms, threads: int | None = None, allocate: Allocator | None = None
    ) -> Any:
        """Return what the atoms send to probes, on the device; or in an array that is allocated."""
        return encode_in_torch(self.model, atoms, threads, allocate)

    def probes(self, senders: Tensor | Array) -> TorchProbes:
        """Return what evaluates probes."""
        with torch.inference_mode(), one_torch_thread():
            return TorchProbes(self.model, self._own(senders))

    def atom_features(self, senders: Tensor | Array) -> Array:
        """Return numbers that tell atoms in different surroundings apart, (atoms, features)."""
        with torch.inference_mode(), one_torch_thread():
            return np.asarray(self.model.atom_features(self._own(senders)).cpu().numpy())

    def device_engine(
        self, senders: Tensor | Array, baseline: AtomicDensityTables | None, atoms: Atoms,
        isolated: float,
    ) -> DeviceEngine | None:  # fmt: skip
        """Return what evaluates a structure wholly on a GPU, where that is possible."""
        if not triton_serves(self.device):
            return None
        # With Triton behind it, which is not everywhere, and which a CPU has no use for.
        from deepdft.prediction.device_engine import DeviceEngine, suits_device

        if not suits_device(self.model):
            return None
        with torch.inference_mode():
            engine = DeviceEngine(self.model, self._own(senders), baseline, atoms, isolated)
        return engine if engine.is_usable else None

    def _own(self, senders: Tensor | Array) -> Tensor:
        return torch.as_tensor(senders).to(self.device, self.dtype)


class TorchProbes:
    """Evaluates probes in torch.

    Args:
        model: the network.
        senders: what its `encode` returned, on its device.
    """

    def __init__(self, model: DensityModel, senders: Tensor) -> None:
        self._model, self._senders = model, senders
        self._table = None if model.settings.filters == "direct" else model.probe_table()
        self._exact_lock = threading.Lock()
        self.isolated_density = model.isolated_density(senders, self._table)

    def probes_per_block(self, order: int) -> int:
        """Return how many probes are best evaluated at once."""
        device = self._senders.device.type
        if order == 0 and device == "cpu" and self._table is not None:
            return self._model.probes_per_block or PROBES_PER_BLOCK[device][0]
        return PROBES_PER_BLOCK[device][order]

    def density(
        self, points: FloatArray, image_atoms: IntegerArray, image_positions: FloatArray,
        out: FloatArray,
    ) -> None:  # fmt: skip
        """Put in the density of those probes that have an atom in reach."""
        edges = edges_to_images(
            image_atoms, image_positions, points, self._model.cutoff,
            directions=self._model.architecture.uses_directions,
        )  # fmt: skip
        reached = edges.in_reach.numpy()
        if not reached.any():
            # Probes without an atom in reach cost no more than finding that out.
            return
        with torch.inference_mode(), one_torch_thread():
            own = edges.of_reached_receivers().to(self._senders.device, self._senders.dtype)
            values = self._model.density(self._senders, own, self._table)
        out[reached] = values.cpu().numpy()

    def derivatives(
        self, points: FloatArray, image_atoms: IntegerArray, image_positions: FloatArray,
        density: FloatArray, gradient: FloatArray, hessian: FloatArray | None,
    ) -> None:  # fmt: skip
        """Put in density and derivatives of those probes that have an atom in reach."""
        near, senders = np.unique(image_atoms, return_inverse=True)
        edges = edges_to_images(
            senders, image_positions, points, self._model.cutoff, directions=True
        )
        reached = edges.in_reach.numpy()
        if not reached.any():
            return
        with one_torch_thread():
            with self._exact_lock:
                exact, table = self._exact
            found = exact.derivatives(
                self._senders[:, torch.from_numpy(near).to(self._senders.device)].double(),
                edges.of_reached_receivers().to(self._senders.device), table,
                1 if hessian is None else 2,
            )  # fmt: skip
        for target, values in zip((density, gradient, hessian), found, strict=True):
            if target is not None and values is not None:
                target[reached] = values.cpu().numpy()

    @cached_property
    def _exact(self) -> tuple[DensityModel, RadialTable | None]:
        """The network and its table in float64."""
        with torch.no_grad():
            exact = in_double_precision(self._model)
            return exact, None if self._table is None else exact.probe_table()
