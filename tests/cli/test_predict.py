"""`deepdft predict`: files that other programs read, and sentences where it cannot be done."""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
import zarr
from ase import Atoms
from ase.build import molecule
from ase.calculators.vasp import VaspChargeDensity
from ase.io.cube import read_cube_data
from pymatgen.io.vasp import Chgcar

import deepdft
from deepdft.fields import reductions
from deepdft.fields.reductions import known_reductions
from deepdft.units import BOHR


@pytest.fixture
def methanol(tmp_path):
    path = tmp_path / "methanol.xyz"
    molecule("CH3OH").write(path)
    return path


def predicted_electrons(output):
    return float(output.split(" electrons")[0].split()[-1])


def test_a_cube_opens_in_ase_with_the_printed_number_of_electrons(run, small_model, methanol):
    result = run("predict", methanol, "-m", small_model, "-o", "out.cube", "--spacing", 0.3)
    assert result.code == 0, result.error
    data, atoms = read_cube_data("out.cube")
    np.testing.assert_allclose(atoms.positions, molecule("CH3OH").positions, atol=1e-5)
    voxel = atoms.cell.volume / data.size
    # ASE returns the file's numbers, e/bohr^3, on a cell in Å.
    electrons = data.sum() * voxel / BOHR**3
    assert electrons == pytest.approx(predicted_electrons(result.output), abs=2e-3)
    assert "(expected 14)" in result.output
    assert "CH4O" in result.output


def test_a_chgcar_opens_in_ase_and_pymatgen_with_the_same_electrons(run, small_model, methanol):
    result = run("predict", methanol, "-m", small_model, "-o", "CHGCAR", "--spacing", 0.3)
    assert result.code == 0, result.error
    electrons = predicted_electrons(result.output)
    by_pymatgen = Chgcar.from_file("CHGCAR").data["total"].mean()
    by_ase = VaspChargeDensity("CHGCAR")
    volume = by_ase.atoms[0].cell.volume
    assert by_pymatgen == pytest.approx(electrons, abs=2e-3)
    assert by_ase.chg[0].mean() * volume == pytest.approx(electrons, abs=2e-3)
    with open("CHGCAR") as file:
        assert "no augmentation occupancies" in file.readline()


def test_what_is_written_is_what_python_predicts(run, small_model, methanol):
    assert run("predict", methanol, "-m", small_model, "-o", "a.npz", "--spacing", 0.3).code == 0
    from_file = deepdft.read("a.npz")
    in_memory = deepdft.predict(ase.io.read(methanol), small_model, spacing=0.3)
    np.testing.assert_allclose(from_file.values, in_memory.values, atol=1e-6)
    assert from_file.level == in_memory.level


def dipole(output):
    return float(output.split(" dipole ")[1].split(" D")[0])


def moment(density, charges):
    """The dipole of a stored grid, e Å."""
    points = density.grid.points().reshape(-1, 3)
    electrons = density.values.reshape(-1) @ points * density.grid.voxel_volume
    counts = [charges[symbol] for symbol in density.atoms.symbols]
    # About the centre of the positive charges, because the sum over a grid is not quite neutral.
    centre = counts @ density.atoms.positions / sum(counts)
    return centre * density.n_electrons - electrons


@pytest.mark.parametrize("target", ["out.cube", "CHGCAR", "out.zarr", "workers.zarr"])
def test_the_dipole_comes_with_every_prediction(run, small_model, methanol, target):
    cluster = ["--workers", 2] if target == "workers.zarr" else []
    arguments = ["-m", small_model, "-o", target, "--grid", 24, 22, 26, "--json", "a.json"]
    arguments += cluster
    result = run("predict", methanol, *arguments)
    assert result.code == 0, result.error
    expected = moment(deepdft.read(target), {"H": 1, "C": 4, "O": 6})
    assert dipole(result.output) == pytest.approx(4.8032 * np.linalg.norm(expected), abs=2e-3)
    (written,) = json.loads(Path("a.json").read_text())
    assert written["expected_electrons"] == 14
    assert written["properties"]["electrons"] == pytest.approx(
        predicted_electrons(result.output), 1e-3
    )
    assert f"{written['properties']['dipole']['debye']:.3f}" == f"{dipole(result.output):.3f}"
    if target.endswith(".zarr"):
        again = run("predict", methanol, *arguments)
        assert dipole(again.output) == dipole(result.output)
        known = zarr.open_group(target, mode="r").attrs["properties"]
        np.testing.assert_allclose([known["dipole"][x] for x in "xyz"], expected, atol=1e-4)


def test_a_property_is_one_file(run, small_model, methanol, tmp_path, monkeypatch):
    (tmp_path / "largest.py").write_text(
        """
import numpy as np

from deepdft.fields.reductions.reduction import Reduction


class Largest(Reduction):
    name = "largest"

    def __init__(self):
        self.value = 0.0

    @classmethod
    def of(cls, subject):
        return cls()

    def fresh(self):
        return Largest()

    def add(self, grid, start, stop, values):
        self.value = max(self.value, float(np.max(values)))

    def merge(self, other):
        self.value = max(self.value, other.value)

    def result(self):
        return self.value

    @staticmethod
    def describe(result):
        return f"at most {result:.4f} e/Å^3"
"""
    )
    run("predict", methanol, "-m", small_model, "-o", "before.zarr", "--spacing", 0.4)
    monkeypatch.setattr(reductions, "__path__", [*reductions.__path__, str(tmp_path)])
    known_reductions.cache_clear()
    try:
        for target in ("out.cube", "out.zarr", "before.zarr"):
            result = run("predict", methanol, "-m", small_model, "-o", target, "--spacing", 0.4)
            assert result.code == 0, result.error
            largest = float(result.output.split("at most ")[1].split()[0])
            assert largest == pytest.approx(deepdft.read(target).values.max(), abs=1e-4)
        # Of the store that was finished before it is made up for without another block.
        assert "0 of 1 blocks were missing" in result.output
    finally:
        known_reductions.cache_clear()


