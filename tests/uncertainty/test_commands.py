"""`--uncertainty` of `deepdft predict` and `evaluate`, `deepdft uncertainty`, zarr stores."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from ase.build import molecule

import deepdft
from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.evaluation.evaluate import evaluate
from deepdft.models.expected_errors.error_model import FILE
from deepdft.prediction import predict_to_store
from deepdft.prediction.predict import uncertainty_path
from deepdft.storage.chunked_density import ChunkedDensity
from deepdft.testing.gaussians import Gaussians
from deepdft.testing.structures import ethanol
from deepdft.uncertainty.measure import UncertaintyMeasurement, write_measurement
from tests.commands import run
from tests.uncertainty.conftest import molecules

__all__ = ["run"]


@pytest.fixture
def methanol(tmp_path):
    molecule("CH3OH").write(tmp_path / "methanol.xyz")


def test_predict_writes_a_second_volume_and_prints_what_to_expect(run, folder, model, methanol):
    result = run("predict", "methanol.xyz", "-m", folder, "--grid", 20, 20, 20, "--uncertainty")
    assert result.code == 0, result.error
    density = deepdft.read("methanol.cube")
    errors = deepdft.read("methanol_uncertainty.cube")
    assert errors.grid.is_close(density.grid, 1e-9)
    expected = model.uncertainty(molecule("CH3OH"))
    np.testing.assert_allclose(
        errors.values, expected.volume(density.grid).values, rtol=1e-3, atol=1e-8
    )
    assert "methanol_uncertainty.cube: expected eps_mae" in result.output
    assert f"{100 * expected.eps_mae:.2g} %" in result.output
    assert "CH4O lies outside what the model knows" not in result.output
    plain = run("predict", "methanol.xyz", "-m", folder, "--grid", 20, 20, 20, "-o", "b.cube")
    assert "expected eps_mae" not in plain.output
    assert np.array_equal(deepdft.read("b.cube").values, density.values)


def test_predict_warns_outside_what_the_model_knows(run, folder, tmp_path):
    strange = molecule("CH3OH")
    strange.positions[1] *= 0.55
    strange.write(tmp_path / "strange.xyz")
    for options in ([], ["--uncertainty"]):
        result = run("predict", "strange.xyz", "-m", folder, "--grid", 5, 5, 5, *options)
        assert result.code == 0, result.error
        assert result.output.count("warning: CH4O lies outside what the model knows: its atom") == 1


def test_a_model_that_does_not_know_its_errors_predicts_without_a_warning(
    run, small_model, methanol
):
    result = run("predict", "methanol.xyz", "-m", small_model, "--grid", 5, 5, 5)
    assert result.code == 0, result.error
    assert "lies outside" not in result.output


@pytest.mark.parametrize("suffix", [".cube", ".zarr"])
def test_a_model_without_an_error_model_gets_one_sentence(
    run, small_model, methanol, tmp_path, suffix
):
    output = f"out{suffix}"
    result = run("predict", "methanol.xyz", "-m", small_model, "-o", output, "--uncertainty")
    assert result.code == 2
    assert f"deepdft uncertainty {small_model} DATA --train FILE:train" in result.error
    assert len(result.error.strip().splitlines()) == 1
    assert not list(tmp_path.glob("out*"))


@pytest.fixture
def small_model(tmp_path_factory):
    """A folder as it was before there were error models."""
    from deepdft.models.folder import save_checkpoint
    from tests.uncertainty.conftest import small_checkpoint

    path = tmp_path_factory.mktemp("old")
    save_checkpoint(small_checkpoint(), path)
    return path


def test_paths_of_second_volumes(tmp_path):
    for given, expected in {
        "a.cube": "a_uncertainty.cube",
        "my.mol.cube.gz": "my.mol_uncertainty.cube.gz",
        "CHGCAR": "uncertainty.CHGCAR",
        "rho.CHGCAR": "rho_uncertainty.CHGCAR",
        "x.zarr": "x_uncertainty.zarr",
    }.items():
        assert uncertainty_path(tmp_path / given) == tmp_path / expected


def test_a_store_gets_a_second_store_that_goes_on_after_an_interruption(
    model, tmp_path, monkeypatch
):
    atoms = ethanol()
    grid = Grid.around(atoms, 0.4, 2.0)
    path, beside = tmp_path / "rho.zarr", tmp_path / "rho_uncertainty.zarr"
    write = ChunkedDensity.write_chunk

    def fails_late(store, chunk, values):
        if store.path == beside and chunk == 2:
            raise KeyboardInterrupt
        return write(store, chunk, values)

    monkeypatch.setattr(ChunkedDensity, "write_chunk", fails_late)
    with pytest.raises(KeyboardInterrupt):
        predict_to_store(atoms, path, model, grid, block_points=900, uncertainty=True)
    assert not ChunkedDensity(beside).attributes["finished"]
    monkeypatch.undo()
    begun = sorted(file for file in beside.rglob("*") if file.is_file())
    with ChunkedDensity(beside).sole_writer():
        with pytest.raises(ConfigurationError, match="another process"):
            predict_to_store(atoms, path, model, grid, block_points=900, uncertainty=True)
        assert sorted(file for file in beside.rglob("*") if file.is_file()) == begun
    summary = predict_to_store(atoms, path, model, grid, block_points=900, uncertainty=True)
    assert summary.blocks_computed == 0
    assert summary.uncertainty_path == beside
    assert ChunkedDensity(beside).attributes["finished"]
    assert ChunkedDensity(beside).n_chunks > 3
    expected = model.uncertainty(atoms).volume(grid).values
    np.testing.assert_allclose(deepdft.read(beside).values, expected, rtol=1e-5, atol=1e-12)
    moved = atoms.copy()
    moved.positions[0] += 0.01
    other = tmp_path / "other.zarr"
    beside.rename(tmp_path / "other_uncertainty.zarr")
    with pytest.raises(ConfigurationError, match="another structure"):
        predict_to_store(moved, other, model, grid, block_points=900, uncertainty=True)


_FILL = """
import sys
from ase.build import molecule
from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.prediction import load_model, predict_to_store

