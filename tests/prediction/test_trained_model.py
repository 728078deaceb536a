"""Loading a model and what it refuses to predict."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from deepdft.architectures import create_model
from deepdft.errors import ConfigurationError, UnsupportedStructureError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import save_checkpoint
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.trained_model import TrainedModel, choose_device, load_model
from deepdft.testing.structures import ethanol, points_near, triclinic

PBE = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")
CARD = {"electrons": {"H": 1, "C": 4, "N": 5, "O": 6}}


def network():
    torch.manual_seed(0)
    return create_model("deepdft", {"steps": 2, "channels": 8}, [1, 6, 7, 8, 9]).eval()


def model(card=CARD):
    return TrainedModel(Checkpoint.of_network(network(), PBE, None, card), "mine")


@pytest.fixture
def folder(tmp_path):
    save_checkpoint(
        Checkpoint.of_network(network(), PBE, "pbe-gth-dzvp", CARD), tmp_path / "run" / "best"
    )
    return tmp_path / "run"


def test_a_model_is_loaded_and_predicts(folder):
    loaded = load_model(folder)
    assert loaded.name == str(folder)
    assert loaded.level == PBE
    assert loaded.elements == ["H", "C", "N", "O", "F"]
    assert loaded.card == CARD
    atoms = ethanol()
    points = points_near(atoms, 50)
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    expected = ProbeEngine(network(), tables, atoms, 1).at(points)
    found = loaded.density_at(atoms, points)
    assert found.shape == (50,)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.abs(found - SuperposedAtoms(tables, atoms).at(points)).max() > 1e-3


def test_moving_to_double_precision(folder):
    single, double = load_model(folder), load_model(folder).to("cpu", "float64")
    assert next(double.network.parameters()).dtype == torch.float64
    points = points_near(ethanol(), 50)
    a, b = (m.density_at(ethanol(), points) for m in (single, double))
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * np.abs(b).max())
    assert (a != b).any()


def test_crystals_and_lists_of_points():
    atoms = triclinic()
    values = model().density_at(atoms, [[0.0, 0.0, 0.0], (1, 2, 3)])
    assert values.shape == (2,)
    with pytest.raises(ConfigurationError, match=r"\(n, 3\)"):
        model().density_at(atoms, [0.0, 0.0, 0.0])


def test_expected_electrons():
    assert model().expected_electrons(ethanol()) == 20
    assert model(card={}).expected_electrons(ethanol()) is None
    # Known to the network, from a model it was fine-tuned from, but not in the card's data.
    assert model().expected_electrons(Atoms("F2")) is None
    assert model().density_at(Atoms("F2", [[0, 0, 0], [0, 0, 1.4]]), np.zeros((1, 3))) != 0


def charged():
    atoms = molecule("H2O")
    atoms.info["charge"] = -1
    return atoms


def with_charges():
    atoms = molecule("H2O")
    atoms.set_initial_charges([0.0, 1.0, 0.0])
    return atoms


def magnetic():
    atoms = molecule("O2")
    atoms.set_initial_magnetic_moments([1.0, 1.0])
    return atoms


@pytest.mark.parametrize(
    ("atoms", "sentence"),
    [
        (Atoms(), "no atoms"),
        (Atoms("HeXe"), "'mine' does not know He, Xe; it covers H, C, N, O, F."),
        (charged(), "net charge of -1"),
        (with_charges(), r"net charge of \+1"),
        (magnetic(), "magnetic moments"),
        (Atoms("CH3", molecule("CH3").positions), "CH3 has an odd number of electrons"),
    ],
)
def test_structures_that_are_refused(atoms, sentence):
    for method in (model().check, model().engine, lambda a: model().density_at(a, [[0, 0, 0]])):
        with pytest.raises(UnsupportedStructureError, match=sentence):
            method(atoms)


def test_structures_that_are_not_refused():
    atoms = molecule("H2O")
    atoms.info["charge"] = 0
    atoms.set_initial_charges([-0.8, 0.4, 0.4])
    model().check(atoms)
    model({**CARD, "spin": True}).check(magnetic())
    # A metal with an odd number of electrons in its cell is nothing unusual.
    model().check(Atoms("N", cell=[3.0] * 3, pbc=True))


def test_devices():
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "cuda")
    for name in ("gpu", "cuda:99", "tpu"):
        with pytest.raises(ConfigurationError, match=f"There is no device '{name}' here"):
            choose_device(name)


def test_models_that_do_not_exist(tmp_path):
    with pytest.raises(ConfigurationError, match="There is no model"):
        load_model(tmp_path / "nowhere")


def test_warming_up_needs_no_structure(folder):
    load_model(folder).warm_up()
