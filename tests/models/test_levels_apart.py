"""Densities of the bundled models' different levels of theory are not taken for one another."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

import deepdft
from deepdft.data.plane_waves import write_plane_waves
from deepdft.density import Density, Grid
from deepdft.levels import LevelOfTheory
from deepdft.models.bundled import bundled_models
from deepdft.models.folder import read_description
from tests.commands import Outcome, run

__all__ = ["run"]

APART = list(combinations(("default", "cathode", "crystals"), 2))


def density_of(model: str) -> Density:
    """Lithium oxide's cell with a density that a model might predict."""
    description = read_description(bundled_models()[model])
    atoms = bulk("LiO", "rocksalt", a=4.6)
    atoms.info["name"] = "LiO"
    grid = Grid(atoms.cell.array, (8, 8, 8))
    values = np.full(grid.shape, 7.0 / atoms.get_volume())
    return Density(atoms, grid, values, level=LevelOfTheory.from_dict(description["level"]))


@pytest.mark.parametrize(("first", "second"), APART)
@pytest.mark.parametrize("command", ["compare", "combine"])
def test_commands_refuse_two_levels(
    command: str, first: str, second: str, run: Callable[..., Outcome]
) -> None:
    for name in (first, second):
        deepdft.write(f"{name}.npz", density_of(name))
    words = ["compare", f"{first}.npz", f"{second}.npz"]
    if command == "combine":
        words = ["combine", f"{first}.npz", "-", f"{second}.npz", "-o", "difference.npz"]
    outcome = run(*words)
    assert outcome.code == 2
    levels = [str(density_of(name).level) for name in (first, second)]
    assert all(level in outcome.error for level in levels)
    assert "core and the basis differ" in outcome.error
    assert not Path("difference.npz").exists()


def test_a_model_is_not_evaluated_on_another_level(run: Callable[..., Outcome]) -> None:
    write_plane_waves("crystals.npz", [density_of("crystals")], cutoff=8.0)
    outcome = run("evaluate", "default", "crystals.npz", "--quick", 10)
    assert outcome.code == 2
    assert "default cannot be evaluated on these data" in outcome.error
    assert "PseudoDojo" in outcome.error
    assert "GTH-PBE" in outcome.error


def test_the_same_structure_has_other_electrons_at_other_levels() -> None:
    """So that a difference of two such densities would mean nothing."""
    electrons = {
        name: read_description(bundled_models()[name])["card"]["electrons"]
        for name in ("default", "crystals", "cathode")
    }
    assert electrons["default"]["Zn"] != electrons["crystals"]["Zn"]
    assert electrons["cathode"]["Li"] != electrons["crystals"]["Li"]
