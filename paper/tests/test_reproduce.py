"""`deepdft reproduce`."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.small_data import MOLECULES, write_archive

from deepdft.data import open_dataset
from deepdft.evaluation.evaluate import AtomicSuperposition, evaluate
from deepdft.prediction import load_model
from deepdft_paper.reproduce import measure, systems, table1


@pytest.fixture
def two_systems(tmp_path, monkeypatch, small_model):
    """A system of four made-up test molecules with a model, and one without a model."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    write_archive(folder / "molecules.npz", ["H2O", "CH4", "NH3", "CO"])
    (folder / "split.json").write_text(
        json.dumps({"train": [1, 2, 3], "validation": [4], "test": [10, 11, 12, 13]})
    )
    counts = {"H(O)": 3, "O(H,H)": 2, "H(C)": 3, "C(H,H,H,H)": 2, "H(N)": 1, "N(H,H,H)": 1}
    (folder / "training_environments.json").write_text(
        json.dumps({"molecules": 3, "environments": counts})
    )
    molecules = replace(systems.find_system("qm9"), path=folder, model="small")
    absent = replace(systems.find_system("cathode"), path=folder, file="molecules.npz",
                     model="nobody-trained-this", trains_on_bundled=False)  # fmt: skip
    monkeypatch.setattr(systems, "SYSTEMS", (molecules, absent))
    monkeypatch.setattr(table1, "bundled_models", lambda: {"small": small_model})
    return folder


@pytest.fixture
def evaluated(monkeypatch):
    """Names of what is evaluated, in order."""
    names: list[str] = []
    original = measure.evaluate

    def recorded(predictors, dataset, **options):
        names.extend(dataset.names)
        return original(predictors, dataset, **options)

    monkeypatch.setattr(measure, "evaluate", recorded)
    return names


