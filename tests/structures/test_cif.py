"""CIF files against pymatgen: symmetry, occupancies, disorder."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal
from pymatgen.core import Lattice
from pymatgen.core import Structure as Crystal
from pymatgen.io.cif import CifWriter

from deepdft.errors import FileFormatError, UnsupportedStructureError
from deepdft.structures import ReadOptions, read_structures

CELL = """data_x
_cell_length_a {a}
_cell_length_b {b}
_cell_length_c {c}
_cell_angle_alpha {alpha}
_cell_angle_beta {beta}
_cell_angle_gamma {gamma}
"""
SITES = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""


def written(path, symmetry, sites, a=4.0, b=4.0, c=4.0, alpha=90, beta=90, gamma=90):
    cell = CELL.format(a=a, b=b, c=c, alpha=alpha, beta=beta, gamma=gamma)
    path.write_text(cell + symmetry + SITES + sites)
    return path


def read(path, **options):
    (structure,) = read_structures(path, ReadOptions(**options))
    return structure


def same_crystal(atoms: Atoms, other: Crystal) -> bool:
    mine = Crystal(Lattice(atoms.cell.array), atoms.get_chemical_symbols(), atoms.positions,
                   coords_are_cartesian=True)  # fmt: skip
    return mine.matches(other, scale=False, primitive_cell=False)


@pytest.mark.parametrize("number", [2, 14, 62, 136, 148, 166, 194, 225, 227])
def test_all_that_pymatgen_writes_with_symmetry(number, tmp_path):
    by_ase = crystal(
        ["Si", "O"], [(0.0, 0.0, 0.0), (0.13, 0.21, 0.34)], spacegroup=number,
        cellpar={2: (15, 16, 17, 80, 95, 100), 14: (15, 16, 17, 90, 95, 90),
                 62: (15, 16, 17, 90, 90, 90), 136: (15, 15, 17, 90, 90, 90)}.get(
            number, (29, 29, 34, 90, 90, 120) if number < 195 else (29, 29, 29, 90, 90, 90)
        ),
    )  # fmt: skip
    known = Crystal(Lattice(by_ase.cell.array), by_ase.get_chemical_symbols(), by_ase.positions,
                    coords_are_cartesian=True)  # fmt: skip
    path = tmp_path / "x.cif"
    CifWriter(known, symprec=0.01).write_file(path)
    found = read(path)
    assert len(found.atoms) == len(known)
    assert same_crystal(found.atoms, Crystal.from_file(str(path)))


@pytest.mark.parametrize(
    "symmetry",
    [
        "_symmetry_space_group_name_H-M 'F m -3 m'\n",
        "_symmetry_Int_Tables_number 225\n",
        "_space_group_name_Hall '-F 4 2 3'\n",
        "_space_group_name_H-M_alt 'F m -3 m'\n"
        "loop_\n_space_group_symop_operation_xyz\n'x, y, z'\n",
        "_symmetry_space_group_name_H-M Fm-3m\n_symmetry_equiv_pos_as_xyz x,y,z\n",
    ],
)
def test_a_space_group_is_applied_however_it_is_stated(symmetry, tmp_path):
    sites = "Na1 Na 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 1\n"
    found = read(written(tmp_path / "x.cif", symmetry, sites, a=5.64, b=5.64, c=5.64))
    assert found.atoms.symbols.formula.count() == {"Na": 4, "Cl": 4}
    assert any("applied" in note for note in found.notes)


def test_a_full_list_of_atoms_is_not_multiplied(tmp_path):
    sites = "".join(
        f"{s}{i} {s} {x} {y} {z} 1\n"
        for i, (x, y, z) in enumerate([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
        for s, x, y, z in (("Na", x, y, z), ("Cl", (x + 0.5) % 1, y, z))
    )
    symmetry = "_symmetry_space_group_name_H-M 'F m -3 m'\n_symmetry_equiv_pos_as_xyz x,y,z\n"
    found = read(written(tmp_path / "x.cif", symmetry, sites, a=5.64, b=5.64, c=5.64))
    assert len(found.atoms) == 8


def test_a_space_group_that_is_not_known_is_refused(tmp_path):
    path = written(tmp_path / "x.cif", "_symmetry_space_group_name_H-M 'Q 5'\n", "O1 O 0 0 0 1\n")
    with pytest.raises(FileFormatError, match="'Q 5' is not known"):
        read(path)


def test_alternate_locations_keep_the_one_occupied_most(tmp_path):
    header = SITES + "_atom_site_disorder_assembly\n_atom_site_disorder_group\n"
    sites = "C1 C 0.1 0.1 0.1 1 . .\nO1A O 0.3 0.1 0.1 0.7 A 1\nO1B O 0.1 0.3 0.1 0.3 A 2\n"
    (tmp_path / "x.cif").write_text(
        CELL.format(a=6, b=6, c=6, alpha=90, beta=90, gamma=90) + header + sites
    )
    found = read(tmp_path / "x.cif")
    assert found.atoms.get_chemical_formula() == "CO"
    np.testing.assert_allclose(found.atoms.get_scaled_positions()[1], [0.3, 0.1, 0.1])
    assert "O1B left out" in found.notes[0]


@pytest.mark.parametrize("occupancy", ["1.2", "-0.5"])
def test_occupancies_that_cannot_be(occupancy, tmp_path):
    path = written(tmp_path / "x.cif", "", f"O1 O 0 0 0 {occupancy}\n")
    with pytest.raises(UnsupportedStructureError, match=f"O1 has an occupancy of {occupancy}"):
        read(path)


def test_isotopes_ghosts_charges_of_ions_and_uncertainties(tmp_path):
    sites = "O1 O2- 0 0 0 1\nD1 D 0.2(1) 0 0 1.00(2)\nD2 D 0 0.2 0 1\nX1 X 0.5 0.5 0.5 1\n"
    found = read(written(tmp_path / "x.cif", "", sites))
    assert found.atoms.get_chemical_formula() == "H2O"
    assert any("ghost" in note for note in found.notes)


def test_two_elements_beyond_full_are_refused(tmp_path):
    path = written(tmp_path / "x.cif", "", "A1 Ni 0 0 0 0.8\nA2 Co 0 0 0 0.7\n")
    with pytest.raises(UnsupportedStructureError, match="more than one atom"):
        read(path, ordered=True)


def test_what_is_no_cif_is_a_sentence(tmp_path):
    for text in ("hello\n", "data_x\n", "data_x\nloop_\n_atom_site_label\nO1 O2 O3\n"):
        (tmp_path / "x.cif").write_text(text)
        with pytest.raises(FileFormatError):
            read(tmp_path / "x.cif")
