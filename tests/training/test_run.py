"""Training runs from start to end: what they write, validate, stop at and refuse."""

from __future__ import annotations

import copy
import csv
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning
import torch
from ase import Atoms

from deepdft.architectures import create_model
from deepdft.data import open_dataset, shuffled_with_elements_first
from deepdft.data.compact import CompactEntry, write_compact
from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.orbitals import write_orbital_archive
from deepdft.levels import LevelOfTheory
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.trained_model import load_model
from deepdft.testing.structures import points_near
from deepdft.training import callbacks, train
from deepdft.training.config import read_config
from deepdft.training.module import DensityTraining
from deepdft.training.trainer import STATE
from tests.small_data import PBE, gaussian_density, orbital_density, write_archive
from tests.training.small_runs import (
    UNCHANGING,
    assert_same,
    directory_of,
    read_state,
    small_config,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def logged(directory, name):
    """Values of one column of the logs, in the order of the steps."""
    rows = [
        row
        for path in sorted((directory / "logs").rglob("metrics.csv"))
        for row in csv.DictReader(path.open())
    ]
    return [float(row[name]) for row in rows if row.get(name)]


def test_what_a_run_directory_holds(finished):
    config, result = finished
    directory = directory_of(config)
    assert result.steps == 9
    assert result.folder == directory / "best"
    assert 0 < result.eps_mae < 10
    assert {path.name for path in directory.iterdir()} == {
        "best", "config.yaml", "logs", "tensorboard", STATE,
    }  # fmt: skip
    # The configuration is complete: the run can be repeated from it.
    assert read_config(directory / "config.yaml") == config
    errors = logged(directory, "validation/eps_mae")
    assert len(errors) == 3
    assert min(errors) == pytest.approx(100 * result.eps_mae, rel=1e-5)
    assert list((directory / "tensorboard").rglob("events*"))


def test_the_best_model_can_be_used(finished, archive):
    config, result = finished
    model = load_model(directory_of(config))
    assert model.level == PBE
    assert model.elements == ["H", "C", "O"]
    assert model.baseline is None
    card = model.card
    assert card["validation"]["eps_mae_percent"] == pytest.approx(100 * result.eps_mae)
    assert card["validation"]["step"] in (3, 6, 9)
    assert card["training"]["structures"] == 4
    assert card["training"]["validation_structures"] == 2
    assert card["training"]["configuration"] == config.model_dump()
    assert card["electrons"] == {"H": 1, "C": 4, "O": 6}
    atoms = open_dataset(archive).atoms(0)
    assert np.isfinite(model.density_at(atoms, points_near(atoms, 5))).all()


@pytest.mark.parametrize("architecture", ["released-painn", "released-schnet"])
def test_the_released_architectures_train(architecture, archive, tmp_path):
    config = small_config(
        tmp_path / "run",
        archive,
        model={"architecture": architecture},
        optimizer={"learning_rate": 5e-3, "loss": "mean_absolute_error"},
        trainer={"max_steps": 40, "validation_interval": 10},
    )
    assert train(config).steps == 40
    errors = logged(tmp_path / "run", "validation/eps_mae")
    assert len(errors) == 4
    assert errors[-1] < 0.98 * errors[0]
    network = load_model(tmp_path / "run").network
    assert network.architecture.name == architecture
    atoms = open_dataset(archive).atoms(0)
    far = atoms.positions.max(axis=0) + 50.0
    # What was drawn beyond the cutoff has moved the constant.
    constants = []
    for trained in (network, untrained(config, network.elements)):
        constants.append(ProbeEngine(trained, None, atoms).at([far])[0])
    assert abs(constants[0] - constants[1]) > 1e-4


def untrained(config, elements):
    """The network that a run began with."""
    pytorch_lightning.seed_everything(config.seed, verbose=False)
    return create_model(config.model.architecture, config.model.options, elements).eval()


def test_training_learns(tmp_path):
    # The same molecule to train on and to validate on.
    data = write_archive(tmp_path / "same.npz", ["H2O", "H2O"])
    with np.load(data) as arrays:
        same = dict(arrays)
    same["coeff"] = np.tile(same["coeff"][: len(same["coeff"]) // 2], 2)
    np.savez(data, **same)
    config = small_config(
        tmp_path / "run", data, sampling={"structures": 1, "probes": 100},
        optimizer={"schedule": "constant", "learning_rate": 2e-2},
        trainer={"max_steps": 80, "validation_interval": 20, "validation_probes": 300},
    )  # fmt: skip
    result = train(config)
    errors = logged(tmp_path / "run", "validation/eps_mae")
    losses = logged(tmp_path / "run", "train/loss")
    assert losses[-1] < 0.8 * losses[0]
    assert result.eps_mae == pytest.approx(errors[-1] / 100, rel=1e-5)
    assert errors[-1] < 0.8 * errors[0]


# Validation


@pytest.mark.parametrize(("max_steps", "validations"), [(2, [2]), (7, [3, 6, 7])])
def test_the_last_step_is_validated_wherever_it_falls(
    archive, tmp_path, monkeypatch, max_steps, validations
):
    seen = []
    original = callbacks.SaveBestModel.on_validation_end

    def on_validation_end(self, trainer, module):
        seen.append(trainer.global_step)
        original(self, trainer, module)

    monkeypatch.setattr(callbacks.SaveBestModel, "on_validation_end", on_validation_end)
    config = small_config(tmp_path / "run", archive, trainer={"max_steps": max_steps})
    result = train(config)
    assert result.steps == max_steps
    assert seen == validations
    assert np.isfinite(result.eps_mae)
    assert load_model(tmp_path / "run").card["validation"]["step"] in validations
    assert read_state(tmp_path / "run")["global_step"] == max_steps


def test_the_best_model_is_that_of_the_best_validation(archive, tmp_path, monkeypatch):
    errors = {3: 0.5, 6: 0.3, 9: 0.4, 12: 0.3}
    averages = {}

    def validation_step(self, batch, batch_index):
        self._validation.append(torch.tensor(errors[self.trainer.global_step]))
        averages[self.trainer.global_step] = copy.deepcopy(self.averaged.state_dict())

    monkeypatch.setattr(DensityTraining, "validation_step", validation_step)
    result = train(small_config(tmp_path / "run", archive, trainer={"max_steps": 12}))
    assert result.eps_mae == pytest.approx(0.3)
    best = load_model(tmp_path / "run")
    assert best.card["validation"]["step"] == 6
    assert_same(dict(best.network.state_dict()), dict(averages[6]))
    assert not torch.equal(averages[6]["probe_W1.weight"], averages[12]["probe_W1.weight"])


def test_a_run_that_diverges_is_ended(archive, tmp_path):
    config = small_config(
        tmp_path / "run", archive,
        optimizer={"learning_rate": 1e30, "schedule": "constant", "warmup_steps": 0},
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"after step 3 .* lower optimizer\.learn"):
        train(config)


def test_a_run_tells_how_many_steps_it_left_out(archive, tmp_path, monkeypatch):
    step = DensityTraining.training_step

    def sometimes_not_finite(self, batch, index):
        return step(self, batch, index) * (float("nan") if self.global_step in (1, 4, 5) else 1.0)

    monkeypatch.setattr(DensityTraining, "training_step", sometimes_not_finite)
    config = small_config(tmp_path / "run", archive, trainer={"max_steps": 6})
    assert train(config).steps_left_out == 3
    longer = small_config(tmp_path / "run", archive, trainer={"max_steps": 9})
    assert train(longer, resume=True).steps_left_out == 3
    card = load_model(tmp_path / "run").card
    known = {3: 1, 6: 3, 9: 3}
    assert card["training"]["steps_left_out"] == known[card["validation"]["step"]]


def test_early_stopping(archive, tmp_path):
    config = small_config(
        tmp_path / "run", archive, optimizer=UNCHANGING, trainer={"max_steps": 30, "patience": 2}
    )
    # Nothing changes, so the first validation stays the best and two more are waited for.
    assert train(config).steps == 9
    patient = small_config(tmp_path / "patient", archive, optimizer=UNCHANGING)
    assert patient.trainer.patience is None
    assert train(patient).steps == 9
    card = load_model(tmp_path / "run").card
    assert card["validation"]["step"] == 3


# The baseline


def test_the_baseline_goes_into_the_model(archive, tmp_path):
    config = small_config(
        tmp_path / "run", archive, model={"baseline": "atoms"}, trainer={"max_steps": 3}
    )
    train(config)
    model = load_model(tmp_path / "run")
    model.level = LevelOfTheory()  # of which it is not known that nothing is negative
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    assert model.baseline is not None
    atoms = open_dataset(archive).atoms(0)
    points = points_near(atoms, 20)
    whole = model.density_at(atoms, points)
    model.baseline = None
    difference = whole - model.density_at(atoms, points)
    np.testing.assert_allclose(
        difference, SuperposedAtoms(tables, atoms).at(points), rtol=0, atol=1e-5
    )


# What is refused


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"data": {"paths": []}}, r"set data\.paths"),
        ({"data": {"paths": ["/nowhere/at/all"]}}, "does not exist"),
        ({"data": {"split": None, "validation_count": 6}}, "cannot be held out"),
        ({"model": {"architecture": "deepdtf"}}, "Did you mean 'deepdft'"),
        ({"model": {"options": {"channel": 3}}}, "Did you mean 'channels'"),
    ],
)
def test_configurations_that_are_refused(archive, tmp_path, sections, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        train(small_config(tmp_path / "run", archive, **sections))
    assert not (tmp_path / "run" / STATE).exists()


def test_splits_that_are_refused(archive, tmp_path):
    split = tmp_path / "split.json"
    config = small_config(tmp_path / "run", archive, data={"split": str(split)})
    split.write_text('{"train": [10, 11]}')
    with pytest.raises(ConfigurationError, match="has no structures under 'validation'"):
        train(config)
    split.write_text('{"train": [10], "validation": [11]}')
    with pytest.raises(ConfigurationError, match="validation structures hold C"):
        train(config)


def test_no_baseline_for_an_unknown_level(tmp_path):
    densities = [orbital_density("H2", i) for i in range(3)]
    for density in densities:
        density.level = LevelOfTheory("PBE0", "GTH-PBE", "gth-dzvp")
    write_orbital_archive(tmp_path / "a.npz", densities)
    config = small_config(
        tmp_path / "run", tmp_path / "a.npz", model={"baseline": "atoms"},
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="No atomic densities are shipped for PBE0"):
        train(config)


def test_a_kept_configuration_means_the_same_from_anywhere(archive, tmp_path, monkeypatch):
    monkeypatch.chdir(archive.parent)
    config = small_config(tmp_path / "run", Path(archive.name), trainer={"max_steps": 3})
    train(config)
    kept = read_config(tmp_path / "run" / "config.yaml")
    assert kept.data.paths == [str(archive)]
    assert kept == config.with_absolute_paths()
    monkeypatch.chdir(tmp_path)
    train(kept, resume=True)


def test_max_train_takes_the_first_structures(archive, tmp_path):
    config = small_config(
        tmp_path / "run", archive, data={"max_train": 2}, trainer={"max_steps": 3}
    )
    train(config)
    assert load_model(tmp_path / "run").card["training"]["structures"] == 2
    with pytest.raises(ConfigurationError, match="validation structures hold C"):
        train(small_config(tmp_path / "other", archive, data={"max_train": 1}))


def test_a_shuffled_selection_begins_with_every_element(archive):
    dataset = open_dataset(archive)
    everything = list(range(len(dataset)))
    orders = [shuffled_with_elements_first(dataset, everything, seed) for seed in range(6)]
    assert all(sorted(order) == everything for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    for order in orders:
        known: set[int] = set()
        brings_in = []
        for index in order:
            found = set(dataset.atoms(index).numbers.tolist())
            brings_in.append(not found <= known)
            known |= found
        assert brings_in == sorted(brings_in, reverse=True)
    assert orders[0] == shuffled_with_elements_first(dataset, everything, 0)


def test_a_model_of_magnetic_structures_predicts_them(tmp_path):
    densities = []
    for number, length in enumerate((0.7, 0.8, 0.9)):
        atoms = Atoms("O2", [[2, 2, 2], [2, 2, 2 + length]], cell=3 * [4.0], pbc=True)
        atoms.set_initial_magnetic_moments([1.0, 1.0])
        density = gaussian_density(atoms, Grid(4.0 * np.eye(3), (12, 12, 12)))
        densities.append(CompactEntry(f"oxygen_{number}", density, {}))
    write_compact(tmp_path / "oxygen.zip", densities)
    config = small_config(tmp_path / "run", tmp_path / "oxygen.zip", trainer={"max_steps": 3})
    train(config)
    model = load_model(tmp_path / "run", "cpu")
    assert np.isfinite(model.density_at(densities[0].density.atoms, [[2.0, 2.0, 3.0]])).all()
