"""Reading, overriding and refusing configurations."""

from __future__ import annotations

import pytest
import yaml

from deepdft.errors import ConfigurationError, did_you_mean
from deepdft.training.config import TrainConfig, parse_config, read_config


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_defaults_are_those_of_the_paper():
    config = parse_config({})
    assert config.model.architecture == "deepdft"
    assert config.model.baseline == "none"
    assert (config.sampling.structures, config.sampling.probes) == (2, 1000)
    assert config.sampling.importance == 0.0
    assert config.optimizer.loss == "mean_squared_error"


def test_an_empty_file_gives_the_defaults(write):
    assert read_config(write("")) == TrainConfig()


@pytest.mark.parametrize(
    ("values", "key", "meant"),
    [
        ({"optimiser": {}}, "optimiser", "optimizer"),
        ({"sampling": {"probe": 3}}, "sampling.probe", "probes"),
        ({"optimizer": {"learning_rat": 1.0}}, "optimizer.learning_rat", "learning_rate"),
        ({"trainer": {"max_step": 5}}, "trainer.max_step", "max_steps"),
        ({"run_dir": "x", "runs_directory": "y"}, "run_dir", "run_directory"),
    ],
)
def test_a_typo_is_answered(values, key, meant):
    with pytest.raises(ConfigurationError) as caught:
        parse_config(values, "my.yaml")
    assert str(caught.value) == f"my.yaml: there is no option '{key}'. Did you mean '{meant}'?"


def test_nothing_is_suggested_where_nothing_is_near():
    with pytest.raises(ConfigurationError, match=r"there is no option 'zzz'\.$"):
        parse_config({"zzz": 1})
    assert did_you_mean("zzz", ["alpha", "beta"]) == ""
    assert did_you_mean("alpah", iter(["alpha", "beta"])) == " Did you mean 'alpha'?"


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"optimizer": {"learning_rate": -1.0}}, "optimizer.learning_rate"),
        ({"optimizer": {"learning_rate": "fast"}}, "optimizer.learning_rate"),
        ({"optimizer": {"learning_rate": float("nan")}}, "optimizer.learning_rate"),
        ({"optimizer": {"average_decay": 1.0}}, "optimizer.average_decay"),
        ({"sampling": {"importance": 1.0}}, "sampling.importance"),
        ({"sampling": {"probes": 0}}, "sampling.probes"),
        ({"sampling": {"probes": 1.5}}, "sampling.probes"),
        ({"optimizer": {"loss": "squares"}}, "optimizer.loss"),
        ({"model": {"baseline": "atom"}}, "model.baseline"),
        ({"seed": -1}, "seed"),
        ({"trainer": 3}, "trainer"),
    ],
)
def test_unusable_values_are_refused_with_their_key(values, key):
    with pytest.raises(ConfigurationError, match=f"option '{key}'"):
        parse_config(values)


def test_scientific_notation_without_a_point(write):
    # YAML 1.1 reads 1e-4 as text, in files and in overrides.
    path = write("optimizer: {learning_rate: 1e-4}\nmodel: {options: {cutoff: 5e0}}")
    assert read_config(path).optimizer.learning_rate == 1e-4
    assert read_config(path, ["optimizer.learning_rate=3e-5"]).optimizer.learning_rate == 3e-5
    assert read_config(path, ["optimizer.gradient_clip=1E2"]).optimizer.gradient_clip == 100.0
    from deepdft.architectures import parse_options

    assert parse_options("deepdft", read_config(path).model.options).cutoff == 5.0
    options = read_config(path, ["model.options.cutoff=6e0"]).model.options
    assert parse_options("deepdft", options).cutoff == 6.0


def test_overrides(write):
    path = write("sampling: {probes: 5}\n")
    config = read_config(
        path,
        [
            "sampling.structures=7",
            "model.options.steps=3",
            "model.options.envelope=smooth",
            "trainer.patience=null",
            "run_directory=somewhere/else",
            "data.paths=one",
            "data.level.functional=PBE",
        ],
    )
    assert (config.sampling.probes, config.sampling.structures) == (5, 7)
    assert config.model.options == {"steps": 3, "envelope": "smooth"}
    assert config.trainer.patience is None
    assert config.run_directory == "somewhere/else"
    assert config.data.paths == ["one"]
    assert config.data.level == {"functional": "PBE"}
    assert read_config(path, ["data.paths=[a, b]"]).data.paths == ["a", "b"]


def test_text_options_stay_text(write):
    # A name that could be read as a number is still a name.
    for name in ("1e5", "inf", "nan", "2024"):
        assert read_config(write(""), [f"run_directory={name}"]).run_directory == name


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("sampling.probes", "not of the form key=value"),
        ("=3", "not of the form key=value"),
        ("seed=[1", "not valid YAML"),
        ("seed.inner=1", "'seed' is not a section"),
        ("sampling.prob=1", "Did you mean 'probes'"),
        ("sampling.probes=many", "option 'sampling.probes'"),
    ],
)
def test_overrides_that_are_refused(write, override, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        read_config(write("seed: 1"), [override])


def test_files_that_are_refused(write, tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_config(tmp_path / "missing.yaml")
    with pytest.raises(ConfigurationError, match="not valid YAML") as caught:
        read_config(write("sampling: {probes: [1\nseed: 3"))
    assert "line" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="key: value"):
        read_config(write("- a\n- b"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ConfigurationError, match="not text in UTF-8"):
        read_config(tmp_path / "binary.yaml")


def test_yaml_cannot_run_code(write):
    with pytest.raises(ConfigurationError, match="not valid YAML"):
        read_config(write("seed: !!python/object/apply:os.getpid []"))


def test_data_paths_are_relative_to_the_file(write, tmp_path):
    path = write("data: {paths: [data, /absolute], split: ../split.json}")
    config = read_config(path)
    assert config.data.paths == [str(tmp_path / "data"), "/absolute"]
    assert config.data.split == str(tmp_path.parent / "split.json")
    assert read_config(write("data: {paths: one}")).data.paths == [str(tmp_path / "one")]


def test_the_full_configuration_is_read_back(write):
    config = parse_config(
        {"seed": 3, "data": {"paths": ["/a"], "level": {"functional": "PBE"}},
         "model": {"options": {"steps": 2}}}
    )  # fmt: skip
    text = config.to_yaml()
    assert read_config(write(text)) == config
    # Every option appears, defaults included.
    assert set(yaml.safe_load(text)["trainer"]) == set(type(config.trainer).model_fields)


def test_every_option_is_documented():
    for section in TrainConfig.model_fields.values():
        options = getattr(section.annotation, "model_fields", None)
        for name, field in (options or {"": section}).items():
            assert field.description, name
