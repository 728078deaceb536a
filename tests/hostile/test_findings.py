"""Inputs that the search of benchmarks/fuzz.py has found: each is a sentence now."""

from __future__ import annotations

import json

import numpy as np
import pytest

from deepdft.data import open_dataset
from deepdft.errors import ConfigurationError, DeepDFTError, FileFormatError
from deepdft.formats import read
from deepdft.structures import read_structures
from deepdft.training.config import parse_config, read_config

SHELX = """TITL
CELL 1.0 5.6 4.0 4.0 90.0 {angle} 90.0
LATT -1
SFAC Na
Na 1 0.0 0.0 0.0 1.0
END
"""


@pytest.mark.parametrize("angle", ["1E+400", "nan", "0", "180", "-90", "1"])
def test_angles_of_no_cell(angle: str, tmp_path) -> None:
    (tmp_path / "s.res").write_text(SHELX.format(angle=angle))
    with pytest.raises(DeepDFTError):
        list(read_structures(tmp_path / "s.res"))


@pytest.mark.parametrize("numbers", [[10**30], ["x"], [[1]], 3])
def test_descriptions_of_arrays(numbers: object, tmp_path) -> None:
    np.save(tmp_path / "f.npy", np.ones((2, 2, 2)))
    atoms = {"numbers": numbers, "positions": [[0, 0, 0]], "cell": np.eye(3).tolist()}
    (tmp_path / "f.info.json").write_text(json.dumps({"atoms": atoms}))
    with pytest.raises(FileFormatError, match="does not describe a structure"):
        read(tmp_path / "f.npy")


def test_archives_without_their_directory(tmp_path) -> None:
    np.savez(tmp_path / "o.npz", coeff=np.ones(3), nocc=np.ones(1))
    content = (tmp_path / "o.npz").read_bytes()
    end = content.rindex(b"PK\x05\x06")
    for damaged in (content[100:], content[: end - 20] + content[end:]):
        (tmp_path / "o.npz").write_bytes(damaged)
        with pytest.raises(DeepDFTError):
            open_dataset(tmp_path / "o.npz").atoms(0)


def test_names_of_options_are_told_in_short() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config({"x" * 5000: 1})
    assert len(str(caught.value)) < 200


def test_control_characters_and_endless_columns(tmp_path) -> None:
    (tmp_path / "c.yaml").write_text("a: \0")
    with pytest.raises(ConfigurationError, match="not valid YAML"):
        read_config(tmp_path / "c.yaml")
    comment = "Properties=species:S:1:pos:R:99999999999"
    (tmp_path / "s.xyz").write_text(f"1\n{comment}\nH 0 0 0\n")
    with pytest.raises(FileFormatError, match="more columns"):
        list(read_structures(tmp_path / "s.xyz"))
