"""Folders in which PySCF and CP2K begin with orbitals of a predicted density."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from ase.build import molecule

import deepdft
from deepdft.electronic import from_density
from deepdft.electronic.start_folders import start_folder

pytest.importorskip("pyscf")


@pytest.fixture(scope="module")
def methanol():
    return from_density(deepdft.load_model("default", device="cpu").engine(molecule("CH3OH")))


def test_pyscf_begins_with_these_orbitals(methanol, tmp_path):
    assert start_folder(methanol, "pyscf", tmp_path) == "python scf.py"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scf.py", "start.chk"]
    done = subprocess.run(
        [sys.executable, "scf.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    energy = float(re.findall(r"init E= (\S+)", done.stdout)[0])
    # On a finer grid.
    assert energy == pytest.approx(methanol.kohn_sham_energy / 27.211386, abs=2e-3)
    cycles = re.findall(r"^cycle= (\d+)", done.stdout, re.MULTILINE)
    assert "converged SCF energy" in done.stdout
    assert int(cycles[-1]) <= 7


def test_cp2k_gets_orbitals_and_an_input(methanol, tmp_path):
    command = start_folder(methanol, "cp2k", tmp_path)
    text = (tmp_path / command.split()[-1]).read_text()
    assert (tmp_path / re.findall(r"WFN_RESTART_FILE_NAME (\S+)", text)[0]).stat().st_size > 0
    rows = re.findall(r"^ +([CHO])((?: +-?\d+\.\d{10}){3})$", text, re.MULTILINE)
    assert [symbol for symbol, _ in rows] == methanol.atoms.get_chemical_symbols()
    positions = np.array([line.split() for _, line in rows], dtype=float)
    moved = positions - methanol.atoms.positions
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-9)
    cell = np.array(re.findall(r"ABC (.*)", text)[0].split(), dtype=float)
    assert np.all(cell >= 2.0 * np.ptp(positions, axis=0))
    np.testing.assert_allclose(
        (positions.min(axis=0) + positions.max(axis=0)) / 2.0, cell / 2.0, atol=1e-3
    )
