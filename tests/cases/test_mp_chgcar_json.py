"""JSON of pymatgen's Chgcar; pymatgen itself writes and reads the others."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest

from deepdft.errors import FileFormatError
from deepdft.formats import read, write
from deepdft.formats.text import json_arrays
from tests.formats.samples import skewed_density

HERE = Path(__file__).parent


def test_the_file_of_the_materials_project() -> None:
    density = read(HERE / "CHGCAR.json.gz")
    assert density.n_electrons == pytest.approx(8.0, abs=1e-3)
    assert density.grid.shape == (16, 18, 20)
    assert density.atoms.symbols.formula.format("hill") == "H2O"
    assert density.atoms.pbc.all()
    content = json.loads(gzip.decompress((HERE / "CHGCAR.json.gz").read_bytes()))
    expected = np.array(content["data"]["total"]["data"]) / density.grid.volume
    np.testing.assert_allclose(density.values, expected, rtol=1e-14)
    (text,) = density.metadata["augmentation"]
    assert text.startswith("augmentation occupancies   1   8\n  0.1234567E-01")
    assert density.level.core == "PAW"


@pytest.mark.parametrize("components", [0, 1, 3])
@pytest.mark.parametrize("within", [False, True])
def test_what_pymatgen_writes(components: int, within: bool, tmp_path: Path) -> None:
    outputs = pytest.importorskip("pymatgen.io.vasp.outputs")
    from monty.json import MontyEncoder

    density = skewed_density(components, (9, 11, 10))
    density.metadata["augmentation"] = [
        "".join(
            f"augmentation occupancies{atom + 1:4d}   2\n  0.1234567E+0{part}  0.7654321E-0{atom}\n"
            for atom in range(5)
        )
        for part in range(components + 1)
    ]
    write(tmp_path / "CHGCAR", density)
    theirs = outputs.Chgcar.from_file(str(tmp_path / "CHGCAR"))
    text = json.dumps({"fs_id": "1", "data": theirs} if within else theirs, cls=MontyEncoder)
    (tmp_path / "mp-149.json").write_text(text)
    ours = read(tmp_path / "mp-149.json")
    np.testing.assert_allclose(ours.values, density.values, rtol=1e-9)
    np.testing.assert_allclose(ours.atoms.positions, density.atoms.positions, atol=1e-6)
    assert (ours.atoms.numbers == density.atoms.numbers).all()
    if density.spin is None:
        assert ours.spin is None
    else:
        np.testing.assert_allclose(ours.spin, density.spin, rtol=1e-9, atol=1e-12)


def test_other_classes_and_damage(tmp_path: Path) -> None:
    text = gzip.decompress((HERE / "CHGCAR.json.gz").read_bytes()).decode()
    path = tmp_path / "x.CHGCAR.json"

    def check(changed: str, message: str) -> None:
        path.write_text(changed)
        with pytest.raises(FileFormatError, match=message):
            read(path)

    check(text.replace('"Chgcar"', '"Locpot"'), "quantity='potential'")
    check(text[: len(text) // 2], "ends within an array")
    check(text[:-300], "not JSON, or damaged")
    check(text.replace("1.82435531753e-11", "NaN"), "stands in an array of numbers")
    check(text.replace("2.70236643641e-14, ", ""), "different lengths")
    check(text.replace('"occu": 1}', '"occu": 0.5}', 1), "site O is mixed or partial")
    check(text.replace('"total"', '"up"'), "not of pymatgen's Chgcar")
    check(text.replace('"lattice"', '"box"'), "'lattice' is missing")
    check('{"@class": "Chgcar"}', "not of pymatgen's Chgcar")


@pytest.mark.parametrize("piece", [1500, 4096, 100_000])
def test_pieces_of_any_size(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    cube = rng.normal(size=(7, 8, 9)) * 10.0 ** rng.integers(-30, 30, (7, 8, 9))
    content = {
        "text": 'a "quoted" [1, 2, 3] \\ ' * 300,
        "cube": cube.tolist(),
        "list": [{"n": [1, 2]}, {"row": list(range(2000))}],
        "flat": [0.5] * 3000,
        "no": None,
    }
    monkeypatch.setattr(json_arrays, "_PIECE", piece)
    for indent in (None, 1):
        found = json_arrays.read_json(
            io.BytesIO(json.dumps(content, indent=indent).encode()), "x.json"
        )
        np.testing.assert_array_equal(found["cube"], cube)
        np.testing.assert_array_equal(found["list"][1]["row"], np.arange(2000))
        np.testing.assert_array_equal(found["flat"], np.full(3000, 0.5))
        assert (found["text"], found["list"][0], found["no"]) == (
            content["text"],
            {"n": [1, 2]},
            None,
        )
