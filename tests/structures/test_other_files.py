"""SHELX, MOL and what ASE reads: symmetry, charges, ghosts, encodings."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from rdkit import Chem
from rdkit.Chem import AllChem

from deepdft.errors import DeepDFTError, FileFormatError, UnsupportedStructureError
from deepdft.structures import read_structures

SHELX = """TITL sodium chloride
CELL 0.71073 5.64 5.64 5.64 90 90 90
ZERR 4 0.001 0.001 0.001 0 0 0
LATT {latt}
{symm}SFAC Na Cl
UNIT 4 4
NA1 1 10.0 10.0 10.0 {occupancy} 0.01 0.01 =
 0.01 0 0 0
CL1 2 0.5 0.5 0.5 {occupancy} 0.01
HKLF 4
END
"""


@pytest.mark.parametrize(
    ("latt", "symm", "occupancy", "count"),
    [(-4, "", "11.0", 8), (4, "", "10.5", 8), (-1, "", "11.0", 2), (1, "", "10.5", 2),
     (-1, "SYMM 0.5+X, 0.5+Y, Z\n", "1.0", 4)],
)  # fmt: skip
def test_shelx_symmetry_is_applied(latt, symm, occupancy, count, tmp_path):
    text = SHELX.format(latt=latt, symm=symm, occupancy=occupancy)
    (tmp_path / "x.res").write_text(text)
    (found,) = read_structures(tmp_path / "x.res")
    assert len(found.atoms) == count
    if count == 8:
        rock_salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
        for symbol in ("Na", "Cl"):
            ours = found.atoms[found.atoms.symbols == symbol].get_scaled_positions().round(6) % 1
            known = rock_salt[rock_salt.symbols == symbol].get_scaled_positions().round(6) % 1
            assert sorted(map(tuple, ours)) == sorted(map(tuple, known))


@pytest.mark.parametrize(
    "smiles",
    ["[NH4+]", "CC(=O)[O-]", "[O-]C(=O)C(=O)[O-]", "C[N+](=O)[O-]", "[CH3]", "[OH-]", "CCO"],
)
@pytest.mark.parametrize("v3000", [False, True])
def test_charges_and_radicals_of_mol_files(smiles, v3000, tmp_path):
    made = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(made, randomSeed=1)
    Chem.MolToMolFile(made, str(tmp_path / "m.mol"), forceV3000=v3000)
    (found,) = read_structures(tmp_path / "m.mol")
    assert found.atoms.info.get("charge", 0) == Chem.GetFormalCharge(made)
    radicals = sum(atom.GetNumRadicalElectrons() for atom in made.GetAtoms())
    assert found.atoms.info.get("multiplicity", 1) == radicals + 1
    assert found.atoms.numbers.tolist() == [atom.GetAtomicNum() for atom in made.GetAtoms()]


def test_a_drawing_becomes_a_geometry(tmp_path):
    drawn = Chem.MolFromSmiles("CCO")
    AllChem.Compute2DCoords(drawn)
    Chem.MolToMolFile(drawn, str(tmp_path / "m.mol"))
    (found,) = read_structures(tmp_path / "m.mol")
    assert found.atoms.get_chemical_formula() == "C2H6O"
    assert "drawing" in found.notes[0]


def test_hydrogen_that_is_left_out_and_placeholders_are_refused(tmp_path):
    made = Chem.MolFromSmiles("CCO")
    AllChem.EmbedMolecule(made, randomSeed=1)
    Chem.MolToMolFile(made, str(tmp_path / "m.mol"))
    with pytest.raises(UnsupportedStructureError, match="leaves out its hydrogen"):
        list(read_structures(tmp_path / "m.mol"))
    text = (tmp_path / "m.mol").read_text().replace(" O  ", " R# ")
    (tmp_path / "m.mol").write_text(text)
    with pytest.raises(UnsupportedStructureError, match="R# in place of atoms"):
        list(read_structures(tmp_path / "m.mol"))


@pytest.mark.parametrize("ghost", ["X", "Bq", "Va", "Vac", "Xx", "Du"])
@pytest.mark.parametrize("suffix", ["vasp", "xsf", "xyz", "gen"])
def test_ghosts_are_left_out_alike(ghost, suffix, tmp_path):
    atoms = Atoms("OX", [[1, 1, 1], [2.5, 2.5, 2.5]], cell=[5] * 3, pbc=True)
    path = tmp_path / f"x.{suffix}"
    ase.io.write(path, atoms, format={"xyz": "extxyz"}.get(suffix))
    text = path.read_text()
    if suffix == "xsf":
        text = text.replace("\n   0 ", f"\n {ghost} ").replace("\n 0 ", f"\n {ghost} ")
    else:
        text = text.replace("X ", f"{ghost} ", 1).replace("X\n", f"{ghost}\n", 1)
    path.write_text(text)
    (found,) = read_structures(path)
    assert found.atoms.get_chemical_formula() == "O"
    assert any("ghost" in note for note in found.notes)


@pytest.mark.parametrize("numbers", [(8, 0), (8, -8)])
def test_numbers_of_ghosts(numbers, tmp_path):
    atoms = Atoms("OH", [[1, 1, 1], [2.5, 2.5, 2.5]], cell=[5] * 3, pbc=True)
    ase.io.write(tmp_path / "x.xsf", atoms)
    text = (tmp_path / "x.xsf").read_text()
    lines = [f"{numbers[1]} " + " ".join(line.split()[1:]) if line.split()[:1] == ["1"] and
             len(line.split()) >= 4 else line for line in text.split("\n")]  # fmt: skip
    (tmp_path / "x.xsf").write_text("\n".join(lines))
    (found,) = read_structures(tmp_path / "x.xsf")
    assert found.atoms.get_chemical_formula() == "O"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("suffix", ["xyz", "vasp"])
def test_encodings_and_ends_of_lines(encoding, end, suffix, tmp_path):
    text = {
        "xyz": "2\nWasserstoff für Ångström\nH 0 0 0\nH 0 0 0.74\n",
        "vasp": "für Å\n1.0\n5 0 0\n0 5 0\n0 0 5\nH\n2\nCartesian\n0 0 0\n0 0 0.74\n",
    }[suffix]
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(text.replace("\n", end).encode(encoding))
    (found,) = read_structures(path)
    assert len(found.atoms) == 2
    assert found.atoms.get_distance(0, 1) == pytest.approx(0.74)


def test_gaussian_inputs_state_charge_and_multiplicity(tmp_path):
    (tmp_path / "x.gjf").write_text(
        "# pbe/gen\n\nhydroxide\n\n-1 1\nO 0.0 0.0 0.0\nH 0.0 0.0 0.97\n\n"
    )
    (found,) = read_structures(tmp_path / "x.gjf")
    assert (found.atoms.info["charge"], found.atoms.info["multiplicity"]) == (-1, 1)


def test_trajectories_keep_initial_charges_and_moments(tmp_path):
    atoms = molecule("O2")
    charged = molecule("OH")
    charged.set_initial_magnetic_moments(None)
    charged.set_initial_charges([-0.9, -0.1])
    ase.io.write(tmp_path / "x.traj", [atoms, charged])
    one, two = read_structures(tmp_path / "x.traj")
    assert one.atoms.info["multiplicity"] == 3
    assert two.atoms.info["charge"] == -1


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.xyz", b""), ("x.xyz", b"-3\n\n"), ("x.xyz", b"99999999999\n\nH 0 0 0\n"),
     ("x.xyz", b"\0\1"),
     ("x.cif", b"\xff\xfe"), ("x.pdb", b"ATOM\n"), ("x.sdf", b"\n\n\n\n$$$$\n"),
     ("x.sdf", b"a\nb\nc\n999999\n"), ("x.res", b"CELL 1\n"), ("POSCAR", b"x\n"),
     ("x.nothing", b"x"),
     ("x.traj", b"- of Ulm"), ("x.json", b"{}"), ("x.xyz.gz", b"not gzip"),
     ("x.xyz", b"1\n\nH 0 0 nan\n"), ("x.xyz", b"2\n\nH 0 0 0\nH 0 0 1e7\n"),
     ("x.xyz", b'1\nLattice="nan 0 0 0 5 0 0 0 5"\nH 0 0 0\n'),
     ("x.xyz", b'1\nLattice="1 0 0 2 0 0 0 0 5"\nH 0 0 0\n'),
     ("x.xyz", b'1\nLattice="0.01 0 0 0 0.01 0 0 0 0.01"\nH 0 0 0\n')],
)  # fmt: skip
def test_anything_else_is_a_sentence(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DeepDFTError) as caught:
        list(read_structures(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, FileFormatError | UnsupportedStructureError)


def test_atoms_too_close_are_named(tmp_path):
    (tmp_path / "x.xyz").write_text("3\n\nO 0 0 0\nH 0 0 0.97\nH 0 0.1 0.97\n")
    with pytest.raises(UnsupportedStructureError, match=r"1 \(H\) and 2 \(H\), 0\.1 Å"):
        list(read_structures(tmp_path / "x.xyz"))
    boxed = Atoms("H2", [[0, 0, 0.1], [0, 0, 4.95]], cell=[5] * 3, pbc=True)
    ase.io.write(tmp_path / "y.xyz", boxed, format="extxyz")
    with pytest.raises(UnsupportedStructureError, match=r"closer than half a bond: 0 .* 0\.15 Å"):
        list(read_structures(tmp_path / "y.xyz"))
    assert np.isfinite(boxed.positions).all()
