"""What is tortured: commands on small inputs, and how their results are told from broken ones."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np

from torture.processes import Running

Content = dict[str, str]
"""What stands under each name, as a hash."""

_OLD = b"what stood there before\n"


class Case(ABC):
    """A command with a result.

    Args:
        inputs: folder with what `torture.inputs` has made.

    Attributes:
        name: of the case.
        fresh: whether the command starts an interpreter, because it looks at how it was started.
        several: whether it has several processes.
        end: exit code of a run that nothing disturbs.
    """

    name: ClassVar[str]
    fresh: ClassVar[bool] = False
    several: ClassVar[bool] = False
    end: ClassVar[int] = 0

    def __init__(self, inputs: Path) -> None:
        self.inputs = inputs

    def prepare(self, folder: Path) -> None:
        """Put into a folder what stands there before the first run; by default nothing."""
        folder.mkdir(exist_ok=True)

    @abstractmethod
    def arguments(self, folder: Path) -> list[str]:
        """Return the arguments for the first run or, where something is there, for going on."""

    def environment(self, folder: Path) -> dict[str, str]:
        """Return variables that are added to the environment of a fresh interpreter."""
        return {}

    @contextmanager
    def visited(self, running: Running, folder: Path) -> Iterator[list[str]]:
        """Use what runs, as a client does; yield what is found to be wrong with its answers."""
        yield []

    def is_through(self, folder: Path) -> bool:
        """Return whether a run that ended well has a result; else it has refused to make one."""
        return True

    @abstractmethod
    def result(self, folder: Path) -> Content:
        """Return what the command has made; raise where it cannot be read."""

    def ours(self, folder: Path) -> set[str]:
        """Return the names of all files below a folder, as they are after a whole run."""
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


class _File(Case):
    """A prediction into one file, over an older one."""

    output: ClassVar[str]
    structure: ClassVar[str]

    def prepare(self, folder: Path) -> None:
        (folder / self.output).write_bytes(_OLD)

    def arguments(self, folder: Path) -> list[str]:
        return [
            "predict", str(self.inputs / self.structure), "-m", str(self.inputs / "model"),
            "-o", self.output, "--grid", "40", "40", "40", "--threads", "1", "--device", "cpu",
        ]  # fmt: skip

    def result(self, folder: Path) -> Content:
        return {self.output: hashlib.sha256((folder / self.output).read_bytes()).hexdigest()}


class Cube(_File):
    name, output, structure = "predict to cube", "rho.cube", "molecule.xyz"


class Chgcar(_File):
    name, output, structure = "predict to CHGCAR", "CHGCAR", "crystal.extxyz"


class Store(Case):
    """A prediction into a zarr group, which goes on where it was."""

    name = "predict to zarr"
    more: ClassVar[list[str]] = []

    def arguments(self, folder: Path) -> list[str]:
        return [
            "predict", str(self.inputs / "molecule.xyz"), "-m", str(self.inputs / "model"),
            "-o", "rho.zarr", "--grid", "160", "100", "100", "--threads", "1", "--device", "cpu",
            *self.more,
        ]  # fmt: skip

    def result(self, folder: Path) -> Content:
        from deepdft.formats import read

        values = read(folder / "rho.zarr").values
        return {"rho.zarr": hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()}


class Workers(Store):
    """The same by two workers."""

    name = "workers"
    fresh = True
    several = True
    more: ClassVar[list[str]] = ["--workers", "2"]


class Convert(Case):
    """Densities into a training store, which is appended to."""

    name = "convert to a store"

    def arguments(self, folder: Path) -> list[str]:
        return ["convert", str(self.inputs / "densities"), "all.store"]

    def result(self, folder: Path) -> Content:
        from deepdft.data.training_store import TrainingStore

        store = TrainingStore(folder / "all.store")
        return {
            name: hashlib.sha256(store.density(number).values.tobytes()).hexdigest()
            for number, name in enumerate(store.names)
        }


class Train(Case):
    """A training run, which is resumed; its weights are compared bit by bit."""

    name = "training"
    more: ClassVar[list[str]] = []

    def arguments(self, folder: Path) -> list[str]:
        words = ["train", str(self.inputs / "train.yaml"), *self.more]
        if (folder / "run" / "trainer_state.ckpt").exists():
            words.append("--resume")
        return words

    def result(self, folder: Path) -> Content:
        import torch

        run = folder / "run"
        state = torch.load(run / "trainer_state.ckpt", weights_only=True)
        content = {"step": str(state["global_step"])}
        for name, tensor in state["state_dict"].items():
            content[name] = hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
        best = run / "best" / "model.safetensors"
        content["best"] = hashlib.sha256(best.read_bytes()).hexdigest()
        return content

    def ours(self, folder: Path) -> set[str]:
        logs = ("run/logs/", "run/tensorboard/")  # each run adds its own
        return {name for name in super().ours(folder) if not name.startswith(logs)}


class Processes(Train):
    """The same in two processes by DDP with gloo."""

    name = "training by DDP"
    fresh = True
    several = True
    more: ClassVar[list[str]] = ["trainer.devices=2"]


class Campaign(Case):
    """Calculations by PySCF, which go on where they were."""

    name = "DFT campaign"

    def arguments(self, folder: Path) -> list[str]:
        return ["dft", "run", str(self.inputs / "hydrogen.extxyz"), "-o", "store"]

    def result(self, folder: Path) -> Content:
        manifest = json.loads((folder / "store" / "manifest.json").read_text())
        content = {}
        for record in manifest["structures"]:
            with np.load(folder / "store" / f"{record['name']}.npz") as archive:
                names = ",".join(sorted(archive.files))
            content[record["name"]] = f"{record['status']} {record['energy']:.7f} {names}"
        return content
