"""JSON and YAML: bounded, without tags, from regular files."""

from __future__ import annotations

import os

import pytest

from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.storage.json_files import parse_json, read_json
from deepdft.storage.yaml_text import DEEPEST, MOST_VALUES, parse_yaml
from deepdft.training.config import parse_config, read_config


def bomb(levels: int) -> str:
    """Return lines of which each repeats the one before nine times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        aliases = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level} [{aliases}]")
    return "\n".join(lines)


def test_plain_yaml_is_what_it_was() -> None:
    text = "a: &x {b: [1, 2.5, true, null, 1e-3]}\nc: *x\nd: 2026-11-30\n"
    import yaml

    assert parse_yaml(text, "here") == yaml.safe_load(text)
    assert parse_yaml("", "here") is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (bomb(9), f"more than {MOST_VALUES} values"),
        ("a: " + "[" * 5000 + "]" * 5000, f"more than {DEEPEST} levels"),
        ("a: &a [*a]", "an alias of what it is a part of"),
        ("a: !!python/object/apply:os.system [touch x]", "not valid YAML"),
        ("a: !new {}", "not valid YAML"),
        ("a: " + "9" * 5000, "a number of 5000 characters"),
        ("a: " + ":".join(["1"] * 3000), "a number of 5999 characters"),
        ("a: 2026-99-99", "not valid YAML"),
        ("? [a, b]\n: c", "not valid YAML"),
        ("a: [", "not valid YAML"),
        ("a: \0", "not valid YAML"),
        ("x" * (1 << 21), "longer than"),
    ],
    ids=[
        "bomb",
        "deep",
        "itself",
        "code",
        "tag",
        "digits",
        "sixties",
        "date",
        "key",
        "open",
        "nul",
        "long",
    ],
)
def test_yaml_beyond_bounds_is_a_sentence(text: str, sentence: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileFormatError, match=f"^here .*{sentence}"):
        parse_yaml(text, "here")
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=sentence):
        read_config(tmp_path / "c.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_a_bomb_that_stands_where_paths_do(tmp_path) -> None:
    inner = "\n".join(f"    {line}" for line in bomb(9).splitlines())
    (tmp_path / "c.yaml").write_text(f"data:\n  level:\n{inner}\n  paths: *a8\n")
    with pytest.raises(ConfigurationError, match="values"):
        read_config(tmp_path / "c.yaml")


def test_overrides_are_bounded_as_well(tmp_path) -> None:
    (tmp_path / "c.yaml").write_text("seed: 1\n")
    for value in ("9" * 5000, "[" * 3000, "!!python/none x"):
        with pytest.raises(ConfigurationError, match="The value of 'seed="):
            read_config(tmp_path / "c.yaml", [f"seed={value}"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(FileFormatError, match="no regular file"):
            read_json(path)
        with pytest.raises(ConfigurationError, match="no regular file"):
            read_config(path)


@pytest.mark.parametrize("text", ['{"a":' * 100_000, "[" * 100_000, "[1", "1" * 5000, "\ufeff{}"])
def test_json_that_is_none(text: str) -> None:
    with pytest.raises(FileFormatError, match="here is not valid"):
        parse_json(text, "here")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("sampling", "structures", 10**12), ("sampling", "probes", 10**12),
        ("sampling", "structures", 1e12), ("trainer", "threads", 10**9),
        ("trainer", "threads", 10**14), ("trainer", "devices", 10**6),
        ("trainer", "workers", 10**9), ("trainer", "validation_probes", 10**12),
        ("trainer", "max_steps", 10**30), ("trainer", "patience", 10**400),
        ("trainer", "validation_interval", 10**30), ("optimizer", "warmup_steps", 10**30),
        ("optimizer", "learning_rate", float("inf")), ("optimizer", "learning_rate", float("nan")),
        ("optimizer", "gradient_clip", float("inf")), ("data", "train_seed", 10**23),
        ("data", "validation_count", 10**30), ("data", "paths", ["a\0b"]), ("data", "split", ""),
        ("", "seed", 10**23), ("", "seed", -1), ("", "run_directory", "a\0b"),
    ],
)  # fmt: skip
def test_settings_that_nobody_can_mean(section: str, key: str, value: object) -> None:
    values = {section: {key: value}} if section else {key: value}
    with pytest.raises(ConfigurationError, match=f"option '{section and section + '.'}{key}"):
        parse_config(values)


def test_probes_of_a_step_are_bounded_together() -> None:
    parse_config({"sampling": {"structures": 1000, "probes": 100_000}})
    with pytest.raises(ConfigurationError, match="structures times probes"):
        parse_config({"sampling": {"structures": 1001, "probes": 100_000}})
