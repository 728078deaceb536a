"""Models on disk: what is refused, and that nothing is ever half written."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from deepdft.architectures import create_model
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.failures import RefusedBySystemError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.levels import LevelOfTheory
from deepdft.models import folder as module
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import (
    in_half_precision,
    load_checkpoint,
    read_description,
    save_checkpoint,
)
from deepdft.models.networks import transfer_weights
from deepdft.models.upgrades import FORMAT
from deepdft.prediction import load_model

OPTIONS = {"steps": 1, "channels": 2}


def network(elements=(1, 8), seed=0):
    torch.manual_seed(seed)
    return create_model("deepdft", OPTIONS, elements)


@pytest.fixture
def folder(tmp_path):
    save_checkpoint(
        Checkpoint.of_network(network(), LevelOfTheory("PBE"), "pbe-gth-dzvp", {"x": 1}),
        tmp_path / "a" / "b",
    )
    return tmp_path / "a" / "b"


def change(folder, **values):
    path = folder / "model.json"
    description = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({k: v for k, v in description.items() if v is not None}))


def test_the_description_is_readable(folder):
    description = read_description(folder)
    assert description["architecture"] == "deepdft"
    assert description["elements"] == ["H", "O"]
    assert description["options"]["envelope"] == "published"
    assert description["baseline"] == "pbe-gth-dzvp"
    assert description["level"]["functional"] == "PBE"
    assert load_checkpoint(folder).baseline == "pbe-gth-dzvp"


def test_loaded_networks_are_ready_to_predict_and_nothing_else(folder):
    loaded = load_checkpoint(str(folder)).network
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_what_later_versions_add_to_the_description_is_ignored(folder):
    change(folder, colour="red")
    assert load_checkpoint(folder).card == {"x": 1}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"format": 3}, "has format 3, .* use a newer one"),
        ({"format": "2"}, "has format 2, .* use a newer one"),
        ({"level": None}, "is not the description of a deepdft model"),
        ({"elements": ["H", "Qq"]}, "unknown element 'Qq'"),
    ],
)
def test_descriptions_that_are_refused(folder, values, sentence):
    change(folder, **values)
    with pytest.raises(FileFormatError, match=sentence):
        load_checkpoint(folder)


def test_unknown_architectures_are_refused(folder):
    change(folder, architecture="deepdtf")
    with pytest.raises(ConfigurationError, match="Did you mean 'deepdft'"):
        load_checkpoint(folder)


def test_damaged_files_are_refused(folder):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match="cannot be used"):
        load_checkpoint(folder)
    weights.unlink()
    with pytest.raises(FileFormatError, match="cannot be used"):
        load_checkpoint(folder)
    (folder / "model.json").write_text("{")
    with pytest.raises(FileFormatError, match="not valid JSON"):
        load_checkpoint(folder)
    (folder / "model.json").write_text("[]")
    with pytest.raises(FileFormatError, match="not the description"):
        load_checkpoint(folder)
    (folder / "model.json").unlink()
    with pytest.raises(FileFormatError, match="is not a model folder"):
        load_checkpoint(folder)


def test_a_pickle_is_not_opened(folder, tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "was_here"), "w"))

    (folder / "model.safetensors").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(FileFormatError):
        load_checkpoint(folder)
    assert not (tmp_path / "was_here").exists()


def test_weights_that_do_not_fit_are_refused(folder):
    change(folder, elements=["H"])
    checkpoint = load_checkpoint(folder)
    with pytest.raises(FileFormatError, match=r"embedding\.weight"):
        _ = checkpoint.network
    with pytest.raises(FileFormatError, match=r"embedding\.weight"):
        checkpoint.cpu_network().encode(Atoms("H"))


def test_half_precision_halves_the_file_and_comes_back_as_it_was(folder, tmp_path):
    checkpoint = load_checkpoint(folder)
    rounded = in_half_precision(checkpoint.weights)
    half = replace(checkpoint, weights=rounded)
    save_checkpoint(half, tmp_path / "half")
    for name, array in load_checkpoint(tmp_path / "half").weights.items():
        assert array.dtype == np.float32
        assert np.array_equal(array, rounded[name])
        np.testing.assert_allclose(array, checkpoint.weights[name], rtol=2**-11, atol=2**-25)
    sizes = [(path / "model.safetensors").stat().st_size for path in (folder, tmp_path / "half")]
    kept = sum(array.size for array in rounded.values())
    assert sizes[0] - sizes[1] == pytest.approx(2 * kept, abs=64)


def test_weights_that_are_not_rounded_are_kept_exactly(folder, tmp_path):
    checkpoint = load_checkpoint(folder)
    save_checkpoint(checkpoint, tmp_path / "again")
    for name, array in load_checkpoint(tmp_path / "again").weights.items():
        assert np.array_equal(array, checkpoint.weights[name])


def test_weights_too_large_for_half_precision_are_refused():
    with pytest.raises(ConfigurationError, match="65,504"):
        in_half_precision({"a": np.array([7e4], np.float32)})


def test_a_failure_while_writing_leaves_the_old_model(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(tensors, path):
        path.write_bytes(b"half of")
        raise OSError("No space left on device")

    monkeypatch.setattr(module, "save_file", fail)
    with pytest.raises(RefusedBySystemError, match="no space is left"):
        save_checkpoint(Checkpoint.of_network(network(seed=1), LevelOfTheory()), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_folder_is_replaced_as_a_whole(folder):
    (folder / "uncertainty.safetensors").write_bytes(b"of the old weights")
    save_checkpoint(Checkpoint.of_network(network(seed=1), LevelOfTheory()), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]


def test_a_folder_with_something_else_in_it_is_not_replaced(folder):
    (folder / "notes.txt").write_text("precious")
    (folder / ".model.json.4711").write_text("left by a version that was killed")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ConfigurationError, match=r"holds notes\.txt, which is no part of a model"):
        save_checkpoint(Checkpoint.of_network(network(seed=1), LevelOfTheory()), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "notes.txt").unlink()
    save_checkpoint(Checkpoint.of_network(network(seed=1), LevelOfTheory()), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]


def test_the_atomic_tables_are_in_the_folder(folder, monkeypatch):
    shipped = AtomicDensityTables.load("pbe-gth-dzvp")

    def absent(name):
        raise AssertionError("not to be looked for in the package")

    monkeypatch.setattr(AtomicDensityTables, "load", absent)
    tables = load_checkpoint(folder).tables
    assert tables.elements == ("H", "O")
    rows = [shipped.elements.index(symbol) for symbol in tables.elements]
    assert np.array_equal(tables.knots, shipped.knots[rows])
    assert (tables.spacing, tables.level) == (shipped.spacing, shipped.level)


def test_making_networks_leaves_the_random_state_alone(folder):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    checkpoint = load_checkpoint(folder)
    assert checkpoint.network.elements == (1, 8)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("architecture", ["deepdft", "equivariant"])
@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_folders_of_every_format(number, architecture, tmp_path):
    """Written by the code that had this format, which has also predicted the densities.

    Where there is none, `tests.kept_samples` makes it.
    """
    kept = Path(__file__).parent / f"format_{number}" / architecture
    assert json.loads((kept / "model.json").read_text())["format"] == number
    expected = json.loads((kept / "expected.json").read_text())
    atoms = Atoms(expected["numbers"], expected["positions"])
    earlier = load_model(kept, "cpu")
    found = earlier.density_at(atoms, expected["points"])
    np.testing.assert_allclose(found, expected["density"], rtol=0, atol=1e-6)
    below = SuperposedAtoms(earlier.baseline, atoms).at(expected["points"])
    assert np.abs(found - below).max() > 1e-4
    save_checkpoint(earlier.checkpoint, tmp_path / "today")
    assert json.loads((tmp_path / "today" / "model.json").read_text())["format"] == FORMAT
    today = load_model(tmp_path / "today", "cpu")
    assert np.array_equal(today.density_at(atoms, expected["points"]), found)
    assert (today.level, today.card) == (earlier.level, earlier.card)


def test_weights_move_element_by_element():
    source, target = network([1, 6, 8]), network([8, 9, 1], seed=1)
    fresh = target.embedding.weight.detach().clone()
    transfer_weights(source, target)
    assert target.elements == (1, 8, 9)
    assert torch.equal(target.embedding.weight[0], source.embedding.weight[0])
    assert torch.equal(target.embedding.weight[1], source.embedding.weight[2])
    # Fluorine is new: what is known of similar elements is said of it as well.
    assert not torch.equal(target.embedding.weight[2], fresh[2])
    assert torch.isfinite(target.embedding.weight).all()
    assert torch.equal(target.probe_W1.weight, source.probe_W1.weight)
    # A copy: the two do not share memory.
    with torch.no_grad():
        target.probe_W1.weight.zero_()
    assert source.probe_W1.weight.any()
