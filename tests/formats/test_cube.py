"""Gaussian cube files, with ASE and PySCF as independent readers and writers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io.cube import read_cube, write_cube

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats import read, read_with_notes, write
from deepdft.units import BOHR, PER_CUBIC_BOHR
from tests.formats.samples import LEVEL, boxed_molecule, shared_file, skewed_density

VALUES = np.linspace(0.001, 0.03, 24)


def cube(
    atoms: str = "    3", counts: tuple[int, int, int] = (2, 3, 4), first: str = "water",
    second: str = "density", orbitals: str = "", values: str = "", per_voxel: str = "",
    lengths: float = 1.0,
) -> str:  # fmt: skip
    """Return a cube file of a box of 8 x 9 x 8 bohr (times `lengths`)."""
    lines = [first, second]
    lines.append(
        f"{atoms} {-1.0 * lengths:.6f} {-2.0 * lengths:.6f} {0.5 * lengths:.6f}{per_voxel}"
    )
    for axis, (count, edge) in enumerate(zip(counts, (4.0, 3.0, 2.0), strict=True)):
        vector = np.zeros(3)
        vector[axis] = edge * lengths
        lines.append(f"{count:5d} " + " ".join(f"{x:.6f}" for x in vector))
    for number, x in ((8, 1.0), (1, 2.0), (1, 0.2)):
        lines.append(f"{number:5d} {number:.6f} {x * lengths:.6f} 0.000000 1.000000")
    text = values or "".join(
        f"{value:13.5E}" + "\n" * (i % 6 == 5) for i, value in enumerate(VALUES)
    )
    return "\n".join(lines) + "\n" + orbitals + text + "\n"


def read_text(tmp_path: Path, text: str, name: str = "x.cube", **options: object) -> Density:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return read(path, **options)


@pytest.mark.parametrize("components", [0, 1, 3])
def test_round_trip(components: int, tmp_path: Path) -> None:
    density = skewed_density(components)
    write(tmp_path / "x.cube", density)
    again = read(tmp_path / "x.cube")
    assert np.abs(again.values - density.values).max() <= 5.1e-6 * density.values.max()
    if density.spin is None:
        assert again.spin is None
    else:
        assert again.spin is not None
        assert again.spin.shape == density.spin.shape
        assert np.allclose(again.spin, density.spin, rtol=5.1e-6, atol=0)
    assert again.level == LEVEL
    assert again.atoms.pbc.all()
    assert np.allclose(again.atoms.positions, density.atoms.positions, rtol=0, atol=4e-8)
    assert again.grid.is_close(density.grid, 1e-7)
    write(tmp_path / "second.cube", again)
    assert (tmp_path / "second.cube").read_bytes() == (tmp_path / "x.cube").read_bytes()


def test_more_digits_can_be_asked_for(tmp_path: Path) -> None:
    density = boxed_molecule()
    write(tmp_path / "x.cube", density, digits=15)
    again = read(tmp_path / "x.cube")
    assert np.allclose(again.values, density.values, rtol=1e-14, atol=0)
    assert again.grid.is_close(density.grid, 1e-7)
    assert np.allclose(again.grid.origin, density.grid.origin, atol=1e-8)
    assert not again.atoms.pbc.any()


def test_ase_reads_what_we_write(tmp_path: Path) -> None:
    density = boxed_molecule()
    write(tmp_path / "x.cube", density)
    with open(tmp_path / "x.cube") as file:
        theirs = read_cube(file)
    assert np.allclose(theirs["data"] * PER_CUBIC_BOHR, density.values, rtol=1e-5)
    assert np.allclose(theirs["origin"], density.grid.origin, atol=1e-6)
    assert np.allclose(theirs["spacing"], density.grid.voxel, atol=1e-6)
    assert np.allclose(theirs["atoms"].positions, density.atoms.positions, atol=1e-6)
    assert (theirs["atoms"].numbers == density.atoms.numbers).all()


def test_ase_reads_the_channels_of_a_spin_density(tmp_path: Path) -> None:
    density = skewed_density(3)
    write(tmp_path / "x.cube", density)
    with open(tmp_path / "x.cube") as file:
        channels = read_cube(file)["datas"] * PER_CUBIC_BOHR
    assert np.allclose(channels[0], density.values, rtol=1e-5)
    assert np.allclose(channels[1:], density.spin, rtol=1e-5)


def test_we_read_what_ase_writes(tmp_path: Path) -> None:
    density = skewed_density()
    with open(tmp_path / "x.cube", "w") as file:
        write_cube(file, density.atoms, density.values / PER_CUBIC_BOHR, origin=[0.1, 0.2, 0.3])
    ours = read(tmp_path / "x.cube", pbc=True)
    assert np.allclose(ours.values, density.values, rtol=1e-5)
    assert np.allclose(ours.grid.origin, [0.1, 0.2, 0.3], atol=1e-6)
    assert np.allclose(ours.atoms.positions, density.atoms.positions, atol=1e-6)
    assert np.allclose(np.asarray(ours.atoms.cell), density.grid.cell, atol=1e-4)


def test_we_read_what_pyscf_writes(tmp_path: Path) -> None:
    """An all-electron density, whose grid misses the cores: recognised, and told."""
    gto = pytest.importorskip("pyscf.gto")
    from pyscf.tools import cubegen

    molecule = gto.M(atom="O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587", basis="sto-3g", verbose=0)
    field = molecule.RHF().run()
    matrix = field.make_rdm1()
    grid = cubegen.density(molecule, str(tmp_path / "x.cube"), matrix, nx=40, ny=40, nz=40)
    density, notes = read_with_notes(tmp_path / "x.cube")
    # PySCF's box includes both faces, so that its step is edge / (n - 1).
    assert density.grid.shape == (40, 40, 40)
    points = density.grid.points().reshape(-1, 3) / BOHR
    orbitals = molecule.eval_gto("GTOval", points)
    exact = np.einsum("pi,ij,pj->p", orbitals, matrix, orbitals).reshape(40, 40, 40)
    assert np.allclose(density.values, exact * PER_CUBIC_BOHR, rtol=2e-4, atol=1e-6)
    assert grid.shape == (40, 40, 40)
    assert not density.atoms.pbc.any()
    assert density.n_electrons == pytest.approx(10, abs=1.5)
    assert any("electrons" in note for note in notes)


def test_units_of_the_header(tmp_path: Path) -> None:
    density = read_text(tmp_path, cube())
    assert np.allclose(density.grid.origin, np.array([-1, -2, 0.5]) * BOHR)
    assert np.allclose(density.grid.cell, np.diag([8, 9, 8]) * BOHR)
    assert np.allclose(density.atoms.positions[0], np.array([1, 0, 1]) * BOHR)
    expected = np.array([float(f"{v:.5E}") for v in VALUES]).reshape(2, 3, 4) * PER_CUBIC_BOHR
    assert np.allclose(density.values, expected, rtol=1e-14)


def test_negative_counts_mean_angstrom(tmp_path: Path) -> None:
    """8.93 electrons in 576 bohr^3; the header in Å describes the same box."""
    bohr = read_text(tmp_path, cube())
    assert bohr.n_electrons == pytest.approx(8.93, abs=0.01)
    text = cube(counts=(-2, -3, -4), lengths=BOHR)
    path = tmp_path / "angstrom.cube"
    path.write_text(text)
    angstrom, notes = read_with_notes(path)
    assert angstrom.grid.is_close(bohr.grid, 1e-5)
    assert np.allclose(angstrom.values, bohr.values)
    assert any("does not name its unit; taken as e/bohr^3" in note for note in notes)
    scaled = "".join(f"{v * PER_CUBIC_BOHR:14.6E}\n" for v in VALUES)
    path.write_text(cube(counts=(-2, -3, -4), lengths=BOHR, values=scaled))
    other, notes = read_with_notes(path)
    assert np.allclose(other.values, bohr.values, rtol=1e-5)
    assert any("taken as e/angstrom^3" in note for note in notes)
    forced = read(path, unit="e/bohr^3")
    assert np.allclose(forced.values, other.values * PER_CUBIC_BOHR)
    with pytest.raises(FileFormatError, match="make no grid"):
        read_text(tmp_path, cube(counts=(-2, 3, 4)))


def test_a_wrong_unit_is_warned_about(tmp_path: Path) -> None:
    values = "".join(f"{v * PER_CUBIC_BOHR:14.6E}\n" for v in VALUES)
    path = tmp_path / "x.cube"
    path.write_text(cube(values=values))
    density, notes = read_with_notes(path)
    assert density.n_electrons == pytest.approx(8.93 * PER_CUBIC_BOHR, rel=1e-3)
    assert any("Warning" in note and "60.2" in note for note in notes)
    assert read(path, unit="e/angstrom^3").n_electrons == pytest.approx(8.93, abs=0.01)


@pytest.mark.parametrize("atoms", ["   -3", "    3"])
def test_orbital_lists(atoms: str, tmp_path: Path) -> None:
    """With a negative atom count, and under a positive one as some programs write."""
    text = cube(atoms=atoms, orbitals="    1   21\n")
    with pytest.raises(FileFormatError, match=r"lists orbitals \[21\].*quantity='orbital'"):
        read_text(tmp_path, text)
    orbital = read_text(tmp_path, text, quantity="orbital")
    assert orbital.values[0, 0, 0] == pytest.approx(0.001 * BOHR**-1.5)
    density = read_text(tmp_path, text, quantity="density")
    assert density.values[0, 0, 0] == pytest.approx(0.001 * PER_CUBIC_BOHR)


def test_several_orbitals_over_several_lines(tmp_path: Path) -> None:
    values = "".join(f"{v:13.5E}{-v:13.5E}{2 * v:13.5E}\n" for v in VALUES)
    text = cube(atoms="   -3", orbitals="    3   7\n    8  9\n", values=values)
    for component, factor in ((0, 1), (1, -1), (2, 2)):
        found = read_text(tmp_path, text, quantity="orbital", component=component)
        assert found.values[1, 2, 3] == pytest.approx(factor * 0.03 * BOHR**-1.5)
    with pytest.raises(ConfigurationError, match="no component 3"):
        read_text(tmp_path, text, quantity="orbital", component=3)


def test_two_values_a_voxel(tmp_path: Path) -> None:
    values = "".join(f"{v:13.5E}{-v / 2:13.5E}\n" for v in VALUES)
    path = tmp_path / "x.cube"
    path.write_text(cube(per_voxel="   2", values=values))
    density, notes = read_with_notes(path)
    assert density.values[0, 0, 0] == pytest.approx(0.001 * PER_CUBIC_BOHR)
    assert density.spin is None
    assert any("2 values a voxel" in note for note in notes)
    second = read(path, component=1, quantity="spin-density")
    assert second.values[0, 0, 0] == pytest.approx(-0.0005 * PER_CUBIC_BOHR)


def test_layouts_that_programs_write(tmp_path: Path) -> None:
    expected = read_text(tmp_path, cube())
    one_a_line = "\n".join(f"{value:.5e}" for value in VALUES)
    assert (read_text(tmp_path, cube(values=one_a_line)).values == expected.values).all()
    windows = cube().replace("\n", "\r\n")
    again = read_text(tmp_path, windows)
    assert (again.values == expected.values).all()
    assert (again.atoms.positions == expected.atoms.positions).all()
    no_atoms = "\n".join(
        line for i, line in enumerate(cube(atoms="    0").split("\n")) if not 6 <= i < 9
    )
    assert len(read_text(tmp_path, no_atoms).atoms) == 0


@pytest.mark.parametrize(
    ("comment", "quantity"),
    [
        ("HOMO of something", "orbital"),
        ("Electrostatic potential", "potential"),
        ("Deformation density", "difference-density"),
        ("ELF", "elf"),
        ("Spin density", "spin-density"),
    ],
)
def test_comments_that_name_another_quantity(comment: str, quantity: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=f"quantity='{quantity}'"):
        read_text(tmp_path, cube(first=comment))
    assert read_text(tmp_path, cube(first=comment), quantity="density").values.min() > 0


def test_comments_that_name_a_density(tmp_path: Path) -> None:
    for comment in ("SCF Total Density", "Electron density in real space (e/Bohr^3)"):
        assert read_text(tmp_path, cube(second=comment)).n_electrons > 0


def test_values_of_both_signs_are_refused(tmp_path: Path) -> None:
    values = "\n".join(f"{value:.5e}" for value in VALUES - VALUES.mean())
    with pytest.raises(
        FileFormatError, match=r"difference density.*50 % of its integral is negative"
    ):
        read_text(tmp_path, cube(values=values))
    found = read_text(tmp_path, cube(values=values), quantity="difference-density")
    assert found.n_electrons == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("    2 4.", "    0 4."), "make no grid"),
        (("    2 4.", "  999999999999 4."), "ends after 24 of"),
        (("    2 4.", "    x 4."), "line 4: Expected a point count"),
        (("    3 -1.0", "  999999999 -1.0"), "atomic number, a charge|no element"),
        (("    8 8.0", "  888 8.0"), "line 7: There is no element 888"),
        (("4.000000", "0.000000"), "no grid"),
        (("1.00000E-03", "***********"), "is not a finite number"),
        (("1.00000E-03", "nan"), "line 10: 'nan' is not a finite number"),
        (("3.00000E-02", ""), "ends after 23 of 24"),
        (("3.00000E-02", "3.0E-02 1.0"), "More values follow"),
        (("1.00000E-03", "² 9"), "'²' is not a finite number"),
        (("1.00000E-03", f"{'1' * 5000} 5"), r"is not a finite number|a number follows"),
    ],
)
def test_damage_is_one_sentence(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    assert change[0] in cube()
    with pytest.raises(FileFormatError, match=message):
        read_text(tmp_path, cube().replace(*change, 1))


def test_real_files(tmp_path: Path) -> None:
    density, notes = read_with_notes(shared_file("AlN_openmx.cube.gz"))
    assert density.n_electrons == pytest.approx(16.0, abs=1e-3)
    assert density.atoms.pbc.all()  # by the density at the faces
    assert any("pbc=TTT" in note for note in notes)
    assert not read(shared_file("AlN_openmx.cube.gz"), pbc=False).atoms.pbc.any()
    with pytest.raises(FileFormatError, match="HOMO"):
        read(shared_file("CH4_homo_origin.cube.gz"))
    orbital = read(shared_file("CH4_homo_origin.cube.gz"), quantity="orbital")
    norm = (orbital.values**2).sum() * orbital.grid.voxel_volume
    assert norm == pytest.approx(0.997, abs=1e-3)
    assert np.allclose(orbital.grid.origin, [BOHR, 0, 0])


def test_a_frozen_core_density_of_gaussian() -> None:
    """22.03 electrons of acrolein: the valence, as the value next to the oxygen nucleus shows."""
    density, notes = read_with_notes(shared_file("acrolein_allelectron.cube.gz"))
    assert density.n_electrons == pytest.approx(22.03, abs=0.01)
    assert any("valence density (22 to 30" in note for note in notes)
    assert not density.atoms.pbc.any()


def test_an_orbital_of_gaussian() -> None:
    path = shared_file("benzene_homo_negative_natoms.cube.gz")
    with pytest.raises(FileFormatError, match=r"orbitals \[21\]"):
        read(path)
    orbital = read(path, quantity="orbital")
    norm = (orbital.values**2).sum() * orbital.grid.voxel_volume
    assert norm == pytest.approx(1.0001, abs=1e-3)


def test_columns_fit_older_readers(tmp_path: Path) -> None:
    """I5,4F12.6 and 6E13.5: every field in its columns, with blanks between."""
    atoms = Atoms("OCH", positions=[[-123.4, 0.001, 45.6], [1, 2, 3], [-9.99, -10, 100]])
    grid = Grid(np.diag([3.0, 3, 3]), (2, 2, 7), [-600.0, -0.5, 12.0])
    density = Density(atoms, grid, np.full(grid.shape, 2.0))
    write(tmp_path / "x.cube", density)
    lines = (tmp_path / "x.cube").read_text().splitlines()
    for line in lines[2:6]:
        assert len(line) == 5 + 3 * 12
        assert [line[5 + 12 * i] for i in range(3)] == [" "] * 3
    positions = [[float(line[17 + 12 * i : 29 + 12 * i]) for i in range(3)] for line in lines[6:9]]
    assert np.allclose(np.array(positions) * BOHR, atoms.positions, atol=1e-6)
    assert len(lines[9]) == 6 * 13
    assert len(lines[10]) == 13
