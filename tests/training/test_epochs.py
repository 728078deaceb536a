"""How often structures are seen, by group."""

from __future__ import annotations

import numpy as np
import pytest

from deepdft.data import open_dataset
from deepdft.data.conversion import fill_store
from deepdft.errors import ConfigurationError
from deepdft.fields.orbitals import write_orbital_archive
from deepdft.models.folder import read_description
from deepdft.training import train
from deepdft.training.config import parse_config
from deepdft.training.epochs import Epochs, factors_of_groups
from tests.small_data import orbital_density
from tests.training.small_runs import Killed, assert_same_run, small_config

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def epochs_of(epochs, number):
    """The structures of the first epochs, (epochs, structures)."""
    return np.array([epochs.structure(i) for i in range(number * epochs.count)]).reshape(
        number, epochs.count
    )


def test_without_factors_the_order_is_what_it_was():
    # Trainer states of before go on with the same structures.
    expected = [np.random.default_rng((7, e, (1 << 20) - 1)).permutation(5) for e in range(3)]
    assert np.array_equal(epochs_of(Epochs(5, 7), 3), expected)


def test_a_structure_comes_in_proportion_to_its_factor():
    factors = np.array([1.0, 4.0, 1.0, 0.5, 1.0, 1.0, 2.5, 1.0])
    expected = factors * len(factors) / factors.sum()
    epochs = epochs_of(Epochs(8, 3, factors), 4000)
    seen = np.array([np.bincount(epoch, minlength=8) for epoch in epochs])
    assert (seen.sum(axis=1) == 8).all()
    assert (np.abs(seen - expected) < 1).all()
    # Of 4000 epochs with a spread of at most a half in each.
    np.testing.assert_allclose(seen.mean(axis=0), expected, atol=4 * 0.5 / np.sqrt(4000))


def test_every_draw_is_a_function_of_seed_and_position():
    factors = np.array([1.0, 3.0, 1.0, 1.0])
    inorder = epochs_of(Epochs(4, 3, factors), 50).ravel()
    epochs = Epochs(4, 3, factors)
    for position in np.random.default_rng(0).permutation(200):
        assert epochs.structure(int(position)) == inorder[position]
    assert not np.array_equal(inorder, epochs_of(Epochs(4, 4, factors), 50).ravel())


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """Six molecules of three groups."""
    densities = []
    for number, (name, group) in enumerate(
        [("H2O", "a"), ("H2O", "a"), ("CH4", "b"), ("CO", "c"), ("CO", "a"), ("CH4", "b")]
    ):
        density = orbital_density(name, number)
        density.atoms.info |= {"group": group, "charge": number % 2}
        densities.append(density)
    path = tmp_path_factory.mktemp("grouped") / "six.npz"
    write_orbital_archive(path, densities)
    return path


def test_factors_of_groups(grouped):
    dataset = open_dataset(grouped)
    assert factors_of_groups(dataset, {}) is None
    factors = factors_of_groups(dataset, {"b": 3.0, "c": 0.5})
    assert factors.tolist() == [1.0, 1.0, 3.0, 0.5, 1.0, 3.0]
    with pytest.raises(ConfigurationError, match="of the group 'd'; they have a, b, c"):
        factors_of_groups(dataset, {"d": 2.0})


def test_a_store_made_of_orbitals_knows_groups_and_charges(grouped, tmp_path):
    dataset = open_dataset(grouped)
    fill_store(tmp_path / "a.store", dataset, spacing=0.6, margin=1.0)
    store = open_dataset(tmp_path / "a.store")
    weights = {"b": 3.0, "c": 0.5}
    np.testing.assert_array_equal(
        factors_of_groups(store, weights), factors_of_groups(dataset, weights)
    )
    assert [store.preview(i).info["charge"] for i in range(6)] == [0, 1] * 3
    assert "info" not in store.on_grid(0).metadata


def test_factors_need_groups(archive):
    with pytest.raises(ConfigurationError, match="the data name no groups"):
        factors_of_groups(open_dataset(archive), {"a": 2.0})


@pytest.mark.parametrize("factor", [0.0, -1.0, "much", float("nan"), float("inf")])
def test_factors_that_are_refused(factor):
    with pytest.raises(ConfigurationError, match=r"option 'sampling\.weights\.a'"):
        parse_config({"sampling": {"weights": {"a": factor}}})


def test_a_run_with_factors_is_resumed(grouped, tmp_path, kill_at):
    weights = {"sampling": {"structures": 2, "probes": 30, "weights": {"c": 4.0}}}
    config, whole = (small_config(tmp_path / name, grouped, **weights) for name in ("run", "whole"))
    train(whole)
    kill_at(8)
    with pytest.raises(Killed):
        train(config)
    kill_at(None)
    train(config, resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    card = read_description(tmp_path / "run" / "best")["card"]
    assert card["training"]["configuration"]["sampling"]["weights"] == {"c": 4.0}
