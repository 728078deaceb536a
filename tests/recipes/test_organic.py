"""The recipe of everyday chemistry: split, and geometries that are what they are called."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from deepdft.structures import atoms_from_smiles

RECIPE = Path(__file__).parents[2] / "recipes" / "organic"

pytest.importorskip("rdkit")


@pytest.fixture(scope="module")
def recipe():
    sys.path.insert(0, str(RECIPE))
    try:
        yield {name: importlib.import_module(name) for name in ("molecules", "geometries", "make")}
    finally:
        sys.path.remove(str(RECIPE))
        for name in ("molecules", "geometries", "make"):
            sys.modules.pop(name, None)


def test_the_split_is_that_of_the_data(recipe):
    part_of = recipe["make"].part_of
    assert [part_of(key) for key in ("CCO", "O", "CC(=O)[O-]")] == [
        "train", "train", "train",
    ]  # fmt: skip
    keys = [f"{'C' * n}O" for n in range(2, 60)]
    parts = {key: part_of(key) for key in keys}
    assert set(parts.values()) == {"test", "validation", "train"}
    tested = next(key for key, part in parts.items() if part == "test")
    trained = next(key for key, part in parts.items() if part == "train")
    assert part_of(f"{trained}.{tested}") == "test"
    # Molecules of fewer than three heavy atoms have no say.
    assert part_of(f"O.{trained}") == "train"


def test_smiles_written_by_hand_are_valid(recipe):
    molecules, canonical = recipe["molecules"], recipe["geometries"].canonical
    for name in (
        "SMALL",
        "AMINO",
        "DRUGS",
        "IONS",
        "SALTS",
        "ANIONS",
        "DIANIONS",
        "ACIDS",
        "BASES",
    ):
        smiles = [canonical(text) for text in getattr(molecules, name)]
        assert len(set(smiles)) >= len(smiles) - 1, name
    neutral = recipe["geometries"].fragments(molecules.DRUGS)
    assert len(neutral) > 50
    ions = recipe["geometries"].protonation_states(["CC(=O)O", "CCN", "c1ccncc1", "CC(N)=O"])
    assert set(ions) == {"CC(=O)[O-]", "CC[NH3+]", "c1cc[nH+]cc1"}


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_protons_are_handed_over(recipe, place):
    donor, acceptor = molecule("H2O"), molecule("NH3")
    found = recipe["geometries"].proton_transfer(donor, acceptor, 2.6, place)
    oxygen, nitrogen = found.positions[0], found.positions[3]
    assert np.linalg.norm(oxygen - nitrogen) == pytest.approx(2.6)
    proton = min(found.positions[1:3], key=lambda r: np.linalg.norm(r - nitrogen))
    lengths = np.linalg.norm(proton - oxygen), np.linalg.norm(proton - nitrogen)
    assert sum(lengths) == pytest.approx(2.6)
    assert (lengths[0] < lengths[1]) == (place < 0.5) or place == 0.5
    # The acceptor's own hydrogens point away.
    assert min(np.linalg.norm(found.positions[4:] - oxygen, axis=1)) > 2.6


def test_every_acid_gives_a_proton_to_a_base(recipe):
    geometries, molecules = recipe["geometries"], recipe["molecules"]
    base = atoms_from_smiles("N")
    for acid in molecules.ACIDS:
        atoms = atoms_from_smiles(acid)
        found = geometries.proton_transfer(atoms, base, 3.0, 1.0)
        nitrogen = len(atoms)
        assert (found.get_distances(nitrogen, np.flatnonzero(found.numbers == 1)) < 1.2).sum() == 4


def test_substitutions_pass_through_a_plane(recipe):
    substitution = recipe["geometries"].substitution
    before, _ = substitution("F", "Cl", -1.0)
    between, key = substitution("F", "Cl", 0.0)
    assert key == "CCl.[F-]"
    assert before.info["charge"] == -1
    np.testing.assert_allclose(between.positions[1:4, 2], 0.0, atol=1e-12)
    assert before.get_distance(0, 4) > between.get_distance(0, 4)
    assert before.get_distance(0, 5) < between.get_distance(0, 5)
    np.testing.assert_allclose([before.get_distance(0, h) for h in (1, 2, 3)], 1.09)


def test_groups_that_enter_and_leave_bring_their_hydrogens(recipe):
    atoms, key = recipe["geometries"].substitution("N", "O", 0.0)
    assert key == "CO.N"
    assert (atoms.get_chemical_formula(), atoms.info["charge"]) == ("CH7NO", 0)
    nitrogen, oxygen = 4, 5
    for heavy, count in ((nitrogen, 3), (oxygen, 1)):
        near = atoms.get_distances(heavy, np.flatnonzero(atoms.numbers == 1)) < 1.2
        assert near.sum() == count
        assert atoms.get_distance(0, heavy) < atoms.get_distances(0, range(6, 10)).min()


def test_salts_are_neutral_or_lack_one_anion(recipe):
    salt_of, charge = recipe["geometries"].salt_of, recipe["geometries"].charge_of
    keys = {salt_of(np.random.default_rng(seed)) for seed in range(60)}
    assert len(keys) > 50
    charges = [charge(atoms_from_smiles(key)) for key in sorted(keys)]
    assert set(charges) == {0, 1}


def test_one_bond_is_stretched(recipe):
    generator = np.random.default_rng(3)
    atoms = molecule("CH3OH")
    found = recipe["geometries"].stretched(atoms, 1.3, generator)
    before, after = atoms.get_all_distances(), found.get_all_distances()
    bonded = (before > 0) & (before < 1.6)
    ratios = after[bonded] / before[bonded]
    assert np.isclose(ratios, 1.3).sum() == 2
    assert np.isclose(ratios, 1.0).sum() == bonded.sum() - 2


def test_neighbours_touch_as_asked(recipe):
    water = Atoms("OH2", molecule("H2O").positions)
    found = recipe["geometries"].side_by_side(water, water, 0.8)
    distances = np.linalg.norm(found.positions[:3, None] - found.positions[None, 3:], axis=2)
    assert 1.8 < distances.min() < 2.7
