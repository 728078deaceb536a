"""`deepdft convert`, `inspect` and `compare`: what they write, say and refuse."""

from __future__ import annotations

import re
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io.cube import read_cube_data
from numpy.typing import NDArray

import deepdft
from deepdft.comparison import compare_densities
from deepdft.data import open_dataset
from deepdft.data.training_store import TrainingStore
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.levels import LevelOfTheory
from deepdft.units import PER_CUBIC_BOHR
from tests.formats.test_points import write_points
from tests.small_data import gaussian_density, write_archive

FILES = Path(__file__).parents[1] / "formats" / "files"
CELL = np.array([[4.0, 0.3, 0.0], [-0.5, 3.6, 0.2], [0.1, 0.4, 4.4]])
PBE = LevelOfTheory("PBE", "PAW")


def waves(points: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = np.moveaxis(points @ np.linalg.inv(CELL), -1, 0)
    return 0.2 + 0.1 * np.cos(2 * np.pi * (x - z)) + 0.05 * np.sin(2 * np.pi * (2 * y + x))


def crystal(shape=(10, 11, 12), level=PBE, scale: float = 1.0) -> Density:
    grid = Grid(CELL, shape)
    values = waves(grid.points())
    values *= scale * 8 / (values.sum() * grid.voxel_volume)
    atoms = Atoms("HF", [[0.2, 0.1, 0.3], [0.2, 0.1, 1.2]], cell=CELL, pbc=True)
    return Density(atoms, grid, values, level=level)


@pytest.fixture
def chgcar(tmp_path) -> Path:
    density = crystal()
    spin = 0.1 * density.values
    deepdft.write(tmp_path / "spin.CHGCAR", replace(density, spin=spin))
    deepdft.write(tmp_path / "CHGCAR", density)
    return tmp_path / "CHGCAR"


def value_of(output: str, heading: str) -> str:
    """Return the text behind a heading of the output."""
    return re.search(rf"^{re.escape(heading)}:? +(.*)$", output, re.MULTILINE)[1]


def assert_one_sentence(result, *words: str) -> None:
    """An error of input is one sentence on standard error, exit code 2, no traceback."""
    assert result.code == 2, result
    assert result.error.startswith("deepdft: ")
    assert result.error.count("\n") == 1
    assert "Traceback" not in result.error
    for word in words:
        assert word in result.error


# convert


def test_a_chgcar_becomes_a_cube_that_ase_reads(run, chgcar):
    result = run("convert", chgcar, "out.cube")
    assert result.code == 0, result.error
    assert "written: out.cube (Gaussian cube, 10x11x12 points, 8.0000 electrons)" in result.output
    values, atoms = read_cube_data("out.cube")
    np.testing.assert_allclose(values * PER_CUBIC_BOHR, crystal().values, rtol=1e-5)
    np.testing.assert_allclose(atoms.positions, crystal().atoms.positions, atol=1e-6)
    assert deepdft.read("out.cube").level == PBE


@pytest.mark.parametrize("target", ["b.npz", "b.CHGCAR.zz", "b.cube.gz", "b.zarr", "b.xsf"])
def test_there_and_back(run, chgcar, target):
    assert run("convert", chgcar, target).code == 0
    result = run("compare", chgcar, target)
    assert result.code == 0, result.error
    assert float(value_of(result.output, "eps_mae").split()[0]) < 1e-3
    assert value_of(result.output, "B on the grid of A") == "the points are the same"


def test_zarr_groups_are_streamed(run, chgcar, monkeypatch):
    for name in ("CHGCAR", "spin.CHGCAR"):
        assert run("convert", name, f"{name}.zarr").code == 0
    with monkeypatch.context() as patch:
        patch.setattr("deepdft.formats.zarr_density._whole", None)  # whole arrays are not read
        assert run("convert", "CHGCAR.zarr", "a.cube").code == 0
    np.testing.assert_allclose(deepdft.read("a.cube").values, crystal().values, rtol=1e-5)
    assert run("convert", "spin.CHGCAR.zarr", "b.npz").code == 0
    assert deepdft.read("b.npz").total_spin == pytest.approx(0.8)


def test_spin_is_kept_or_left_out_on_demand(run, chgcar):
    assert run("convert", "spin.CHGCAR", "a.npz").code == 0
    assert deepdft.read("a.npz").total_spin == pytest.approx(0.8)
    assert_one_sentence(run("convert", "spin.CHGCAR", "a.xsf"), "no place for the spin density")
    assert run("convert", "spin.CHGCAR", "a.xsf", "--without-spin").code == 0
    assert deepdft.read("a.xsf").n_electrons == pytest.approx(8)


def test_the_level_of_theory_can_be_told(run, chgcar, tmp_path):
    deepdft.write(tmp_path / "a.cube", crystal(level=LevelOfTheory()))
    level = ("--level", "functional=PBE", "--level", "core=PAW")
    assert run("convert", "a.cube", "b.npz", *level).code == 0
    assert deepdft.read("b.npz").level == PBE
    assert_one_sentence(run("convert", "a.cube", "b.npz", "--level", "PBE"), "FIELD=VALUE")


def test_many_files_become_a_store_that_is_gone_on_with(run, chgcar, tmp_path):
    for number in range(3):
        deepdft.write(tmp_path / f"{number}.cube", crystal((8 + number, 8, 9)))
    with tarfile.open("some.tar", "w") as tar:
        tar.add("2.cube")
    result = run("convert", "0.cube", "1.cube", "some.tar", "all.store")
    assert result.code == 0, result.error
    assert "written: all.store, 3 densities added" in result.output
    assert TrainingStore("all.store").names == ["0.cube", "1.cube", "2.cube"]
    result = run("convert", "0.cube", "1.cube", "some.tar", "CHGCAR", "all.store", "--workers", 2)
    assert "1 density added, 3 were there already" in result.output
    store = open_dataset(tmp_path / "all.store")
    assert store.names == ["0.cube", "1.cube", "2.cube", "CHGCAR"]
    assert store.level == PBE
    np.testing.assert_allclose(store.on_grid(2).values, crystal((10, 8, 9)).values, rtol=1e-5)
    # Out again, by name.
    assert run("convert", "all.store::2.cube", "again.cube").code == 0
    result = run("compare", "2.cube", "again.cube")
    assert float(value_of(result.output, "eps_mae").split()[0]) < 1e-4


def test_the_name_or_an_option_asks_for_a_store(run, chgcar):
    assert run("convert", "CHGCAR", "one.zarr").code == 0
    assert deepdft.read("one.zarr").grid.shape == (10, 11, 12)
    for arguments in (("CHGCAR", "a", "--store"), ("CHGCAR", "spin.CHGCAR", "b.zarr")):
        assert run("convert", *arguments).code == 0
    assert len(TrainingStore("a")) == 1
    assert len(TrainingStore("b.zarr")) == 2
    # Stores are joined; where they have names in common, their own name tells these apart.
    assert run("convert", "a", "b.zarr", "c.store", "--without-spin").code == 0
    assert TrainingStore("c.store").names == ["a/CHGCAR", "b.zarr/CHGCAR", "b.zarr/spin.CHGCAR"]
    assert TrainingStore("c.store").density(2).spin is None
    assert run("convert", "spin.CHGCAR", "a").code == 0  # it is a store already
    assert TrainingStore("a").names == ["CHGCAR", "spin.CHGCAR"]


def test_orbitals_become_densities_on_a_grid(run, tmp_path):
    write_archive(tmp_path / "a.npz", ["H2", "H2O"])
    result = run("convert", "a.npz", "a.store", "--spacing", 0.5, "--margin", 3)
    assert result.code == 0, result.error
    store = TrainingStore("a.store")
    assert store.names == ["10", "11"]
    assert np.diag(store.grid(1).voxel) == pytest.approx([0.5] * 3)
    assert_one_sentence(run("convert", "a.npz", "a.cube"), "takes one density")


def test_files_that_cannot_be_used(run, chgcar, tmp_path):
    (tmp_path / "bad.cube").write_text("nothing\n")
    result = run("convert", "bad.cube", "CHGCAR", "a.store")
    assert_one_sentence(result, "bad.cube")
    assert len(TrainingStore("a.store")) == 0
    result = run("convert", "bad.cube", "CHGCAR", "a.store", "--skip")
    assert result.code == 0, result.error
    assert "skipped: bad.cube: " in result.output
    assert "1 density added, 1 skipped" in result.output
    deepdft.write(tmp_path / "scan.cube", crystal(level=LevelOfTheory("SCAN")))
    assert_one_sentence(run("convert", "scan.cube", "a.store"), "functional", "--mix-levels")
    assert run("convert", "scan.cube", "a.store", "--mix-levels").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("CHGCAR",), ("Give at least one input",)),
        (("nowhere.cube", "a.npz"), ("There is no file nowhere.cube",)),
        (("CHGCAR", "a.unknown"), ("a.unknown", "does not tell the format")),
        (("CHGCAR", "nowhere/a.cube"), ("There is no folder",)),
        (("CHGCAR", "spin.CHGCAR", "a.cube"), ("2 densities were given", ".store")),
        (("CHGCAR", "CHGCAR", "--store"), ("both input and output",)),
        (("CHGCAR", "a.npz", "--unit", "e/m^3"), ("There is no unit 'e/m^3'",)),
        (("CHGCAR", "a.npz", "--format", "cub"), ("Did you mean 'cube'?",)),
        (("CHGCAR", "a.npz", "--read", "imag=0"), ("Did you mean 'image'?",)),
        (("CHGCAR", "a.npz", "--read", "image"), ("must be NAME=VALUE",)),
        (("CHGCAR", "a.npz", "--read", "image=["), ("not valid YAML",)),
        (("CHGCAR", "a.npz", "--read", "image=3"), ("no image 3",)),
    ],
)
def test_conversions_that_are_refused(run, chgcar, arguments, words):
    assert_one_sentence(run("convert", *arguments), *words)


