"""Training that begins with a trained model."""

from __future__ import annotations

import pytest
import torch

from deepdft.errors import ConfigurationError
from deepdft.models.folder import load_checkpoint
from deepdft.training import train
from tests.small_data import write_archive
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
