"""Errors of whole structures by their number of electrons, and figures by group."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from ase.build import molecule
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from deepdft.models.expected_errors.calibration import (
    Calibration,
    Excess,
    cross_validated_eps_mae,
    fit_calibration,
)
from deepdft.models.expected_errors.error_model import FILE, load_error_model, save_error_model
from deepdft.uncertainty.by_group import by_group


def made_up(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return shares, deviations and errors of structures that a network counts badly."""
    generator = np.random.default_rng(0)
    shares = np.exp(generator.normal(-5.5, 0.4, count))
    true = shares * np.exp(generator.normal(0.0, 0.5, count))
    excess = 0.4 * true * np.abs(generator.normal(size=count))
    return shares, excess, true


def test_wrong_numbers_of_electrons_tell_of_errors():
    shares, excess, true = made_up(400)
    guess = cross_validated_eps_mae(shares, excess, true)
    alone = np.std(np.log(true / shares))
    assert np.std(np.log(true / guess)) < 0.9 * alone
    assert np.median(true / guess) == pytest.approx(1.0, abs=0.08)
    fit = fit_calibration(shares, excess, true)
    more = fit.eps_mae(shares, excess + 0.01)
    assert (more > fit.eps_mae(shares, excess)).all()


def test_exact_formulas_are_found():
    shares, excess, _ = made_up(300)
    exact = Calibration(0.1, -0.4, 0.2, 0.9)
    fit = fit_calibration(shares, excess, exact.eps_mae(shares, excess))
    found = fit.eps_mae(shares, excess)
    np.testing.assert_allclose(found, exact.eps_mae(shares, excess), rtol=0.02)


def test_shares_and_volume_follow_the_whole(model):
    atoms = molecule("CH3OH")
    engine = model.engine(atoms)
    plain = model.uncertainty_of_encoded(atoms, engine.senders)
    calibration = Calibration(0.3, 0.0, 0.2, 0.8)
    model.error_model = replace(model.require_error_model(), calibration=calibration)
    without = model.uncertainty_of_encoded(atoms, engine.senders)
    np.testing.assert_array_equal(without.shares, plain.shares)
    excess = Excess(np.zeros(len(atoms), dtype=np.int64), np.array([14.0]), np.array([0.2]))
    found = model.uncertainty_of_encoded(atoms, engine.senders, excess=excess)
    whole = calibration.eps_mae(np.array(plain.eps_mae), np.array(0.2 / 14))
    assert found.eps_mae == pytest.approx(float(whole))
    ratio = found.eps_mae / plain.eps_mae
    point = atoms.positions[:1] + 0.3
    assert found.at(point) == pytest.approx(ratio * plain.at(point))


def test_each_fragment_has_its_own():
    calibration = Calibration(0.3, 0.1, 0.2, 0.8)
    shares = np.array([0.01, 0.02, 0.04, 0.05])
    whole = Excess(np.array([0, 0, 1, 1]), np.array([8.0, 10.0]), np.array([0.02, 0.3]))
    expected = []
    for part, electrons, off in ((shares[:2], 8.0, 0.02), (shares[2:], 10.0, 0.3)):
        alone = Excess(np.zeros(2, dtype=np.int64), np.array([electrons]), np.array([off]))
        found = calibration.calibrated(part, alone)
        eps_mae = calibration.eps_mae(np.array(part.sum() / electrons), np.array(off / electrons))
        assert found.sum() / electrons == pytest.approx(float(eps_mae))
        expected.append(found)
    np.testing.assert_allclose(calibration.calibrated(shares, whole), np.concatenate(expected))


def test_folders_keep_it_and_older_ones_are_read(model, folder, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    fitted = replace(model.require_error_model(), calibration=Calibration(0.1, 0.2, 0.3, 0.4))
    save_error_model(fitted, copy)
    again = load_error_model(copy)
    assert again.calibration == fitted.calibration
    assert again.identity != model.require_error_model().identity
    with safe_open(copy / FILE, framework="numpy") as file:
        description = json.loads(file.metadata()["description"])
    description["format"] = 1
    del description["calibration"]
    save_file(load_file(copy / FILE), copy / FILE, {"description": json.dumps(description)})
    assert load_error_model(copy).calibration is None


def test_figures_by_group_are_those_of_each():
    groups = ["a"] * 5 + ["b"] * 2
    expected = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 1.0])
    true = np.array([1.0, 2.0, 3.0, 4.0, 15.0, 1.0, 2.5])
    inside = np.array([True, True, True, True, False, True, False])
    warned = np.array([False, False, False, False, True, False, False])
    a, b, everything = by_group(groups, expected, true, inside, warned)
    assert (a.group, b.group, everything.group) == ("a", "b", "all")
    assert (a.structures, b.structures, everything.structures) == (5, 2, 7)
    assert a.rank_correlation == pytest.approx(1.0)
    assert b.rank_correlation is None
    assert a.median_ratio == 1.0
    assert a.in_range == pytest.approx(0.8)
    assert (a.far_off, a.missed) == (pytest.approx(0.2), 0.0)
    assert (b.far_off, b.missed) == (0.5, 0.5)
    assert everything.missed == pytest.approx(1 / 7)