# inspect


def test_inspect_says_what_a_file_holds(run, chgcar):
    output = run("inspect", "spin.CHGCAR").output
    assert value_of(output, "formula") == "HF (2 atoms)"
    assert value_of(output, "periodic") == "yes"
    a, b, c = np.linalg.norm(CELL, axis=1)
    assert value_of(output, "cell").startswith(f"{a:.5g}, {b:.5g}, {c:.5g} Å")
    assert value_of(output, "grid").startswith("10 x 11 x 12 = 1,320 points")
    assert value_of(output, "electrons").startswith("8.0000 (neutral: 8 to 10 valence")
    assert value_of(output, "spin").startswith("up minus down 0.8000")
    low, high = re.findall(r"[-.\d]+", value_of(output, "minimum, maximum"))[:2]
    assert float(low) == pytest.approx(crystal().values.min(), rel=1e-4)
    assert float(high) == pytest.approx(crystal().values.max(), rel=1e-4)
    assert value_of(output, "level of theory") == "PBE/PAW"


def test_inspect_says_what_the_format_did_not(run, tmp_path):
    molecule = Atoms("HF", [[0, 0, 0], [0, 0, 0.92]])
    density = gaussian_density(molecule, Grid.around(molecule, 0.3, 3.0), LevelOfTheory())
    values, grid = density.values / PER_CUBIC_BOHR, density.grid
    from ase.io.cube import write_cube

    boxed = Atoms(molecule, cell=grid.cell)
    with (tmp_path / "a.cube").open("w") as file:
        write_cube(file, boxed, values, origin=grid.origin / 0.529177210903)
    output = run("inspect", "a.cube").output
    assert value_of(output, "level of theory") == "unknown level of theory"
    assert value_of(output, "periodic") == "no"
    assert "origin" in output
    assert "does not say whether it is periodic" in output
    assert "valence density" in output


