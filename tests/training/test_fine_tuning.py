"""Training that begins with a trained model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import molecule

from deepdft import predict, write
from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.models.folder import load_checkpoint
from deepdft.prediction import load_model
from deepdft.training import train
from tests.small_data import PBE, gaussian_density, write_archive
from tests.training.small_runs import (
    UNCHANGING,
    Killed,
    assert_same,
    assert_same_run,
    directory_of,
    small_config,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_fine_tuning_keeps_what_was_learned(finished, tmp_path):
    config, result = finished
    data = write_archive(tmp_path / "nitrogen.npz", ["NH3", "N2", "NH3"])
    tuned = small_config(tmp_path / "run", data, optimizer=UNCHANGING, seed=8)
    train(tuned, start_from=directory_of(config))
    source = load_checkpoint(result.folder).network
    target = load_checkpoint(tmp_path / "run" / "best").network
    assert source.elements == (1, 6, 8)
    assert target.elements == (1, 6, 7, 8)
    # The step size is nothing, so the weights are those that training started from.
    rows = target.embedding.weight[[0, 1, 3]]
    assert torch.equal(rows, source.embedding.weight)
    assert target.embedding.weight[2].abs().sum() > 0
    assert torch.equal(target.probe_W5.weight, source.probe_W5.weight)


def of_another_level(folder, scale=1.0):
    """Write two waters of a level of theory for which no atoms come with the package."""
    folder.mkdir()
    level = replace(PBE, functional="SCAN", code="mine")
    for index in range(2):
        atoms = molecule("H2O")
        atoms.rattle(0.05, seed=index)
        atoms.center(vacuum=3.0)
        atoms.pbc = True
        rho = gaussian_density(atoms, Grid.of_cell(atoms, 0.3), level)
        write(folder / f"{index}.npz", replace(rho, values=scale * rho.values))
    return folder


def on_atoms(directory, data, **trainer):
    sections = {"model": {"baseline": "atoms"}, "optimizer": UNCHANGING, "trainer": trainer}
    return small_config(directory, data, **sections)


@pytest.fixture(scope="module")
def on_water(tmp_path_factory):
    """The folder of a run on superposed atoms."""
    folder = tmp_path_factory.mktemp("on_atoms")
    data = write_archive(folder / "water.npz", ["H2O", "H2O", "H2O"])
    train(on_atoms(folder / "run", data, max_steps=1, validation_interval=1))
    return folder / "run"


def test_a_fine_tuned_network_stays_on_the_atoms_that_it_learned_with(on_water, tmp_path):
    config = on_atoms(tmp_path / "run", of_another_level(tmp_path / "scan"), max_steps=3)
    train(config, start_from=on_water)
    source, target = (load_checkpoint(run / "best") for run in (on_water, tmp_path / "run"))
    assert target.level.functional == "SCAN"
    assert target.baseline == source.baseline == "pbe-gth-dzvp"
    assert (target.tables.knots == source.tables.knots).all()
    # Nothing but the name of the level has changed: it predicts what it did.
    atoms = molecule("H2O")
    before, after = (predict(atoms, load_model(run / "best"), spacing=0.5)
                     for run in (on_water, tmp_path / "run"))  # fmt: skip
    np.testing.assert_array_equal(before.values, after.values)
    longer = on_atoms(tmp_path / "run", tmp_path / "scan", max_steps=6)
    assert train(longer, resume=True).steps == 6
    assert load_checkpoint(tmp_path / "run" / "best").baseline == "pbe-gth-dzvp"


def test_atoms_with_other_electrons_are_not_put_below(on_water, tmp_path):
    config = on_atoms(tmp_path / "run", of_another_level(tmp_path / "cores", scale=1.25))
    with pytest.raises(ConfigurationError, match="No atomic densities are shipped"):
        train(config, start_from=on_water)


def test_a_fine_tuned_models_card_tells_what_it_was_before(finished, archive, tmp_path):
    config, result = finished
    start = directory_of(config)
    tuned = small_config(tmp_path / "run", archive, optimizer=UNCHANGING)
    train(tuned, start_from=start)
    parent = load_checkpoint(result.folder)
    assert "started_from" not in parent.card["training"]
    assert load_checkpoint(tmp_path / "run" / "best").card["training"]["started_from"] == {
        "model": str(start),
        "level": parent.level.to_dict(),
        "training": parent.card["training"],
    }


def test_fine_tuning_that_only_does_harm_returns_the_model_of_before(finished, archive, tmp_path):
    config, result = finished
    harmful = {"learning_rate": 3.0, "schedule": "constant", "warmup_steps": 0}
    tuned = train(
        small_config(tmp_path / "run", archive, optimizer=harmful),
        start_from=directory_of(config),
    )
    assert result.eps_mae_before is None
    # The same network, data and validation points as at the end of the run before.
    assert tuned.eps_mae == tuned.eps_mae_before == result.eps_mae
    assert tuned.steps == 9
    before, after = (load_checkpoint(folder) for folder in (result.folder, tuned.folder))
    assert after.card["validation"]["step"] == 0
    assert_same(after.network.state_dict(), before.network.state_dict())


def test_a_fine_tuning_run_is_resumed_without_its_parent(finished, tmp_path, kill_at):
    data = write_archive(tmp_path / "nitrogen.npz", ["NH3", "N2", "NH3"])
    config = small_config(tmp_path / "run", data)
    whole = small_config(tmp_path / "whole", data)
    train(whole, start_from=directory_of(finished[0]))
    kill_at(4)
    with pytest.raises(Killed):
        train(config, start_from=directory_of(finished[0]))
    kill_at(None)
    train(config, resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    resumed, uninterrupted = (
        load_checkpoint(tmp_path / name / "best").card["training"]["started_from"]
        for name in ("run", "whole")
    )
    assert resumed == uninterrupted


def test_fine_tuning_needs_the_same_options(finished, archive, tmp_path):
    config = small_config(tmp_path / "run", archive, model={"options": {"steps": 1, "channels": 8}})
    with pytest.raises(ConfigurationError, match=r"model\.options\.steps 2, this run has 1"):
        train(config, start_from=directory_of(finished[0]))
    with pytest.raises(ConfigurationError, match="There is no model"):
        train(config, start_from=tmp_path / "nowhere")
    # What the network learned is the whole density, not a difference.
    config = small_config(tmp_path / "run", archive, model={"baseline": "atoms"})
    with pytest.raises(ConfigurationError, match=r"model\.baseline 'none', this run has 'atoms'"):
        train(config, start_from=directory_of(finished[0]))
