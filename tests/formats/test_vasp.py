"""VASP's CHGCAR layout, with ASE and pymatgen as independent readers and writers."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.vasp import VaspChargeDensity
from pymatgen.io.vasp import Chgcar

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats import open_writer, read, read_with_notes, write
from deepdft.levels import LevelOfTheory
from tests.formats.samples import LEVEL, boxed_molecule, shared_file, skewed_density

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

HEADER = """water in a box
   {scale}
     4.0  0.0  0.0
     1.0  4.0  0.0
     0.0  0.5  5.0
{species}
Direct
  0.10 0.20 0.30
  0.40 0.50 0.60
  0.70 0.80 0.90

   2    3    4
"""
BLOCK = " ".join(f"{10 + i / 7:.6f}" for i in range(24))


def chgcar(
    scale: str = "1.0", species: str = " O H\n 1 2", blocks: str = BLOCK, header: str = HEADER
) -> str:
    return header.format(scale=scale, species=species) + blocks + "\n"


def read_text(tmp_path: Path, text: str, name: str = "CHGCAR", **options: object) -> Density:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return read(path, **options)


@pytest.mark.parametrize("components", [0, 1, 3])
@pytest.mark.parametrize("name", ["x.CHGCAR", "CHG"])
def test_round_trip(components: int, name: str, tmp_path: Path) -> None:
    density = skewed_density(components)
    write(tmp_path / name, density)
    again = read(tmp_path / name)
    digits = 11 if "CHGCAR" in name else 5
    largest = float(np.abs(density.values).max())
    assert np.abs(again.values - density.values).max() <= largest * 10.0 ** (1 - digits)
    assert (again.spin is None) == (components == 0)
    if density.spin is not None and again.spin is not None:
        assert again.spin.shape == density.spin.shape
        assert np.allclose(again.spin, density.spin, rtol=0, atol=10.0 ** (1 - digits) * 0.1)
    assert again.level == LEVEL
    assert again.grid.is_close(density.grid, 1e-12)
    assert str(again.atoms.symbols) == "HOHC2"
    assert np.allclose(again.atoms.positions, density.atoms.positions, rtol=0, atol=1e-12)
    assert again.atoms.pbc.all()
    write(tmp_path / f"second.{name}", again)
    assert (tmp_path / f"second.{name}").read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("components", [0, 1])
def test_ase_reads_what_we_write(components: int, tmp_path: Path) -> None:
    density = skewed_density(components)
    write(tmp_path / "CHGCAR", density)
    theirs = VaspChargeDensity(tmp_path / "CHGCAR")
    assert np.allclose(theirs.chg[0], density.values, rtol=1e-10)
    assert len(theirs.chgdiff) == components
    if components:
        assert np.allclose(theirs.chgdiff[0], density.spin, rtol=0, atol=1e-11)
    assert np.allclose(theirs.atoms[0].positions, density.atoms.positions)
    assert str(theirs.atoms[0].symbols) == "HOHC2"
    electrons = theirs.chg[0].sum() * theirs.atoms[0].get_volume() / theirs.chg[0].size
    assert electrons == pytest.approx(16.0, abs=1e-9)


@pytest.mark.parametrize("components", [0, 1, 3])
def test_pymatgen_reads_what_we_write(components: int, tmp_path: Path) -> None:
    density = skewed_density(components)
    write(tmp_path / "CHGCAR", density)
    theirs = Chgcar.from_file(str(tmp_path / "CHGCAR"))
    volume = theirs.structure.volume
    assert np.allclose(theirs.data["total"] / volume, density.values, rtol=1e-10)
    assert theirs.data["total"].mean() == pytest.approx(16.0, abs=1e-9)
    names = {0: [], 1: ["diff"], 3: ["diff_x", "diff_y", "diff_z"]}[components]
    for index, name in enumerate(names):
        expected = density.spin if components == 1 else density.spin[index]
        assert np.allclose(theirs.data[name] / volume, expected, rtol=0, atol=1e-11)
    assert [site.specie.symbol for site in theirs.structure] == ["H", "O", "H", "C", "C"]


def test_we_read_what_ase_writes(tmp_path: Path) -> None:
    density = skewed_density(1)
    grouped = density.atoms[[0, 2, 1, 3, 4]]  # ASE writes elements in groups
    theirs = VaspChargeDensity(None)
    theirs.atoms, theirs.chg, theirs.chgdiff = [grouped], [density.values], [density.spin]
    for name in ("CHGCAR", "CHG"):
        theirs.write(str(tmp_path / name))
        ours = read(tmp_path / name)
        digits = 1e-10 if name == "CHGCAR" else 1e-4
        assert np.allclose(ours.values, density.values, rtol=digits)
        assert np.allclose(ours.spin, density.spin, rtol=digits, atol=1e-8)
        assert np.allclose(ours.atoms.positions, grouped.positions)
        assert (ours.atoms.numbers == grouped.numbers).all()


REAL_FILES = [
    "H2.CHGCAR.gz",
    "Ni_spin.CHGCAR.gz",
    "Fe3O4_spin.CHGCAR.gz",
    "NaMgF3.CHG.gz",
    "Si2.CHGCAR.gz",
    "Li_bcc.CHGCAR.gz",
]


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_files_agree_with_ase_and_pymatgen(name: str, tmp_path: Path) -> None:
    path = shared_file(name)
    ours = read(path)
    plain = tmp_path / "CHGCAR"
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    ase, pymatgen = VaspChargeDensity(plain), Chgcar.from_file(str(plain))
    assert np.allclose(ours.values, ase.chg[0], rtol=1e-13, atol=0)
    assert np.allclose(ours.values, pymatgen.data["total"] / ours.grid.volume, rtol=1e-13, atol=0)
    assert ours.n_electrons == pytest.approx(round(ours.n_electrons), abs=3e-4)
    if ours.spin is not None:
        assert np.allclose(ours.spin, ase.chgdiff[0], rtol=1e-13, atol=0)
        assert np.allclose(ours.spin, pymatgen.data["diff"] / ours.grid.volume, rtol=1e-13, atol=0)
    assert (ours.atoms.numbers == ase.atoms[0].numbers).all()
    assert np.allclose(ours.atoms.positions, ase.atoms[0].positions)


def test_four_blocks_with_occupancies(tmp_path: Path) -> None:
    path = shared_file("Ni_noncollinear.CHGCAR.gz")
    density = read(path)
    assert density.n_electrons == pytest.approx(10.0, abs=1e-5)
    assert np.allclose(density.total_spin, [-0.0005, -0.0004, 0.6884], atol=1e-4)
    assert density.level.core == "PAW"
    write(tmp_path / "CHGCAR", density)
    before = gzip.decompress(path.read_bytes()).decode().splitlines()
    after = (tmp_path / "CHGCAR").read_text().splitlines()
    assert [line.split() for line in before[11:]] == [line.split() for line in after[11:]]
    assert "no augmentation" not in after[0]
    assert set(Chgcar.from_file(str(tmp_path / "CHGCAR")).data_aug["diff_z"]) == {1}


def test_four_blocks_without_occupancies_keep_every_component(tmp_path: Path) -> None:
    """ASE drops the y and z components of such a file without a word."""
    density = skewed_density(3)
    write(tmp_path / "CHG", density)
    again = read(tmp_path / "CHG")
    assert again.spin is not None
    assert again.spin.shape == (3, *density.grid.shape)
    assert np.allclose(again.total_spin, density.total_spin, atol=1e-3)


def test_occupancies_and_moments_are_kept_as_they_are(tmp_path: Path) -> None:
    """Headers without numbers and stray lines of moments, which pymatgen fails on."""
    odd = "augmentation occupancies\n  0.1000E+00\n"
    odd += "augmentation occupancies (imaginary part) 1 2\n 1 2\n"
    moments = "  0.1000000E+01  0.0  0.0\n"
    text = chgcar(blocks=f"{BLOCK}\n{odd}{moments}   2  3  4\n{BLOCK}\n{odd}".rstrip())
    density = read_text(tmp_path, text)
    assert density.spin is not None
    assert density.metadata["augmentation"] == [odd + moments, odd]
    write(tmp_path / "again.CHGCAR", density)
    assert read(tmp_path / "again.CHGCAR").metadata["augmentation"] == [odd + moments, odd]


def test_a_file_without_occupancies_says_so(tmp_path: Path) -> None:
    write(tmp_path / "CHGCAR", skewed_density(), comment="my system")
    first = (tmp_path / "CHGCAR").read_text().splitlines()[0]
    assert first.startswith("my system; no augmentation occupancies deepdft {")
    assert read(tmp_path / "CHGCAR").metadata["comment"] == "my system"


@pytest.mark.parametrize(
    ("scale", "factors"),
    [("1.0", 1.0), ("2.5", 2.5), ("-640", 2.0), ("1.0 2.0 0.5", (1.0, 2.0, 0.5))],
)
@pytest.mark.parametrize("kind", ["Direct", "Cartesian"])
def test_scale_factors(scale: str, factors: object, kind: str, tmp_path: Path) -> None:
    text = chgcar(scale=scale).replace("Direct", kind)
    density = read_text(tmp_path, text)
    cell = np.array([[4, 0, 0], [1, 4, 0], [0, 0.5, 5.0]]) * np.array(factors)
    assert np.allclose(density.grid.cell, cell)
    first = np.array([0.1, 0.2, 0.3])
    expected = first @ cell if kind == "Direct" else first * np.array(factors)
    assert np.allclose(density.atoms.positions[0], expected)
    values = np.array([float(word) for word in BLOCK.split()]).reshape((2, 3, 4), order="F")
    assert np.allclose(density.values, values / abs(np.linalg.det(cell)), rtol=1e-14)
    assert np.allclose(density.values, VaspChargeDensity(tmp_path / "CHGCAR").chg[0])


def test_headers_of_vasp_4(tmp_path: Path) -> None:
    text = chgcar(species="  1  2")
    with pytest.raises(FileFormatError, match=r"VASP 4.*species="):
        read_text(tmp_path, text)
    density = read_text(tmp_path, text, species=["O", "H"])
    assert str(density.atoms.symbols) == "OH2"
    named = read_text(tmp_path, text.replace("water in a box", "O H from VASP 4"))
    assert str(named.atoms.symbols) == "OH2"


def test_selective_dynamics(tmp_path: Path) -> None:
    text = chgcar().replace("Direct", "Selective dynamics\nDirect")
    for position, flags in (("0.30", "T T F"), ("0.60", "F F F"), ("0.90", "T T T")):
        text = text.replace(f"{position}\n", f"{position} {flags}\n")
    density = read_text(tmp_path, text)
    assert density.metadata["selective_dynamics"] == ["T T F", "F F F", "T T T"]
    write(tmp_path / "again.CHGCAR", density)
    again = read(tmp_path / "again.CHGCAR")
    assert again.metadata["selective_dynamics"] == ["T T F", "F F F", "T T T"]
    assert np.allclose(VaspChargeDensity(tmp_path / "again.CHGCAR").chg[0], density.values)


def test_labels_of_pseudopotentials_and_comments(tmp_path: Path) -> None:
    density = read_text(tmp_path, chgcar(species=" O_s/6a2f H_h\n 1 2 ! two"))
    assert str(density.atoms.symbols) == "OH2"


def test_numbers_of_fortran(tmp_path: Path) -> None:
    block = BLOCK.replace(BLOCK.split()[0], "-.76010E+01", 1).replace(
        BLOCK.split()[1], "1.2-101", 1
    )
    density = read_text(tmp_path, chgcar(blocks=block))
    assert density.values[0, 0, 0] * 80 == pytest.approx(-7.601)
    assert density.values[1, 0, 0] * 80 == pytest.approx(1.2e-101)


def test_values_that_pad_the_last_line_are_no_error() -> None:
    density, notes = read_with_notes(shared_file("Fe6O8_AECCAR_sum.CHGCAR.gz"))
    assert density.n_electrons == pytest.approx(395.34, abs=0.01)
    assert any("Warning" in note and "395.3" in note and "220" in note for note in notes)
    assert density.level.core == "all-electron"


def test_other_line_ends_and_layouts(tmp_path: Path) -> None:
    expected = read_text(tmp_path, chgcar()).values
    windows = chgcar().replace("\n", "\r\n")
    assert (read_text(tmp_path, windows).values == expected).all()
    one_a_line = chgcar(blocks=BLOCK.replace(" ", "\n"))
    assert (read_text(tmp_path, one_a_line).values == expected).all()


def test_several_structures_in_one_file(tmp_path: Path) -> None:
    """A CHG of a relaxation repeats the header before each density."""
    second = chgcar(blocks=BLOCK.replace("10.", "11."))
    path = tmp_path / "CHG"
    path.write_text(chgcar() + second)
    last, notes = read_with_notes(path)
    assert any("several structures" in note for note in notes)
    first = read(path, image=0)
    assert (read(path, image=1).values == last.values).all()
    assert last.values[0, 0, 0] == pytest.approx(11.0 / 80)
    assert first.values[0, 0, 0] == pytest.approx(10.0 / 80)
    assert first.spin is None
    assert np.allclose(VaspChargeDensity(path).chg[1], last.values)
    with pytest.raises(FileFormatError, match="no image 7"):
        read(path, image=7)


@pytest.mark.parametrize(
    ("name", "quantity"),
    [
        ("LOCPOT", "potential"),
        ("ELFCAR", "elf"),
        ("PARCHG.0012", "partial-density"),
        ("CHGDIFF.vasp", "difference-density"),
    ],
)
def test_other_quantities_are_asked_for_by_name(name: str, quantity: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=f"quantity='{quantity}'"):
        read_text(tmp_path, chgcar(), name)
    found = read_text(tmp_path, chgcar(), name, quantity=quantity)
    density_like = quantity.endswith("density")
    assert found.values[0, 0, 0] == pytest.approx(10.0 / (80 if density_like else 1))
    assert found.metadata["quantity"] == quantity
    write(tmp_path / f"again.{name}", found)
    again = read(tmp_path / f"again.{name}", quantity=quantity)
    assert np.allclose(again.values, found.values, rtol=1e-9)


def test_a_potential_under_the_name_of_a_density(tmp_path: Path) -> None:
    path = shared_file("Li_LOCPOT.gz")
    with pytest.raises(FileFormatError, match="potential"):
        read(path)
    (tmp_path / "CHGCAR.gz").write_bytes(path.read_bytes())
    with pytest.raises(FileFormatError, match=r"potential.*negative"):
        read(tmp_path / "CHGCAR.gz")
    assert read(path, quantity="potential").values.min() < -40


def test_values_between_zero_and_one_are_no_density(tmp_path: Path) -> None:
    block = " ".join(["0.25 0.75"] * 12)
    with pytest.raises(FileFormatError, match=r"between 0 and 1.*0\.5"):
        read_text(tmp_path, chgcar(blocks=block))


def test_rho_instead_of_rho_times_volume(tmp_path: Path) -> None:
    """8 electrons in 80 Å^3 are 0.1 e/Å^3; one value above 1 keeps it from looking like an ELF."""
    block = " ".join(["0.05217"] * 23 + ["1.2"])
    density, notes = None, []
    path = tmp_path / "CHGCAR"
    path.write_text(chgcar(blocks=block))
    density, notes = read_with_notes(path)
    assert density.n_electrons == pytest.approx(0.1, abs=1e-4)
    assert any("unit='e/angstrom^3'" in note and "7.9997" in note for note in notes)
    assert read(path, unit="e/angstrom^3").n_electrons == pytest.approx(8.0, abs=1e-3)
    with pytest.raises(ConfigurationError, match="no unit"):
        read(path, unit="e/nm^3")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("   2    3    4", "   2    3    5"), "ends after 24 of 30"),
        (("   2    3    4", "   2    3    1"), "More values follow|header is wrong"),
        (("   2    3    4", "1000000 1000000 1000000"), "ends after 24 of"),
        (("   2    3    4", "   2    0    4"), "no grid"),
        (("   2    3    4", "   2    3"), "three point counts"),
        ((" O H\n", " O Hx\n"), "no element 'Hx'"),
        ((" O H\n", " O H He\n"), "do not match"),
        ((" 1 2\n", " 1 999999999999\n"), "position"),
        (("   1.0\n", "   zero\n"), "scale factor"),
        (("     4.0  0.0  0.0", "     0.0  0.0  0.0"), "span no cell"),
        (("10.142857", "**********"), r"\*\*\*' is not a finite number"),
        (("10.142857", "NaN"), "line 14.*'NaN' is not a finite number"),
        (("Direct\n", "Direct\n\n"), "position"),
    ],
)
def test_damage_is_one_sentence(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    text = chgcar()
    assert change[0] in text
    with pytest.raises(FileFormatError, match=message):
        read_text(tmp_path, text.replace(*change, 1))


def test_three_or_five_blocks(tmp_path: Path) -> None:
    block = f"{BLOCK}\n   2   3   4\n"
    with pytest.raises(FileFormatError, match="three density blocks"):
        read_text(tmp_path, chgcar(blocks=block * 2 + BLOCK))
    with pytest.raises(FileFormatError, match="more than four"):
        read_text(tmp_path, chgcar(blocks=block * 4 + BLOCK))


def test_a_molecule_in_a_box_comes_back_where_it_was(tmp_path: Path) -> None:
    density = boxed_molecule()
    write(tmp_path / "CHGCAR", density)
    again = read(tmp_path / "CHGCAR")
    assert again.grid.is_close(density.grid, 1e-10)
    assert np.allclose(again.atoms.positions, density.atoms.positions, atol=1e-10)
    assert not again.atoms.pbc.any()
    assert not np.asarray(again.atoms.cell).any()
    theirs = VaspChargeDensity(tmp_path / "CHGCAR")
    assert np.allclose(theirs.atoms[0].positions, density.atoms.positions - density.grid.origin)


def test_what_the_layout_cannot_hold_is_refused(tmp_path: Path) -> None:
    density = skewed_density()
    half = Grid(density.grid.cell * [[0.5], [1], [1]], density.grid.shape)
    with pytest.raises(ConfigurationError, match="does not span"):
        open_writer(tmp_path / "CHGCAR", density.atoms, half)
    with pytest.raises(ConfigurationError, match="at least one atom"):
        open_writer(tmp_path / "CHGCAR", Atoms(cell=density.grid.cell), density.grid)
    assert list(tmp_path.iterdir()) == []


def test_level_of_theory_survives(tmp_path: Path) -> None:
    level = LevelOfTheory('odd "name" {x}', "", "400 eV", "VASP 6.4 é")
    density = skewed_density()
    write(tmp_path / "CHGCAR", Density(density.atoms, density.grid, density.values, None, level))
    assert read(tmp_path / "CHGCAR").level == level