def test_inspect_of_what_is_no_density(run, tmp_path):
    potential = replace(crystal(), metadata={"quantity": "potential"})
    potential = replace(potential, values=potential.values - 1.0)
    deepdft.write(tmp_path / "LOCPOT", potential)
    assert_one_sentence(run("inspect", "LOCPOT"), "a potential", "--quantity 'potential'")
    output = run("inspect", "LOCPOT", "--quantity", "potential").output
    assert value_of(output, "quantity") == "potential (not an electron density)"
    written = run("convert", "LOCPOT", "potential.cube", "--quantity", "potential").output
    assert "points, potential)" in written
    assert value_of(output, "minimum, maximum").endswith(" eV")
    assert "electrons" not in output


def test_inspect_of_archives_stores_and_folders(run, chgcar, tmp_path):
    with tarfile.open("some.tar", "w") as tar:
        for name in ("CHGCAR", "spin.CHGCAR"):
            tar.add(name)
    output = run("inspect", "some.tar").output
    assert "some.tar holds 2 entries" in output
    assert "some.tar::spin.CHGCAR" in output
    output = run("inspect", "some.tar::spin.CHGCAR").output
    assert value_of(output, "format").endswith("in a tar file")
    run("convert", "some.tar", "some.store")
    output = run("inspect", "some.store").output
    assert "training store of 2 densities" in output
    assert value_of(output, "elements") == "H F"
    assert value_of(output, "grid points") == "2,640"
    output = run("inspect", "some.store::spin.CHGCAR").output
    assert value_of(output, "spin").startswith("up minus down 0.8000")
    write_archive(tmp_path / "orbitals.npz", ["H2", "N2"])
    assert "occupied orbitals of 2 structures" in run("inspect", "orbitals.npz").output
    assert_one_sentence(run("inspect", "some.store::spin"), "has no density 'spin'")
    assert_one_sentence(run("inspect", "missing.cube"), "There is no file missing.cube")


