"""From a request to a picture: what the page asks the server for."""

from __future__ import annotations

import json

import numpy as np
import pytest

import deepdft
from deepdft.web.examples import examples
from tests.web.conftest import finished


def unpacked(content):
    length = int.from_bytes(content[:4], "little")
    return json.loads(content[4 : 4 + length]), content[4 + length :]


def test_the_examples_are_what_they_are_called(visitor):
    listed = visitor.get("/api/examples").json()
    assert len(listed) >= 30
    formulas = {one["key"]: one["formula"] for one in listed}
    assert formulas["caffeine"] == "C8H10N4O2"
    assert formulas["quartz"] == "SiO2"
    assert formulas["battery"] == "CoLiO2"


@pytest.mark.parametrize("key", sorted(examples()))
def test_every_example_has_a_model(models, key):
    atoms = examples()[key].atoms
    model = models.for_structure(atoms)
    model.check(atoms)


def test_distances_in_the_examples():
    water = examples()["water"].atoms
    assert water.get_distance(0, 1) == pytest.approx(0.96, abs=0.02)
    diamond = examples()["diamond"].atoms
    quartz = examples()["quartz"].atoms
    nearest = sorted(quartz.get_distances(0, range(3, 9), mic=True))[:4]
    assert nearest == pytest.approx([1.61] * 4, abs=0.01)
    assert diamond.get_distance(0, 1, mic=True) == pytest.approx(3.567 * 3**0.5 / 4, abs=2e-3)


def test_a_prediction_has_its_electrons(visitor, water):
    found = visitor.get(f"/api/jobs/{water}/result").json()
    assert found["formula"] == "H2O"
    assert found["quality"] == "full"
    facts = {fact["name"]: fact for fact in found["facts"]}
    assert facts["electrons"]["value"] == pytest.approx(8, abs=0.1)
    assert facts["dipole"]["value"] == pytest.approx(1.85, abs=0.25)
    assert set(found["fields"]) >= {"density", "deformation", "error"}
    assert len(found["structure"]["atoms"]) == 3
    assert sorted(len(atom["bonds"]) for atom in found["structure"]["atoms"]) == [1, 1, 2]
    report = visitor.get(f"/api/jobs/{water}/report").text
    assert "not measured" in report
    assert "H<sub>2</sub>O" in report


def test_a_surface_lies_where_the_density_has_the_value(visitor, water):
    content = visitor.get(f"/api/jobs/{water}/surface", params={"level": 0.3}).content
    about, rest = unpacked(content)
    (piece,) = about["pieces"]
    n, m = piece["vertices"], piece["triangles"]
    assert len(rest) == 4 * (6 * n + 3 * m)
    places = np.frombuffer(rest, "<f4", 3 * n).reshape(n, 3)
    normals = np.frombuffer(rest, "<f4", 3 * n, 12 * n).reshape(n, 3)
    faces = np.frombuffer(rest, "<u4", 3 * m, 24 * n)
    assert faces.max() == n - 1
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1, abs=1e-4)
    model = deepdft.load_model("default")
    density = model.density_at(examples()["water"].atoms, places)
    # The grid is coarse here: 30,000 points in all.
    assert np.median(density) == pytest.approx(0.3, rel=0.06)


def test_signed_fields_have_two_lobes(visitor, water):
    query = {"field": "deformation", "level": 0.1}
    about, _ = unpacked(visitor.get(f"/api/jobs/{water}/surface", params=query).content)
    assert {piece["level"] for piece in about["pieces"]} == {0.1, -0.1}


def test_a_surface_coloured_by_another_field(visitor, water):
    query = {"level": 0.1, "colour": "error"}
    about, rest = unpacked(visitor.get(f"/api/jobs/{water}/surface", params=query).content)
    assert about["coloured"]
    (piece,) = about["pieces"]
    values = np.frombuffer(rest, "<f4", piece["vertices"], 24 * piece["vertices"])
    assert values.min() == pytest.approx(about["values"][0], abs=1e-6)
    assert (values >= 0).all()


