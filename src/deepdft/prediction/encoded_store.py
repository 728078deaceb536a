"""The atoms of a store, encoded once for whoever computes its blocks."""

from __future__ import annotations

from typing import Any

from deepdft.architectures.interface import CpuNetwork
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.stored import StoredField
from deepdft.prediction.atom_states import map_atom_states, write_atom_states
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.trained_model import TrainedModel
from deepdft.storage.chunked_density import ChunkedDensity

_STATES = "atom_states.npy"


def encode_for(store: ChunkedDensity, model: TrainedModel) -> None:
    """Encode the atoms of a store, if they are not, for its work folder."""
    store.work_folder.mkdir(exist_ok=True)
    target = store.work_folder / _STATES
    if not target.exists():
        write_atom_states(model.evaluator, store.atoms, target, model.threads)


def atom_states_of(store: ChunkedDensity) -> Any:
    """Return what the atoms of a store send to probes, mapped from its work folder."""
    return map_atom_states(store.work_folder / _STATES)


def stored_density(
    store: ChunkedDensity,
    network: CpuNetwork,
    baseline: AtomicDensityTables | None,
    threads: int | None = None,
) -> StoredField:
    """Return the density of a store whose atoms are encoded (`encode_for`).

    Args:
        store: the store.
        network: what evaluates the network of its plan.
        baseline: atomic densities below the network, or None.
        threads: CPU threads; default: all that this process may use.
    """
    states = atom_states_of(store)
    engine = ProbeEngine(
        network, baseline, store.atoms, threads, senders=states, level=store.level
    )  # fmt: skip
    return StoredField(store, engine)
