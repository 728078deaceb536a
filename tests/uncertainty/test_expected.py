"""Expected errors of a structure against brute force and symmetries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

import deepdft
from deepdft.density import Grid
from deepdft.errors import ConfigurationError, FileFormatError, UnsupportedStructureError
from deepdft.models.expected_errors.error_model import FILE, load_error_model
from deepdft.models.folder import load_checkpoint, save_checkpoint
from deepdft.prediction.trained_model import TrainedModel, load_model
from deepdft.testing.structures import ethanol
from tests.uncertainty.conftest import small_checkpoint


def crystal():
    cell = [[4.1, 0.2, -0.4], [1.3, 3.7, 0.1], [-0.8, 0.9, 4.2]]
    return Atoms("CNOH", [[0.3, 0.2, 0.5], [1.4, 0.5, 0.9], [2.4, 7.3, -5.9], [2, 2, 2]],
                 cell=cell, pbc=True)  # fmt: skip


def brute_force(model, atoms, shares, points):
    """Every image of every atom at every point, from the element's radial shape."""
    tables = model.require_error_model().tables
    result = np.zeros(len(points))
    shifts = np.array([(i, j, k) for i in range(-4, 5) for j in range(-4, 5) for k in range(-4, 5)])
    shifts = shifts @ atoms.cell.array if atoms.pbc.any() else np.zeros((1, 3))
    for position, symbol, share in zip(atoms.positions, atoms.symbols, shares, strict=True):
        wrapped = Atoms(symbol, [position], cell=atoms.cell, pbc=atoms.pbc)
        wrapped.wrap()
        for shift in shifts:
            distances = np.linalg.norm(points - wrapped.positions[0] - shift, axis=1)
            result += share * tables.radial(symbol, distances)
    return result


