"""`deepdft properties`."""

from __future__ import annotations

import csv
import json

import pytest
from ase.build import molecule
from ase.io import write


def test_one_structure_as_table_and_json(run, tmp_path):
    write(tmp_path / "water.xyz", molecule("H2O"))
    arguments = ("properties", "water.xyz", "--no-energy", "--spacing", 0.25)
    shown = run(*arguments)
    assert shown.code == 0, shown.error
    for words in ("dipole", "D Å", "Hirshfeld", "O1", "H3"):
        assert words in shown.output
    found = json.loads(run(*arguments, "--json", "-").output)[0]
    assert found["symbols"] == ["O", "H", "H"]
    assert sum(found["hirshfeld_charges_e"]) == pytest.approx(0, abs=1e-9)
    assert found["hirshfeld_charges_e"][0] < -0.2
    assert 1.6 < found["dipole_D"] < 2.2
    assert f"{found['dipole_D']:.3f}" in shown.output
    assert found["energy_eV"] is None


def test_frames_become_a_table_and_a_picture(run, tmp_path):
    frames = [molecule("H2O") for _ in range(3)]
    for number, atoms in enumerate(frames):
        atoms.positions[1] *= 1 + 0.05 * number
    write(tmp_path / "traj.extxyz", frames)
    result = run(
        "properties", "traj.extxyz", "--no-energy", "--spacing", 0.3, "-o", "t.csv",
        "--plot", "t.png", "--processes", 1,
    )  # fmt: skip
    assert result.code == 0, result.error
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert len(rows) == 3
    assert float(rows[0]["hirshfeld_O1"]) < -0.2
    assert float(rows[2]["dipole_D"]) != float(rows[0]["dipole_D"])
    assert (tmp_path / "t.png").read_bytes()[:4] == b"\x89PNG"


def test_what_cannot_be_is_refused(run, tmp_path):
    write(tmp_path / "water.xyz", molecule("H2O"))
    result = run("properties", "water.xyz", "-o", "table.pdf")
    assert result.code == 2
    assert ".csv or .json" in result.error
    result = run("properties", "water.xyz", "--no-energy", "--spacing", 0.4, "--volume", "elf")
    assert result.code == 2
    assert "There is no volume 'elf'" in result.error
