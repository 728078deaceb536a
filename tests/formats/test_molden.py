"""Molden files of every dialect against PySCF."""

from __future__ import annotations

import re

import numpy as np
import pytest

from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats.molden import read_molden, sniff
from deepdft.units import BOHR
from tests.formats.samples import FILES

gto = pytest.importorskip("pyscf.gto")
tools = pytest.importorskip("pyscf.tools.molden")
scf = pytest.importorskip("pyscf.scf")

GEOMETRY = "O 0.1 0.2 -0.1; C 1.3 2.1 0.4; H -1.2 0.9 1.5"
CONTRACTED = [
    [0, [9.1, 0.2], [2.2, 0.5], [0.6, 0.4]],
    [1, [3.1, 0.3], [0.8, 0.7]],
    [2, [1.9, 0.4], [0.7, 0.6]],
    [3, [1.4, 0.5], [0.6, 0.5]],
    [4, [1.1, 1.0]],
]
POINTS = np.random.default_rng(9).normal(scale=1.5, size=(200, 3))


def molecule(cartesian=False, highest=4, **options):
    basis = {"default": [shell for shell in CONTRACTED if shell[0] <= highest]}
    options = {
        "atom": GEOMETRY,
        "basis": basis,
        "cart": cartesian,
        "unit": "bohr",
        "spin": None,
        **options,
    }
    return gto.M(verbose=0, **options)


def orthonormal_orbitals(mol, count, seed=0):
    """Random orbitals that mix every basis function."""
    values, vectors = np.linalg.eigh(mol.intor("int1e_ovlp"))
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(mol.nao, mol.nao)))[0]
    return (vectors / np.sqrt(values) @ rotation)[:, :count]


def density_of(mol, coefficients, occupations):
    """Density at `POINTS` (Å) from PySCF's basis functions, e/Å^3."""
    kind = "GTOval_cart" if mol.cart else "GTOval_sph"
    return (mol.eval_gto(kind, POINTS / BOHR) @ coefficients) ** 2 @ occupations / BOHR**3


def double_factorial(number):
    return float(np.prod(np.arange(number, 0, -2)))


