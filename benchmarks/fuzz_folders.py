"""Targets that are folders or archives of several parts: models and training data.

One part is replaced by an input; the others are as they should be.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import molecule

from fuzz_target import CASES, Target, UnusableAnswer

_POINTS = np.array([[0.0, 0.0, 0.3], [0.5, 0.1, 0.0]])


@cache
def models() -> dict[str, Target]:
    """Return targets of model folders, trainer states and released checkpoints."""
    whole = _model_folder()
    found = {
        f"model {name}": Target((content,), partial(_load_model, whole, name))
        for name, content in whole.items()
    }
    found["trainer state"] = Target(_trainer_states(), _read_state)
    released = _released_folder()
    for name, content in released.items():
        found[f"released {name}"] = Target((content,), partial(_load_model, released, name))
    return found


def _files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@cache
def _model_folder() -> dict[str, bytes]:
    import torch

    from deepdft.architectures import create_model
    from deepdft.fields.atoms import AtomicDensityTables
    from deepdft.levels import LevelOfTheory
    from deepdft.models.bundled import bundled_models
    from deepdft.models.checkpoint import Checkpoint
    from deepdft.models.folder import save_checkpoint, save_electron_shapes

    torch.manual_seed(0)
    network = create_model("deepdft", {"steps": 1, "channels": 4, "gaussian_width": 0.5}, [1, 8])
    card = {"electrons": {"H": 1, "O": 6}, "charges": [0], "kind": "molecules",
            "validation": {"eps_mae_percent": 1.0}, "needs": [["O"]]}  # fmt: skip
    checkpoint = Checkpoint.of_network(network, LevelOfTheory("PBE"), "pbe-gth-dzvp", card)
    default = bundled_models()["default"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "model")
        save_checkpoint(checkpoint, folder)
        tables = AtomicDensityTables.read(default / "atomic_densities.npz")
        save_electron_shapes(tables.of_elements(["H", "O"]), folder)
        shutil.copy(default / "uncertainty.safetensors", folder)
        return _files_of(folder)


def _load_model(whole: dict[str, bytes], name: str, data: bytes, folder: Path) -> None:
    from deepdft.models.expected_errors.error_model import load_error_model
    from deepdft.models.overview import ModelOverview
    from deepdft.prediction.trained_model import load_model

    for other, content in whole.items():
        (folder / other).write_bytes(data if other == name else content)
    if name == "uncertainty.safetensors":
        load_error_model(folder)
        return
    if name == "model.json":
        ModelOverview.of_folder("m", folder).as_dict()
    model = load_model(folder, "cpu")
    values = model.density_at(molecule("H2O"), _POINTS)
    if not np.isfinite(values).all():
        raise UnusableAnswer("a density is not finite")


def _trainer_states() -> tuple[bytes, ...]:
    import torch

    network = {"architecture": "deepdft", "options": {"cutoff": 4.0}, "elements": [1, 8]}
    data = {"training": 2, "validation": 1, "names": "0" * 64}
    state = {"global_step": 3, "epoch": 0, "network": network, "data": data, "steps_left_out": 0,
             "state_dict": {"model.w": torch.zeros(2)}, "optimizer_states": [{}],
             "lr_schedulers": [], "loops": {}}  # fmt: skip
    file = io.BytesIO()
    torch.save(state, file)
    return (file.getvalue(),)


def _read_state(data: bytes, folder: Path) -> None:
    from deepdft.training.config import ModelConfig
    from deepdft.training.state import LeftState

    (folder / "trainer_state.ckpt").write_bytes(data)
    LeftState(folder / "trainer_state.ckpt").require_network(ModelConfig())


def _released_folder() -> dict[str, bytes]:
    folder = CASES.parent / "architectures" / "released" / "schnet"
    return {name: (folder / name).read_bytes() for name in ("arguments.json", "best_model.pth")}


# Data.


@cache
def data() -> dict[str, Target]:
    """Return targets of training stores, zarr groups and archives."""
    found = {}
    for kind, make, use in (
        ("store", _make_store, _read_store),
        ("zarr", _make_zarr, _read_zarr),
        ("orbitals", _make_orbitals, _read_orbitals),
        ("compact", _make_compact, _read_compact),
        ("plane waves", _make_waves, _read_waves),
    ):
        with tempfile.TemporaryDirectory() as place:
            make(Path(place))
            whole = _files_of(Path(place))
        for name, content in whole.items():
            if len(content) < 200_000:
                found[f"{kind} {name}"] = Target((content,), partial(_changed, whole, name, use))
    return found


def _changed(
    whole: dict[str, bytes], name: str, use: Callable[[Path], None], data: bytes, folder: Path
) -> None:
    for other, content in whole.items():
        path = folder / other
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if other == name else content)
    use(folder)


def _density() -> Any:
    from deepdft.density import Density, Grid
    from deepdft.levels import LevelOfTheory

    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.8]], cell=[3, 3, 4], pbc=True)
    values = np.random.default_rng(0).random((3, 4, 5))
    return Density(atoms, Grid(atoms.cell.array, (3, 4, 5)), values, level=LevelOfTheory("PBE"))


def _make_store(folder: Path) -> None:
    from deepdft.data.training_store_writer import TrainingStoreWriter

    with TrainingStoreWriter(folder / "s") as writer:
        writer.append("a", _density())


def _read_store(folder: Path) -> None:
    from deepdft.data.training_store import TrainingStoreDataset

    dataset = TrainingStoreDataset(folder / "s")
    dataset.on_grid(0)
    dataset.draw(0, 10, np.random.default_rng(0), cutoff=3.0)


def _make_zarr(folder: Path) -> None:
    from deepdft.formats import write

    write(folder / "d.zarr", _density())


def _read_zarr(folder: Path) -> None:
    from deepdft.formats import read

    if not np.isfinite(read(folder / "d.zarr").values).all():
        raise UnusableAnswer("a value is not finite")


def _make_orbitals(folder: Path) -> None:
    from tests.small_data import write_archive

    write_archive(folder / "o.npz", ["H2"])


def _read_orbitals(folder: Path) -> None:
    from deepdft.data import open_dataset

    dataset = open_dataset(folder / "o.npz")
    dataset.draw(0, 10, np.random.default_rng(0), cutoff=3.0)


def _make_compact(folder: Path) -> None:
    from deepdft.data.compact import CompactEntry, write_compact

    write_compact(folder / "c.zip", [CompactEntry("a", _density(), {})])


def _read_compact(folder: Path) -> None:
    from deepdft.data.compact import CompactFile

    file = CompactFile(str(folder / "c.zip"))
    for name in file.names:
        file.density(name)


def _make_waves(folder: Path) -> None:
    from deepdft.data.plane_waves import write_plane_waves

    density = _density()
    density.atoms.info["name"] = "a"
    write_plane_waves(folder / "w.npz", [density], cutoff=4.0)


def _read_waves(folder: Path) -> None:
    from deepdft.data.plane_waves import PlaneWaveArchive

    for _ in PlaneWaveArchive(folder / "w.npz"):
        pass