def test_the_table_says_what_was_measured(run, two_systems, small_model, tmp_path):
    result = run("reproduce", "table1", "-o", "out", "--quick", "--threads", 1)
    assert result.code == 0, result.error
    assert "QUICK: this coarse grid gives estimates" in result.output
    assert "The model 'nobody-trained-this' for 'lithium-ion cathode' is not" in result.output
    dataset = open_dataset(two_systems / "molecules.npz")
    predictors = [load_model(small_model, "cpu"), AtomicSuperposition.fitting(dataset)]
    model, atoms = evaluate(predictors, dataset, spacing=0.25)
    content = json.loads((tmp_path / "out" / "table1.json").read_text())
    found, missing = content["rows"]
    for key, known in (("model", model), ("atoms", atoms)):
        summary = known.summary()["eps_mae"]
        assert found[key]["mean"] == pytest.approx(summary["mean"], rel=1e-6)
        assert found[key]["mean_error"] == pytest.approx(summary["standard_error"], rel=1e-6)
        assert found[key]["max"] == pytest.approx(summary["max"], rel=1e-6)
    assert (found["test"], missing["model"]) == (4, None)
    (outlier,) = content["systems"]["qm9"]["outliers"]
    assert outlier["measured"]["name"] == model.summary()["eps_mae"]["worst"]
    text = (tmp_path / "out" / "table1.md").read_text()
    assert f"{model.summary()['eps_mae']['mean']:.3f} ±" in text
    assert "paper: other densities, other training size, not comparable" in text
    for name in ("eps_mae.png", "outliers.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_table_goes_on(run, two_systems, evaluated, monkeypatch, tmp_path):
    whole = run("reproduce", "table1", "-o", "whole", "--quick")
    assert whole.code == 0, whole.error
    assert evaluated == ["10", "11", "12", "13"]
    recorded, evaluated[:] = measure.evaluate, []

    def interrupted(predictors, dataset, **options):
        if dataset.names == ["12"]:
            raise KeyboardInterrupt
        return recorded(predictors, dataset, **options)

    monkeypatch.setattr(measure, "evaluate", interrupted)
    assert run("reproduce", "table1", "-o", "out", "--quick").code == 130
    monkeypatch.setattr(measure, "evaluate", recorded)
    result = run("reproduce", "table1", "-o", "out", "--quick")
    assert result.code == 0, result.error
    assert evaluated == ["10", "11", "12", "13"]
    first, second = (
        json.loads((tmp_path / folder / "table1.json").read_text()) for folder in ("whole", "out")
    )
    assert first == second
    # Other grids or models do not mix.
    result = run("reproduce", "table1", "-o", "out")
    assert result.code == 2
    assert "was measured with spacing 0.25, not 0.1" in result.error


def test_training_first(run, two_systems, tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "qm9.yaml").write_text(
        "model: {options: {steps: 2, channels: 8}}\nsampling: {probes: 20}\n"
        "trainer: {max_steps: 2, validation_interval: 1, validation_probes: 20}\n"
    )
    command = ("reproduce", "table1", "--system", "qm9", "--quick", "--train", "-o", "out")
    result = run(*command)
    assert result.code == 0, result.error
    assert "The training densities of 'QM9' do not ship" in result.output
    data = tmp_path / "data"
    data.mkdir()
    write_archive(data / "part.npz", MOLECULES, first_index=20)
    (data / "split.json").write_text(json.dumps({"train": [20, 21, 22, 23], "validation": [24]}))
    result = run(*command, "--data", "qm9=data")
    assert result.code == 0, result.error
    assert "models trained here" in result.output
    (row,) = json.loads((tmp_path / "out" / "table1.json").read_text())["rows"]
    assert (row["train"], row["validation"], row["test"]) == (4, 1, 4)
    # What is tested on is not trained on.
    write_archive(data / "more.npz", ["H2O"], first_index=10)
    (data / "split.json").write_text(json.dumps({"train": [20, 10], "validation": [24]}))
    result = run(*command[:-1], "other", "--data", "qm9=data")
    assert result.code == 2
    assert "has 1 structures of the test part, as 10" in result.error


def test_options_that_cannot_be_used(run):
    result = run("reproduce", "table1", "--system", "cathod")
    assert (result.code, "Did you mean 'cathode'" in result.error) == (2, True)
    assert run("reproduce", "table1", "--data", "qm9").code == 2


def write_run(folder, size, seed, errors, points="grid"):
    directory = folder / "equivariant" / f"steps_{size}_rate_0.005_seed_{seed}"
    directory.mkdir(parents=True)
    training = {"size": size, "seed": seed, "steps": 10 * size, "best": 1.0}
    training["fell_in_last_quarter"] = 0.01
    (directory / "training.json").write_text(json.dumps(training))
    if errors is not None:
        test = {"points": {"spacing": 0.2, "structures": points}, "errors": errors}
        (directory / "test.json").write_text(json.dumps(test))


def test_a_learning_curve(run, tmp_path):
    for size in (50, 100, 200, 400):
        for seed in range(3):
            error = 5.0 * size**-0.5 * (1 + 0.02 * (seed - 1))
            write_run(tmp_path / "runs", size, seed, {"1": 0.9 * error, "2": 1.1 * error})
    write_run(tmp_path / "runs", 800, 0, None)
    result = run("reproduce", "learning-curve", "runs", "-o", "out")
    assert result.code == 0, result.error
    assert "not evaluated yet, so not in the fit: 800 (seed 0)" in result.output
    assert "b = 0.5 [" in result.output
    content = json.loads((tmp_path / "out" / "curve.json").read_text())
    assert len(content["runs"]) == 12
    predicted = content["fits"]["plain"]["predictions"]["123835"]
    assert predicted["value"] == pytest.approx(5.0 * 123_835**-0.5, rel=1e-3)
    assert predicted["low"] <= predicted["value"] <= predicted["high"]
    assert np.isclose(content["fits"]["with_floor"]["floor"]["value"], 0, atol=0.02)
    assert (tmp_path / "out" / "curve.png").read_bytes().startswith(b"\x89PNG")
    # The committed folder alone gives the same text.
    again = run("reproduce", "learning-curve", "-o", "out")
    assert result.output.startswith(again.output)
    write_run(tmp_path / "runs", 800, 1, {"1": 0.1}, points="others")
    result = run("reproduce", "learning-curve", "runs", "-o", "out")
    assert (result.code, "was evaluated on other points" in result.error) == (2, True)
    assert run("reproduce", "learning-curve", "-o", "nothing").code == 2
    assert run("reproduce", "learning-curve", "nothing", "-o", "out").code == 2
