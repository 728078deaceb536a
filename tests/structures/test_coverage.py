"""What models are refused: charges, spins, and open shells that a geometry shows."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.collections import g2

from deepdft.errors import UnsupportedStructureError
from deepdft.structures import Coverage, charge_and_multiplicity
from deepdft.structures.open_shells import open_shell

ALL = Coverage("m", tuple(Atoms(range(1, 95)).get_chemical_symbols()))


@pytest.mark.parametrize("name", g2.names)
def test_ground_states_of_the_g2_molecules(name):
    atoms = molecule(name)
    open_ = abs(atoms.get_initial_magnetic_moments().sum()) > 0
    atoms.set_initial_magnetic_moments(None)
    if name in ("SiH2_s3B1d", "CH2_s1A1d"):
        # Excited states; of them the ground states are told.
        open_ = not open_
    if open_:
        with pytest.raises(UnsupportedStructureError, match="closed shells only"):
            ALL.check(atoms)
    else:
        ALL.check(atoms)
    Coverage("m", ALL.elements, open_shells=True).check(atoms)


def test_molecules_in_a_box_are_molecules():
    def boxed(*parts, cell=12.0):
        atoms = Atoms(cell=[cell] * 3, pbc=True)
        for i, part in enumerate(parts):
            part = part.copy()
            part.set_initial_magnetic_moments(None)
            part.translate([4.0 * i - 1.0, 0.3, -0.2])
            atoms += part
        atoms.wrap()
        return atoms

    water, oxygen, methyl = molecule("H2O"), molecule("O2"), molecule("CH3")
    assert open_shell(boxed(water, water)) is None
    assert "O2" in str(open_shell(boxed(water, oxygen)))
    assert "CH3" in str(open_shell(boxed(methyl, water)))
    assert "CH3" in str(open_shell(boxed(methyl, methyl)))
    # Two molecules that may be ions of a salt.
    assert open_shell(boxed(molecule("NH2"), Atoms("Na"))) is None


def test_solids_are_not_judged_by_their_electrons():
    doped = bulk("Si", cubic=True)
    doped.numbers[0] = 5
    for atoms in (bulk("Al"), bulk("Na"), doped, bulk("NaCl", "rocksalt", a=5.64)):
        assert open_shell(atoms) is None
        ALL.check(atoms)


def test_carbenes_and_alkynes():
    assert open_shell(molecule("C2H2")) is None
    bent = Atoms("C2H2", [[0.6, 0, 0], [-0.6, 0, 0], [1.3, 0.8, 0], [-1.3, 0.8, 0]])
    assert open_shell(bent) is None
    assert "carbene" in str(
        open_shell(Atoms("CH2", [[0, 0, 0], [0.99, 0.42, 0], [-0.99, 0.42, 0]]))
    )
    fluorinated = Atoms("CF2", [[0, 0, 0.6], [0, 1.03, -0.2], [0, -1.03, -0.2]])
    assert open_shell(fluorinated) is None


def test_stretched_bonds_are_bonds():
    for length in (0.74, 0.9, 1.2, 1.5):
        assert open_shell(Atoms("H2", [[0, 0, 0], [0, 0, length]])) is None
    assert open_shell(Atoms("H2", [[0, 0, 0], [0, 0, 4.0]])) is not None


def test_charges_that_a_model_knows():
    ion = molecule("OH")
    ion.set_initial_magnetic_moments(None)
    ion.info["charge"] = -1
    with pytest.raises(
        UnsupportedStructureError, match=r"charge of -1; .* neutral structures only"
    ):
        ALL.check(ion)
    Coverage("m", ALL.elements, charges=(-1, 0)).check(ion)
    ion.info["charge"] = 1
    with pytest.raises(UnsupportedStructureError, match="trained on charges of -1 and 0"):
        Coverage("m", ALL.elements, charges=(-1, 0)).check(ion)


def test_magnetic_moments_that_are_no_numbers():
    atoms = molecule("O2")
    atoms.set_initial_magnetic_moments([1.0, np.nan])
    with pytest.raises(UnsupportedStructureError, match="moment of atom 1 is not a finite"):
        ALL.check(atoms)


@pytest.mark.parametrize(
    ("info", "sentence"),
    [
        ({"charge": 0, "total_charge": 1}, r"contradictory: 0 as charge=0, \+1 as total_charge=1"),
        ({"charge": 1, "multiplicity": 1}, "9 electrons, .* multiplicity of 1"),
        ({"multiplicity": 2}, "10 electrons, .* multiplicity of 2"),
        ({"multiplicity": 0}, "no spin multiplicity"),
        ({"multiplicity": 1.5}, "no spin multiplicity"),
        ({"multiplicity": "singlet"}, "'singlet' is no spin multiplicity"),
        ({"spin": 1}, "may be a multiplicity of 1 or a spin S = 1"),
        ({"charge": 10}, "leaves 0 electrons"),
        ({"charge": -99}, "leaves 109 electrons"),
    ],
)
def test_contradictions_and_nonsense(info, sentence):
    from deepdft.structures import understood_atoms

    atoms = molecule("H2O")
    atoms.info.update(info)
    with pytest.raises(UnsupportedStructureError, match=sentence):
        understood_atoms(atoms)


def test_what_is_given_decides_where_a_file_is_unclear():
    from deepdft.structures import understood_atoms

    atoms = molecule("H2O")
    atoms.info.update(charge="neutral", spin=1)
    structure = understood_atoms(atoms, charge=0, multiplicity=1)
    assert charge_and_multiplicity(structure.atoms) == (0, 1)
    assert len(structure.notes) == 2
    atoms.info.update(charge=1)
    with pytest.raises(UnsupportedStructureError, match="contradictory"):
        understood_atoms(atoms, charge=0)
