"""The atoms of a store, encoded once for whoever computes its blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.fields.stored import StoredField
from deepdft.models.expected_errors.calibration import Excess
from deepdft.prediction.atom_states import map_atom_states, write_atom_states
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.trained_model import TrainedModel
from deepdft.storage.chunked_density import ChunkedDensity
from deepdft.storage.whole_files import AtomicFile

_STATES = "atom_states.npy"
_AMPLITUDES, _EXCESS = "electron_correction.npy", "electron_excess.npz"


def encode_for(store: ChunkedDensity, model: TrainedModel) -> None:
    """Encode the atoms of a store and count its electrons, if that is not done, for its folder."""
    store.work_folder.mkdir(exist_ok=True)
    target = store.work_folder / _STATES
    if not target.exists():
        write_atom_states(model.evaluator, store.atoms, target, model.threads)
    electrons = model.electron_target(store.atoms)
    if electrons is None or (store.work_folder / _AMPLITUDES).exists():
        return
    engine = ProbeEngine(
        model.evaluator, model.baseline, store.atoms, model.threads,
        senders=atom_states_of(store), level=store.level, electrons=electrons,
    )  # fmt: skip
    count = engine.electron_count
    assert count is not None
    about = {"deviation": count.deviation, "warning": count.warning()}
    store.update_attributes(electron_count=about)
    with AtomicFile(store.work_folder / _EXCESS) as file:
        np.savez(file, **vars(count.excess))
    with AtomicFile(store.work_folder / _AMPLITUDES) as file:
        np.save(file, count.amplitudes)


def excess_of(store: ChunkedDensity) -> Excess | None:
    """Return by how many electrons the network is off for a store's atoms, None if not known."""
    path = store.work_folder / _EXCESS
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as file:
        # Stores begun by earlier versions do not tell the sizes of fragments.
        return Excess(**file) if "sizes" in file else None


def atom_states_of(store: ChunkedDensity) -> Any:
    """Return what the atoms of a store send to probes, mapped from its work folder."""
    return map_atom_states(store.work_folder / _STATES)


def stored_density(store: ChunkedDensity, model: TrainedModel) -> StoredField:
    """Return the density of a store whose atoms are encoded (`encode_for`).

    Args:
        store: the store.
        model: the model of its plan.
    """
    counted = store.work_folder / _AMPLITUDES
    engine = ProbeEngine(
        model.evaluator, model.baseline, store.atoms, model.threads,
        senders=atom_states_of(store), level=store.level,
        electrons=model.electron_target(store.atoms) if counted.exists() else None,
        amplitudes=np.load(counted, allow_pickle=False) if counted.exists() else None,
    )  # fmt: skip
    return StoredField(store, engine)
