"""Fitting error models: known answers of its parts, and the whole on small data."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from scipy.stats import spearmanr

from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.geometry.graphs import probe_edges
from deepdft.levels import LevelOfTheory
from deepdft.models.expected_errors.amplitudes import AtomSample, cross_validated, fit_amplitudes
from deepdft.models.expected_errors.error_model import FILE, load_error_model
from deepdft.models.expected_errors.features import fit_feature_space
from deepdft.models.expected_errors.shapes import error_basis, shape_tables
from deepdft.prediction.trained_model import load_model
from deepdft.testing.gaussians import PBE, Gaussians
from deepdft.uncertainty.fit import fit_error_model
from deepdft.uncertainty.measure import area_under_curve, rank_correlation
from deepdft.uncertainty.residuals import Residuals, sample_residuals
from deepdft.uncertainty.shape_fit import atom_shares, fit_shapes
from tests.uncertainty.conftest import molecules


def test_distances_are_those_of_mahalanobis_where_no_component_is_left_out():
    generator = np.random.default_rng(0)
    mixing = generator.standard_normal((6, 6))
    features = generator.standard_normal((20_000, 6)) @ mixing + 3.0
    space = fit_feature_space(features, np.zeros(20_000, int), 1)
    new = generator.standard_normal((50, 6)) @ mixing * 2 + 3.0
    _, distances = space.locate(new, np.zeros(50, int))
    centred = new - features.mean(axis=0)
    exact = np.einsum("ni,ij,nj->n", centred, np.linalg.inv(np.cov(features.T)), centred) / 6
    # What is left over is nothing but rounding, so only the first half of the mean is looked at.
    coordinates, _ = space.locate(new, np.zeros(50, int))
    np.testing.assert_allclose((coordinates**2).mean(axis=1), exact, rtol=2e-2)
    assert np.isfinite(distances).all()


def test_typical_atoms_are_at_distance_one_and_new_directions_are_far():
    generator = np.random.default_rng(1)
    mixing = generator.standard_normal((10, 60))
    species = generator.integers(2, size=4000)
    features = generator.standard_normal((4000, 10)) @ mixing + species[:, None]
    features += 0.1 * generator.standard_normal(features.shape)
    space = fit_feature_space(features, species, 2, components=12)
    coordinates, distances = space.locate(features, species)
    assert (distances**2).mean() == pytest.approx(1.0, rel=0.05)
    for element in range(2):
        covariance = np.cov(coordinates[species == element].T)
        np.testing.assert_allclose(covariance, np.eye(12), atol=0.15)
    # Beyond what any component sees.
    across = np.linalg.svd(mixing)[2][-1]
    assert space.locate(features[:1] + 10 * across, species[:1])[1] > 3 * distances[0]


def test_features_that_do_not_vary_and_few_atoms_do_no_harm():
    features = np.random.default_rng(0).standard_normal((5, 300))
    features[:, 7] = 4.0
    space = fit_feature_space(features, np.array([0, 0, 0, 0, 1]), 2)
    assert all(np.isfinite(part).all() for part in space.locate(features, np.zeros(5, int)))


def made_up(seed, shares, tables, noise=None):
    """Errors of two atoms with known shares."""
    generator = np.random.default_rng(seed)
    atoms = Atoms("CO", [(0, 0, 0), (0, 0, 1.3)])
    points = generator.uniform(-3, 4, (20_000, 3))
    errors = sum(
        share * tables.radial(symbol, np.linalg.norm(points - position, axis=1))
        for share, symbol, position in zip(shares, atoms.symbols, atoms.positions, strict=True)
    )
    if noise is not None:
        errors = errors * generator.exponential(size=len(errors))
    edges = probe_edges(atoms, points, tables.cutoff)
    return Residuals(
        f"x{seed}", atoms, np.zeros((2, 1)), np.full(len(points), 7.0**3 / len(points)), errors,
        10.0, edges.senders.numpy().astype(np.int32), edges.offsets.numpy(),
        edges.distances.numpy().astype(np.float32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def known_shapes():
    basis = error_basis(3.0)
    size = basis.functions().c.shape[1]
    coefficients = np.random.default_rng(5).random((2, size)) + 0.1
    coefficients[:, 8:] = 0.02
    return basis, shape_tables(["C", "O"], coefficients, basis, PBE)


def test_shapes_and_shares_are_found_again(known_shapes):
    basis, tables = known_shapes
    assert tables.electrons("C") == pytest.approx(1.0, rel=1e-12)
    shares = np.random.default_rng(0).uniform(0.5, 2.0, (8, 2))
    items = [made_up(i, s, tables, noise=True) for i, s in enumerate(shares)]
    kinds = [np.array([0, 1])] * len(items)
    found = fit_shapes(items, kinds, list(shares), 2, basis)
    fitted = shape_tables(["C", "O"], found, basis, PBE)
    radii = np.linspace(0.0, 2.5, 26)
    volume = 4 * np.pi * radii**2 * 0.1
    for symbol in "CO":
        difference = np.abs(fitted.radial(symbol, radii) - tables.radial(symbol, radii)) @ volume
        assert difference < 0.12
        assert (fitted.radial(symbol, radii) >= 0).all()
    for item, true in zip(items, shares, strict=True):
        estimate = atom_shares(item, kinds[0], tables)
        assert estimate.sum() == pytest.approx(item.absolute_error, rel=1e-6)
        np.testing.assert_allclose(estimate, true, rtol=0.35)


def test_elements_that_are_not_held_out_get_the_shape_of_the_others(known_shapes):
    basis, tables = known_shapes
    items = [made_up(0, (1.0, 1.0), tables)]
    found = fit_shapes(items, [np.array([0, 1])], [np.ones(2)], 3, basis)
    assert (found[2] > 0).any()
    assert np.isfinite(found).all()


def atom_sample(n_structures=60, seed=0):
    generator = np.random.default_rng(seed)
    n = 10 * n_structures
    species = generator.integers(3, size=n)
    coordinates = generator.standard_normal((n, 6))
    distances = np.exp(0.3 * generator.standard_normal(n))
    weights = generator.standard_normal((3, 6)) * 0.3
    expected = np.exp(species - 6.0 + (coordinates * weights[species]).sum(axis=1)) * distances**0.5
    shares = expected * generator.gamma(5.0, 0.2, size=n)
    structure = np.repeat(np.arange(n_structures), 10)
    return AtomSample(coordinates, distances, species, structure, shares), expected


def test_known_dependence_of_shares_is_found_again():
    sample, expected = atom_sample(300)
    fit = fit_amplitudes(sample, 3, penalty=1.0)
    found = fit.predict(sample.coordinates, sample.distances, sample.species)
    inside = np.abs(np.log(found / expected)) < 0.25
    assert inside.mean() > 0.95
    assert fit.exponent == pytest.approx(0.5, abs=0.15)
    assert found.sum() == pytest.approx(sample.shares.sum(), rel=0.02)


def test_shares_grow_with_the_distance_and_stay_finite_outside():
    sample, _ = atom_sample()
    fit = fit_amplitudes(sample, 3, penalty=1.0)
    far = fit.predict(np.full((3, 6), 1e3), np.array([1.0, 10.0, 100.0]), np.zeros(3, int))
    assert np.isfinite(far).all()
    assert far[0] < far[1] < far[2]
    assert far[0] < 10 * sample.shares[sample.species == 0].max()


def test_cross_validated_errors_do_not_use_the_structure_itself():
    sample, _ = atom_sample(20)
    fit, expected = cross_validated(sample, 3)
    within = fit.predict(sample.coordinates, sample.distances, sample.species)
    assert not np.allclose(np.bincount(sample.structure, within), expected)
    assert spearmanr(expected, np.bincount(sample.structure, sample.shares))[0] > 0.5
    alone, expected = cross_validated(sample.where(sample.structure == 0), 3)
    assert expected.shape == (1,)
    assert np.isfinite(alone.weights).all()


def test_an_error_model_survives_storage_and_is_small(folder, model, train, validation):
    fitted = fit_error_model(load_model(folder, "cpu"), train, validation)
    stored = load_error_model(folder)
    assert (folder / FILE).stat().st_size < 150_000
    assert stored.about == fitted.about
    assert stored.about["structures"] == len(validation)
    for name in ("electrons", "usual", "shapes"):
        np.testing.assert_allclose(getattr(stored, name), getattr(fitted, name), rtol=1e-6)
    np.testing.assert_allclose(stored.space.components, fitted.space.components, rtol=0)
    assert stored.threshold == fitted.threshold


def test_the_total_expected_error_of_what_it_was_fitted_to_is_right(model, validation):
    residuals = sample_residuals(model, validation, 3.5, seed=3)
    expected = sum(model.uncertainty(item.atoms).shares.sum() for item in residuals)
    assert expected == pytest.approx(sum(item.absolute_error for item in residuals), rel=0.05)


def test_larger_errors_are_expected_where_errors_are_larger(model):
    new = Gaussians(molecules(500), "new")
    residuals = sample_residuals(model, new, 3.5)
    expected = [model.uncertainty(item.atoms).eps_mae for item in residuals]
    assert spearmanr(expected, [item.eps_mae for item in residuals])[0] > 0.5


@pytest.mark.parametrize(
    ("known", "held_out", "sentence"),
    [
        (Gaussians([], "a"), Gaussians(molecules(0)[:1]), "needs training structures"),
        (Gaussians(molecules(0)[:1]), Gaussians(molecules(0)[:1]), "'x0' is among the training"),
        (Gaussians(molecules(0)[:1], "a"), Gaussians(molecules(0)[1:2]), "hold O, which no"),
    ],
)
def test_data_that_cannot_be_used(model, known, held_out, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        fit_error_model(model, known, held_out)


def test_levels_are_not_mixed(model, train):
    other = Gaussians(molecules(1), "other")
    other.level = LevelOfTheory("SCAN", "GTH-PBE")
    with pytest.raises(LevelOfTheoryError, match="error model"):
        fit_error_model(model, train, other)


def test_rank_correlation_and_area_under_the_curve():
    one = np.arange(30.0)
    assert rank_correlation(one, one**3)[0] == pytest.approx(1.0)
    assert rank_correlation(one, -one)[0] == pytest.approx(-1.0)
    noisy, error = rank_correlation(one, one + np.random.default_rng(0).normal(0, 15, 30))
    assert 0.2 < noisy < 0.9
    assert 0.02 < error < 0.3
    assert rank_correlation(one[:2], one[:2]) == (None, None)
    scores = np.array([3.0, 2.0, 2.0, 1.0])
    area, error = area_under_curve(scores, np.array([True, False, True, False]))
    assert area == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert error > 0


def test_elements_that_nothing_held_out_has_have_electrons(folder, train):
    loaded = load_model(folder, "cpu")
    del loaded.card["electrons"]
    without = [atoms for atoms in molecules(300) if "N" not in atoms.symbols]
    fitted = fit_error_model(loaded, train, Gaussians(without, "validation"))
    electrons = dict(zip(fitted.elements, fitted.electrons, strict=True))
    assert electrons["C"] == pytest.approx(4.0, abs=0.05)
    assert electrons["N"] == pytest.approx(5.0, abs=0.05)
