"""XSF files, with ASE and pymatgen as independent readers and writers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io.xsf import read_xsf, write_xsf

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats import read, read_with_notes, write
from deepdft.units import PER_CUBIC_BOHR
from tests.formats.samples import LEVEL, boxed_molecule, shared_file, skewed_density

STRUCTURE = """CRYSTAL
PRIMVEC
 4.0 0.0 0.0
 1.0 4.0 0.0
 0.0 0.5 5.0
PRIMCOORD
 2 1
 Si 0.0 0.0 0.0
 14 1.0 1.0 1.0 0.1 0.2 0.3
"""
SPAN = " 4.0 0.0 0.0\n 1.0 4.0 0.0\n 0.0 0.5 5.0\n"


def periodic_values() -> np.ndarray:
    """Return (3, 4, 5) values of 8 electrons in e/Å^3."""
    values = np.random.default_rng(3).random((3, 4, 5)) + 0.2
    return values * 8.0 / values.mean() / 80.0


def datagrid(values: np.ndarray, span: str = SPAN, head: str = "BEGIN_DATAGRID_3D_rho") -> str:
    counts = " ".join(map(str, values.shape))
    numbers = "\n".join(f"{value:.12e}" for value in values.ravel(order="F"))
    return f"{head}\n{counts}\n0.0 0.0 0.0\n{span}{numbers}\nEND_DATAGRID_3D\n"


def block(*grids: str, head: str = "BEGIN_BLOCK_DATAGRID_3D") -> str:
    return f"{head}\n my_block\n{''.join(grids)}END_BLOCK_DATAGRID_3D\n"


def repeated(values: np.ndarray) -> np.ndarray:
    return np.pad(values, [(0, 1)] * 3, mode="wrap")


def read_text(tmp_path: Path, text: str, **options: object) -> tuple[Density, list[str]]:
    (tmp_path / "x.xsf").write_text(text)
    return read_with_notes(tmp_path / "x.xsf", **options)


@pytest.mark.parametrize("density", [skewed_density(), boxed_molecule()], ids=["crystal", "box"])
def test_round_trip(density: Density, tmp_path: Path) -> None:
    write(tmp_path / "x.xsf", density)
    again, notes = read_with_notes(tmp_path / "x.xsf")
    assert np.allclose(again.values, density.values, rtol=1e-8)
    assert again.grid.is_close(density.grid, 1e-9)
    assert np.allclose(again.atoms.positions, density.atoms.positions, atol=1e-12)
    assert (again.atoms.pbc == density.atoms.pbc).all()
    assert again.level == LEVEL
    assert not any("unit" in note for note in notes)  # the comment says it
    write(tmp_path / "second.xsf", again)
    assert (tmp_path / "second.xsf").read_bytes() == (tmp_path / "x.xsf").read_bytes()


@pytest.mark.parametrize("density", [skewed_density(), boxed_molecule()], ids=["crystal", "box"])
def test_ase_reads_what_we_write(density: Density, tmp_path: Path) -> None:
    write(tmp_path / "x.xsf", density)
    with open(tmp_path / "x.xsf") as file:
        data, origin, span, atoms = read_xsf(file, read_data=True)
    assert np.allclose(atoms.positions, density.atoms.positions)
    assert np.allclose(origin, density.grid.origin)
    values = density.values / PER_CUBIC_BOHR
    if density.atoms.pbc.all():
        assert np.allclose(data, repeated(values), rtol=1e-7)
        assert np.allclose(span, density.grid.cell)
    else:
        assert np.allclose(data, values, rtol=1e-7)
        steps = np.array(data.shape)[:, None] - 1
        assert np.allclose(span, density.grid.voxel * steps)


def test_we_read_what_ase_writes(tmp_path: Path) -> None:
    """Without repeated faces, and with vectors too long by (n + 1) / n."""
    density = skewed_density()
    with open(tmp_path / "x.xsf", "w") as file:
        write_xsf(file, [density.atoms], density.values * 1000)  # six decimals are few
    ours = read(tmp_path / "x.xsf", unit="e/angstrom^3", quantity="density")
    assert ours.grid.is_close(density.grid, 1e-4)
    assert np.allclose(ours.values, density.values * 1000, atol=1e-6)
    assert np.allclose(ours.atoms.positions, density.atoms.positions)


def test_repeated_faces_are_dropped(tmp_path: Path) -> None:
    values = periodic_values()
    density, _ = read_text(tmp_path, STRUCTURE + block(datagrid(repeated(values))))
    assert density.grid.shape == (3, 4, 5)
    assert density.n_electrons == pytest.approx(8.0)
    assert np.allclose(density.values, values)
    assert (density.atoms.numbers == 14).all()
    assert np.allclose(density.atoms.positions[1], [1, 1, 1])
    assert density.atoms.pbc.all()


def test_faces_that_are_not_repeated(tmp_path: Path) -> None:
    values = periodic_values()
    density, notes = read_text(tmp_path, STRUCTURE + block(datagrid(values)))
    assert density.n_electrons == pytest.approx(8.0)
    assert any("does not repeat its far face along a, b and c" in note for note in notes)
    inner = (
        np.array([[4, 0, 0], [1, 4, 0], [0, 0.5, 5]]) * (np.array([2, 3, 4]) / [3, 4, 5])[:, None]
    )
    span = "".join(" ".join(map(repr, row)) + "\n" for row in inner.tolist())
    density, notes = read_text(tmp_path, STRUCTURE + block(datagrid(values, span)))
    assert density.n_electrons == pytest.approx(8.0)
    assert not any("repeat" in note for note in notes)


@pytest.mark.parametrize(
    ("factor", "unit"), [(1.0, "e/angstrom^3"), (1 / PER_CUBIC_BOHR, "e/bohr^3")]
)
def test_the_integral_decides_the_unit(factor: float, unit: str, tmp_path: Path) -> None:
    text = STRUCTURE + block(datagrid(repeated(periodic_values()) * factor))
    density, notes = read_text(tmp_path, text)
    assert density.n_electrons == pytest.approx(8.0)
    assert any(f"taken as {unit}" in note and "8" in note for note in notes)
    other = {"e/angstrom^3": "e/bohr^3", "e/bohr^3": "e/angstrom^3"}[unit]
    forced, _ = read_text(tmp_path, text, unit=other)
    assert forced.n_electrons == pytest.approx(8.0 * (PER_CUBIC_BOHR if factor == 1.0 else factor))


@pytest.mark.parametrize("keyword", ["ATOMS", "MOLECULE\nPRIMCOORD\n 2 1"])
@pytest.mark.parametrize("spelling", ["DATAGRID_3D", "DATAGRID3D"])
def test_headers_of_molecules(keyword: str, spelling: str, tmp_path: Path) -> None:
    values = np.zeros((4, 5, 6))
    values[1:3, 1:4, 1:5] = 1.0
    values *= 8.0 / (values.sum() * (4 / 3) * 1 * 1)
    span = " 4.0 0.0 0.0\n 0.0 4.0 0.0\n 0.0 0.0 5.0\n"
    grid = datagrid(values, span, f"BEGIN_{spelling}_rho")
    text = f"{keyword}\n C 1.0 2.0 2.0\n O 2.0 2.0 2.0\n" + block(
        grid, head=f"BEGIN_BLOCK_{spelling}"
    )
    density, _ = read_text(tmp_path, text, unit="e/angstrom^3")
    assert density.grid.shape == (4, 5, 6)
    assert np.allclose(density.grid.voxel, np.diag([4 / 3, 1, 1]))
    assert density.n_electrons == pytest.approx(8.0)
    assert not density.atoms.pbc.any()
    assert str(density.atoms.symbols) == "CO"


def test_several_grids(tmp_path: Path) -> None:
    values = periodic_values()
    second = datagrid(repeated(2 * values), head="DATAGRID_3D_up")
    text = "# comment\n\n" + STRUCTURE + block(datagrid(repeated(values)), second)
    first, _ = read_text(tmp_path, text, unit="e/angstrom^3")
    other, notes = read_text(tmp_path, text, unit="e/angstrom^3", datagrid=1)
    assert other.n_electrons == pytest.approx(2 * first.n_electrons)
    assert any("several grids" in note and "'up'" in note for note in notes)
    with pytest.raises(FileFormatError, match=r"no datagrid 2.*has 2"):
        read_text(tmp_path, text, datagrid=2)


def test_names_of_other_quantities(tmp_path: Path) -> None:
    grid = datagrid(repeated(periodic_values()), head="BEGIN_DATAGRID_3D_total potential")
    with pytest.raises(FileFormatError, match="quantity='potential'"):
        read_text(tmp_path, STRUCTURE + block(grid))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("4 5 6", "4 5"), "Expected three point counts"),
        (("4 5 6", "4 5 7"), "ends after 120 of 140|not a finite number"),
        (("4 5 6", "4 5 5"), "More values follow"),
        (("4 5 6", "9999999 9999999 9999999"), "not a finite number|ends after"),
        ((" Si 0.0", " 999 0.0"), "no element '999'"),
        ((" 2 1\n", " 99999999999 1\n"), "no element 'BEGIN_BLOCK|Expected"),
        ((" 0.0 0.5 5.0\nPRIM", " 0.0 x 5.0\nPRIM"), "line 5: Expected a vector"),
    ],
)
def test_damage_is_one_sentence(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    text = STRUCTURE + block(datagrid(repeated(periodic_values())))
    assert change[0] in text
    with pytest.raises(FileFormatError, match=message):
        read_text(tmp_path, text.replace(*change, 1))


def test_a_structure_alone_is_no_density(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no datagrid 0"):
        read_text(tmp_path, STRUCTURE)


def test_real_file() -> None:
    density, notes = read_with_notes(shared_file("GaAs_dftpy.xsf.gz"))
    assert density.grid.shape == (16, 26, 18)
    assert density.n_electrons == pytest.approx(40.0, abs=1e-5)
    assert any("taken as e/bohr^3" in note for note in notes)


def test_pymatgen_reads_the_structure_we_write(tmp_path: Path) -> None:
    xcrysden = pytest.importorskip("pymatgen.io.xcrysden")
    density = skewed_density()
    write(tmp_path / "x.xsf", density)
    theirs = xcrysden.XSF.from_str((tmp_path / "x.xsf").read_text()).structure
    assert np.allclose(theirs.lattice.matrix, density.grid.cell)
    assert np.allclose(theirs.cart_coords, density.atoms.positions)


def test_what_the_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="spin density"):
        write(tmp_path / "x.xsf", skewed_density(1))
    flat = Grid(np.eye(3), (1, 2, 2))
    with pytest.raises(ConfigurationError, match="two points"):
        write(tmp_path / "x.xsf", Density(Atoms("H"), flat, np.ones(flat.shape)))
    assert list(tmp_path.iterdir()) == []
