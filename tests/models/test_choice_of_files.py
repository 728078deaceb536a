"""Files of all kinds, and which of the bundled models is taken for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111, graphene, molecule, nanotube
from ase.io import read, write

from deepdft.errors import UnsupportedStructureError
from deepdft.models.choice import choose_model
from deepdft.prediction import predict
from deepdft.structures import ReadOptions, read_structures

LIQUID = Path(__file__).parents[2] / "benchmarks" / "ethylene_carbonate.xyz"


def boxed(name: str, edge: float = 14.0) -> Atoms:
    """A molecule in a large periodic cell, cut by its faces."""
    atoms = molecule(name)
    atoms.set_cell([edge, edge + 1, edge + 2])
    atoms.pbc = True
    atoms.wrap()
    return atoms


def liquid() -> Atoms:
    atoms: Atoms = read(LIQUID)
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def cathode() -> Atoms:
    return bulk("NiO", "rocksalt", a=4.18)


def dry_ice() -> Atoms:
    """CO2 in its cubic cell: a crystal of molecules."""
    x, a = 0.1185, 5.624
    centres = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
    directions = [(1, 1, 1), (-1, 1, -1), (-1, -1, 1), (1, -1, -1)]
    places: list[list[float]] = []
    symbols = ""
    for centre, direction in zip(centres, directions, strict=True):
        for sign, symbol in ((0, "C"), (1, "O"), (-1, "O")):
            places.append([c + sign * x * d for c, d in zip(centre, direction, strict=True)])
            symbols += symbol
    return Atoms(symbols, scaled_positions=places, cell=[a] * 3, pbc=True)


def slab_with_molecule() -> Atoms:
    slab = fcc111("Cu", (2, 2, 3), vacuum=8.0, periodic=True)
    add_adsorbate(slab, Atoms("CO", [(0, 0, 0), (0, 0, 1.15)]), 1.8, "ontop")
    slab.info = {}
    return slab


CASES: list[tuple[str, Callable[[], Atoms], int | None, str]] = [
    ("methanol.xyz", lambda: molecule("CH3OH"), None, "default"),
    ("methanol.pdb", lambda: molecule("CH3OH"), None, "default"),
    ("chloride.xyz", lambda: molecule("CH3Cl"), None, "default"),
    ("hydroxide.xyz", lambda: Atoms("OH", [(0, 0, 0), (0, 0, 0.97)]), -1, "default"),
    ("salt.xyz", lambda: molecule("NaCl"), None, "default"),
    ("POSCAR", lambda: boxed("CH3OH"), None, "default"),
    ("boxed.cif", lambda: boxed("C6H6"), None, "default"),
    ("boxed.extxyz", lambda: boxed("CH3Cl"), None, "default"),
    ("liquid.cif", liquid, None, "ethylene-carbonate"),
    ("nickel_oxide.cif", cathode, None, "cathode"),
    ("salt.cif", lambda: bulk("NaCl", "rocksalt", a=5.64), None, "crystals"),
    ("iron.cif", lambda: bulk("Fe"), None, "crystals"),
    ("ice.cif", dry_ice, None, "crystals"),
    ("slab.extxyz", slab_with_molecule, None, "crystals"),
    ("graphene.extxyz", lambda: graphene(vacuum=8.0), None, "crystals"),
    ("tube.extxyz", lambda: nanotube(3, 0, length=1, vacuum=6.0), None, "crystals"),
]


@pytest.mark.parametrize(("file", "build", "charge", "name"), CASES, ids=[c[0] for c in CASES])
def test_the_model_of_a_file(
    file: str, build: Callable[[], Atoms], charge: int | None, name: str, tmp_path: Path
) -> None:
    write(tmp_path / file, build())
    (structure,) = read_structures(tmp_path / file, ReadOptions(charge))
    assert choose_model([structure.atoms]).model == name


@pytest.mark.parametrize(
    ("build", "charge", "words"),
    [
        (lambda: molecule("SiH4"), 3, "'default' knows net charges of -1 and 0 and \\+1"),
        (lambda: bulk("NaCl", "rocksalt", a=5.64), 1, "'crystals' knows net charges of 0"),
        (lambda: bulk("Po", "sc", a=3.35), None, "'crystals' does not know Po"),
        (lambda: Atoms("FeCl2", [(0, 0, 0), (2.2, 0, 0), (-2.2, 0, 0)]), None, "'crystals' is for"),
    ],
)
def test_a_refusal_names_the_nearest(
    build: Callable[[], Atoms], charge: int | None, words: str, tmp_path: Path
) -> None:
    write(tmp_path / "x.extxyz", build())
    (structure,) = read_structures(tmp_path / "x.extxyz", ReadOptions(charge))
    with pytest.raises(UnsupportedStructureError, match=f"The nearest: {words}"):
        choose_model([structure.atoms])


def test_python_chooses_as_the_command_does() -> None:
    assert "GTH-PBE" in predict(boxed("H2O", 12.0), spacing=0.8).level.core
    assert "PseudoDojo" in predict(bulk("Cu"), spacing=0.5).level.core