def test_a_slice_is_a_layer_of_the_density(visitor, water, tmp_path):
    path = tmp_path / "water.cube"
    path.write_bytes(visitor.get(f"/api/jobs/{water}/file").content)
    density = deepdft.read(path)
    assert density.n_electrons == pytest.approx(8, abs=0.1)
    count = density.grid.shape[2]
    query = {"axis": 2, "position": 5 / (count - 1)}
    about, rest = unpacked(visitor.get(f"/api/jobs/{water}/slice", params=query).content)
    values = np.frombuffer(rest, "<f4").reshape(about["shape"])
    assert values == pytest.approx(density.values[:, :, 5], abs=1e-5)
    assert about["origin"] == pytest.approx(density.grid.points()[0, 0, 5].tolist(), abs=1e-4)


@pytest.mark.parametrize(
    ("format", "suffix"), [("cube", ".cube"), ("chgcar", ".CHGCAR"), ("npz", ".npz")]
)
def test_files_hold_what_is_shown(visitor, water, tmp_path, format, suffix):
    answer = visitor.get(f"/api/jobs/{water}/file", params={"format": format})
    assert answer.headers["content-disposition"].endswith(f'"Water_density{suffix}"')
    path = tmp_path / f"density{suffix}"
    path.write_bytes(answer.content)
    assert deepdft.read(path).n_electrons == pytest.approx(8, abs=0.1)


def test_smiles_and_drawings_are_predicted(visitor):
    pytest.importorskip("rdkit")
    job = finished(visitor, visitor.post("/api/jobs", json={"smiles": " CO "}))
    assert job["state"] == "done", job
    assert visitor.get(f"/api/jobs/{job['key']}/result").json()["formula"] == "CH4O"
    from rdkit import Chem

    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CO"))
    job = finished(visitor, visitor.post("/api/jobs", json={"drawing": block}))
    assert job["state"] == "done", job


def test_a_crystal_is_drawn_with_the_atoms_on_its_faces(visitor):
    job = finished(visitor, visitor.post("/api/jobs", json={"example": "copper"}))
    assert job["state"] == "done", job
    found = visitor.get(f"/api/jobs/{job['key']}/result").json()
    assert found["periodic"]
    assert found["model"] == "crystals"
    assert len(found["structure"]["atoms"]) == 14
    assert len(found["atoms"]) == 4
    assert np.array(found["structure"]["cell"]) == pytest.approx(3.615 * np.eye(3))


def test_a_comparison_with_itself_finds_nothing(visitor, water):
    cube = visitor.get(f"/api/jobs/{water}/file").content
    shown = finished(visitor, visitor.post("/api/files?name=mine.cube", content=cube))
    assert (shown["kind"], shown["state"]) == ("file", "done"), shown
    own = visitor.get(f"/api/jobs/{shown['key']}/result").json()
    assert own["model"] == ""
    body = {"density": water, "reference": shown["key"]}
    job = finished(visitor, visitor.post("/api/comparisons", json=body))
    assert job["state"] == "done", job
    facts = visitor.get(f"/api/jobs/{job['key']}/result").json()["facts"]
    assert facts[0]["name"] == "eps_mae"
    assert facts[0]["value"] < 1e-3


def test_another_place_is_told_with_what_to_do(visitor, water, tmp_path):
    path = tmp_path / "water.cube"
    path.write_bytes(visitor.get(f"/api/jobs/{water}/file").content)
    density = deepdft.read(path)
    density.atoms.translate([0.3, 0, 0])
    density.write(path)
    content = path.read_bytes()
    shown = finished(visitor, visitor.post("/api/files?name=water.cube", content=content))
    body = {"density": water, "reference": shown["key"]}
    job = finished(visitor, visitor.post("/api/comparisons", json=body))
    warning, advice = visitor.get(f"/api/jobs/{job['key']}/result").json()["warnings"]
    assert warning.startswith("The structures differ: atoms are up to 0.3")
    assert "Predict it and compare" in advice
    # The same structure, at the places of the file.
    job = finished(visitor, visitor.post("/api/jobs", json={"structure_of": shown["key"]}))
    body = {"density": job["key"], "reference": shown["key"]}
    job = finished(visitor, visitor.post("/api/comparisons", json=body))
    assert not visitor.get(f"/api/jobs/{job['key']}/result").json()["warnings"]


def test_other_levels_are_not_compared_unasked(visitor, water):
    salt = finished(visitor, visitor.post("/api/jobs", json={"example": "salt"}))
    body = {"density": salt["key"], "reference": water}
    job = finished(visitor, visitor.post("/api/comparisons", json=body))
    assert (job["state"], job["status"]) == ("failed", 409)
    assert "core" in job["error"]
