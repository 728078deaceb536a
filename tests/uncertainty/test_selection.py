"""What to calculate next: large expected errors, no two alike, cheap before expensive."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from deepdft.dft import read_inputs
from deepdft.errors import ConfigurationError
from deepdft.prediction import load_model
from deepdft.structures import Structure
from deepdft.uncertainty.costs import guessed_costs
from deepdft.uncertainty.selection import LENGTH, Candidate, candidate, choose
from tests.commands import Outcome, run  # noqa: F401

K = 4


def entry(
    name: str,
    errors: list[float],
    places: list[float],
    *,
    distance: float = 0.5,
    cost: float = 1.0,
    numbers: list[int] | None = None,
) -> Candidate:
    """A structure of hydrogen atoms, their surroundings on a line."""
    atoms = Atoms(numbers or [1] * len(errors), np.arange(3 * len(errors)).reshape(-1, 3))
    atoms.info["cost"] = cost
    surroundings = np.zeros((len(errors), K))
    surroundings[:, 0] = places
    return Candidate(
        Structure(name, atoms), sum(errors), distance, np.array(errors), surroundings, 1.0
    )


def names(*arguments: object, **options: object) -> list[str]:
    return [choice.structure.name for choice in choose(*arguments, **options)]


def test_large_errors_come_first() -> None:
    pool = [entry("a", [0.01], [0.0]), entry("b", [0.05], [50.0]), entry("c", [0.02], [100.0])]
    assert names(pool, 3) == ["b", "c", "a"]
    assert names(pool, 9) == ["b", "c", "a"]


def test_no_two_are_alike() -> None:
    pool = [entry("a", [0.05], [0.0]), entry("twin", [0.049], [0.0]), entry("b", [0.01], [50.0])]
    choices = choose(pool, 3)
    assert [choice.structure.name for choice in choices] == ["a", "b", "twin"]
    assert [choice.new for choice in choices] == pytest.approx([1.0, 1.0, 0.0])


def test_what_is_alike_follows_the_distance_of_surroundings() -> None:
    shift = 1.3
    pool = [entry("a", [0.05], [0.0]), entry("b", [0.04], [shift])]
    alike = np.exp(-(shift**2) / (2 * K * LENGTH**2))
    assert choose(pool, 2)[1].new == pytest.approx(1 - alike)
    # An atom of another element is another matter.
    pool[1] = entry("b", [0.04], [0.0], numbers=[8])
    assert choose(pool, 2)[1].new == pytest.approx(1.0)


def test_each_atom_is_learned_from_the_most_similar_one() -> None:
    pool = [entry("a", [0.03, 0.03], [0.0, 50.0]), entry("b", [0.01, 0.03], [0.0, 100.0])]
    choices = choose(pool, 2)
    assert choices[1].new == pytest.approx(0.75)
    assert choices[1].gain == pytest.approx(0.03)


def test_what_is_known_already_teaches_nothing() -> None:
    pool = [entry("a", [0.05], [0.0]), entry("b", [0.01], [50.0])]
    assert names(pool, 1, known=[entry("old", [0.05], [0.0])]) == ["b"]


def test_outside_of_training_more_is_to_be_learned() -> None:
    pool = [entry("a", [0.03], [0.0]), entry("far", [0.02], [50.0], distance=2.0)]
    assert names(pool, 1) == ["far"]


def test_costs_count_as_much_as_wanted() -> None:
    pool = [entry("a", [0.03], [0.0], cost=100.0), entry("cheap", [0.02], [50.0])]
    assert names(pool, 1, cost_exponent=0.0) == ["a"]
    assert names(pool, 1, cost_exponent=1.0) == ["cheap"]


def test_costs_are_those_told_or_guessed_for_all() -> None:
    told = [bulk("Cu"), bulk("Si")]
    for atoms, cost in zip(told, (3.0, 5.0), strict=True):
        atoms.info["cost"] = cost
    assert guessed_costs(told, [11, 8]).tolist() == [3.0, 5.0]
    del told[0].info["cost"]
    mixed = guessed_costs([*told, bulk("Si") * 2], [11, 8, 64])
    assert mixed[2] > 8 * mixed[1]
    assert mixed[1] != 5.0


def test_nothing_cannot_be_chosen() -> None:
    with pytest.raises(ConfigurationError, match="3 of 0 structures"):
        choose([], 3)


def test_shares_are_those_of_the_expected_error() -> None:
    model = load_model("crystals", "cpu")
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    found = candidate(model, Structure("salt", atoms))
    assert found.eps_mae == pytest.approx(model.uncertainty(atoms).eps_mae)
    assert found.shares.sum() == pytest.approx(found.eps_mae)
    assert found.electrons == model.expected_electrons(atoms)
    # A supercell is no other structure.
    double = candidate(model, Structure("double", atoms * (2, 1, 1)))
    first, second = choose([found, double], 2, cost_exponent=0.0)
    assert first.new == pytest.approx(1.0)
    assert second.new == pytest.approx(0.0, abs=1e-3)


def test_the_command_writes_what_is_to_be_calculated(
    run: Callable[..., Outcome],  # noqa: F811
    tmp_path: Path,
) -> None:
    pool = [bulk("NaCl", "rocksalt", a=a) for a in (5.64, 5.65)] + [bulk("Cu")]
    pool[2].set_initial_magnetic_moments([1.0])
    for number, atoms in enumerate(pool):
        atoms.info |= {"name": f"crystal {number}", "key": "a", "group": "b"}
    ase.io.write(tmp_path / "pool.extxyz", pool)
    outcome = run("select", "pool.extxyz", "-n", 2, "-o", "next.extxyz", "--json", "next.json")
    assert outcome.code == 0, outcome.error
    assert "written: next.extxyz (2 of 3 structures)" in outcome.output
    written = read_inputs([tmp_path / "next.extxyz"])
    listed = json.loads((tmp_path / "next.json").read_text())["chosen"]
    assert [structure.name for structure in written] == [row["name"] for row in listed]
    # The two salts are alike: the metal is one of the two.
    copper = next(s.atoms for s in written if s.atoms.get_chemical_formula() == "Cu")
    assert copper.get_initial_magnetic_moments().tolist() == [1.0]
    assert copper.info["group"] == "b"
    assert listed[0]["expected_eps_mae"] > 0


def test_what_the_model_does_not_know_is_refused_or_listed(
    run: Callable[..., Outcome],  # noqa: F811
    tmp_path: Path,
) -> None:
    ase.io.write(tmp_path / "pool.extxyz", [bulk("Po", "sc", a=3.35), bulk("Cu")])
    outcome = run("select", "pool.extxyz", "-n", 2)
    assert outcome.code == 2
    assert "does not know Po" in outcome.error
    outcome = run("select", "pool.extxyz", "-n", 2, "--skip")
    assert outcome.code == 1
    assert "written: chosen.extxyz (1 of 1 structures)" in outcome.output
    assert "skipped: pool_0" in outcome.output
