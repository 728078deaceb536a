"""The charge that a file states, in every format that can state one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepdft.structures import read_structures

HERE = Path(__file__).parent
WATER = "O 0 0 0.119\nH 0 0.763 -0.477\nH 0 -0.763 -0.477\n"


def test_oxalate_is_refused_by_a_model_of_neutral_molecules(run, small_model):
    command = ("predict", HERE / "oxalate.sdf", "-m", small_model, "-o", "o.cube")
    result = run(*command, "--spacing", 0.5)
    assert result.code == 2
    assert "net charge of -2" in result.error


def test_dft_computes_the_cation_that_is_not_a_closed_shell_or_nothing(run):
    result = run("dft", "run", HERE / "q.xyz", "-o", "q.dft", "--program", "pyscf")
    assert "0 done" in result.output or "done" not in result.output
    assert "odd number of electrons" in result.output


def test_dft_computes_the_ion_that_is_stated(run, tmp_path):
    pytest.importorskip("pyscf")
    from pyscf import dft, gto

    (tmp_path / "oh.xyz").write_text("2\nnet_charge=-1\nO 0 0 0\nH 0 0 0.97\n")
    result = run("dft", "run", "oh.xyz", "-o", "oh.dft", "--program", "pyscf")
    assert result.code == 0, result.error
    (record,) = json.loads((tmp_path / "oh.dft" / "manifest.json").read_text())["structures"]
    ion = gto.M(
        atom="O 0 0 0; H 0 0 0.97", charge=-1, basis="gth-dzvp", pseudo="gth-pbe", verbose=0
    )
    field = dft.RKS(ion, xc="PBE").density_fit()
    assert record["energy"] == pytest.approx(27.211386 * field.kernel(), abs=0.1)


@pytest.mark.parametrize(
    ("comment", "charge", "multiplicity"),
    [
        ("1 2", 1, 2),
        ("-1 2", -1, 2),
        ("0 1", 0, 1),
        ("0 3", 0, 3),
        ("charge=1", 1, None),
        ("Charge=+1", 1, None),
        ("net_charge=-1 spin=1", -1, 2),
        ("total_charge=2 multiplicity=1", 2, 1),
        ("Charge: -2 Multiplicity: 3", -2, 3),
        ("charge -1, mult 2", -1, 2),
        ("charge=1- mult=2", -1, 2),
        ("unpaired=2", None, 3),
        ("nunpaired=0 charge=0", 0, 1),
        ("spin=0.5 charge=1", 1, 2),
        ("spin=2", None, 3),
        ("spin=3", None, 3),
        ("spin=2 charge=1", 1, 2),
        ("magmom=2.0", None, 3),
        ("water, energy -76.4", None, None),
        ("frame 12 of 100", None, None),
        ("12345 678", None, None),
        ("-76.4 0.1", None, None),
    ],
)
def test_comments_of_xyz_files(comment, charge, multiplicity, tmp_path):
    (tmp_path / "w.xyz").write_text(f"3\n{comment}\n{WATER}")
    (structure,) = read_structures(tmp_path / "w.xyz")
    assert structure.atoms.info.get("charge") == charge
    assert structure.atoms.info.get("multiplicity") == multiplicity
    if charge:
        assert any(f"net charge {charge:+d}" in note for note in structure.notes)
