"""`deepdft evaluate`, `train`, `models`, `info` and `--help`."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import molecule
from PIL import Image

from deepdft.cli.commands import COMMANDS
from deepdft.density import Density, Grid
from deepdft.levels import LevelOfTheory

SAMPLE = Path(__file__).parents[1] / "data" / "qm9_sample.npz"


def test_evaluate_writes_summary_table_and_figure(run, small_model, tmp_path):
    result = run(
        "evaluate", small_model, SAMPLE, "-o", "out", "--baseline", "atoms",
        "--spacing", 0.5, "--margin", 2,
    )  # fmt: skip
    assert result.code == 0, result.error
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["count"] == 3
    eps = summary["eps_mae"]
    assert 0 < eps["mean"] <= eps["max"]
    assert summary["others"][0]["predictor"] == "superposed atoms"
    rows = list(csv.DictReader((tmp_path / "out" / "structures.csv").open()))
    own = [100 * float(row["eps_mae"]) for row in rows if row["predictor"] == str(small_model)]
    assert np.mean(own) == pytest.approx(eps["mean"])
    mine = [row for row in rows if row["predictor"] == str(small_model)]
    moments = [
        np.linalg.norm(
            [float(row[f"predicted_dipole_{x}"]) - float(row[f"dipole_{x}"]) for x in "xyz"]
        )
        for row in mine
    ]
    assert summary["mean_absolute_differences"]["dipole"] == pytest.approx(np.mean(moments))
    assert f"dipole {np.mean(moments):.4f} e Å" in result.output
    with Image.open(tmp_path / "out" / "eps_mae.png") as picture:
        assert picture.size[0] > 500
    assert f"{eps['mean']:.4f}" in result.output


def test_a_quick_evaluation_says_that_it_is_an_estimate(run, small_model):
    result = run("evaluate", small_model, SAMPLE, "--quick", 200)
    assert result.code == 0, result.error
    assert "ESTIMATE" in result.output
    assert "sampling" in result.output


def test_evaluate_takes_a_part_of_a_split(run, small_model, tmp_path):
    (tmp_path / "s.json").write_text(json.dumps({"test": [21511], "train": [5223, 132810]}))
    arguments = ("evaluate", small_model, SAMPLE, "--quick", 100, "--split")
    result = run(*arguments, "s.json:test")
    assert result.code == 0, result.error
    assert "over 1 structures" in result.output
    assert run(*arguments, "s.json").code == 2
    typo = run(*arguments, "s.json:tets")
    assert typo.code == 2
    assert "Did you mean 'test'?" in typo.error


def test_evaluate_refuses_another_level_of_theory(run, small_model, tmp_path):
    grid = Grid(np.eye(3) * 4, (6, 6, 6))

    atoms = molecule("CH4")
    atoms.positions += 2
    level = LevelOfTheory("SCAN", "PAW", "500 eV", "VASP")
    Density(atoms, grid, np.full(grid.shape, 8 / 64), level=level).write(tmp_path / "x.cube")
    refused = run("evaluate", small_model, "x.cube")
    assert refused.code == 2
    assert "functional" in refused.error
    assert "--mix-levels" in refused.error
    assert run("evaluate", small_model, "x.cube", "--mix-levels").code == 0


def test_train_then_predict_with_the_run_directory(run, tmp_path):
    config = {
        "run_directory": "run",
        "model": {"options": {"steps": 1, "channels": 4}, "baseline": "atoms"},
        "data": {"paths": [str(SAMPLE)], "split": str(tmp_path / "split.json")},
        "sampling": {"structures": 1, "probes": 20},
        "trainer": {"validation_interval": 2, "validation_probes": 20, "threads": 1},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": [5223, 21511], "validation": [132810]}))
    unusable = run("train", "c.yaml", "trainer.max_steps=4")
    assert unusable.code == 2
    assert "F, which no training structure" in unusable.error
    split.write_text(json.dumps({"train": [5223, 132810], "validation": [21511]}))
    result = run("train", "c.yaml", "trainer.max_steps=4")
    assert result.code == 0, result.error
    assert re.search(r"validation eps_mae .* structures/s, [\d,]+ probes/s", result.output)
    full = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert full["optimizer"]["learning_rate"] == 1e-4
    assert full["trainer"]["max_steps"] == 4
    predicted = run("predict", "CO", "-m", "run", "--spacing", 0.6)
    assert predicted.code == 0, predicted.error
    again = run("train", "c.yaml", "trainer.max_steps=4")
    assert again.code == 2
    assert "--resume" in again.error


def test_fine_tuning_takes_over_the_model_where_the_configuration_is_silent(
    run, small_model, tmp_path
):
    config = {
        "run_directory": "tuned",
        "data": {"paths": [str(SAMPLE)], "split": "split.json"},
        "sampling": {"structures": 1, "probes": 20},
        "trainer": {"validation_interval": 1, "validation_probes": 20, "threads": 1},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "split.json").write_text(
        json.dumps({"train": [5223, 132810], "validation": [21511]})
    )
    result = run("train", "c.yaml", "--from", small_model, "trainer.max_steps=1")
    assert result.code == 0, result.error
    model = yaml.safe_load((tmp_path / "tuned" / "config.yaml").read_text())["model"]
    assert model["options"]["channels"] == 8
    assert model["baseline"] == "atoms"
    resumed = run("train", "c.yaml", "--resume", "trainer.max_steps=2")
    assert resumed.code == 0, resumed.error
    assert "after 2 steps" in resumed.output


def test_a_typo_in_a_configuration_is_answered(run, tmp_path):
    (tmp_path / "c.yaml").write_text("optimizer: {learning_rte: 0.1}\n")
    result = run("train", "c.yaml")
    assert result.code == 2
    assert "Did you mean 'learning_rate'?" in result.error


def test_models_and_info_show_the_bundled_model(run):
    listed = run("models")
    assert listed.code == 0
    assert "default" in listed.output
    assert "qm9" in listed.output
    card = run("info", "qm9")
    assert card.code == 0
    for expected in ("PBE", "elements: H C N O F", "test", "label noise", "split"):
        assert expected in card.output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_command(run, command):
    result = run(command, "--help")
    assert result.code == 0
    assert f"deepdft {command} " in result.output


def test_every_command_is_listed_with_what_it_does(run):
    listed = " ".join(run("--help").output.split())  # long lines are broken
    for command, (_, summary) in COMMANDS.items():
        assert f"{command} " in listed
        assert summary in listed