model = load_model(sys.argv[1], "cpu")
model.threads = 1
atoms = molecule("CH3OH")
print("ready", flush=True)
input()
try:
    predict_to_store(atoms, sys.argv[2], model, Grid.around(atoms, 0.4, 2.0), block_points=60,
                     uncertainty=True)
    print("done")
except ConfigurationError as error:
    print(error)
"""


def test_two_processes_at_one_store_do_not_disturb_each_other(model, folder, tmp_path):
    atoms = molecule("CH3OH")
    grid = Grid.around(atoms, 0.4, 2.0)
    path = tmp_path / "rho.zarr"
    predict_to_store(atoms, path, model, grid, block_points=60)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _FILL, folder, path], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    said = sorted(output.strip() for output, _ in outputs)
    beside = tmp_path / "rho_uncertainty.zarr"
    other = r"is being filled by another process|exists already|^done$"
    assert "done" in said
    assert all(re.search(other, text) for text in said), said
    expected = model.uncertainty(atoms).volume(grid).values
    np.testing.assert_allclose(deepdft.read(beside).values, expected, rtol=1e-5, atol=1e-12)
    assert not (beside / "density" / "unfinished").exists()


def test_the_command_fits_and_evaluates(run, tmp_path, small_model):
    names = ["CH4", "H2O", "CO", "NH3", "H2CO", "C2H6", "CH3OH"]
    from tests.small_data import write_archive

    write_archive(tmp_path / "data.npz", names, first_index=0)
    parts = {"train": [0, 1, 2, 3, 4], "validation": [5, 6]}
    (tmp_path / "s.json").write_text(json.dumps(parts))
    options = ("--train", "s.json:train", "--split", "s.json:validation")
    result = run("uncertainty", small_model, "data.npz", *options, "--threads", 1)
    assert result.code == 0, result.error
    assert "errors of 2 held-out structures" in result.output
    assert (small_model / FILE).exists()
    arguments = ("--split", "s.json:validation", "--quick", 200, "--uncertainty", "-o", "report")
    measured = run("evaluate", small_model, "data.npz", *arguments)
    assert measured.code == 0, measured.error
    assert "Expected and true eps_mae" in measured.output
    for name in ("uncertainty.json", "uncertainty.csv", "uncertainty.png"):
        assert (tmp_path / "report" / name).stat().st_size > 0
    both = run("uncertainty", small_model, "data.npz", "--train", "s.json:train",
               "--split", "s.json:train")  # fmt: skip
    assert both.code == 2
    assert "among the training structures" in both.error


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(
    run, tmp_path, small_model, monkeypatch
):
    from deepdft.models.expected_errors import error_model
    from tests.small_data import write_archive

    write_archive(tmp_path / "data.npz", ["CH4", "H2O"], first_index=0)
    (tmp_path / "s.json").write_text(json.dumps({"train": [0], "validation": [1]}))
    monkeypatch.setattr(error_model.os, "access", lambda *_: False)
    options = ("--train", "s.json:train", "--split", "s.json:validation")
    result = run("uncertainty", small_model, "data.npz", *options)
    assert result.code == 2
    assert f"The model folder {small_model} cannot be written to" in result.error


def test_measurements_say_what_errors_were(model, tmp_path):
    dataset = Gaussians(molecules(600)[:4], "new")
    measurement = UncertaintyMeasurement(model)
    (result,) = evaluate([model], dataset, spacing=0.4, margin=2.0, uncertainty=measurement)
    assert [row.eps_mae for row in measurement.rows] == [row.eps_mae for row in result.rows]
    for row, atoms in zip(measurement.rows, dataset.structures, strict=True):
        assert row.expected == pytest.approx(model.uncertainty(atoms).eps_mae, rel=1e-6)
    summary = measurement.summary()
    bins = summary["points"]["bins"]
    electrons = [dataset.n_electrons(i) for i in range(4)]
    total = sum(e * row.eps_mae for e, row in zip(electrons, measurement.rows, strict=True))
    # Points where nothing is expected are in no bin; the grid cuts off little.
    assert sum(b["true"] * b["volume"] for b in bins) == pytest.approx(total, rel=0.05)
    fractions = summary["points"]["fraction_within"]
    assert 0 < fractions["1"] < fractions["2"] < fractions["4"] <= 1
    write_measurement(tmp_path, measurement)
    assert json.loads((tmp_path / "uncertainty.json").read_text())["structures"] == 4
