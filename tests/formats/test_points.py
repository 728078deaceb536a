"""Values at scattered points in HDF5."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from deepdft.errors import FileFormatError
from deepdft.formats import read
from deepdft.formats.points import read_points


def write_points(path: Path, *, values: int = 50, spin: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    arrays = {
        "atom_type": np.array([[8, 1, 1]], dtype=np.int32),
        "atom_pos": rng.random((1, 3, 3)) * 3,
        "cell": np.diag([3.0, 4.0, 5.0])[None],
        "probe_pos": rng.random((1, 50, 3)) * 3,
        "chg": rng.random((1, values)),
    }
    if spin:
        arrays["chgdiff"] = rng.normal(size=(1, values))
    with h5py.File(path, "w") as file:
        group = file.create_group("chgcar_random")
        for name, array in arrays.items():
            group[name] = array
    return arrays


@pytest.mark.parametrize("spin", [True, False])
def test_points_and_values(spin: bool, tmp_path: Path) -> None:
    arrays = write_points(tmp_path / "0.h5", spin=spin)
    known = read_points(tmp_path / "0.h5")
    np.testing.assert_array_equal(known.points, arrays["probe_pos"][0])
    np.testing.assert_array_equal(known.values, arrays["chg"][0])
    assert (known.spin is not None) == spin
    assert known.atoms.get_chemical_formula() == "H2O"
    assert known.n_electrons[0] == pytest.approx(60 * arrays["chg"].mean())


def test_they_are_no_grid(tmp_path: Path) -> None:
    write_points(tmp_path / "0.h5")
    with pytest.raises(FileFormatError, match="scattered points, not on a grid"):
        read(tmp_path / "0.h5")


def test_damage_is_one_sentence(tmp_path: Path) -> None:
    write_points(tmp_path / "0.h5", values=49)
    with pytest.raises(FileFormatError, match="50 points have 49 values"):
        read_points(tmp_path / "0.h5")
    (tmp_path / "1.h5").write_bytes((tmp_path / "0.h5").read_bytes()[:3000])
    with pytest.raises(FileFormatError):
        read_points(tmp_path / "1.h5")


def test_a_type_in_the_place_of_values_is_one_sentence(tmp_path: Path) -> None:
    write_points(tmp_path / "0.h5")
    with h5py.File(tmp_path / "0.h5", "a") as file:
        del file["chgcar_random/chg"]
        file["chgcar_random/chg"] = np.dtype("f8")  # a named type
    with pytest.raises(FileFormatError, match="no dataset chg"):
        read_points(tmp_path / "0.h5")


def test_values_in_another_file_are_not_read(tmp_path: Path) -> None:
    write_points(tmp_path / "0.h5")
    write_points(tmp_path / "other.h5")
    with h5py.File(tmp_path / "0.h5", "a") as file:
        del file["chgcar_random/chg"]
        file["chgcar_random/chg"] = h5py.ExternalLink("other.h5", "chgcar_random/chg")
    with pytest.raises(FileFormatError, match="lies in another file"):
        read_points(tmp_path / "0.h5")
