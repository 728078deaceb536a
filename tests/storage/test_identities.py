"""Identities change with whatever changes a density, and with nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from deepdft.storage.identities import ContentHash, model_identity, structure_identity


def _structure() -> Atoms:
    return Atoms("OH2", np.arange(9.0).reshape(3, 3), cell=np.eye(3) * 9, pbc=(True, True, False))


@pytest.mark.parametrize(
    "change",
    [
        lambda atoms: atoms.set_atomic_numbers([8, 1, 2]),
        lambda atoms: atoms.positions.__setitem__((1, 1), 4.00001),
        lambda atoms: atoms.set_cell(np.eye(3) * 9.00001),
        lambda atoms: atoms.set_pbc(True),
        lambda atoms: atoms.set_initial_magnetic_moments([1, 0, 0]),
        lambda atoms: atoms.set_initial_charges([0, 0, 1]),
        lambda atoms: atoms.info.update(charge=-1),
    ],
)
def test_what_decides_a_density_tells_structures_apart(change):
    atoms = _structure()
    change(atoms)
    assert structure_identity(atoms) != structure_identity(_structure())


def test_what_does_not_decide_a_density():
    atoms = _structure()
    atoms.positions += 1e-9
    atoms.info |= {"name": "water", "charge": 0}
    atoms.set_initial_magnetic_moments([0, 0, 0])
    assert structure_identity(atoms) == structure_identity(_structure())
    # Stores of calculations of earlier versions hold this value.
    assert structure_identity(_structure()) == "bf332bbcd90c8bbc"


MODEL = {
    "architecture": "deepdft",
    "options": {"steps": 3, "channels": 8},
    "elements": [1, 8],
    "weights": {"a": np.arange(6.0, dtype=np.float32), "b": np.zeros(2)},
    "baseline": {"spacing": 0.1, "knots": np.ones((2, 3))},
    "settings": {"precision": "float32", "device": "cpu"},
}


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "equivariant"},
        {"options": {"steps": 4, "channels": 8}},
        {"elements": [8, 1]},
        {"weights": MODEL["weights"] | {"a": np.arange(6.0)}},
        {"weights": MODEL["weights"] | {"a": np.arange(6.0, dtype=np.float32).reshape(2, 3)}},
        {"weights": {"a": MODEL["weights"]["a"], "c": MODEL["weights"]["b"]}},
        {"baseline": None},
        {"baseline": {"spacing": 0.2, "knots": np.ones((2, 3))}},
        {"baseline": {"spacing": 0.1, "knots": np.ones((3, 2))}},
        {"settings": {"precision": "float32", "device": "cuda"}},
        {"settings": {"precision": "float64", "device": "cpu"}},
        {"settings": None},
    ],
)
def test_what_decides_its_densities_tells_models_apart(change):
    assert model_identity(**MODEL) != model_identity(**MODEL | change)


def test_the_order_of_names_does_not_matter():
    turned = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in MODEL.items()
    }
    assert model_identity(**turned) == model_identity(**MODEL)
    big_endian = MODEL["weights"] | {"a": MODEL["weights"]["a"].astype(">f4")}
    assert model_identity(**MODEL | {"weights": big_endian}) == model_identity(**MODEL)


def test_content_does_not_run_over_into_its_neighbour():
    one, other = ContentHash(), ContentHash()
    one.add("a", "b")
    one.add("c", np.array([1, 2], dtype=np.uint8))
    other.add("a", "bc")
    other.add("", np.array([1, 2], dtype=np.uint8))
    assert one.result() != other.result()
