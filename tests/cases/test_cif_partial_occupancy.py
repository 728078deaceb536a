"""Sites that are occupied in part, or by two elements."""

from __future__ import annotations

from pathlib import Path

import ase.io
import pytest
from pymatgen.core import Structure as Crystal

import deepdft
from deepdft.errors import UnsupportedStructureError
from deepdft.structures import ReadOptions, read_structures, understood_atoms

CIF = Path(__file__).parent / "cath.cif"


def test_the_sites_are_named(run):
    result = run("predict", CIF, "-m", "cathode", "-o", "cath.cube", "--spacing", 0.4)
    assert result.code == 2
    for site in ("Li1 0.5", "Ni1 0.6", "Co1 0.4", "--ordered"):
        assert site in result.error


def test_an_ordered_structure_is_as_close_as_whole_atoms_can_be(run):
    assert not Crystal.from_file(str(CIF)).is_ordered
    (structure,) = read_structures(CIF, ReadOptions(ordered=True))
    # pymatgen: Li1.5 Ni1.8 Co1.2 O6.
    assert structure.atoms.symbols.formula.count() == {"Li": 2, "Ni": 2, "Co": 1, "O": 6}
    assert sum(note.startswith("ordered by choice") for note in structure.notes) == 2
    result = run("predict", CIF, "-m", "cathode", "-o", "c.cube", "--spacing", 0.5, "--ordered")
    assert result.code == 0, result.error
    assert "ordered by choice" in result.output


def test_what_ase_makes_of_it_is_refused_by_python():
    atoms = ase.io.read(CIF)
    with pytest.raises(UnsupportedStructureError, match=r"occupied in part.*Li .*0\.5"):
        deepdft.predict(atoms, "cathode")
    ordered = understood_atoms(atoms, ordered=True).atoms
    assert ordered.symbols.formula.count() == {"Li": 2, "Ni": 2, "Co": 1, "O": 6}