def test_a_trajectory_gives_a_file_a_frame(run, small_model, tmp_path):
    frames = [molecule("CH4"), molecule("NH3"), molecule("H2O")]
    ase.io.write(tmp_path / "path.extxyz", frames)
    result = run("predict", "path.extxyz", "-m", small_model, "-o", "out", "--spacing", 0.5)
    assert result.code == 0, result.error
    for number, atoms in enumerate(frames):
        density = deepdft.read(tmp_path / "out" / f"path_{number}.cube")
        assert density.atoms.get_chemical_formula() == atoms.get_chemical_formula()


def test_several_structures_with_one_name_do_not_overwrite_each_other(run, small_model, tmp_path):
    for folder, name in (("a", "CH4"), ("b", "NH3")):
        (tmp_path / folder).mkdir()
        molecule(name).write(tmp_path / folder / "x.xyz")
    result = run("predict", "a/x.xyz", "b/x.xyz", "-m", small_model, "-o", "out", "--spacing", 0.5)
    assert result.code == 0, result.error
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x.cube", "x_2.cube"]


def test_like_takes_exactly_the_grid_of_a_file(run, small_model, methanol):
    run("predict", methanol, "-m", small_model, "-o", "a.cube", "--grid", 7, 8, 9)
    result = run("predict", methanol, "-m", small_model, "-o", "b.npz", "--like", "a.cube")
    assert result.code == 0, result.error
    one, two = deepdft.read("a.cube").grid, deepdft.read("b.npz").grid
    assert one.shape == two.shape == (7, 8, 9)
    assert one.is_close(two, 1e-9)


def test_a_crystal_is_predicted_over_its_cell(run, small_model, tmp_path):
    crystal = Atoms("CO", [(0, 0, 0), (1, 1, 1)], cell=[[3, 0, 0], [1, 3, 0], [0, 1, 4]], pbc=True)
    crystal.write(tmp_path / "x.cif")
    result = run("predict", "x.cif", "-m", small_model, "-o", "x.cube", "--spacing", 0.3)
    assert result.code == 0, result.error
    density = deepdft.read("x.cube")
    assert abs(np.linalg.det(density.grid.cell)) == pytest.approx(36.0, rel=1e-4)


def test_a_smiles_string_is_a_structure(run, small_model):
    pytest.importorskip("rdkit")
    result = run("predict", "CO", "-m", small_model, "--spacing", 0.5)
    assert result.code == 0, result.error
    assert deepdft.read("CO.cube").atoms.get_chemical_formula() == "CH4O"


def test_without_a_model_a_bundled_one_is_chosen_and_named(run, methanol):
    result = run("predict", methanol, "-o", "x.cube", "--spacing", 0.5)
    assert result.code == 0, result.error
    assert "model default" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.xyz"], "does not exist"),
        (["methanol.xyz", "-m", "defualt"], "Did you mean 'default'?"),
        (["methanol.xyz", "--spacing", "-1"], "must be positive"),
        (["methanol.xyz", "--spacing", "0.2", "--grid", "4", "4", "4"], "not both"),
        (["methanol.xyz", "--spacing", "0.2", "--like", "a.cube"], "one of --like"),
        (["methanol.xyz", "--device", "abacus"], "no device 'abacus'"),
        (["methanol.xyz", "-o", "x.nonsense"], "x.nonsense"),
        (["broken.xyz"], "broken.xyz"),
        (["not-a-molecule!"], "neither a file nor a valid SMILES"),
        (["C[Si](C)(C)C", "-m", "qm9"], "covers H, C, N, O, F"),
        (["[NH4+]", "-m", "qm9"], "net charge"),
        (["C[Ge](C)(C)C"], "'crystals' is for crystals, not for molecules"),
        (["[NH3+]CC[NH3+]"], "'default' knows net charges of -1 and 0 and +1, not of +2"),
        (["[CH3]"], "odd number of electrons"),
    ],
)
def test_bad_input_gets_one_sentence_and_code_2(run, methanol, tmp_path, arguments, sentence):
    (tmp_path / "broken.xyz").write_text("3\n\nC 0 0 zero\n")
    result = run("predict", *arguments)
    assert result.code == 2
    assert sentence in result.error
    assert "Traceback" not in result.error
    assert len(result.error.strip().splitlines()) == 1
    assert not list(tmp_path.glob("*.cube"))


def test_an_existing_file_survives_a_failed_prediction(run, small_model, methanol, monkeypatch):
    from deepdft.prediction import engine

    run("predict", methanol, "-m", small_model, "-o", "keep.cube", "--grid", 5, 5, 5)
    before = open("keep.cube", "rb").read()  # noqa: SIM115

    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine.ProbeEngine, "box", fail)
    assert run("predict", methanol, "-m", small_model, "-o", "keep.cube").code == 130
    assert open("keep.cube", "rb").read() == before  # noqa: SIM115
    assert [p for p in methanol.parent.iterdir() if "keep" in p.name] == [
        methanol.parent / "keep.cube"
    ]
