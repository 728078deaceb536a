"""Which bundled model is taken where none is named."""

from __future__ import annotations

import pytest
from ase import Atoms
from ase.build import bulk, molecule

from deepdft.errors import UnsupportedStructureError
from deepdft.models import choice
from deepdft.models.choice import choose_model
from deepdft.structures.coverage import Coverage, is_isolated

ORGANIC = ("H", "C", "N", "O", "F")
COVERAGES = [
    Coverage("small", ORGANIC, kind="molecules"),
    Coverage("wide", (*ORGANIC, "S", "Cl", "Na"), charges=(-1, 0, 1), kind="molecules"),
    Coverage("everything", (*ORGANIC, "Na", "Cl", "Li", "Ni", "Si"), kind="crystals"),
    Coverage("water", ("H", "O"), kind="liquid", molecule="H2O"),
    Coverage("battery", ("Li", "Ni", "O"), kind="crystals", needs=(("Ni",), ("O",))),
]


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "bundled_coverages", lambda: COVERAGES)


def in_cell(name: str, edge: float) -> Atoms:
    """A molecule in a cubic cell, cut by its faces."""
    atoms = molecule(name)
    atoms.set_cell([edge] * 3)
    atoms.pbc = True
    atoms.wrap()
    return atoms


def charged(name: str, charge: int) -> Atoms:
    atoms = molecule(name)
    atoms.info["charge"] = charge
    return atoms


@pytest.mark.parametrize(
    ("atoms", "name"),
    [
        (molecule("CH3OH"), "small"),
        (molecule("CH3Cl"), "wide"),
        (charged("CH3OH", 1), "wide"),
        (bulk("NaCl", "rocksalt", a=5.64), "everything"),
        (bulk("C", a=3.57), "everything"),
        (bulk("NiO", "rocksalt", a=4.2), "battery"),
        (in_cell("CH3OH", 15.0), "small"),
        (in_cell("CH3OH", 5.0), "everything"),
        (in_cell("H2O", 3.1), "water"),
    ],
)
def test_the_model_made_for_a_structure_is_taken(atoms: Atoms, name: str) -> None:
    assert choose_model([atoms]).model == name


def test_what_a_model_is_for_is_told() -> None:
    assert choose_model([molecule("CH3OH")]).purpose == "molecules of H C N O F"
    assert choose_model([in_cell("H2O", 3.1)]).purpose == "liquid H2O"
    assert choose_model([bulk("C", a=3.57)]).purpose == "crystals of 10 elements"


def test_one_model_has_to_know_all() -> None:
    assert choose_model([molecule("CH3OH"), molecule("CH3Cl")]).model == "wide"


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        (molecule("SiH4"), "'everything' is for crystals, not for molecules"),
        (charged("CH3OH", 2), r"'small' knows net charges of 0, not of \+2|'wide' knows"),
        (bulk("Fe"), "does not know Fe"),
    ],
)
def test_a_refusal_names_the_nearest(atoms: Atoms, words: str) -> None:
    with pytest.raises(UnsupportedStructureError, match=words):
        choose_model([atoms])


def test_a_molecule_in_a_large_cell_is_a_molecule() -> None:
    assert is_isolated(molecule("C6H6"))
    assert is_isolated(in_cell("C6H6", 16.0))
    assert not is_isolated(in_cell("C6H6", 8.0))
    # A chain is periodic, though its molecules are bonded in one direction alone.
    chain = Atoms("C2H2", [[0, 0, 0], [1.3, 0, 0], [0, 1, 0], [1.3, 1, 0]], cell=[2.6, 30, 30])
    chain.pbc = [True, False, False]
    assert not is_isolated(chain)
