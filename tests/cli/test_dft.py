"""`deepdft dft run`."""

from __future__ import annotations

import json

import ase.io
import pytest
from ase.build import molecule

import deepdft


def test_a_campaign_of_molecules(run, tmp_path):
    pytest.importorskip("pyscf")
    charged, triplet = molecule("OH"), molecule("O2")
    charged.set_initial_magnetic_moments(None)
    charged.info.update(charge=-1, name="hydroxide", index=7)
    triplet.info["name"] = "oxygen"
    ase.io.write(tmp_path / "molecules.extxyz", [charged, triplet])
    result = run("dft", "run", "molecules.extxyz", "-o", "store", "functional=PBEsol")
    assert result.code == 1, result.error
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
