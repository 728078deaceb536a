"""Plot files of pp.x: its own, and others written here by the format statements of its plot_io."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.geometry import cell_to_cellpar

from deepdft.errors import FileFormatError
from deepdft.formats import read, read_with_notes
from deepdft.formats.bravais import lattice_vectors
from deepdft.units import BOHR, HARTREE, PER_CUBIC_BOHR
from tests.formats.samples import FILES

SHAPE = (3, 4, 5)
A = 10.2


def plot_file(
    values: np.ndarray,
    ibrav: int = 2,
    celldm: tuple[float, ...] = (A, 0, 0, 0, 0, 0),
    plot_num: int = 0,
    shape: tuple[int, int, int] = SHAPE,
    vectors: str = "",
) -> str:
    """Return a plot file of silicon."""
    text = "silicon\n" + "".join(f"{n:8d}" for n in (*values.shape, *shape, 2, 1)) + "\n"
    text += f"{ibrav:6d}" + "".join(f"{x:12.8f}" for x in celldm) + f"\n{vectors}"
    text += f"{100.0:20.10f}{4.0:20.10f}{24.0:20.10f}{plot_num:6d}\n"
    text += f"{1:4d}   {'Si':2s}   {4.0:5.2f}\n"
    for index, x in enumerate((0.0, 0.25)):
        text += f"{index + 1:4d}   {x:15.9f}{x:15.9f}{x:15.9f}   {1:2d}\n"
    flat = values.ravel(order="F")
    for start in range(0, len(flat), 5):
        text += "".join(f"{value:17.9E}" for value in flat[start : start + 5]) + "\n"
    return text


def silicon() -> np.ndarray:
    """Return values of eight electrons in e/bohr^3."""
    values = np.random.default_rng(9).random(SHAPE) + 0.5
    return values * 8.0 / values.mean() / (A**3 / 4)


def read_text(tmp_path: Path, text: str, name: str = "si.filplot", **options: object):
    (tmp_path / name).write_text(text)
    return read_with_notes(tmp_path / name, **options)


def test_a_density(tmp_path: Path) -> None:
    values = silicon()
    density, notes = read_text(tmp_path, plot_file(values))
    assert np.allclose(density.values, values * PER_CUBIC_BOHR, rtol=1e-9)
    assert density.n_electrons == pytest.approx(8.0, abs=1e-6)
    assert density.level.basis == "24 Ry"
    assert density.level.code == "Quantum ESPRESSO"
    assert str(density.atoms.symbols) == "Si2"
    assert np.allclose(density.atoms.positions[1], 0.25 * A * BOHR)
    assert any("8.0000 electrons, as the file's valence charges say" in note for note in notes)
    _, notes = read_text(tmp_path, plot_file(values * 1.1))
    assert any("Warning" in note and "8.8000" in note and "add up to 8." in note for note in notes)
    assert density.metadata["comment"] == "silicon"


def test_content_tells_what_the_name_does_not(tmp_path: Path) -> None:
    density, _ = read_text(tmp_path, plot_file(silicon()), name="rho.dat")
    assert density.n_electrons == pytest.approx(8.0, abs=1e-6)


def test_allocated_points_are_left_out(tmp_path: Path) -> None:
    values = silicon()
    padded = np.pad(values, [(0, 1), (0, 0), (0, 2)], constant_values=99.0)
    density, _ = read_text(tmp_path, plot_file(padded))
    assert density.grid.shape == SHAPE
    assert np.allclose(density.values, values * PER_CUBIC_BOHR, rtol=1e-9)


def test_free_lattice(tmp_path: Path) -> None:
    vectors = "   -0.5  0.0  0.5\n    0.0  0.5  0.5\n   -0.5  0.5  0.0\n"
    free, _ = read_text(tmp_path, plot_file(silicon(), ibrav=0, vectors=vectors))
    named, _ = read_text(tmp_path, plot_file(silicon()))
    assert free.grid.is_close(named.grid, 1e-12)


LATTICES = {
    1: ((A, 0, 0, 0, 0, 0), (A, A, A, 90, 90, 90)),
    2: ((A, 0, 0, 0, 0, 0), (A * 0.5**0.5,) * 3 + (60, 60, 60)),
    3: ((A, 0, 0, 0, 0, 0), (A * 0.75**0.5,) * 3 + (70.5288, 109.4712, 70.5288)),
    -3: ((A, 0, 0, 0, 0, 0), (A * 0.75**0.5,) * 3 + (109.4712,) * 3),
    4: ((A, 0, 1.6, 0, 0, 0), (A, A, 1.6 * A, 90, 90, 120)),
    5: ((A, 0, 0, 0.4, 0, 0), (A, A, A) + (66.42182,) * 3),
    -5: ((A, 0, 0, 0.4, 0, 0), (A, A, A) + (66.42182,) * 3),
    6: ((A, 0, 1.6, 0, 0, 0), (A, A, 1.6 * A, 90, 90, 90)),
    8: ((A, 1.2, 1.6, 0, 0, 0), (A, 1.2 * A, 1.6 * A, 90, 90, 90)),
    12: ((A, 1.2, 1.6, 0.3, 0, 0), (A, 1.2 * A, 1.6 * A, 90, 90, 72.5424)),
    -12: ((A, 1.2, 1.6, 0, 0.3, 0), (A, 1.2 * A, 1.6 * A, 90, 72.5424, 90)),
    14: ((A, 1.2, 1.6, 0.1, 0.2, 0.3), (A, 1.2 * A, 1.6 * A, 84.2608, 78.463, 72.5424)),
}


@pytest.mark.parametrize("ibrav", LATTICES)
def test_lattice_constants(ibrav: int) -> None:
    celldm, expected = LATTICES[ibrav]
    assert np.allclose(cell_to_cellpar(lattice_vectors(ibrav, celldm)), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("ibrav", "share"),
    [(1, 1), (2, 1 / 4), (3, 1 / 2), (-3, 1 / 2), (7, 1 / 2), (9, 1 / 2), (-9, 1 / 2),
     (91, 1 / 2), (10, 1 / 4), (11, 1 / 2), (13, 1 / 2), (-13, 1 / 2)],
)  # fmt: skip
def test_centred_lattices_are_a_share_of_the_box(ibrav: int, share: float) -> None:
    """The primitive cell of a centred lattice generates the points of the conventional one."""
    b, c, cosine = {1: (1, 1, 0), 2: (1, 1, 0), 3: (1, 1, 0), 7: (1, 1.6, 0)}.get(
        abs(ibrav), (1.2, 1.6, 0.3 if abs(ibrav) == 13 else 0)
    )
    celldm = (A, b, c, cosine if ibrav > 0 else 0.0, cosine if ibrav < 0 else 0.0, 0.0)
    vectors = lattice_vectors(ibrav, celldm)
    box = np.diag([A, b * A, c * A])
    if ibrav == 13:
        box[1] = b * A * np.array([cosine, (1 - cosine**2) ** 0.5, 0])
    elif ibrav == -13:
        box[2] = c * A * np.array([cosine, 0, (1 - cosine**2) ** 0.5])
    assert abs(np.linalg.det(vectors)) == pytest.approx(share * abs(np.linalg.det(box)))
    multiples = box @ np.linalg.inv(vectors)
    assert np.allclose(multiples, np.rint(multiples), atol=1e-9)


@pytest.mark.parametrize(
    ("plot_num", "quantity"),
    [
        (1, "potential"),
        (6, "spin-density"),
        (8, "elf"),
        (9, "difference-density"),
        (7, "partial-density"),
    ],
)
def test_other_quantities_are_asked_for(plot_num: int, quantity: str, tmp_path: Path) -> None:
    text = plot_file(silicon(), plot_num=plot_num)
    with pytest.raises(FileFormatError, match=f"plot_num is {plot_num}.*quantity='{quantity}'"):
        read_text(tmp_path, text)
    found, _ = read_text(tmp_path, text, quantity=quantity)
    if quantity == "potential":  # rydberg in the file
        assert np.allclose(found.values, silicon() * HARTREE / 2, rtol=1e-8)


def test_all_electron_densities_say_so(tmp_path: Path) -> None:
    assert read_text(tmp_path, plot_file(silicon(), plot_num=21))[0].level.core == "all-electron"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("     2 10.2", "    77 10.2"), "no Bravais lattice 77"),
        (("       3       4       5       3", "       2       4       5       3"), "do not fit"),
        (("  Si  ", "  Qq  "), "Expected a species"),
        (("   1\n   2", "   9\n   2"), "no species 9"),
        (("     2 10.2", "     2 -1.2"), "not positive"),
    ],
)
def test_damage_is_one_sentence(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    text = plot_file(silicon())
    assert change[0] in text
    with pytest.raises(FileFormatError, match=message):
        read_text(tmp_path, text.replace(*change, 1))


def test_truncation(tmp_path: Path) -> None:
    text = plot_file(silicon())
    with pytest.raises(FileFormatError, match=r"ends after .* of 60 values"):
        read_text(tmp_path, text[:-100])
    (tmp_path / "x.filplot").write_text(text)
    assert read(tmp_path / "x.filplot").grid.shape == SHAPE


def test_files_of_the_program(tmp_path: Path) -> None:
    """The cube file is pp.x's own translation of its plot file, in a cell without right angles."""
    ours, notes = read_with_notes(FILES / "H3_qe.filplot.gz")
    cube = read(FILES / "H3_qe.cube.gz")
    np.testing.assert_allclose(ours.values, cube.values, rtol=6e-5)  # five digits
    np.testing.assert_allclose(ours.grid.cell, cube.grid.cell, atol=2e-5)
    np.testing.assert_allclose(ours.atoms.positions, cube.atoms.positions, atol=2e-6)
    assert str(ours.atoms.symbols) == "H3"
    assert ours.n_electrons == pytest.approx(3.0, abs=1e-6)
    assert any("3.0000 electrons, as the file's valence charges say" in note for note in notes)
    assert ours.level.basis == "7 Ry"
    with pytest.raises(FileFormatError, match=r"spin density.*plot_num is 6"):
        read(FILES / "H3_qe_spin.filplot.gz")
    spin = read(FILES / "H3_qe_spin.filplot.gz", quantity="spin-density")
    assert spin.n_electrons == pytest.approx(1.0, abs=1e-6)
