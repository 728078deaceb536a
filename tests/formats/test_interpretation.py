"""Electron counts, units, periodicity and notes: what is assumed, and that it is said."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from deepdft.density import Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats.electrons import ElectronCounts, holds_cores, valence_range
from deepdft.formats.interpretation import Interpretation, periodic_axes
from deepdft.formats.provenance import describe, parse_description, strip_description
from deepdft.formats.quantities import QUANTITIES, recognise
from deepdft.formats.summary import Summary
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR, PER_CUBIC_BOHR

# Valence electrons in VASP's and CP2K's (GTH) usual potentials.
VALENCE = {
    1: [1], 2: [2], 3: [1, 3], 4: [2, 4], 6: [4], 8: [6], 9: [7], 10: [8], 11: [1, 7, 9], 13: [3],
    14: [4], 17: [7], 19: [7, 9], 20: [8, 10], 22: [4, 10, 12], 26: [8, 14, 16], 28: [10, 16, 18],
    29: [11, 17], 30: [12, 2], 31: [3, 13], 32: [4, 14], 35: [7], 42: [6, 12, 14], 47: [11, 17],
    50: [4, 14], 53: [7], 55: [9], 56: [10], 57: [11], 58: [12], 64: [18, 9], 71: [9, 25],
    72: [4, 10], 74: [6, 12, 14], 78: [10, 16], 79: [11], 82: [4, 14], 83: [5, 15], 92: [14],
}  # fmt: skip


@pytest.mark.parametrize("number", VALENCE)
def test_usual_potentials_are_within_the_range(number: int) -> None:
    fewest, most = valence_range(number)
    assert 0 < fewest <= min(VALENCE[number])
    assert max(VALENCE[number]) <= most <= number


def test_every_element_has_a_range() -> None:
    for number in range(1, 119):
        fewest, most = valence_range(number)
        assert 0 < fewest <= most <= number
    assert valence_range(0) == (0, 0)


def test_counts_of_a_structure() -> None:
    counts = ElectronCounts.of([8, 1, 1])
    assert (counts.all_electron, counts.fewest, counts.most) == (10, 8, 10)
    assert counts.allow(8.0)
    assert counts.allow(10.05)
    assert not counts.allow(7.0)
    assert not counts.allow(67.0)
    silicon = ElectronCounts.of([14, 14])
    assert silicon.allow(28.1)
    assert silicon.allow(8.0)
    assert not silicon.allow(26.0)


def density_of(
    exponent: float, electrons: float, shape: int = 24
) -> tuple[Atoms, Grid, np.ndarray]:
    """Return an oxygen atom close to a grid point, with a density exp(-exponent r / bohr)."""
    grid = Grid(np.eye(3) * 4.0, (shape, shape, shape))
    atoms = Atoms("O", positions=[[2.0, 2.0, 2.01]])
    distance = np.linalg.norm(grid.points() - atoms.positions[0], axis=-1) / BOHR
    values = electrons * exponent**3 / (8 * np.pi) * np.exp(-exponent * distance) * PER_CUBIC_BOHR
    return atoms, grid, values


def test_cores_are_seen_next_to_the_nuclei() -> None:
    assert holds_cores(*density_of(15.4, 2.0))
    assert not holds_cores(*density_of(2.5, 6.0))
    atoms, grid, values = density_of(15.4, 2.0)
    atoms.positions += 0.08  # no grid point near enough: nothing can be said
    assert not holds_cores(atoms, grid, values)
    assert not holds_cores(Atoms(), grid, values)


def interpret(values: np.ndarray, atoms: Atoms, grid: Grid, **options: object):
    known = {"path": "x", "quantity": QUANTITIES["density"], "unit": "e/angstrom^3", "pbc": False}
    return Interpretation(**{**known, **options}).density(atoms, grid, values)


def test_a_coarse_all_electron_density_is_warned_about() -> None:
    atoms, grid, values = density_of(15.4, 2.0)
    density = interpret(values, atoms, grid)
    assert density.level.core == "all-electron"
    (note,) = density.metadata["notes"]
    assert note.startswith("Warning: an all-electron density")
    assert "of 8 electrons" in note
    known = interpret(values.copy(), atoms, grid, level=LevelOfTheory(core="ECP"))
    assert known.level.core == "ECP"


def test_strange_integrals_are_warned_about_and_read() -> None:
    atoms, grid, values = density_of(2.5, 6.0)
    values[values > 10] = 10  # far from what cores would give
    density = interpret(values * 5, atoms, grid)
    (note,) = density.metadata["notes"]
    assert "Warning" in note
    assert "6 to 8 valence electrons and 8 in all" in note
    empty = interpret(np.zeros(grid.shape), atoms, grid)
    assert any("zero everywhere" in note for note in empty.metadata["notes"])


def test_small_negative_parts_are_no_reason_to_refuse() -> None:
    """Pseudo-densities dip below zero next to nuclei."""
    atoms, grid, values = density_of(2.5, 6.0)
    values[12, 12, 12] = -values[12, 12, 13]
    assert interpret(values, atoms, grid).values.min() < 0
    with pytest.raises(FileFormatError, match="potential"):
        interpret(-values, atoms, grid)


@pytest.mark.parametrize("order", ["C", "F"])
def test_summaries(order: str) -> None:
    values = np.asarray(np.random.default_rng(2).normal(size=(60, 50, 40)), order=order)
    summary = Summary.of(values)
    assert summary.total == pytest.approx(values.sum())
    assert summary.negative == pytest.approx(values[values < 0].sum())
    assert (summary.smallest, summary.largest) == (values.min(), values.max())
    assert summary.size == pytest.approx(np.abs(values).sum())
    assert summary.times(2.0) == Summary.of(2.0 * values)


def test_periodicity_from_the_faces() -> None:
    values = np.ones((6, 6, 6))
    assert periodic_axes(values, values.mean()).all()
    values[:, :, 0] = 0.01
    assert periodic_axes(values, values.mean()).tolist() == [True, True, False]
    assert not periodic_axes(np.zeros((4, 4, 4)), 0.0).any()


def test_units_are_named_by_word() -> None:
    from deepdft.formats.interpretation import check_unit

    assert check_unit(None) is None
    assert check_unit("e/bohr^3") == "e/bohr^3"
    with pytest.raises(ConfigurationError, match="no unit 'bohr'"):
        check_unit("bohr")


def test_quantities_by_word_and_by_name() -> None:
    assert recognise("x", None, "total charge density of water").name == "density"
    assert recognise("x", None, "water").name == "density"
    assert recognise("x", "orbital", "density").name == "orbital"
    with pytest.raises(ConfigurationError, match=r"no quantity 'orbitl'.*Did you mean 'orbital'"):
        recognise("x", "orbitl", "")


def test_descriptions() -> None:
    atoms = Atoms("H", cell=[1, 2, 3], pbc=[True, False, True])
    grid = Grid(np.eye(3), (2, 2, 2), [0.5, 0, 0])
    level = LevelOfTheory("PBE0", "", "a {b} c", "")
    line = describe(level, "some words", atoms, grid, with_origin=True)
    assert "\n" not in line
    known = parse_description(line)
    assert LevelOfTheory.from_dict(known) == level
    assert known["pbc"].tolist() == [True, False, True]
    assert np.allclose(known["cell"], np.diag([1, 2, 3]))
    assert np.allclose(known["origin"], [0.5, 0, 0])
    assert strip_description(line) == "some words"
    assert describe(LevelOfTheory(), line) == "some words"


@pytest.mark.parametrize(
    "text",
    ["{", "{}", '{"pbc": [1, 2]}', '{"cell": "x"}', '{"origin": [1, 2, NaN]}', "[]", "{}" * 9,
     '{"functional": 5}', '{"cell": [[1, 2, 3], [1, 2], [3]]}', "{" * 5000 + "}" * 5000],
)  # fmt: skip
def test_hostile_descriptions_say_nothing(text: str) -> None:
    assert parse_description(f"words deepdft {text}") == {}
