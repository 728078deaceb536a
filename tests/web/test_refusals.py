"""Whatever is wrong is answered with a sentence."""

from __future__ import annotations

import gzip

import pytest

from tests.web.conftest import LIMITS, finished

pytest.importorskip("rdkit")


def refused(visitor, name, content):
    job = finished(visitor, visitor.post("/api/files", params={"name": name}, content=content))
    assert job["state"] == "failed"
    assert job["error"].endswith(".")
    assert "/tmp" not in job["error"]
    return job


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "exactly one"),
        ({"example": "water", "smiles": "O"}, 422, "exactly one"),
        ({"example": "watr"}, 404, "Did you mean 'Water'"),
        ({"example": "water", "model": "/etc"}, 404, "no model"),
        ({"structure_of": "unknown-key"}, 404, "no such result"),
        ({"smiles": 3}, 422, "smiles"),
        ({"smile": "O"}, 422, "smile"),
        ({"example": "water", "charge": 99}, 422, "charge"),
        ([], 422, ""),
    ],
)
def test_requests_that_make_no_sense(visitor, body, status, words):
    answer = visitor.post("/api/jobs", json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("smiles", "words"),
    [
        ("C(", "no valid SMILES string. Pick an example"),
        ("Watr", "Did you mean 'water'?"),
        ("/etc/passwd", "no valid SMILES"),
        ("../../x.xyz", "no valid SMILES"),
        ("C*", "any atom"),
        ("[O]", "unpaired"),
        ("[U]", "No bundled model"),
        ("C" * 30, "at most 20 atoms"),
        ("C\0", "character"),
    ],
)
def test_smiles_that_cannot_be_treated(visitor, smiles, words):
    job = finished(visitor, visitor.post("/api/jobs", json={"smiles": smiles}))
    assert job["state"] == "failed"
    assert words in job["error"]


def test_the_page_does_not_speak_of_options_of_commands(visitor):
    job = finished(visitor, visitor.post("/api/jobs", json={"smiles": "[U]"}))
    assert job["error"].endswith("does not know U.")


def test_a_path_is_no_smiles(visitor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "CO").write_text("1\n\nH 0 0 0\n")
    job = finished(visitor, visitor.post("/api/jobs", json={"smiles": "CO"}))
    assert visitor.get(f"/api/jobs/{job['key']}/result").json()["formula"] == "CH4O"


@pytest.mark.parametrize(
    ("name", "content", "status", "words"),
    [
        ("a.xyz", b"", 422, "empty"),
        ("a.xyz", b"three\n\nH 0 0 0\n", 422, "a.xyz"),
        ("a.xyz", b"\x00\x01\x02" * 50, 422, "a.xyz"),
        ("a.cif", b"data_\n_cell_length_a what\n", 422, "a.cif"),
        ("POSCAR", b"broken\n1.0\n", 422, "POSCAR"),
        ("a.pdb", b"nothing of use\n", 422, "a.pdb"),
        ("a.sdf", b"x\n", 422, "a.sdf"),
        ("a.cube", b"only words\n", 422, "a.cube"),
        ("CHGCAR", b"only words\n", 422, "CHGCAR"),
        ("a.xsf", b"BEGIN_BLOCK\n", 422, "a.xsf"),
        ("a.pkl", b"cos\nsystem\n", 415, "not known"),
        ("a.traj", b"- of Ulm", 415, "not known"),
        ("a.npz", b"PK", 415, "not known"),
        ("a.xyz.gz", b"no gzip", 422, "gzip data are damaged"),
        ("../../../etc/x.xyz", b"x", 422, "x.xyz"),
    ],
)
def test_files_that_are_broken(visitor, name, content, status, words):
    job = refused(visitor, name, content)
    assert job["status"] == status
    assert words in job["error"]
    assert "etc" not in job["error"]


def test_a_bomb_does_not_go_off(visitor):
    bomb = gzip.compress(b"0" * (LIMITS.upload_bytes * 100))
    assert len(bomb) < LIMITS.upload_bytes
    job = refused(visitor, "a.xyz.gz", bomb)
    assert job["status"] == 413


def test_a_header_that_promises_too_much(visitor):
    header = "\n\n1 0 0 0\n99999999 1 0 0\n99999999 0 1 0\n99999999 0 0 1\n1 0 0 0 0\n0.1\n"
    refused(visitor, "a.cube", header.encode())


def test_too_many_atoms(visitor):
    lines = "".join(f"He {4 * i} 0 0\n" for i in range(LIMITS.atoms + 1))
    job = refused(visitor, "a.xyz", f"{LIMITS.atoms + 1}\n\n{lines}".encode())
    assert job["status"] == 413


def test_a_structure_that_is_too_wide(visitor):
    job = refused(
        visitor,
        "a.xyz",
        b"6\n\nO 0 0 0\nH .96 0 0\nH -.24 .93 0\n"
        b"O 900 900 900\nH 900.96 900 900\nH 899.76 900.93 900\n",
    )
    assert "wide" in job["error"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("surface?level=0", 422),
        ("surface?level=nan", 422),
        ("surface?level=inf", 422),
        ("surface?level=0.1&field=potentials", 422),
        ("surface?level=0.1&field=difference", 404),
        ("slice?axis=3&position=0.5", 422),
        ("slice?axis=0&position=2", 422),
        ("file?format=pickle", 422),
        ("nothing", 404),
    ],
)
def test_questions_that_make_no_sense(visitor, water, path, status):
    answer = visitor.get(f"/api/jobs/{water}/{path}")
    assert answer.status_code == status
    assert answer.json()["error"].endswith(".")


def test_wrong_methods(visitor):
    answer = visitor.put("/api/jobs")
    assert answer.status_code == 405
    assert answer.json()["error"] == "Method Not Allowed."
