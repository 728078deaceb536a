"""Inputs that the search guided by coverage has found (benchmarks/fuzz.py): sentences now."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms

from deepdft.data.open import open_dataset, read_split
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError, UnsupportedStructureError
from deepdft.formats import read, write
from deepdft.structures import read_structures, understood_atoms
from deepdft.structures.contacts import close_pairs
from deepdft.training.config import read_config


@pytest.mark.parametrize("digits", [25, 310, 4000])
def test_counts_of_more_digits_than_a_number_has(digits: int, tmp_path) -> None:
    # A float whose exponent has no E, as Fortran writes it; or a count that runs into the next.
    count = f"{'9' * digits}-2147483648"
    edges = f" 5 1.5 0 0\n {count} 0.0 1.5 0\n 5 0 0 1.5\n 1 1 0 0 0\n 0.5 0.5\n"
    (tmp_path / "x.cube").write_text(f"a\nb\n 1 0 0 0\n{edges}")
    with pytest.raises(FileFormatError):
        read(tmp_path / "x.cube")


@pytest.mark.parametrize("spin", ["", " 1 1 1\n 1e305\n"])
def test_a_cell_so_small_that_values_are_infinite(spin: str, tmp_path) -> None:
    cell = " 4 0 0\n 0 4 0\n 0 0 4e-9\n"
    value = "3" if spin else "1e305"
    text = f"H\n 1.0\n{cell} H\n 1\nDirect\n 0 0 0\n\n 1 1 1\n {value}\n{spin}"
    (tmp_path / "x.CHGCAR").write_text(text)
    with pytest.raises(FileFormatError, match=r"x\.CHGCAR: a value is too large"):
        read(tmp_path / "x.CHGCAR")


def test_electrons_of_more_digits_than_a_number_has(tmp_path) -> None:
    np.save(tmp_path / "f.npy", np.ones((2, 2, 2)))
    atoms = {"numbers": [1], "positions": [[0, 0, 0]], "cell": np.eye(3).tolist()}
    about = {"atoms": atoms, "number_of_electrons_exact": 10**400, "ecutwfc": 10**400}
    (tmp_path / "f.info.json").write_text(json.dumps(about))
    assert read(tmp_path / "f.npy").values.shape == (2, 2, 2)


@pytest.mark.parametrize("override", ["9" * 4000, "a=1" + ".b" * 2000, f"seed.{'a.' * 1000}b=1"])
def test_long_overrides_make_no_long_sentences(override: str, tmp_path) -> None:
    (tmp_path / "run.yaml").write_text("seed: 1\n")
    with pytest.raises(ConfigurationError) as told:
        read_config(tmp_path / "run.yaml", [override])
    assert len(str(told.value)) < 600


@pytest.mark.parametrize("angles", ["30.00  30.00 100.00", "90.00  -0.40  90.00"])
def test_angles_that_span_no_cell(angles: str, tmp_path) -> None:
    atom = "HETATM    1  O   HOH A   1       0.000   0.000   0.000  1.00  0.00           O\n"
    (tmp_path / "x.pdb").write_text(f"CRYST1    5.000    5.000    5.000  {angles} P 1\n{atom}END\n")
    with pytest.raises(FileFormatError) as told:
        list(read_structures(tmp_path / "x.pdb"))
    assert "x.pdb" in str(told.value)
    assert "30, 30, 100" in str(told.value) or "-0.4" in str(told.value)


@pytest.mark.parametrize("length", ["0", "-5"])
def test_a_crystal_has_no_length_of_zero(length: str, tmp_path) -> None:
    cell = f"CELL 0.7 5 {length} 5 90 90 90"
    (tmp_path / "x.res").write_text(f"TITL x\n{cell}\nLATT -1\nSFAC O\nO1 1 0 0 0 11 0.05\nEND\n")
    with pytest.raises(FileFormatError, match=rf"x\.res: a cell of 5, {length}, 5"):
        list(read_structures(tmp_path / "x.res"))


def test_a_poscar_of_more_atoms_than_it_can_hold(tmp_path) -> None:
    head = "x\n1.0\n4 0 0\n0 4 0\n0 0 4\nO H\n"
    (tmp_path / "x.vasp").write_text(f"{head}1 20000000\nCartesian\n0 0 0\n")
    with pytest.raises(FileFormatError, match="states 20000001 atoms, and is too short"):
        list(read_structures(tmp_path / "x.vasp"))


def test_a_poscar_whose_counts_are_followed_by_something_else(tmp_path) -> None:
    head = "x\n1.0\n4 0 0\n0 4 0\n0 0 4\nO H\n"
    (tmp_path / "x.vasp").write_text(f"{head}1 200000000 0.0\nCartesian\n0 0 0\n")
    with pytest.raises(FileFormatError, match="states 200000001 atoms, and is too short"):
        list(read_structures(tmp_path / "x.vasp"))


def test_digits_that_are_no_number(tmp_path) -> None:
    cell = "CELL 0.7 5 5 5 90 90 90"
    (tmp_path / "x.res").write_text(f"TITL x\n{cell}\nLATT -1\nSFAC O\nO1 \u00b2 0 0 0 11\nEND\n")
    with pytest.raises(FileFormatError, match=r"x\.res"):
        list(read_structures(tmp_path / "x.res"))


def test_a_charge_of_more_digits_than_a_number_has() -> None:
    with pytest.raises(UnsupportedStructureError, match="charge"):
        understood_atoms(Atoms("H", info={"charge": 10**400}))


def test_a_pattern_that_no_path_can_match(tmp_path) -> None:
    (tmp_path / "a.list").write_text("a\0/**\n")
    with pytest.raises(ConfigurationError, match="does not exist"):
        open_dataset(tmp_path / "a.list")


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        (4.0 * np.eye(3), np.full((1, 2, 2, 2), b"1")),
        (np.full((3, 3), 2e131), np.ones((1, 2, 2, 2))),
    ],
)
def test_a_grid_of_siesta_that_is_none(cell, values, tmp_path) -> None:
    from scipy.io import netcdf_file

    with netcdf_file(tmp_path / "Rho.grid.nc", "w") as file:
        for name, size in zip(["spin", "n3", "n2", "n1", "xyz"], [*values.shape, 3], strict=True):
            file.createDimension(name, size)
        file.createVariable("cell", "d", ("xyz", "xyz"))[:] = cell
        axes = ("spin", "n3", "n2", "n1")
        file.createVariable("gridfunc", values.dtype, axes)[:] = values
    with pytest.raises(FileFormatError, match=r"values of \|S1|has no volume"):
        read(tmp_path / "Rho.grid.nc")


def test_a_grid_of_siesta_whose_cell_are_references(tmp_path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "Rho.grid.nc", "w") as file:
        file["gridfunc"] = np.ones((1, 2, 2, 2))
        file.create_dataset("cell", (3, 3), dtype=h5py.ref_dtype)
    with pytest.raises(FileFormatError, match="a cell of object"):
        read(tmp_path / "Rho.grid.nc")


def test_a_zarr_group_whose_values_are_missing(tmp_path) -> None:
    density = Density(
        Atoms("H", cell=[2, 2, 2]), Grid(2 * np.eye(3), (2, 2, 2)), np.ones((2, 2, 2))
    )
    write(tmp_path / "d.zarr", density)
    about = tmp_path / "d.zarr" / "density" / "zarr.json"
    description = json.loads(about.read_text()) | {"fill_value": "NaN"}
    description["chunk_key_encoding"] = {"name": "default", "configuration": {"separator": "."}}
    about.write_text(json.dumps(description))
    with pytest.raises(FileFormatError, match="not finite, or missing"):
        read(tmp_path / "d.zarr")


def test_a_cell_thinner_than_an_atom_is_refused_before_its_images_are_counted() -> None:
    for cell in ([1e-6, 5, 5], [[5, 0, 0], [5, 1e-6, 0], [0, 0, 5]]):
        atoms = Atoms("O", cell=cell, pbc=True)
        assert close_pairs(atoms) == [(0, 0, pytest.approx(1e-6))]
        with pytest.raises(UnsupportedStructureError):
            understood_atoms(atoms)


def test_long_names_make_no_long_sentences(tmp_path) -> None:
    (tmp_path / "split.json").write_text(json.dumps({"train": ["[" * 4000, "a"]}))
    with pytest.raises(ConfigurationError) as told:
        read_split(tmp_path / "split.json", Named())
    assert len(str(told.value)) < 600
    with pytest.raises(ConfigurationError) as told:
        open_dataset([f"{tmp_path}/{'[' * 4000}"])
    assert len(str(told.value)) < 600


class Named:
    names = ("a", "b")
