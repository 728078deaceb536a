"""PySCF checkpoints against PySCF."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from deepdft.errors import FileFormatError
from deepdft.formats.pyscf_checkpoint import read_pyscf_checkpoint
from deepdft.units import BOHR

gto = pytest.importorskip("pyscf.gto")
scf = pytest.importorskip("pyscf.scf")

POINTS = np.random.default_rng(9).normal(scale=1.5, size=(200, 3))
WATER = "O 0 0 0; H 0 0.76 0.59; H 0 -0.76 0.59"


def density_of(mol, coefficients, occupations):
    kind = "GTOval_cart" if mol.cart else "GTOval_sph"
    return (mol.eval_gto(kind, POINTS / BOHR) @ coefficients) ** 2 @ occupations / BOHR**3


@pytest.mark.parametrize("cartesian", [False, True])
def test_restricted(tmp_path, cartesian):
    path = tmp_path / "a.chk"
    mol = gto.M(atom=WATER, basis="cc-pvtz", cart=cartesian, verbose=0)
    field = scf.RHF(mol).set(chkfile=str(path), max_cycle=2)
    field.kernel()
    density = read_pyscf_checkpoint(path)
    assert density.atoms.numbers.tolist() == [8, 1, 1]
    np.testing.assert_allclose(density.atoms.positions, mol.atom_coords() * BOHR, atol=1e-12)
    assert density.n_electrons == 10
    assert density.spin_occupations is None
    assert (density.level.basis, density.level.core) == ("cc-pvtz", "all-electron")
    expected = density_of(mol, field.mo_coeff, field.mo_occ)
    np.testing.assert_allclose(density.at(POINTS), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", ["UHF", "ROHF"])
def test_spin_and_pseudopotential(tmp_path, method):
    path = tmp_path / "a.chk"
    mol = gto.M(atom="N1 0 0 0; H 0 0.7 0.8", basis="gth-dzvp", pseudo="gth-pbe", spin=2, verbose=0)
    field = getattr(scf, method)(mol).set(chkfile=str(path), max_cycle=2)
    field.kernel()
    density = read_pyscf_checkpoint(path)
    assert density.atoms.numbers.tolist() == [7, 1]
    assert density.n_electrons == 6
    assert (density.level.basis, density.level.core) == ("gth-dzvp", "GTH-PBE")
    if method == "UHF":
        up, down = (
            density_of(mol, c, n) for c, n in zip(field.mo_coeff, field.mo_occ, strict=True)
        )
    else:
        up, down = (density_of(mol, field.mo_coeff, field.mo_occ > n) for n in (0, 1))
    np.testing.assert_allclose(density.at(POINTS), up + down, rtol=0, atol=1e-9)
    np.testing.assert_allclose(density.spin.at(POINTS), up - down, rtol=0, atol=1e-9)


@pytest.mark.parametrize("as_text", [False, True])
def test_crystal_at_gamma(tmp_path, as_text):
    periodic = pytest.importorskip("pyscf.pbc.gto")
    chkfile = pytest.importorskip("pyscf.scf.chkfile")
    vectors = np.array([[3.0, 0.1, 0], [0, 3.3, 0.2], [0.3, 0, 3.1]])
    cell = periodic.M(
        atom="C 0 0 0; O 0.9 0.8 0.1",
        a="\n".join(" ".join(map(str, row)) for row in vectors) if as_text else vectors.tolist(),
        basis="gth-dzvp", pseudo="gth-pbe", precision=1e-12, verbose=0,
    )  # fmt: skip
    values, vecs = np.linalg.eigh(cell.pbc_intor("int1e_ovlp"))
    coefficients = (vecs / np.sqrt(values))[:, -6:]
    occupations = np.array([2.0] * 5 + [0])
    path = tmp_path / "a.chk"
    chkfile.dump_scf(cell, str(path), -1.0, np.zeros(6), coefficients.astype(complex), occupations)
    density = read_pyscf_checkpoint(path)
    assert density.atoms.pbc.all()
    np.testing.assert_allclose(density.atoms.cell.array, vectors, atol=1e-9)
    # PySCF's lattice sums are complete only inside the cell.
    inside = (POINTS @ np.linalg.inv(vectors) % 1) @ vectors
    functions = cell.pbc_eval_gto("GTOval_sph", inside / BOHR)
    expected = (functions @ coefficients) ** 2 @ occupations / BOHR**3
    np.testing.assert_allclose(density.at(POINTS), expected, rtol=0, atol=1e-7)


def test_read_on_a_grid(tmp_path):
    from deepdft.formats import read

    path = tmp_path / "a.chk"
    mol = gto.M(atom="H 0 0 0; GHOST-H 0 0 1.0; H 0 0 0.74", basis="gth-dzvp", pseudo="gth-pbe")
    mol.verbose = 0
    scf.RHF(mol).set(chkfile=str(path), max_cycle=2).kernel()
    density = read(path, spacing=0.25)
    assert len(density.atoms) == 2
    assert density.n_electrons == pytest.approx(2, abs=0.01)
    (ghost,) = density.metadata["notes"][1:]
    assert "atom 2 of the file" in ghost


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "a.chk"
    mol = gto.M(atom="H 0 0 0; H 0 0 0.74", basis="sto-3g", verbose=0)
    scf.RHF(mol).set(chkfile=str(path), max_cycle=1).kernel()
    return path


def replace(path, name, value):
    with h5py.File(path, "a") as file:
        del file[name]
        if value is not None:
            file[name] = value


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mol", None, "it has no mol"),
        ("scf/mo_occ", None, "it has no scf/mo_occ"),
        ("mol", "{'a': 1", "cannot be read"),
        ("mol", json.dumps({"_atm": []}), "it has no _env"),
        ("scf/mo_coeff", np.ones((4, 2)), "two-component"),
        ("scf/mo_coeff", np.ones((3, 2, 2)), "do not fit"),
        ("scf/mo_coeff", np.ones((2, 2)) * 1j, "complex"),
        ("scf/mo_occ", np.ones(3), "do not fit"),
        ("scf/mo_coeff", np.full((2, 2), np.nan), "not finite"),
    ],
)
def test_damaged_files_are_refused(checkpoint, name, value, message):
    replace(checkpoint, name, value)
    with pytest.raises(FileFormatError, match=message):
        read_pyscf_checkpoint(checkpoint)


def test_other_files_are_refused(tmp_path, checkpoint):
    path = tmp_path / "b.chk"
    path.write_bytes(b"binary of another program")
    with pytest.raises(FileFormatError, match="not an HDF5 file"):
        read_pyscf_checkpoint(path)
    path.write_bytes(checkpoint.read_bytes()[:3000])
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_pyscf_checkpoint(path)
