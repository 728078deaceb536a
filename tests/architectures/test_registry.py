"""Architectures by name, their options, and models by name or folder."""

from __future__ import annotations

import pytest
import torch

from deepdft.architectures import (
    DensityModel,
    architectures,
    create_model,
    parse_options,
    registry,
)
from deepdft.architectures.options import ArchitectureOptions
from deepdft.architectures.registry import register
from deepdft.errors import ConfigurationError, UnsupportedStructureError
from deepdft.models import bundled
from deepdft.models.bundled import bundled_models, find_model
from deepdft.testing.networks import PACKAGED


def test_unknown_architectures_are_answered():
    with pytest.raises(ConfigurationError) as caught:
        parse_options("deepdtf", {})
    assert "There is no architecture 'deepdtf'; known are " in str(caught.value)
    assert str(caught.value).endswith("Did you mean 'deepdft'?")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"channel": 3}, r"Option 'channel' .* Did you mean 'channels'\?"),
        ({"steps": 0}, "Option 'steps' of architecture 'deepdft'"),
        ({"cutoff": -1.0}, "Option 'cutoff'"),
        ({"channels": "wide"}, "Option 'channels'"),
        ({"envelope": "smoth"}, "Option 'envelope'"),
    ],
)
def test_unusable_options_are_refused(options, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        create_model("deepdft", options, [1])


def test_the_defaults_are_those_of_the_paper():
    options = parse_options("deepdft", {}).model_dump()
    assert options == {
        "cutoff": 4.0, "steps": 6, "channels": 128, "gaussian_width": 0.1, "envelope": "published",
    }  # fmt: skip


def test_options_are_documented():
    assert "deepdft" in PACKAGED
    for name in PACKAGED:
        for key, field in registry.architecture(name).options.model_fields.items():
            assert field.description, (name, key)


def test_elements_are_sorted_and_counted_once():
    network = create_model("deepdft", {"steps": 1, "channels": 2}, [8, 1, 6, 1, 8])
    assert network.elements == (1, 6, 8)
    assert network.species(torch.tensor([8, 8, 1])).tolist() == [2, 2, 0]
    with pytest.raises(UnsupportedStructureError, match="at least one element"):
        create_model("deepdft", {}, [])


@pytest.mark.parametrize("number", [0, 2, 118])
def test_numbers_outside_the_elements_are_refused(number):
    network = create_model("deepdft", {"steps": 1, "channels": 2}, [1, 6])
    with pytest.raises(UnsupportedStructureError, match="does not know"):
        network.species(torch.tensor([1, number]))


def test_an_architecture_of_ones_own(monkeypatch):
    monkeypatch.setattr(registry, "_ARCHITECTURES", dict(registry._ARCHITECTURES))

    class MineOptions(ArchitectureOptions):
        depth: int = 3

    @register("mine", MineOptions)
    class Mine(DensityModel):
        pass

    assert "mine" in architectures()
    network = create_model("mine", {"depth": 5}, [1])
    assert isinstance(network, Mine)
    assert network.architecture.name == "mine"
    assert network.options == MineOptions(depth=5)


# Models by name or folder


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Two bundled models in a folder of the test's own."""
    for name in ("zeta", "default"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(bundled, "_FOLDER", tmp_path)
    return tmp_path


def test_bundled_models_by_name(shelf):
    assert list(bundled_models()) == ["default", "zeta"]
    assert find_model("default") == shelf / "default"


def test_models_by_path(tmp_path):
    run = tmp_path / "run"
    (run / "best").mkdir(parents=True)
    (run / "best" / "model.json").write_text("{}")
    for given in (run, run / "best", run / "best" / "model.json", run / "best/model.safetensors"):
        assert find_model(given) == run / "best"
        assert find_model(str(given)) == run / "best"


def test_models_that_do_not_exist(shelf):
    with pytest.raises(ConfigurationError, match=r"no model 'defaut'.*Did you mean 'default'\?"):
        find_model("defaut")
    with pytest.raises(ConfigurationError, match="is not a model folder: it holds no"):
        find_model(shelf / "empty")
