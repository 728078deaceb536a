"""CP2K's input and output, and where CP2K is installed a calculation."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from deepdft.dft.cp2k import PROGRAMS, CP2KCalculation, CP2KSettings, input_text, parse_output
from deepdft.errors import CalculationError, UnsupportedStructureError
from deepdft.units import HARTREE

HYDROGEN = Atoms("H2", [[1.0, 1.1, 3.9], [1.1, 1.0, 4.65]], cell=[4.0, 4.2, 4.4], pbc=True)
OUTPUT = """
    15 Broy./Diag. 0.40E+00    5.1     0.00000611      -269.9571722113 -1.20E-07
  *** SCF run converged in    16 steps ***
 ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]:             -269.957172345678901
"""


def test_input_has_the_settings_and_the_structure():
    text = input_text(HYDROGEN, CP2KSettings(cutoff=300, convergence=1e-7, functional="BLYP"))
    for line in ("CUTOFF 300.0", "EPS_SCF 1.000E-07", "&XC_FUNCTIONAL BLYP", "&MO_MOLDEN",
                 "POTENTIAL GTH-BLYP", "A 4.0000000000 0.0000000000 0.0000000000",
                 "H 1.1000000000 1.0000000000 4.6500000000"):  # fmt: skip
        assert line in text
    assert "UKS" not in text
    assert text.count("&KIND") == 1
    assert "MO_MOLDEN" not in input_text(HYDROGEN, CP2KSettings(density="grid"))


def test_atoms_with_different_moments_are_different_kinds():
    atoms = Atoms("O2NO", np.eye(4)[:, :3], cell=np.eye(3) * 9, pbc=True)
    atoms.set_initial_magnetic_moments([1.0, -1.0, 3.0, 1.0])
    text = input_text(atoms, CP2KSettings(spin_polarised=True))
    assert "UKS\n    MULTIPLICITY 5\n" in text
    for kind, element, moment in (("O", "O", 1.0), ("O1", "O", -1.0), ("N", "N", 3.0)):
        section = text.split(f"&KIND {kind}\n")[1].split("&END KIND")[0]
        assert f"ELEMENT {element}\n" in section
        assert f"MAGNETIZATION {moment}\n" in section
    assert text.count("&KIND") == 3
    coordinates = text.split("&COORD\n")[1].split("&END COORD")[0]
    assert [line.split()[0] for line in coordinates.splitlines() if line.strip()] == [
        "O", "O1", "N", "O",
    ]  # fmt: skip


def test_energy_and_iterations_are_read():
    energy, iterations = parse_output(OUTPUT, Path("output.out"))
    assert energy == pytest.approx(-269.957172345678901 * HARTREE, abs=1e-9)
    assert iterations == 16


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (" *** SCF run NOT converged ***\n", "did not converge; its output is output.out"),
        ("ABORT\n * out of memory *\n", "ended early.*'out of memory'"),
        (OUTPUT.replace("ENERGY|", ""), "no total energy"),
    ],
)
def test_failures_are_told_apart(output, message):
    with pytest.raises(CalculationError, match=message):
        parse_output(output, Path("output.out"))


def test_molecules_are_refused(tmp_path):
    with pytest.raises(UnsupportedStructureError, match="pyscf"):
        CP2KCalculation().run(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), tmp_path)


@pytest.mark.skipif(not any(shutil.which(name) for name in PROGRAMS), reason="needs CP2K")
def test_orbitals_give_the_density_that_cp2k_has_on_its_grid(tmp_path):
    results = {}
    for kind in ("orbitals", "grid"):
        (tmp_path / kind).mkdir()
        settings = CP2KSettings(density=kind, cutoff=200)
        results[kind] = CP2KCalculation(settings).run(HYDROGEN, tmp_path / kind)
    orbitals, grid = results["orbitals"].density, results["grid"].density
    assert results["orbitals"].energy == pytest.approx(results["grid"].energy, abs=1e-6)
    assert results["orbitals"].energy / HARTREE == pytest.approx(-1.16, abs=0.05)
    assert orbitals.n_electrons == 2
    assert grid.n_electrons == pytest.approx(2, abs=1e-3)
    assert np.array_equal(orbitals.atoms.positions, HYDROGEN.positions)
    exact = orbitals.on_grid(grid.grid).values
    eps_mae = np.abs(exact - grid.values).sum() / exact.sum()
    assert eps_mae < 5e-4
    assert results["orbitals"].details["eps_mae_to_grid"] == pytest.approx(eps_mae, rel=0.2)
