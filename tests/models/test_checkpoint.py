"""Models on disk: what is refused, and that nothing is ever half written."""

from __future__ import annotations

import json
import pickle

import pytest
import torch

from deepdft.architectures import create_model
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.levels import LevelOfTheory
from deepdft.models import checkpoint as module
from deepdft.models.checkpoint import (
    Checkpoint,
    load_checkpoint,
    read_description,
    save_checkpoint,
    transfer_weights,
)

OPTIONS = {"steps": 1, "channels": 2}


def network(elements=(1, 8), seed=0):
    torch.manual_seed(seed)
    return create_model("deepdft", OPTIONS, elements)


@pytest.fixture
def folder(tmp_path):
    save_checkpoint(
        Checkpoint(network(), LevelOfTheory("PBE"), "pbe-gth-dzvp", {"x": 1}), tmp_path / "a" / "b"
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
        ({"format": 2}, "has format 2, .* use a newer one"),
        ({"level": None}, "is not the description of a deepdft model"),
        ({"elements": ["H", "Qq"]}, "unknown element 'Qq'"),
        ({"elements": ["H"]}, "cannot be used"),
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


def test_a_failure_while_writing_leaves_the_old_model(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(tensors, path):
        path.write_bytes(b"half of")
        raise OSError("No space left on device")

    monkeypatch.setattr(module, "save_file", fail)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(Checkpoint(network(seed=1), LevelOfTheory()), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_weights_move_element_by_element():
    source, target = network([1, 6, 8]), network([8, 9, 1], seed=1)
    fresh = target.embedding.weight.detach().clone()
    transfer_weights(source, target)
    assert target.elements == (1, 8, 9)
    assert torch.equal(target.embedding.weight[0], source.embedding.weight[0])
    assert torch.equal(target.embedding.weight[1], source.embedding.weight[2])
    assert torch.equal(target.embedding.weight[2], fresh[2])
    assert torch.equal(target.probe_W1.weight, source.probe_W1.weight)
    # A copy: the two do not share memory.
    with torch.no_grad():
        target.probe_W1.weight.zero_()
    assert source.probe_W1.weight.any()