def write_dialect(mol, coefficients, occupations, *, plain=False, scale=1.0, cartesian="each",
                  orca=False, digits=14):  # fmt: skip
    """Return a Molden file in the conventions of another program."""
    lines = ["[Molden Format]", "[Atoms] AU"]
    for atom in range(mol.natm):
        position = " ".join(f"{x:.14f}" for x in mol.atom_coord(atom))
        lines.append(f"{mol.atom_symbol(atom)} {atom + 1} {mol.atom_charge(atom)} {position}")
    lines.append("[GTO]")
    row_factors = np.ones(mol.nao)
    norms = np.sqrt(mol.intor("int1e_ovlp").diagonal())
    first = mol.ao_loc_nr()
    for atom in range(mol.natm):
        lines.append(f"{atom + 1} 0")
        for shell in mol.atom_shell_ids(atom):
            momentum = mol.bas_angular(shell)
            exponents, table = mol.bas_exp(shell), mol.bas_ctr_coeff(shell)[:, 0] * scale
            if plain:
                table = table * gto.gto_norm(momentum, exponents)
            lines.append(f"{'spdfg'[momentum]} {len(exponents)} 1.00")
            lines += [f"{a:.14e} {c:.14e}" for a, c in zip(exponents, table, strict=True)]
            rows = slice(first[shell], first[shell + 1])
            if mol.cart and momentum > 1:
                high = double_factorial(2 * momentum - 1)
                row_factors[rows] = {
                    "each": norms[rows],
                    "xx": norms[first[shell]],
                    "xyz": norms[first[shell]] / np.sqrt(high),
                    "radial": 1.0,
                    "turbomole": norms[rows] / np.sqrt(high),
                }[cartesian]
            elif orca:
                row_factors[rows] = [
                    -1.0 if abs(m) in (3, 4) and momentum > 2 else 1.0
                    for m in range(-momentum, momentum + 1)
                ]
        lines.append("")
    lines += [] if mol.cart else ["[5D]", "[9G]"]
    lines.append("[MO]")
    order = tools.order_ao_index(mol)
    for column, occupation in zip(coefficients.T, occupations, strict=True):
        lines += [" Ene= 0.0", " Spin= Alpha", f" Occup= {occupation:.6f}"]
        values = (row_factors * column)[order]
        lines += [f"{i} {value:.{digits}e}" for i, value in enumerate(values, start=1)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("cartesian", [False, True])
def test_pyscf_files(tmp_path, cartesian):
    mol = molecule(cartesian)
    coefficients = orthonormal_orbitals(mol, 12)
    occupations = np.array([2.0] * 7 + [0.0] * 5)
    path = tmp_path / "a.molden"
    tools.from_mo(mol, str(path), coefficients, occ=occupations)
    density = read_molden(path)
    assert density.n_electrons == 14
    assert density.coefficients.shape[1] == 7
    assert density.spin_occupations is None
    assert density.level.code.startswith("PySCF 2")
    expected = density_of(mol, coefficients, occupations)
    np.testing.assert_allclose(density.at(POINTS), expected, rtol=0, atol=1e-9)
    positions = mol.atom_coords() * BOHR
    np.testing.assert_allclose(density.atoms.positions, positions, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 3.7},
        {"plain": True},
        {"plain": True, "orca": True},
        {"orca": True},
        {"plain": True, "digits": 3},
    ],
)
def test_spherical_dialects(tmp_path, options):
    mol = molecule()
    coefficients = orthonormal_orbitals(mol, 12)
    occupations = np.array([2.0] * 7 + [0.0] * 5)
    path = tmp_path / "a.molden"
    path.write_text(write_dialect(mol, coefficients, occupations, **options))
    expected = density_of(mol, coefficients, occupations)
    tolerance = 5e-3 * expected.max() if "digits" in options else 1e-9
    np.testing.assert_allclose(read_molden(path).at(POINTS), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("cartesian", ["each", "xx", "xyz", "radial", "turbomole"])
@pytest.mark.parametrize("options", [{}, {"scale": 0.4}, {"plain": True}])
def test_cartesian_dialects(tmp_path, cartesian, options):
    mol = molecule(cartesian=True)
    coefficients = orthonormal_orbitals(mol, 9)
    occupations = np.array([2.0] * 7 + [0.0] * 2)
    path = tmp_path / "a.molden"
    text = write_dialect(mol, coefficients, occupations, cartesian=cartesian, **options)
    path.write_text(text)
    expected = density_of(mol, coefficients, occupations)
    np.testing.assert_allclose(read_molden(path).at(POINTS), expected, rtol=0, atol=1e-9)


def test_units_order_exponents_and_left_out_zeros(tmp_path):
    mol = molecule(highest=2)
    coefficients = orthonormal_orbitals(mol, 3)
    text = write_dialect(mol, coefficients, [2, 2, 0])
    in_angstrom = re.sub(
        r"^([OCH] \d \d) (\S+) (\S+) (\S+)$",
        lambda m: m[1] + "".join(f" {float(m[n]) * BOHR:.14f}" for n in (2, 3, 4)),
        text.replace("[Atoms] AU", "[ATOMS] Angs"),
        flags=re.MULTILINE,
    )
    in_angstrom = re.sub(r"e([+-]\d+)", r"D\1", in_angstrom).replace("[5D]", "[5d7f]")
    head, orbitals = in_angstrom.split("[MO]")
    sections = re.split(r"(?=\[ATOMS\]|\[GTO\]|\[5d7f\])", head)
    moved = sections[0] + sections[3] + "[FREQ]\n1.0 2.0\n" + sections[2] + sections[1]
    path = tmp_path / "a.molden"
    path.write_text(moved + "[MO]" + orbitals)
    expected = density_of(mol, coefficients, np.array([2, 2, 0]))
    np.testing.assert_allclose(read_molden(path).at(POINTS), expected, rtol=0, atol=1e-9)


def test_sp_shells_ghosts_zeros_left_out_and_atoms_in_another_order(tmp_path):
    """Function 6 is left out of the first orbital; the shells of the second atom come first."""
    text = """[Molden Format]
[Title]
 by hand
[Atoms] AU
Li 1 3 0.0 0.0 0.0
He 2 0 0.0 0.0 3.0
[GTO]
 2 0
 s 1 1.00
 0.5 1.0

 1 0
 sp 1 1.00
 0.2 1.0 1.0

[MO]
 Sym= A
 Ene= -1.0
 Spin= Alpha
 Occup= 2.0
 3 1.0
"""
    path = tmp_path / "a.molden"
    path.write_text(text)
    density = read_molden(path)
    assert density.atoms.numbers.tolist() == [3, 0]
    x, radius = POINTS[:, 0] / BOHR, np.linalg.norm(POINTS, axis=1) / BOHR
    # p_x with exponent 0.2, normalised by hand.
    norm = (2 * 0.2 / np.pi) ** 0.75 * 2 * np.sqrt(0.2)
    expected = 2 * (norm * x * np.exp(-0.2 * radius**2)) ** 2 / BOHR**3
    np.testing.assert_allclose(density.at(POINTS), expected, rtol=0, atol=1e-9)


def test_spin_of_unrestricted_and_open_shells(tmp_path):
    mol = molecule(highest=1)
    alpha, beta = orthonormal_orbitals(mol, 5, seed=1), orthonormal_orbitals(mol, 5, seed=2)
    field = scf.uhf.UHF(mol)
    field.mo_coeff, field.mo_energy = np.array([alpha, beta]), np.zeros((2, 5))
    field.mo_occ = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
    path = tmp_path / "a.molden"
    tools.from_scf(field, str(path))
    density = read_molden(path)
    up, down = (density_of(mol, c, n) for c, n in zip((alpha, beta), field.mo_occ, strict=True))
    np.testing.assert_allclose(density.at(POINTS), up + down, rtol=0, atol=1e-9)
    np.testing.assert_allclose(density.spin.at(POINTS), up - down, rtol=0, atol=1e-9)

    path.write_text(write_dialect(mol, alpha, [2, 2, 1, 0, 0]))
    density = read_molden(path)
    singly = density_of(mol, alpha, np.array([0, 0, 1, 0, 0]))
    np.testing.assert_allclose(density.spin.at(POINTS), singly, rtol=0, atol=1e-9)

    path.write_text(write_dialect(mol, alpha, [1.9, 1.8, 1.0, 0.2, 0.1]))
    assert read_molden(path).spin_occupations is None


def test_cfour_counts_closed_shells_once(tmp_path):
    mol = molecule(highest=1)
    text = write_dialect(mol, orthonormal_orbitals(mol, 3), [1, 1, 0])
    path = tmp_path / "a.molden"
    path.write_text(text.replace("[GTO]", "[Molden Format]\n[GTO]"))
    assert read_molden(path).n_electrons == 4
    assert read_molden(path).spin_occupations is None


@pytest.mark.parametrize("unit", ["", "Angs", "AU"])
def test_periodic_orbitals(tmp_path, unit):
    """The lattice constant is small: images matter for the orthonormality and the density."""
    periodic = pytest.importorskip("pyscf.pbc.gto")
    vectors = np.array([[5.0, 0.2, 0], [0, 5.2, 0.1], [0.3, 0, 5.4]])
    cell = periodic.M(
        atom=GEOMETRY, a=vectors, unit="bohr", basis={"default": CONTRACTED[:3]}, spin=None,
        precision=1e-12, verbose=0,
    )  # fmt: skip
    values, vecs = np.linalg.eigh(cell.pbc_intor("int1e_ovlp"))
    keep = values > 1e-4
    coefficients = (vecs[:, keep] / np.sqrt(values[keep]))[:, -8:]
    occupations = np.array([2.0] * 7 + [0.0])
    text = write_dialect(cell.to_mol(), coefficients, occupations)
    rows = "\n".join(
        " ".join(f"{x:.12f}" for x in row * (1 if unit == "AU" else BOHR)) for row in vectors
    )
    path = tmp_path / "a.molden"
    path.write_text(text.replace("[Atoms]", f"[Cell] {unit}\n{rows}\n[Atoms]"))
    density = read_molden(path)
    assert density.atoms.pbc.all()
    np.testing.assert_allclose(density.atoms.cell.array, vectors * BOHR, atol=1e-9)
    # PySCF's lattice sums are complete only inside the cell.
    inside = (POINTS / BOHR @ np.linalg.inv(vectors) % 1) @ vectors
    functions = cell.pbc_eval_gto("GTOval_sph", inside)
    expected = (functions @ coefficients) ** 2 @ occupations / BOHR**3
    np.testing.assert_allclose(density.at(POINTS), expected, rtol=0, atol=1e-6)
    without = tmp_path / "b.molden"
    without.write_text(text)
    with pytest.raises(FileFormatError, match=r"not orthonormal.*\[Cell\]"):
        read_molden(without)


def test_read_on_a_grid(tmp_path):
    from deepdft.formats import read

    mol = molecule(highest=2, atom="H 0 0 0; H 0 0 1.4; ghost-H 0 1.5 0")
    coefficients = orthonormal_orbitals(mol, 3)
    path = tmp_path / "a.molden.input"
    path.write_text(write_dialect(mol, coefficients, [2, 0, 0]))
    density = read(path, spacing=0.25, margin=4.0)
    assert density.grid.voxel[0, 0] == pytest.approx(0.25)
    assert len(density.atoms) == 2
    assert density.n_electrons == pytest.approx(2, abs=0.02)
    assert any("0.25 Å" in note for note in density.metadata["notes"])
    nameless = tmp_path / "orbitals"
    nameless.write_bytes(path.read_bytes())
    assert sniff(nameless.read_bytes())
    assert read(nameless, spacing=0.5).values.shape != density.values.shape
    for options in ({"spacing": 0.0}, {"spacing": -1.0}, {"spacing": 1e-4}, {"margin": -1.0}):
        with pytest.raises(ConfigurationError):
            read(path, **options)


def damage(text, old, new):
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[Atoms] AU", "[Atoms_] AU", r"no \[Atoms\]"),
        ("[GTO]", "[GTO_]", r"no \[GTO\]"),
        ("[MO]", "[MO_]", r"no \[MO\]"),
        ("[GTO]", "[STO]", "Slater"),
        ("O 1 8 0.1", "O 1 8 zero", "line 3: Expected a position"),
        ("O 1 8 0.1", "Qq 1 999 0.1", "line 3: There is no element 'Qq'"),
        ("O 1 8 ", "O 8 ", "line 3: Expected an element"),
        ("s 3 1.00", "s three 1.00", "line 8: Expected a number of primitives"),
        ("s 3 1.00", "k 3 1.00", "line 8: Expected an atom or a shell"),
        ("3 0\n", "4 0\n", "atom 4, which is absent"),
        ("9.1", "-9.1", "not positive"),
        (" Occup= 2.000000\n1 ", " Occup= 2.000000\n1000 ", "basis function 1000"),
        (" Occup= 2.000000\n1 ", " Occup= 2.000000\n0 ", "basis function"),
        (" Occup= 2.000000\n1 ", " Occup= two\n1 ", "Expected an occupation"),
        (" Occup= 2.000000\n1 ", "1 ", "no occupation"),
        (" Occup= 2.000000\n1 ", " Occup= 2.000000\n1 x", "function and its coefficient"),
        ("Occup= 2.000000", "Occup= 0.000000", "no occupied orbitals"),
        ("[9G]", "[9G]\n[5D]\n[10F]\n[6D]", "a mark like"),
    ],
)
def test_damaged_files_are_refused(tmp_path, old, new, message):
    mol = molecule(
        highest=2, basis={"default": [[0, [9.1, 1.0], [2.0, 0.5], [0.4, 0.3]], [2, [0.8, 1.0]]]}
    )
    text = write_dialect(mol, orthonormal_orbitals(mol, 1), [2])
    text = text.replace("9.10000000000000e+00", "9.1")
    path = tmp_path / "a.molden"
    path.write_text(damage(text, old, new))
    with pytest.raises(FileFormatError, match=message):
        read_molden(path)


def test_truncated_files_are_refused(tmp_path):
    mol = molecule(highest=1)
    text = write_dialect(mol, orthonormal_orbitals(mol, 4), [2, 2, 2, 2])
    path = tmp_path / "a.molden"
    for fraction in np.linspace(0.02, 0.97, 40):
        path.write_text(text[: int(fraction * len(text))])
        try:
            read_molden(path)
        except FileFormatError:
            continue
        # Cut between two orbitals: whole as far as it goes, which no reader can know.
        assert re.search(r"\n\d+ \S+$|\n \w+=[^\n]*$|\n$", path.read_text())


def test_a_file_of_cp2k():
    """The density of the orbitals is that of CP2K's own cube file, up to its plane-wave grid."""
    orbitals = read_molden(FILES / "H2O_cp2k.molden")
    table = np.loadtxt(FILES / "H2O_cp2k.points.txt", skiprows=1)
    expected = table[:, 3] / BOHR**3
    values = np.asarray(orbitals.at(table[:, :3]))
    assert np.abs(values - expected).sum() < 1e-3 * expected.sum()
    assert str(orbitals.atoms.symbols) == "OH2"
    assert orbitals.n_electrons == pytest.approx(8.0)
