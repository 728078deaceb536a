"""What is given, what is a default: settings taken over, changed and refused."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import pytest
import yaml

from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.models.folder import read_description
from deepdft.training import train
from deepdft.training.config import parse_config, read_config
from deepdft.training.settings import (
    CHANGES,
    USED_FROM_NOW_ON,
    all_changes,
    given_settings,
    record_settings,
)
from tests.small_data import write_archive
from tests.training.small_runs import assert_same, directory_of, read_state, small_config

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def only(directory: Path, **sections):
    """A configuration that gives nothing but a run directory and what is named."""
    return parse_config({"run_directory": str(directory), **sections})


def learning_rates(directory: Path) -> tuple[float, float]:
    """Learning rate of the next step and the one of the schedule, from the state of a run."""
    (group,) = read_state(directory)["optimizer_states"][0]["param_groups"]
    return group["lr"], group["initial_lr"]


def test_what_was_given_is_told_from_defaults():
    assert given_settings(parse_config({})) == {}
    config = parse_config(
        {"run_directory": "x", "seed": 0, "model": {"baseline": "none"}, "trainer": {}}
    )
    assert given_settings(config) == {"seed": 0, "model.baseline": "none"}


def test_every_setting_that_may_change_exists():
    everything = given_settings(parse_config(parse_config({}).model_dump()))
    assert set(everything) >= USED_FROM_NOW_ON


# Fine-tuning


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ({"architecture": "released-painn"}, "model.architecture 'deepdft'"),
        ({"architecture": "released-painn", "baseline": "none"}, "model.architecture 'deepdft'"),
        ({"baseline": "atoms"}, "model.baseline 'none'"),
        ({"options": {"channels": 9}}, "model.options.channels 8"),
    ],
)
def test_fine_tuning_refuses_another_form_by_name(finished, archive, tmp_path, model, named):
    config = only(tmp_path / "run", model=model, data={"paths": [str(archive)]})
    with pytest.raises(ConfigurationError, match=f"was trained with {named}"):
        train(config, start_from=directory_of(finished[0]))
    assert not (tmp_path / "run").exists()


def test_an_explicit_default_is_no_default(archive, tmp_path):
    # The bundled model is equivariant, on superposed atoms.
    for model, named in (
        ({"architecture": "deepdft"}, "model.architecture 'equivariant', this run has 'deepdft'"),
        ({"baseline": "none"}, "model.baseline 'atoms', this run has 'none'"),
    ):
        config = only(tmp_path / "run", model=model, data={"paths": [str(archive)]})
        with pytest.raises(ConfigurationError, match=named):
            train(config, start_from="default")


def test_fine_tuning_takes_over_what_is_not_given(finished, archive, tmp_path):
    config = small_config(tmp_path / "run", archive, trainer={"max_steps": 1})
    config = config.model_copy(update={"model": parse_config({"model": {"options": {}}}).model})
    train(config, start_from=directory_of(finished[0]))
    assert read_config(tmp_path / "run" / "config.yaml").model.options["channels"] == 8


# Going on


@pytest.fixture
def short_run(archive, tmp_path):
    """The directory of a run of three steps."""
    train(small_config(tmp_path / "run", archive, trainer={"max_steps": 3}))
    return tmp_path / "run"


def test_what_is_not_given_stays_as_it_was(finished, archive, short_run):
    # Neither data nor loss nor learning rate are given again.
    result = train(only(short_run, trainer={"max_steps": 9}), resume=True)
    assert result.steps == 9
    kept = read_config(short_run / "config.yaml")
    assert kept == finished[0].with_absolute_paths().model_copy(
        update={"run_directory": str(short_run)}
    )


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"seed": 4}, r"seed 4 \(so far 3\)"),
        ({"optimizer": {"loss": "eps_mae"}}, r"optimizer\.loss 'eps_mae' \(so far 'mean_squared"),
        ({"sampling": {"probes": 31}}, r"sampling\.probes 31 \(so far 30\)"),
        ({"data": {"validation_count": 2}}, r"data\.validation_count 2 \(so far 1\)"),
        ({"data": {"paths": ["elsewhere"]}}, r"data\.paths .*the same data have moved, change"),
        ({"model": {"architecture": "equivariant"}}, r"model\.architecture 'equivariant'"),
        ({"model": {"baseline": "atoms"}}, r"model\.baseline 'atoms' \(so far 'none'\)"),
        ({"trainer": {"validation_probes": 61}}, r"trainer\.validation_probes 61"),
        ({"seed": 4, "optimizer": {"loss": "eps_mae"}}, r"optimizer\.loss 'eps_mae' .*, seed 4"),
    ],
)
def test_what_would_make_it_another_run_is_refused_by_name(short_run, sections, named):
    before = (short_run / "config.yaml").read_bytes()
    with pytest.raises(ConfigurationError, match=f"cannot go on with {named}"):
        train(only(short_run, **sections), resume=True)
    assert (short_run / "config.yaml").read_bytes() == before
    assert not (short_run / CHANGES).exists()


def test_an_explicit_default_cannot_replace_what_the_run_has(archive, tmp_path):
    config = small_config(tmp_path / "run", archive, model={"architecture": "released-schnet",
        "options": {}}, trainer={"max_steps": 1})  # fmt: skip
    train(config)
    with pytest.raises(ConfigurationError, match=r"model\.architecture 'deepdft' \(so far 'rele"):
        train(only(tmp_path / "run", model={"architecture": "deepdft"}), resume=True)


def test_a_changed_learning_rate_is_used(short_run):
    said = []
    changed = only(
        short_run,
        optimizer={"learning_rate": 5e-2, "warmup_steps": 100, "schedule": "constant",
                   "second_moment_decay": 0.9},
        trainer={"max_steps": 6},
    )  # fmt: skip
    train(changed, resume=True, notify=said.append)
    rate, initial = learning_rates(short_run)
    assert initial == 5e-2
    assert rate == pytest.approx(5e-2 * 7 / 101, rel=1e-12)
    state = read_state(short_run)
    assert state["optimizer_states"][0]["param_groups"][0]["betas"] == (0.9, 0.9)
    assert state["lr_schedulers"][0]["base_lrs"] == [5e-2]
    assert "from step 3 on: optimizer.learning_rate 0.05 (before: 0.01)" in said
    assert len(said) == 5


def test_the_first_step_after_a_change_has_the_new_learning_rate(archive, tmp_path):
    # A step at no learning rate changes nothing; the one of before would.
    constant = {"schedule": "constant", "warmup_steps": 0}
    config = small_config(tmp_path / "run", archive, optimizer=constant, trainer={"max_steps": 3})
    train(config)
    weights = read_state(tmp_path / "run")["state_dict"]
    train(
        only(tmp_path / "run", optimizer={"learning_rate": 1e-30}, trainer={"max_steps": 4}),
        resume=True,
    )
    after = read_state(tmp_path / "run")
    assert after["global_step"] == 4
    for name, tensor in weights.items():
        if name.startswith("model."):
            assert_same(after["state_dict"][name], tensor, name)


def test_what_was_changed_is_recorded(short_run):
    train(only(short_run, optimizer={"learning_rate": 5e-2}, trainer={"max_steps": 6}), resume=True)
    train(only(short_run, trainer={"max_steps": 9}), resume=True)
    expected = [
        {
            "step": 3,
            "changed": {"optimizer.learning_rate": [1e-2, 5e-2], "trainer.max_steps": [3, 6]},
        },
        {"step": 6, "changed": {"trainer.max_steps": [6, 9]}},
    ]
    assert yaml.safe_load((short_run / CHANGES).read_text()) == expected
    kept = read_config(short_run / "config.yaml")
    assert (kept.optimizer.learning_rate, kept.trainer.max_steps) == (5e-2, 9)
    card = read_description(short_run / "best")["card"]
    if card["validation"]["step"] > 6:
        assert card["training"]["changes"] == expected


def test_a_choice_with_which_no_step_was_made_is_forgotten(tmp_path):
    config = parse_config({})
    noted = all_changes(tmp_path, 3, {"trainer.patience": (None, 2), "trainer.threads": (1, 2)})
    record_settings(config, tmp_path, noted)
    noted = all_changes(tmp_path, 3, {"trainer.patience": (2, 5), "trainer.threads": (2, 1)})
    assert noted == [{"step": 3, "changed": {"trainer.patience": [None, 5]}}]
    (tmp_path / CHANGES).write_text("[{]")
    with pytest.raises(FileFormatError, match="what was changed in the run"):
        all_changes(tmp_path, 3, {})


def test_patience_can_be_changed(archive, tmp_path):
    unchanging = {"learning_rate": 1e-30, "schedule": "constant", "warmup_steps": 0}
    config = small_config(
        tmp_path / "run", archive, optimizer=unchanging, trainer={"max_steps": 30, "patience": 2}
    )
    assert train(config).steps == 9
    # It has ended; going on changes nothing.
    assert train(config, resume=True).steps == 9
    # Two validations without a better one have been; three more are to come.
    assert train(only(tmp_path / "run", trainer={"patience": 5}), resume=True).steps == 18
    assert train(only(tmp_path / "run", trainer={"patience": None}), resume=True).steps == 30


@pytest.mark.parametrize("interval", [1, 2, 4, 7])
def test_the_validation_interval_can_be_changed(archive, tmp_path, interval):
    # The state is one in the middle of a stretch between validations.
    train(small_config(tmp_path / "run", archive, trainer={"max_steps": 5}))
    changed = only(tmp_path / "run", trainer={"max_steps": 15, "validation_interval": interval})
    assert train(changed, resume=True).steps == 15
    steps = validated(tmp_path / "run")
    assert steps[:2] == [3, 5]
    assert steps[-1] == 15
    assert all(after - before <= interval for before, after in itertools.pairwise(steps[1:]))


def test_a_run_goes_on_with_its_own_data_only(archive, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    write_archive(data / "a.npz", ["H2O", "CO", "CH4", "H2O", "CO"])
    config = small_config(tmp_path / "run", archive, trainer={"max_steps": 3})
    values = config.model_dump()
    values["data"] |= {"paths": [str(data)], "split": None, "train_seed": 1}
    config = parse_config(values)
    train(config)
    # Moved: the configuration of the run says where to.
    data.rename(tmp_path / "moved")
    kept = tmp_path / "run" / "config.yaml"
    kept.write_text(kept.read_text().replace(str(data), str(tmp_path / "moved")))
    longer = only(tmp_path / "run", trainer={"max_steps": 4})
    assert train(longer, resume=True).steps == 4
    write_archive(tmp_path / "moved" / "a.npz", ["H2O", "CO", "CH4", "H2O", "CO", "CO"])
    with pytest.raises(ConfigurationError, match=r"began with 4 and 1 structures .* are 5 and 1"):
        train(longer, resume=True)


def test_a_run_goes_on_from_the_model_it_began_with(finished, short_run, archive, tmp_path):
    start = directory_of(finished[0])
    with pytest.raises(ConfigurationError, match=f"began without a model; .* --from {start}"):
        train(only(short_run), start_from=start, resume=True)
    tuned = small_config(tmp_path / "tuned", archive, trainer={"max_steps": 3})
    train(tuned, start_from=start)
    with pytest.raises(ConfigurationError, match="began with the model"):
        train(tuned, start_from="default", resume=True)
    longer = only(tmp_path / "tuned", trainer={"max_steps": 4})
    assert train(longer, start_from=start, resume=True).steps == 4


# Logs


def validated(directory: Path) -> list[int]:
    """Steps after which a run was validated, from its logs, which count from zero."""
    rows = [
        row
        for path in (directory / "logs").rglob("metrics.csv")
        for row in csv.DictReader(path.open())
    ]
    return sorted(int(row["step"]) + 1 for row in rows if row.get("validation/eps_mae"))


def test_labels_in_the_logs_do_not_drift(archive, tmp_path):
    for max_steps in (3, 6, 9, 10, 12):
        config = small_config(tmp_path / "run", archive, trainer={"max_steps": max_steps})
        train(config, resume=max_steps > 3)
    assert validated(tmp_path / "run") == [3, 6, 9, 10, 12]


# Documentation


def test_every_option_is_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    rows = {
        cells[1].strip("` "): cells
        for cells in (line.split("|") for line in page.splitlines())
        if len(cells) == 6
    }
    everything = given_settings(parse_config(parse_config({}).model_dump()))
    for key, default in everything.items():
        shown = "none" if default is None else "empty" if default in ([], {}) else str(default)
        assert rows[key][2].strip() == (shown.lower() if isinstance(default, bool) else shown), key
        assert (rows[key][4].strip() == "changed") == (key in USED_FROM_NOW_ON), key
