"""PDB files: alternate locations, occupancies, charges, models, symmetry."""

from __future__ import annotations

import pytest

from deepdft.errors import FileFormatError, UnsupportedStructureError
from deepdft.structures import ReadOptions, read_structures


def atom(name, element, x, y=0.0, z=0.0, alternate=" ", occupancy="  1.00", charge="", residue=1):
    return (
        f"HETATM    1 {name:4}{alternate}LIG A{residue:4}    {x:8.3f}{y:8.3f}{z:8.3f}{occupancy:>6}"
        f"  0.00          {element:>2}{charge:2}\n"
    )


def cell(group="P 1", lengths=(10.0, 11.0, 12.0)):
    return (
        "CRYST1" + "".join(f"{x:9.3f}" for x in lengths) + f"  90.00  90.00  90.00 {group:11}   1\n"
    )


def read(path, text, **options):
    path = path / "x.pdb"
    path.write_text(text)
    return list(read_structures(path, ReadOptions(**options)))


def test_one_conformer_is_kept_whole(tmp_path):
    text = (
        atom(" C1 ", "C", 0) + atom(" O1 ", "O", 1.2, alternate="A", occupancy="0.40")
        + atom(" H1 ", "H", 1.9, 0.5, alternate="A", occupancy="0.40")
        + atom(" O1 ", "O", -1.2, alternate="B", occupancy="0.60")
        + atom(" H1 ", "H", -1.9, 0.5, alternate="B", occupancy="0.60")
    )  # fmt: skip
    (found,) = read(tmp_path, text)
    assert found.atoms.get_chemical_formula() == "CHO"
    assert found.atoms.positions[1, 0] == -1.2
    assert "(B): 2 atoms left out" in found.notes[0]


def test_an_atom_that_is_there_in_part_is_named(tmp_path):
    text = atom(" C1 ", "C", 0) + atom(" O1 ", "O", 1.2, occupancy="0.50")
    with pytest.raises(UnsupportedStructureError, match=r"occupied in part: O1 of LIG A1.* 0\.5"):
        read(tmp_path, text)
    (found,) = read(tmp_path, text, ordered=True)
    assert len(found.atoms) in (1, 2)


@pytest.mark.parametrize("occupancy", ["", "0.00", "1.00"])
def test_programs_without_occupancies(tmp_path, occupancy):
    text = atom(" C1 ", "C", 0, occupancy=occupancy) + atom(" O1 ", "O", 1.2, occupancy=occupancy)
    assert len(read(tmp_path, text)[0].atoms) == 2


@pytest.mark.parametrize(
    ("charges", "total"), [(("1-", ""), -1), (("2+", "1-"), 1), (("", ""), None)]
)
def test_formal_charges(tmp_path, charges, total):
    text = atom(" O1 ", "O", 0, charge=charges[0]) + atom(" O2 ", "O", 1.3, charge=charges[1])
    assert read(tmp_path, text)[0].atoms.info.get("charge") == total


def test_models_are_frames(tmp_path):
    model = "MODEL        1\n" + atom(" O1 ", "O", 0) + "ENDMDL\n"
    assert [s.name for s in read(tmp_path, model * 3 + "END\n")] == ["x_0", "x_1", "x_2"]


def test_elements_without_their_columns(tmp_path):
    names = {" CA ": "C", "CA  ": "Ca", "FE  ": "Fe", "1HB ": "H", " O1 ": "O", "CL1 ": "Cl",
             "HG11": "Hg"}  # fmt: skip
    text = "".join(atom(name, "", 5.0 * i) for i, name in enumerate(names))
    (found,) = read(tmp_path, text)
    assert found.atoms.get_chemical_symbols() == list(names.values())


def test_symmetry_is_applied(tmp_path):
    ones = atom(" O1 ", "O", 1, 2, 3)
    (found,) = read(tmp_path, cell("P 21 21 21") + ones)
    assert len(found.atoms) == 4
    assert found.atoms.pbc.all()
    assert "the symmetry of P 21 21 21 was applied" in found.notes[0]
    # On a twofold axis, half an atom twice is one.
    (found,) = read(
        tmp_path, cell("P 2", (10, 11, 12)) + atom(" O1 ", "O", 0, 2, 0, occupancy="0.50")
    )
    assert len(found.atoms) == 1
    with pytest.raises(FileFormatError, match="'P 99' is not known"):
        read(tmp_path, cell("P 99") + ones)


def test_mmcif_says_the_same(tmp_path):
    header = "data_x\nloop_\n" + "".join(
        f"_atom_site.{name}\n"
        for name in ("type_symbol", "label_atom_id", "label_alt_id", "label_comp_id",
                     "label_asym_id", "label_seq_id", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy",
                     "pdbx_formal_charge", "pdbx_PDB_model_num")
    )  # fmt: skip
    rows = (
        "C C1 . LIG A 1 0 0 0 1 ? 1\nO O1 A LIG A 1 1.3 0 0 0.7 -1 1\n"
        "O O1 B LIG A 1 0 1.3 0 0.3 -1 1\n"
    )
    (tmp_path / "x.cif").write_text(header + rows)
    (found,) = read_structures(tmp_path / "x.cif")
    assert found.atoms.get_chemical_formula() == "CO"
    assert found.atoms.info["charge"] == -1
    assert not found.atoms.pbc.any()