# compare


def test_compare_reports_the_error_of_the_paper(run, chgcar, tmp_path):
    other = crystal()
    values = other.values.copy()
    values[3, 4, 5] += 0.5
    values[1] *= 0.9
    deepdft.write(tmp_path / "b.npz", replace(other, values=values))
    output = run("compare", chgcar, "b.npz", "-o", "difference.cube").output
    error = np.abs(values - other.values)
    expected = 100 * error.sum() / other.values.sum()
    numbers = [float(x) for x in re.findall(r"([-+.\de]+) %", value_of(output, "eps_mae"))]
    assert numbers[0] == pytest.approx(expected, rel=1e-4)
    assert numbers[1] == pytest.approx(100 * error.sum() / values.sum(), rel=1e-4)
    largest = value_of(output, "largest |B - A|")
    assert float(largest.split()[0]) == pytest.approx(error.max(), rel=1e-4)
    place = other.grid.points()[3, 4, 5]
    assert f"at {place[0]:.3f}, {place[1]:.3f}, {place[2]:.3f} Å" in largest
    squares = float(value_of(output, "root mean square").split()[0])
    assert squares == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
    difference = deepdft.read("difference.cube", quantity="difference-density")
    np.testing.assert_allclose(difference.values, values - other.values, atol=1e-5)
    assert_one_sentence(run("inspect", "difference.cube"), "a difference density")