@pytest.mark.parametrize("make", [ethanol, crystal])
def test_errors_at_points_are_sums_over_images_of_radial_shapes(model, make):
    atoms = make()
    found = model.uncertainty(atoms)
    points = np.random.default_rng(0).uniform(-1, 3, (200, 3))
    expected = brute_force(model, atoms, found.shares, points)
    assert expected.max() > 1e-4
    np.testing.assert_allclose(found.at(points), expected, rtol=1e-9, atol=1e-15)
    grid = Grid(np.diag([2.0, 3.0, 2.5]), (4, 5, 3), np.array([-0.5, 0.1, 0.2]))
    volume = found.volume(grid)
    expected = brute_force(model, atoms, found.shares, grid.points().reshape(-1, 3))
    np.testing.assert_allclose(volume.values.ravel(), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("make", [ethanol, crystal])
def test_the_integral_of_the_volume_is_the_expected_eps_mae(model, make):
    atoms = make()
    found = model.uncertainty(atoms)
    grid = Grid.of_cell(atoms, 0.1) if atoms.pbc.any() else Grid.around(atoms, 0.1, 5.0)
    electrons = model.expected_electrons(atoms)
    integral = found.volume(grid).n_electrons
    # Shapes bend over a few tenths of an Å at nuclei, which limits the grid, not the sum.
    assert integral == pytest.approx(found.eps_mae * electrons, rel=1e-3)
    assert found.eps_mae == pytest.approx(found.shares.sum() / electrons, rel=1e-12)
    assert 0 < found.eps_mae_range[0] < found.eps_mae_range[1]


def test_molecules_far_apart_do_not_change_each_other():
    # Whitened features magnify the rounding of single precision.
    model = load_model("default")
    model.to("cpu", "float64")
    one, other = ethanol(), Atoms(molecule("H2CO").numbers, molecule("H2CO").positions)
    other.translate([60.0, 0.0, 0.0])
    both = model.uncertainty(one + other)
    parts = [model.uncertainty(one), model.uncertainty(other)]
    np.testing.assert_allclose(both.shares, np.concatenate([p.shares for p in parts]), rtol=1e-9)
    distances = np.concatenate([p.distances for p in parts])
    np.testing.assert_allclose(both.distances, distances, rtol=1e-9)


def test_parts_of_a_grid_and_single_points_give_the_same_values(model):
    atoms = ethanol()
    found = model.uncertainty(atoms)
    grid = Grid.around(atoms, 0.4, 2.0)
    whole = found.volume(grid).values
    middle = grid.shape[1] // 2
    part = found.box(grid, (1, 2, 0), (5, middle, grid.shape[2] - 1))
    np.testing.assert_allclose(part, whole[1:5, 2:middle, : grid.shape[2] - 1], rtol=1e-12)
    points = grid.points().reshape(-1, 3)[::7]
    np.testing.assert_allclose(found.at(points), whole.ravel()[::7], rtol=1e-9, atol=1e-18)


def test_strange_surroundings_are_named_and_expected_to_be_worse(model):
    usual = model.uncertainty(Atoms(molecule("CH3OH").numbers, molecule("CH3OH").positions))
    assert usual.warning() is None
    squeezed = molecule("CH3OH")
    squeezed = Atoms(squeezed.numbers, squeezed.positions)
    squeezed.positions[1] *= 0.55
    strange = model.uncertainty(squeezed)
    assert strange.score > 1 > usual.score
    words = strange.warning()
    assert words is not None
    worst = strange.unusual[0]
    assert f"{squeezed.symbols[worst]}{worst + 1}" in words
    assert "outside what the model knows" in words
    assert strange.distances[worst] == strange.distances.max()


def test_predict_returns_both(model):
    atoms = ethanol()
    grid = Grid.around(atoms, 0.5, 2.0)
    alone = deepdft.predict(atoms, model, grid=grid)
    density, found = deepdft.predict(atoms, model, grid=grid, return_uncertainty=True)
    assert np.array_equal(density.values, alone.values)
    assert found.eps_mae == pytest.approx(model.uncertainty(atoms).eps_mae, rel=1e-6)


def test_double_precision_gives_the_same(folder):
    atoms = ethanol()
    single, double = load_model(folder, "cpu"), load_model(folder, "cpu").to("cpu", "float64")
    np.testing.assert_allclose(
        single.uncertainty(atoms).shares, double.uncertainty(atoms).shares, rtol=1e-3
    )


def test_a_model_without_an_error_model_says_how_to_get_one(tmp_path):
    save_checkpoint(small_checkpoint(), tmp_path)
    for model in (load_model(tmp_path, "cpu"), TrainedModel(small_checkpoint(), "mine")):
        assert model.density_at(ethanol(), [[0.0, 0.0, 0.0]]).shape == (1,)
        with pytest.raises(ConfigurationError, match=r"deepdft uncertainty .* --train"):
            model.uncertainty(ethanol())
        with pytest.raises(ConfigurationError, match="does not know its errors yet"):
            deepdft.predict(ethanol(), model, spacing=1.0, return_uncertainty=True)


def test_an_error_model_of_other_weights_is_refused(folder, tmp_path):
    checkpoint = small_checkpoint()
    weights = {name: array + 0.1 for name, array in checkpoint.weights.items()}
    save_checkpoint(replace(checkpoint, weights=weights), tmp_path)
    (tmp_path / FILE).write_bytes((folder / FILE).read_bytes())
    model = load_model(tmp_path, "cpu")
    with pytest.raises(ConfigurationError, match=r"weights of the model .* have changed"):
        model.uncertainty(ethanol())
    # A prediction warns that it cannot warn.
    warning = model.warning(model.engine(ethanol()))
    assert warning is not None
    assert "have changed since its errors were looked at; repeat 'deepdft uncertainty" in warning
    (tmp_path / FILE).unlink()
    model = load_model(tmp_path, "cpu")
    assert model.warning(model.engine(ethanol())) is None


def test_a_model_saved_anew_keeps_its_error_model_as_long_as_its_weights(folder, tmp_path):
    checkpoint, copy = load_checkpoint(folder), tmp_path / "copy"
    errors = (folder / FILE).read_bytes()
    save_checkpoint(replace(checkpoint, card={"x": 1}), copy)
    assert (copy / FILE).read_bytes() == errors
    assert load_model(copy, "cpu").uncertainty(ethanol()).shares.min() > 0.0
    # In its place, by one that does not know of it.
    save_checkpoint(replace(checkpoint, expected_errors=None), copy)
    assert (copy / FILE).read_bytes() == errors
    weights = {name: array + 0.1 for name, array in checkpoint.weights.items()}
    for known, place in ((None, copy), (errors, tmp_path / "other")):
        with pytest.warns(UserWarning, match="repeat 'deepdft uncertainty"):
            save_checkpoint(replace(checkpoint, weights=weights, expected_errors=known), place)
        assert not (place / FILE).exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"x" * 100])
def test_a_damaged_file_gets_a_sentence(folder, tmp_path, content):
    save_checkpoint(small_checkpoint(), tmp_path)
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(FileFormatError, match="does not hold an error model"):
        load_error_model(tmp_path)
    whole = (folder / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match="fit it again"):
        load_model(tmp_path, "cpu").uncertainty(ethanol())


def test_refused_structures_and_elements(model):
    with pytest.raises(UnsupportedStructureError, match="does not know F"):
        model.uncertainty(molecule("HF"))
    with pytest.raises(UnsupportedStructureError, match="No error can be expected for F"):
        model.require_error_model().species([1, 9])
