"""`deepdft dft run` and `deepdft dft spread`."""

from __future__ import annotations

import csv
import json
import shutil

import ase.io
import pytest
from ase import Atoms
from ase.build import molecule
from safetensors.torch import load_file, save_file

import deepdft


def test_a_campaign_of_molecules(run, tmp_path):
    pytest.importorskip("pyscf")
    charged, triplet = molecule("OH"), molecule("O2")
    charged.set_initial_magnetic_moments(None)
    charged.info.update(charge=-1, name="hydroxide", index=7)
    triplet.info["name"] = "oxygen"
    ase.io.write(tmp_path / "molecules.extxyz", [charged, triplet])
    result = run("dft", "run", "molecules.extxyz", "-o", "store", "functional=PBEsol")
    assert result.code == 0, result.error
    assert "1 done, 1 failed" in result.output
    assert "failed: oxygen: O2 has initial magnetic moments" in result.output
    dataset = deepdft.open_dataset(tmp_path / "store")
    assert dataset.names == ["hydroxide"]
    assert dataset.atoms(0).info["index"] == 7
    assert dataset.level.functional == "PBEsol"
    assert dataset.n_electrons(0) == pytest.approx(8.0)
    record, _ = json.loads((tmp_path / "store" / "manifest.json").read_text())["structures"]
    assert record["energy"] == pytest.approx(dataset.atoms(0).info["energy"])
    assert record["details"]["homo"] < record["details"]["lumo"]
    result = run("dft", "run", "molecules.extxyz", "-o", "store", "functional=PBE")
    assert result.code == 2
    assert "functional=PBEsol (now PBE)" in result.error
    result = run("dft", "run", "nothing.xyz", "-o", "other")
    assert (result.code, (tmp_path / "other").exists()) == (2, False)


def test_the_spread_stands_beside_a_model_s_error(run, small_model, tmp_path):
    pytest.importorskip("pyscf")
    ase.io.write(tmp_path / "h2.xyz", Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]))
    options = ("--spacing", 0.3, "--margin", 3)
    result = run("dft", "spread", "h2.xyz", "-o", "out", *options)
    assert result.code == 0, result.error
    # A model that comes later is measured on the densities that are there.
    kept = (tmp_path / "out" / "densities" / "PBE" / "h2.npz").stat()
    result = run("dft", "spread", "h2.xyz", "-o", "out", *options, "--model", small_model)
    assert result.code == 0, result.error
    assert (tmp_path / "out" / "densities" / "PBE" / "h2.npz").stat() == kept
    (row,) = csv.DictReader((tmp_path / "out" / "spread.csv").open())
    run("evaluate", small_model, "out/densities/PBE", *options, "-o", "evaluation")
    (known,) = csv.DictReader((tmp_path / "evaluation" / "structures.csv").open())
    assert float(row[f"eps_mae {small_model}"]) == pytest.approx(float(known["eps_mae"]), rel=1e-4)
    below = float(row[f"eps_mae {small_model}"]) < float(row["eps_mad"])
    assert f"is below eps_mad (K = 8) for {int(below)} of 1 molecules" in result.output
    # Another model by the same name is measured anew.
    shutil.copytree(small_model, "model")
    run("dft", "spread", "h2.xyz", "-o", "out", *options, "--model", "model")
    weights = load_file("model/model.safetensors")
    save_file({name: 1.5 * values for name, values in weights.items()}, "model/model.safetensors")
    result = run("dft", "spread", "h2.xyz", "-o", "out", *options, "--model", "model")
    (other,) = csv.DictReader((tmp_path / "out" / "spread.csv").open())
    assert other[f"eps_mae {small_model}"] == row[f"eps_mae {small_model}"]
    assert other["eps_mae model"] != row[f"eps_mae {small_model}"]
    assert run("dft", "spread", "-o", "out").output.strip() == result.output.strip()
    assert run("dft", "spread", "-o", "nothing").code == 2
    assert run("dft", "spread", "h2.xyz", "-o", "out", "functional=PBE").code == 2
