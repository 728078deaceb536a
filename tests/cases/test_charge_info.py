"""Whatever stands where a charge should stand is a charge, or a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

import deepdft
from deepdft.errors import UnsupportedStructureError

HERE = Path(__file__).parent


def test_a_word_is_a_sentence_and_exit_code_2(run, small_model):
    result = run("predict", HERE / "charge_text.xyz", "-m", small_model, "-o", "c.cube")
    assert result.code == 2
    assert "'neutral' is no charge (charge=neutral)" in result.error
    assert not Path("c.cube").exists()


@pytest.mark.parametrize(
    "value", ["neutral", "", float("nan"), float("inf"), 0.5, [1, 0], True, {"q": 1}, b"1"]
)
def test_nonsense_is_refused_by_python_as_well(value, small_model):
    atoms = molecule("H2O")
    atoms.info["charge"] = value
    with pytest.raises(UnsupportedStructureError, match="charge"):
        deepdft.load_model(small_model).check(atoms)


@pytest.mark.parametrize("value", [0, 0.0, "0", None, 0.04, -0.09, np.float32(0), np.array([0])])
def test_neutral_is_neutral(value, small_model):
    atoms = molecule("H2O")
    atoms.info["charge"] = value
    deepdft.load_model(small_model).check(atoms)


def test_partial_charges_may_be_rounded(small_model):
    atoms = molecule("H2O")
    atoms.set_initial_charges([-0.82, 0.41, 0.40])
    deepdft.load_model(small_model).check(atoms)
    atoms.set_initial_charges([-0.82, 0.41, np.nan])
    with pytest.raises(UnsupportedStructureError, match="no charge"):
        deepdft.load_model(small_model).check(atoms)
