"""Directories of the released code where the command takes a model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import molecule

import deepdft
from deepdft.models.folder import read_description

RELEASED = Path(__file__).parents[1] / "architectures" / "released"
SAMPLE = Path(__file__).parents[1] / "data" / "qm9_sample.npz"


@pytest.mark.parametrize("kind", ["schnet", "painn"])
def test_predict_with_a_released_checkpoint(run, tmp_path, kind):
    molecule("CH3OH").write(tmp_path / "methanol.xyz")
    result = run("predict", "methanol.xyz", "-m", RELEASED / kind, "-o", "a.npz", "--spacing", 0.5)
    assert result.code == 0, result.error
    assert "unknown level of theory" in result.output
    density = deepdft.read("a.npz")
    with np.load(RELEASED / kind / "expected.npz") as arrays:
        atoms = Atoms(arrays["ethanol_open/numbers"], arrays["ethanol_open/positions"])
        probes, expected = arrays["ethanol_open/probes"], arrays["ethanol_open/density"]
    model = deepdft.load_model(RELEASED / kind)
    np.testing.assert_allclose(model.density_at(atoms, probes), expected, rtol=0, atol=2e-6)
    at_points = model.density_at(molecule("CH3OH"), density.grid.points().reshape(-1, 3))
    np.testing.assert_allclose(density.values.ravel(), at_points, rtol=0, atol=2e-6)


def test_info_tells_what_a_released_checkpoint_is(run):
    result = run("info", RELEASED / "schnet")
    assert result.code == 0, result.error
    for expected in (
        "architecture: released-schnet", "cutoff: 4.0", "steps: 3", "elements: H He Li",
        "level of theory: unknown level of theory", "atomic first guess: none",
        "steps: 5000", "best validation mae: 0.01",
    ):  # fmt: skip
        assert expected in result.output


def test_import_writes_a_model_folder(run, tmp_path):
    result = run(
        "import", RELEASED / "painn", "mine", "--level", "functional=PBE", "--level", "core=PAW",
        "--elements", "H, C, N, O, F",
    )  # fmt: skip
    assert result.code == 0, result.error
    assert "released-painn, 5 elements, PBE/PAW" in result.output
    description = read_description(tmp_path / "mine")
    assert description["elements"] == ["H", "C", "N", "O", "F"]
    assert description["level"]["functional"] == "PBE"
    points = molecule("CH3OH").positions + 0.3
    found = [
        deepdft.load_model(model).density_at(molecule("CH3OH"), points)
        for model in ("mine", RELEASED / "painn")
    ]
    assert np.array_equal(*found)
    again = run("import", RELEASED / "painn", "mine")
    assert again.code == 2
    assert "mine exists already" in again.error


def test_evaluate_and_fine_tune_a_released_checkpoint(run, tmp_path):
    result = run("evaluate", RELEASED / "painn", SAMPLE, "--quick", 100)
    assert result.code == 0, result.error
    assert "eps_mae / % over 3 structures" in result.output
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
    result = run("train", "c.yaml", "--from", RELEASED / "painn", "trainer.max_steps=1")
    assert result.code == 0, result.error
    model = yaml.safe_load((tmp_path / "tuned" / "config.yaml").read_text())["model"]
    assert model["architecture"] == "released-painn"
    assert model["options"]["channels"] == 16
    assert model["baseline"] == "none"


def test_a_damaged_directory_gets_one_sentence_and_code_2(run, tmp_path):
    shutil.copytree(RELEASED / "schnet", tmp_path / "damaged")
    (tmp_path / "damaged" / "best_model.pth").write_bytes(b"nothing")
    for command in (("predict", "O", "-m", "damaged"), ("info", "damaged"),
                    ("import", "damaged", "new"), ("evaluate", "damaged", SAMPLE)):  # fmt: skip
        result = run(*command)
        assert result.code == 2, command
        assert result.error.count("\n") == 1
        assert "damaged/best_model.pth is damaged, or holds more than tensors" in result.error
    assert not (tmp_path / "new").exists()
