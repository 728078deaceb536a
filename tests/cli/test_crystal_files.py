"""Crystals that everybody knows, from files as databases and pymatgen write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ase.formula import Formula

import deepdft
from tests.commands import Outcome

FOLDER = Path(__file__).parents[2] / "examples" / "crystals"
CRYSTALS = {
    "NaCl": ("Na4Cl4", 64), "Si": ("Si8", 32), "GaAs": ("Ga4As4", 112), "MgO": ("Mg4O4", 64),
    "Cu": ("Cu4", 76), "SrTiO3": ("SrTiO3", 40), "graphite": ("C4", 16), "quartz": ("Si3O6", 48),
}  # fmt: skip
"""Formulas of the conventional cells, and their valence electrons."""


def test_all_are_there() -> None:
    assert {path.stem for path in FOLDER.glob("*.cif")} == set(CRYSTALS)


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_file_becomes_a_chgcar(name: str, run: Callable[..., Outcome]) -> None:
    outcome = run(
        "predict", FOLDER / f"{name}.cif", "-o", "CHGCAR", "--spacing", 0.4, "--json", "x.json"
    )
    assert outcome.code == 0, outcome.error
    formula, electrons = CRYSTALS[name]
    assert "model crystals (PBE/PseudoDojo" in outcome.output
    assert ": the bundled one for crystals of 65 elements" in outcome.output
    density = deepdft.read("CHGCAR")
    assert density.atoms.symbols.formula.format("metal") == Formula(formula).format("metal")
    (said,) = json.loads(Path("x.json").read_text())
    assert said["expected_electrons"] == electrons
    assert density.n_electrons == pytest.approx(electrons, rel=0.03)


def test_models_say_what_they_are_for(run: Callable[..., Outcome]) -> None:
    outcome = run("models", "--json", "models.json")
    assert outcome.code == 0, outcome.error
    said = {row["name"]: row for row in json.loads(Path("models.json").read_text())}
    assert said["crystals"]["for"] == "crystals"
    assert said["cathode"]["for"] == "crystals with Ni or Mn or Co and O"
    assert said["ethylene-carbonate"]["for"] == "liquid C3H4O3"
    assert said["default"]["charges"] == [-1, 0, 1]
    assert said["qm9"]["eps_mae_percent"] < 0.3
    assert said["cathode"]["measured_on"] == "test"
    assert said["crystals"]["electrons"]["Si"] == 4
    for name, row in said.items():
        assert name in outcome.output
        assert row["eps_mae_percent"] > 0
