"""Interactive views: one document, whole, with the surfaces that Python made."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest
from ase import Atoms

from deepdft import Density, Grid, LevelOfTheory, view
from deepdft.errors import LevelOfTheoryError
from deepdft.plotting.meshes import isosurface


@pytest.fixture(scope="module")
def helium() -> Density:
    grid = Grid(5.0 * np.eye(3), (30, 30, 30))
    values = np.exp(-(np.linalg.norm(grid.points() - 2.5, axis=-1) ** 2))
    return Density(Atoms("He", [[2.5] * 3]), grid, values, level=LevelOfTheory("PBE"))


def data_of(html: str) -> dict:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.S)
    assert found is not None
    return json.loads(found[1].replace("<\\/", "</"))


def test_a_view_is_one_document_that_asks_for_nothing(helium):
    html = helium.view(iso=0.2, title="He & <b>atom</b>").html
    assert "@DATA@" not in html
    assert "He &amp; &lt;b&gt;atom" in html
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="', html)
    # Markup of ours only: the library brings no end of a script.
    assert html.count("</script>") == 3


def test_the_surface_in_the_document_is_that_of_the_density(helium):
    data = data_of(view(helium, iso=0.2).html)
    level = data["levels"][data["first"]]
    assert "0.2 e/Å³" in level["words"]
    (piece,) = level["pieces"]
    places = np.frombuffer(base64.b64decode(piece["vertices"]), "<u2").reshape(-1, 3)
    vertices = np.array(piece["low"]) + np.array(piece["step"]) * places
    radius = np.sqrt(-np.log(0.2))
    assert np.linalg.norm(vertices - 2.5, axis=1) == pytest.approx(radius, abs=6e-3)
    normals = np.frombuffer(base64.b64decode(piece["normals"]), "i1").reshape(-1, 3) / 127
    assert normals == pytest.approx((vertices - 2.5) / radius, abs=0.05)
    faces = np.frombuffer(base64.b64decode(piece["faces"]), "<u2").reshape(-1, 3)
    assert len(faces) == len(isosurface(helium, 0.2).faces)
    shown = [float(re.search(r"at ([\d.]+)", entry["words"])[1]) for entry in data["levels"]]
    assert shown == sorted(shown, reverse=True)


def test_a_difference_has_two_colours_and_levels_are_not_mixed(helium):
    wider = Density(helium.atoms, helium.grid, helium.values**0.8, level=helium.level)
    data = data_of(helium.view(difference=wider, iso=0.05).html)
    assert data["signed"]
    assert "fewer electrons" in data["levels"][data["first"]]["words"]
    assert {p["positive"] for p in data["levels"][data["first"]]["pieces"]} == {False}
    foreign = Density(helium.atoms, helium.grid, wider.values, level=LevelOfTheory("SCAN"))
    with pytest.raises(LevelOfTheoryError):
        helium.view(difference=foreign)
    assert helium.view(difference=foreign, mix_levels=True).html


def test_a_density_shows_itself_in_a_notebook(helium):
    bundle = helium._repr_mimebundle_()
    assert bundle["text/plain"] == repr(helium)
    assert repr(helium).startswith("<Density of He: 30 x 30 x 30 points, ")
    assert bundle["text/html"].startswith("<iframe ")
    assert "srcdoc=" in bundle["text/html"]


def test_a_view_is_written_to_a_file(helium, tmp_path):
    shown = helium.view()
    shown.write(tmp_path / "he.html")
    assert (tmp_path / "he.html").read_text(encoding="utf-8") == shown.html
