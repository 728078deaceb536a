"""The pool of crystals: structure types, what they are filled with, and relaxed cells."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import ModuleType

import ase.io
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.data import covalent_radii

import deepdft
from tests.recipes.crystal_recipes import recipe

spglib = pytest.importorskip("spglib")
pytest.importorskip("pymatgen.core")


@pytest.fixture(scope="module")
def structures() -> ModuleType:
    return recipe("structures")


FILLED = {
    "fcc": ["Cu"], "bcc": ["Fe"], "sc": ["As"], "diamond": ["Si"], "hcp": ["Mg"],
    "rocksalt": ["Na", "Cl"], "CsCl": ["Cs", "I"], "zincblende": ["Ga", "As"],
    "wurtzite": ["Zn", "O"], "NiAs": ["Ni", "As"], "fluorite": ["Ca", "F"],
    "antifluorite": ["Li", "O"], "rutile": ["Ti", "O"], "CdI2": ["Cd", "I"],
    "perovskite": ["Sr", "Ti", "O"], "half-Heusler": ["Li", "Zn", "As"],
    "NaFeO2": ["Na", "Fe", "O"], "elpasolite": ["K", "Na", "Al", "F"],
    "K2PtCl6": ["K", "Pt", "Cl"], "Cu3Au": ["Au", "Cu"], "L10": ["Ti", "Cu"],
    "B2": ["Ni", "Al"], "WC": ["W", "C"], "AlB2": ["Ti", "B"], "BN": ["Ga", "N"],
}  # fmt: skip


def test_every_type_is_tried(structures: ModuleType) -> None:
    assert set(structures.PROTOTYPES) == set(FILLED)


@pytest.mark.parametrize("name", FILLED)
def test_types_have_their_space_group_and_touch(structures: ModuleType, name: str) -> None:
    prototype = structures.PROTOTYPES[name]
    atoms = prototype.filled(FILLED[name])
    data = spglib.get_symmetry_dataset(
        (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=1e-4
    )
    assert data.number == prototype.spacegroup
    # Primitive: no translation but those of the lattice.
    identities = (data.rotations == np.eye(3, dtype=int)).all(axis=(1, 2))
    assert identities.sum() == 1
    counts = {s: atoms.get_chemical_symbols().count(s) for s in FILLED[name]}
    units = counts[FILLED[name][0]] / prototype.counts[prototype.roles[0]]
    for role, symbol in zip(prototype.roles, FILLED[name], strict=True):
        assert counts[symbol] == units * prototype.counts[role]
    many = atoms * (2, 2, 2)
    distances = many.get_all_distances(mic=True)
    radii = np.array([covalent_radii[number] for number in many.numbers])
    relative = distances / (radii[:, None] + radii[None, :])
    np.fill_diagonal(relative, np.inf)
    assert relative.min() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "elements", "sensible"),
    [
        ("rocksalt", "Na Cl", True), ("rocksalt", "Mg O", True), ("rocksalt", "Sc N", True),
        ("rocksalt", "Na O", False), ("rocksalt", "Mg Cl", False), ("fluorite", "Ca F", True),
        ("perovskite", "Sr Ti O", True), ("perovskite", "K Ta O", True),
        ("perovskite", "Cs Pb Br", True), ("perovskite", "Na K O", False),
        ("elpasolite", "K Na Al F", True), ("elpasolite", "K Na Ti F", False),
        ("L10", "Cu Ti", True), ("L10", "Cu Cu", False), ("WC", "W C", True),
        ("AlB2", "Mg B", True),
        ("BN", "Ga N", True),
        ("rocksalt", "Nb C", True), ("rocksalt", "Si C", False), ("zincblende", "Nb N", False),
    ],
)  # fmt: skip
def test_charges_are_balanced(
    structures: ModuleType, name: str, elements: str, sensible: bool
) -> None:
    assert structures.is_sensible(structures.PROTOTYPES[name], elements.split()) is sensible


def test_known_crystals_come_first_and_nothing_twice(structures: ModuleType) -> None:
    found = [(p.name, elements) for p, elements in structures.combinations(110, seed=1)]
    assert found[0] == ("rocksalt", ("Li", "F"))
    assert ("perovskite", ("Sr", "Ti", "O")) in found
    assert len(set(found)) == len(found) == 110
    again = [(p.name, e) for p, e in structures.combinations(110, seed=1)]
    other = [(p.name, e) for p, e in structures.combinations(110, seed=2)]
    assert found == again != other
    with pytest.raises(ValueError, match="NaCl2 does not fit"):
        structures.elements_of_formula("NaCl2", structures.PROTOTYPES["rocksalt"])


def test_small_crystals_that_are_not_there(structures: ModuleType) -> None:
    taken = {("TiN", 225), ("Cu", 225)}
    found = list(structures.combinations(60, seed=1, most_atoms=2, without=taken))
    names = {structures.name_of(prototype, elements) for prototype, elements in found}
    assert len(names) == 60
    assert not names & {"Ti-N_rocksalt", "Cu_fcc"}
    assert {"Na-Cl_rocksalt", "Mg_hcp", "Ag_fcc"} <= names
    assert all(len(prototype.filled(elements)) <= 2 for prototype, elements in found)
    # There is an end: 4 elements in the structure of diamond, and so on.
    few = list(structures.combinations(100_000, seed=1, most_atoms=1))
    assert {prototype.name for prototype, _ in few} == {"fcc", "bcc", "sc"}
    assert 100 < len(few) <= 3 * len(structures.ELEMENTS)


def test_kinds_of_what_is_there(structures: ModuleType, tmp_path: Path) -> None:
    salt = structures.PROTOTYPES["rocksalt"].filled(["Na", "Cl"])
    grid = deepdft.Grid(salt.cell.array, (4, 4, 4))
    deepdft.Density(salt, grid, np.ones(grid.shape)).write(tmp_path / "salt.cube")
    assert structures.kinds_of([str(tmp_path)]) == {("NaCl", 225)}


def test_a_cell_is_relaxed_with_its_symmetry(structures: ModuleType) -> None:
    stretched = structures.PROTOTYPES["fcc"].filled(["Cu"])
    found = structures.relaxed(stretched, EMT())
    # 3.59 Å is EMT's lattice constant of copper.
    assert (4 * found.get_volume()) ** (1 / 3) == pytest.approx(3.59, abs=0.01)
    assert found.cell.angles() == pytest.approx([60.0] * 3, abs=1e-6)


def test_frames_say_what_the_data_say(
    structures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pool.extxyz"
    words = ["structures.py", str(path), "--count", "12", "--copies", "1", "--no-relax"]
    monkeypatch.setattr(sys, "argv", words)
    structures.main()
    frames = ase.io.read(path, ":")
    assert len(frames) == 24
    assert frames[0].info["name"] == "Li-F_rocksalt"
    assert (frames[0].info["key"], frames[0].info["group"]) == ("LiF", "ionic")
    assert frames[1].info["name"] == "Li-F_rocksalt_copy1"
    assert frames[1].info["key"] == "LiF"
    assert 0.8 < frames[1].get_volume() / frames[0].get_volume() < 1.25
    assert np.ptp(frames[1].cell.lengths()) > 1e-3
    # Interrupted and given again, it is the same.
    before = path.read_text()
    next((tmp_path / "pool.parts").glob("00003_*")).unlink()
    structures.main()
    assert path.read_text() == before


def test_groups_and_moments(structures: ModuleType) -> None:
    types = structures.PROTOTYPES
    cases = [
        ("bcc", ["Fe"]), ("L10", ["Fe", "Pt"]), ("CdI2", ["Ti", "S"]), ("rocksalt", ["Ni", "O"]),
        ("zincblende", ["Ga", "As"]), ("rocksalt", ["K", "Br"]),
    ]  # fmt: skip
    groups = [structures.group_of(types[name], elements) for name, elements in cases]
    assert groups == ["element", "intermetallic", "layered", "oxide", "covalent", "ionic"]
    iron = structures.described(types["bcc"].filled(["Fe"]), types["bcc"], ["Fe"], "Fe_bcc")
    assert iron.info["magnetic"] == 1
    assert iron.get_initial_magnetic_moments().tolist() == [3.0]
    keys = [
        structures.described(types[n].filled(e), types[n], e, "x").info["key"]
        for n, e in itertools.islice(cases, 3)
    ]
    assert keys == ["Fe", "FePt", "TiS2"]