def test_compare_resamples_and_says_how(run, chgcar, tmp_path):
    deepdft.write(tmp_path / "fine.npz", crystal((20, 18, 17)))
    result = run("compare", "CHGCAR", "fine.npz")
    assert result.code == 0, result.error
    how = value_of(result.output, "B on the grid of A")
    assert how == "Fourier resampling (same periodic cell) to 10x11x12 points"
    # Plane waves that both grids resolve: the interpolant is exact up to the file's digits.
    assert float(value_of(result.output, "eps_mae").split()[0]) < 1e-6
    box = Grid(np.diag([2.0, 2.0, 2.0]), (9, 9, 9), np.array([0.5, 0.5, 0.5]))
    values = waves(box.points()) * crystal().values[0, 0, 0] / waves(np.zeros(3))
    inside = Density(crystal().atoms, box, values, level=PBE)
    deepdft.write(tmp_path / "box.npz", inside)
    output = run("compare", "box.npz", "fine.npz").output
    assert value_of(output, "B on the grid of A").startswith("spline resampling (order 5)")
    assert float(value_of(output, "eps_mae").split()[0]) < 0.02


def test_compare_refuses_to_mix_levels(run, chgcar, tmp_path):
    deepdft.write(tmp_path / "b.npz", crystal(level=LevelOfTheory("PBE0", "PAW")))
    assert_one_sentence(run("compare", "CHGCAR", "b.npz"), "functional", "--mix-levels")
    assert run("compare", "CHGCAR", "b.npz", "--mix-levels").code == 0


def test_compare_warns_of_what_does_not_belong_together(run, chgcar, tmp_path):
    moved = crystal(scale=1.5)
    moved.atoms.positions[1] += [0.0, 0.0, 0.3]
    deepdft.write(tmp_path / "b.npz", moved)
    output = run("compare", "CHGCAR", "b.npz").output
    assert "the structures differ: atoms are up to 0.3 Å apart" in output
    assert "8.000 and 12.000 electrons" in output
    other = crystal()
    other.atoms.symbols[0] = "Cl"
    deepdft.write(tmp_path / "c.npz", other)
    assert "the structures differ: HF and ClF" in run("compare", "CHGCAR", "c.npz").output


def test_comparison_of_spin_densities(run, chgcar):
    output = run("compare", "spin.CHGCAR", "CHGCAR").output
    assert not re.search("^spin:", output, re.MULTILINE)
    output = run("compare", "spin.CHGCAR", "spin.CHGCAR").output
    assert value_of(output, "spin").startswith("0.80000 and 0.80000")
    density = crystal()
    vector = replace(density, spin=np.stack([density.values] * 3))
    assert compare_densities(replace(density, spin=density.values), vector).difference.spin is None


def test_comparisons_that_make_no_sense():
    density = crystal()
    with pytest.raises(ConfigurationError, match="density cannot be compared with a potential"):
        compare_densities(density, replace(density, metadata={"quantity": "potential"}))
    with pytest.raises(LevelOfTheoryError):
        compare_densities(density, crystal(level=LevelOfTheory("SCAN")))
    zero = replace(density, values=0 * density.values)
    with pytest.raises(ConfigurationError, match="zero everywhere"):
        compare_densities(zero, density)
    assert compare_densities(density, zero).eps_mae_of_b == float("inf")


@pytest.mark.skipif(not FILES.is_dir(), reason="the fixture files are not there")
def test_real_files_are_inspected(run):
    found = [path for path in sorted(FILES.iterdir()) if "CHGCAR" in path.name]
    assert found
    for path in found:
        result = run("inspect", path)
        assert result.code == 0, result.error
        assert float(value_of(result.output, "electrons").split()[0]) > 0


def test_points_are_described_but_not_converted(run, tmp_path) -> None:
    write_points(tmp_path / "0.h5")
    shown = run("inspect", tmp_path / "0.h5")
    assert shown.code == 0
    assert "scattered points" in value_of(shown.output, "format")
    assert value_of(shown.output, "points").startswith("50 in a cell of 60")
    assert_one_sentence(run("convert", tmp_path / "0.h5", "a.cube"), "scattered points")
