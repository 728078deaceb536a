"""Predicted densities with exactly as many electrons as they should have."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from deepdft import Grid
from deepdft.architectures import create_model
from deepdft.errors import ConfigurationError
from deepdft.fields.atoms.fit import RadialBasis, tables_of
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import load_checkpoint, save_checkpoint
from deepdft.prediction import electrons
from deepdft.prediction.electrons import fragments, whole_charges
from deepdft.prediction.predict import predict
from deepdft.prediction.stored_prediction import predict_to_store
from deepdft.prediction.trained_model import TrainedModel
from deepdft.storage.chunked_density import ChunkedDensity
from deepdft.testing.gaussians import PBE

ELECTRONS = {"H": 1, "C": 4, "N": 5, "O": 6}


def small_model(level: LevelOfTheory = PBE) -> TrainedModel:
    """Return a network with random weights on top of superposed atoms."""
    torch.manual_seed(1)
    options = {"scalars": 16, "tensors": 6, "degree": 2, "fields": (8, 6, 4), "hidden": 8}
    network = create_model("equivariant", options, [1, 6, 7, 8]).eval()
    card = {"electrons": ELECTRONS, "charges": [-1, 0, 1], "spin": True}
    checkpoint = Checkpoint.of_network(network, level, "pbe-gth-dzvp", card)
    basis = RadialBasis(3.0, 6, 0.05)
    coefficients = np.exp(-np.arange(len(ELECTRONS) * 7).reshape(4, 7) % 7 / 2.0)
    checkpoint.electron_shapes = tables_of(tuple(ELECTRONS), coefficients, basis, level)
    model = TrainedModel(checkpoint, "small", device="cpu")
    model.threads = 1
    return model


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return small_model()


def crystal() -> Atoms:
    """Return a molecule in a small skewed cell, in touch with its images."""
    atoms = molecule("H2CO", cell=[[4.0, 0.0, 0.0], [0.6, 4.2, 0.0], [0.0, 0.5, 3.8]], pbc=True)
    atoms.rattle(0.05, seed=2)
    return atoms


def test_some_atoms_stand_for_all_of_large_structures(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    atoms = crystal() * (3, 2, 2)
    atoms.rattle(0.03, seed=1)
    every = model.engine(atoms).electron_count
    monkeypatch.setattr(electrons, "MOST_COUNTED", 24)
    monkeypatch.setattr(electrons, "_FEWEST_COUNTED", 6)
    some = model.engine(atoms).electron_count
    assert every is not None
    assert some is not None
    assert some.deviation != every.deviation
    assert some.deviation == pytest.approx(every.deviation, rel=0.1)


def electrons_on_grid(field, atoms: Atoms) -> float:
    """Return the integral of a field over a fine grid."""
    grid = Grid.of_cell(atoms, 0.15) if atoms.pbc.all() else Grid.around(atoms, 0.15, 5.2)
    return float(field.box(grid, (0, 0, 0), grid.shape).sum()) * grid.voxel_volume


@pytest.mark.parametrize("atoms", [molecule("CH3OH"), crystal()], ids=["molecule", "crystal"])
def test_the_number_of_electrons_is_exact(model, atoms):
    expected = model.expected_electrons(atoms)
    plain = electrons_on_grid(model.engine(atoms, exact_electrons=False), atoms)
    engine = model.engine(atoms)
    count = engine.electron_count
    assert abs(plain - expected) > 0.05
    assert count.deviation == pytest.approx(plain - expected, abs=1e-3 * expected)
    assert electrons_on_grid(engine, atoms) == pytest.approx(expected, rel=2e-4)


def test_a_charge_adds_electrons(model):
    neutral, anion = molecule("H2O"), molecule("H2O")
    anion.info["charge"] = -1
    more = (
        model.engine(anion).electron_count.electrons
        - model.engine(neutral).electron_count.electrons
    )
    assert more.tolist() == [1.0]


@pytest.mark.parametrize("atoms", [molecule("CH3OH"), crystal()], ids=["molecule", "crystal"])
def test_points_grids_and_derivatives_agree(model, atoms):
    engine = model.engine(atoms)
    grid = Grid(np.eye(3) * 3.0, (7, 6, 5), np.array([-1.0, -0.7, -0.4]))
    values = engine.box(grid, (1, 0, 0), (7, 6, 5))
    points = grid.points((1, 0, 0), (7, 6, 5)).reshape(-1, 3)
    np.testing.assert_allclose(engine.at(points), values.ravel(), rtol=0, atol=1e-13)
    found = engine.at(points, order=2)
    np.testing.assert_allclose(found.value, values.ravel(), rtol=0, atol=2e-5)
    plain = model.engine(atoms, exact_electrons=False).at(points, order=2)
    step = 1e-3

    def correction(where):
        return engine.at(where) - model.engine(atoms, exact_electrons=False).at(where)

    inside = (found.value > 0.01) & (plain.value > 0.01)
    assert inside.sum() > 50
    for axis in range(3):
        shift = np.eye(3)[axis] * step
        slope = (correction(points + shift) - correction(points - shift)) / (2 * step)
        own = (found.gradient - plain.gradient)[:, axis]
        np.testing.assert_allclose(own[inside], slope[inside], rtol=0, atol=2e-3)
    assert np.abs(found.hessian - plain.hessian)[inside].max() > 1e-3


def test_without_shapes_or_when_turned_off_nothing_changes(model):
    atoms = molecule("H2O")
    bare = small_model()
    bare.checkpoint.electron_shapes = None
    grid = Grid.around(atoms, 0.4, 3.0)
    plain = predict(atoms, bare, grid=grid).values
    np.testing.assert_array_equal(
        predict(atoms, model, grid=grid, exact_electrons=False).values, plain
    )
    assert np.abs(predict(atoms, model, grid=grid).values - plain).max() > 1e-3
    assert bare.engine(atoms).electron_count is None


def test_distant_molecules_are_each_as_they_are_alone(model):
    water, cation = molecule("H2O"), Atoms("NH4", molecule("CH4").positions)
    cation.info["charge"] = 1
    far = cation.copy()
    far.translate((15.0, 0.0, 0.0))
    both = water + far
    both.info["charge"] = 1
    both.info.pop("multiplicity", None)
    # By what their atoms suggest: as if the one with the most electrons too few were the cation.
    count = model.engine(both).electron_count
    assert sorted(count.charges.tolist()) == [0, 1]
    parts = [water.copy(), cation.copy()]
    for part, charge in zip(parts, count.charges.tolist(), strict=True):
        part.info["charge"] = charge
    points = water.positions + 0.2
    np.testing.assert_allclose(
        model.engine(both).at(points), model.engine(parts[0]).at(points), rtol=0, atol=1e-6
    )
    there = points + np.array([15.0, 0.0, 0.0])
    alone = model.engine(parts[1]).at(points)
    np.testing.assert_allclose(model.engine(both).at(there), alone, rtol=0, atol=1e-6)


def test_a_charge_that_the_atoms_do_not_suggest_is_warned_of(model):
    # An amplitude of the random network's own error is no matter here.
    atoms = molecule("CH4")
    suggested = model.engine(atoms).electron_count.suggested[0]
    assert abs(suggested - round(suggested)) < 0.5
    atoms.info["charge"] = -1 if suggested > 0 else 1
    told = model.warning(model.engine(atoms))
    assert f"rather than {atoms.info['charge']:+d}" in told
    assert "check the charge" in told
    assert "electrons before it is corrected" in told


def test_fragments_are_what_short_steps_connect():
    three = Atoms("H4", [(0, 0, 0), (2.5, 0, 0), (5.0, 0, 0), (20, 0, 0)])
    assert fragments(three, 3.0).tolist() == [0, 0, 0, 1]
    assert fragments(three, 2.0).tolist() == [0, 1, 2, 3]
    periodic = Atoms("H2", [(0.5, 5, 5), (9.5, 5, 5)], cell=[10, 10, 10], pbc=True)
    assert fragments(periodic, 3.0).tolist() == [0, 0]


def test_fragments_are_those_of_a_graph():
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    generator = np.random.default_rng(4)
    for reach in (1.5, 2.5, 4.0):
        positions = generator.uniform(0, 12, (60, 3))
        atoms = Atoms("H60", positions, cell=[12, 12, 12], pbc=[True, False, True])
        distances = atoms.get_all_distances(mic=True)
        _, labels = connected_components(coo_array(distances < reach), directed=False)
        found = fragments(atoms, reach)
        assert ((found[:, None] == found) == (labels[:, None] == labels)).all()
        assert set(found.tolist()) == set(range(found.max() + 1))


def test_whole_charges_are_the_nearest_of_the_right_sum():
    generator = np.random.default_rng(0)
    for _ in range(20):
        suggested = generator.uniform(-1.5, 1.5, 4)
        total = int(generator.integers(-2, 3))
        found = whole_charges(suggested, total)
        assert found.sum() == total
        nearest = min(
            ((np.array(q) - suggested) ** 2).sum()
            for q in itertools.product(range(-4, 5), repeat=4)
            if sum(q) == total
        )
        assert ((found - suggested) ** 2).sum() == pytest.approx(nearest)


def test_stores_hold_the_corrected_density(model, tmp_path):
    atoms = molecule("H2O")
    grid = Grid.around(atoms, 0.3, 3.0)
    summary = predict_to_store(atoms, tmp_path / "rho.zarr", model, grid, block_points=2000)
    expected = predict(atoms, model, grid=grid).values
    found = ChunkedDensity(tmp_path / "rho.zarr")
    np.testing.assert_allclose(np.asarray(found.values[:]), expected, rtol=1e-6, atol=1e-7)
    deviation = model.engine(atoms).electron_count.deviation
    about = found.attributes["electron_count"]
    assert about["deviation"] == pytest.approx(deviation)
    assert about["warning"] == summary.warning
    model.exact_electrons = False
    try:
        with pytest.raises(ConfigurationError, match="another model"):
            predict_to_store(atoms, tmp_path / "rho.zarr", model, grid)
    finally:
        model.exact_electrons = True


def test_model_folders_keep_it(model, tmp_path):
    save_checkpoint(model.checkpoint, tmp_path / "model")
    again = load_checkpoint(tmp_path / "model").electron_shapes
    kept = model.checkpoint.electron_shapes
    assert again.elements == kept.elements
    np.testing.assert_array_equal(again.knots, kept.knots)
    without = small_model().checkpoint
    without.electron_shapes = None
    save_checkpoint(without, tmp_path / "model")
    assert load_checkpoint(tmp_path / "model").electron_shapes is None


@pytest.mark.parametrize("found", [2e36, -2e36, np.inf, np.nan])
def test_a_density_that_is_none_is_refused_at_once(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch, found: float
) -> None:
    monkeypatch.setattr(electrons, "electrons_by_fragment", lambda *_: np.array([found]))
    with pytest.raises(ConfigurationError, match="electrons where there should be about 12"):
        predict(molecule("H2CO"), model, spacing=1.0)
