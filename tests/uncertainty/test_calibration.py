"""Errors of structures as wholes, how much they scatter, and figures by group."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from deepdft.errors import FileFormatError
from deepdft.models.expected_errors.calibration import Calibration, Excess, Wholes
from deepdft.models.expected_errors.error_model import FILE, load_error_model, save_error_model
from deepdft.prediction.electrons import ElectronCount
from deepdft.uncertainty.by_group import by_group
from deepdft.uncertainty.calibration_fit import cross_validated_calibration, fit_powers

WIDE = {"lowest": (-9.0, 0.0, -3.0), "highest": (-2.0, 4.0, 2.0)}


def made_up(count: int) -> tuple[Wholes, np.ndarray]:
    """Return structures that a network counts badly, and their errors.

    Those of many atoms have larger errors than their atoms say, and errors of small ones scatter.
    """
    generator = np.random.default_rng(0)
    shares = np.exp(generator.normal(-5.5, 0.4, count))
    sizes = generator.integers(2, 40, count).astype(float)
    scatter = np.where(sizes < 8, 1.0, 0.3) * generator.normal(size=count)
    true = shares * (sizes / 15.0) ** 0.5 * np.exp(scatter)
    excess = 0.4 * true * np.abs(generator.normal(size=count))
    return Wholes(shares, excess, sizes, np.exp(generator.uniform(-2.0, 1.0, count))), true


def test_what_is_known_of_the_whole_tells_of_errors():
    wholes, true = made_up(600)
    found = cross_validated_calibration(wholes, true)
    deviations = np.log(true / found.eps_mae)
    assert np.std(deviations) < 0.8 * np.std(np.log(true / wholes.shares))
    assert np.median(deviations) == pytest.approx(0.0, abs=0.08)
    fit = found.calibration
    more = replace(wholes, excess=wholes.excess + 0.01)
    assert (fit.eps_mae(more) > fit.eps_mae(wholes)).all()
    small = wholes.sizes < 8
    assert found.widths[small].mean() > 1.3 * found.widths[~small].mean()
    relative = deviations / found.widths  # nearly as wide for both kinds
    assert np.std(relative[small]) / np.std(relative[~small]) < 0.8 * (
        np.std(deviations[small]) / np.std(deviations[~small])
    )


def test_exact_formulas_are_found():
    wholes, _ = made_up(300)
    exact = Calibration((0.1, -0.4, 0.2, 0.9, 0.3, 0.1), **WIDE)
    fit = fit_powers(wholes, exact.eps_mae(wholes))
    np.testing.assert_allclose(fit.eps_mae(wholes), exact.eps_mae(wholes), rtol=0.02)


def test_shares_volume_and_range_follow_the_whole(model):
    atoms = molecule("CH3OH")
    engine = model.engine(atoms)
    plain = model.uncertainty_of_encoded(atoms, engine.senders)
    calibration = Calibration((0.3, 0.0, 0.2, 0.8, 0.1, 0.2), (0.0, 0.0, 0.5), **WIDE)
    model.error_model = replace(model.require_error_model(), calibration=calibration)
    without = model.uncertainty_of_encoded(atoms, engine.senders)
    np.testing.assert_array_equal(without.shares, plain.shares)
    assert without.eps_mae_range == plain.eps_mae_range
    one = np.zeros(len(atoms), dtype=np.int64)
    excess = Excess(one, np.array([14.0]), np.array([0.2]), np.array([6.0]))
    found = model.uncertainty_of_encoded(atoms, engine.senders, excess=excess)
    whole = Wholes.of_fragments(plain.shares, plain.distances, excess)
    assert found.eps_mae == pytest.approx(float(calibration.eps_mae(whole)[0]))
    low, high = (ratio ** calibration.width(whole)[0] for ratio in model.error_model.ratios)
    assert found.eps_mae_range == pytest.approx((low * found.eps_mae, high * found.eps_mae))
    ratio = found.eps_mae / plain.eps_mae
    point = atoms.positions[:1] + 0.3
    assert found.at(point) == pytest.approx(ratio * plain.at(point))


def test_each_fragment_has_its_own(model):
    calibration = Calibration((0.3, 0.1, 0.2, 0.8, 0.3, 0.1), **WIDE)
    model.error_model = replace(model.require_error_model(), calibration=calibration)
    water, ethene = molecule("H2O"), molecule("C2H4")
    far = ethene.copy()
    far.translate((40.0, 0.0, 0.0))
    alone = [model.uncertainty(atoms) for atoms in (water, ethene)]
    both = model.uncertainty(water + far)
    shares = np.concatenate([found.shares for found in alone])
    np.testing.assert_allclose(both.shares, shares, rtol=1e-4)


def test_supercells_have_the_error_of_the_cell():
    """What goes on through periodic cells has no number of atoms."""
    cell = bulk("NaCl", "rocksalt", 5.6)
    zeros = np.zeros(2, dtype=np.int64)
    count = ElectronCount(cell, zeros, zeros[:1], np.zeros(1), np.ones(1), np.zeros(2))
    assert np.isinf(count.excess.sizes).all()
    fitted = fit_powers(*made_up(200))
    parts = Wholes(*np.full((3, 2), 0.01), np.ones(2))
    largest = replace(parts, sizes=np.array([np.inf, 39.0]))
    first, second = fitted.eps_mae(largest)
    assert first == second


def test_folders_keep_it_and_older_ones_are_read(model, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    calibration = Calibration((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (0.1, 0.2, 0.3), **WIDE)
    fitted = replace(model.require_error_model(), calibration=calibration)
    save_error_model(fitted, copy)
    again = load_error_model(copy)
    assert again.calibration == fitted.calibration
    assert again.identity != model.require_error_model().identity
    stored = description_of(copy)
    without = {name: value for name, value in stored.items() if name != "calibration"}
    before = Calibration((0.1, 0.2, 0.3, 0.4, 0.0, 0.0))
    for old, expected in (
        ({**without, "format": 1}, None),
        ({**without, "format": 3, "calibration": [0.1, 0.2, 0.3, 0.4]}, before),
    ):
        save_file(load_file(copy / FILE), copy / FILE, {"description": json.dumps(old)})
        assert load_error_model(copy).calibration == expected


@pytest.mark.parametrize(
    "damaged",
    [
        [0.1, 0.2],
        {"powers": [1.0]},
        {"powers": [np.nan] * 6},
        {"powers": [1.0] * 6, "widths": [1.0] * 4, "lowest": [1.0] * 2},
        {"other": [1.0] * 3},
        "no",
        3,
    ],
)
def test_damaged_calibrations_are_refused(folder, tmp_path, damaged):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    description = {**description_of(copy), "calibration": damaged}
    save_file(load_file(copy / FILE), copy / FILE, {"description": json.dumps(description)})
    with pytest.raises(FileFormatError, match="does not hold an error model"):
        load_error_model(copy)


def test_features_that_do_not_vary_are_kept(model, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    fitted = model.require_error_model()
    scales = fitted.space.scales.copy()
    scales[0] = np.inf
    save_error_model(replace(fitted, space=replace(fitted.space, scales=scales)), copy)
    np.testing.assert_allclose(load_error_model(copy).space.scales, scales, rtol=1e-6)
    scales[0] = np.nan
    save_error_model(replace(fitted, space=replace(fitted.space, scales=scales)), copy)
    with pytest.raises(FileFormatError, match="not finite"):
        load_error_model(copy)


def description_of(folder: Path) -> dict[str, object]:
    with safe_open(folder / FILE, framework="numpy") as file:
        return json.loads(file.metadata()["description"])


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
