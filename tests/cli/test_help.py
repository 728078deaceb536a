"""Words on screen: examples under every help, where to begin, versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

import deepdft
from deepdft.cli.commands import COMMANDS, load_command
from deepdft.models.bundled import bundled_models


def all_commands() -> Iterator[str]:
    def below(command: Any, name: str) -> Iterator[str]:
        yield name
        for word, sub in getattr(command, "commands", {}).items():
            yield from below(sub, f"{name} {word}")

    for name in COMMANDS:
        yield from below(load_command(name), name)


@pytest.mark.parametrize("command", list(all_commands()))
def test_every_help_has_two_examples(run, command):
    result = run(*command.split(), "--help")
    assert result.code == 0
    # Lines that begin with the command; the usage begins with another word.
    found = re.findall(rf"^ *deepdft {re.escape(command)}\b(?! \[OPTIONS\])", result.output, re.M)
    assert len(found) >= 2, result.output


def test_examples_name_options_that_exist():
    from deepdft.cli.examples import EXAMPLES

    known = {
        name: {
            option
            for parameter in load_path(name).params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        for name in EXAMPLES
    }
    for name, lines in EXAMPLES.items():
        for line in lines:
            used = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", re.sub(r"'[^']*'", "", line)))
            longest = sorted(known, key=len, reverse=True)
            path = next(words for words in longest if line.startswith(f"deepdft {words}"))
            assert used <= known[path] | {"-h"}, (name, line)


def load_path(name: str) -> Any:
    first, *others = name.split()
    command = load_command(first)
    for word in others:
        command = command.commands[word]
    return command


def test_deepdft_alone_shows_where_to_begin(run):
    result = run()
    assert result.code == 0
    shown = re.findall(r"^  deepdft (\w+)", result.output, re.M)
    assert len(shown) == 3
    assert set(shown) <= set(COMMANDS)


def test_version(run):
    assert run("--version").output == f"deepdft {deepdft.__version__}\n"
    told = run("--version", "--verbose").output
    for name in bundled_models():
        assert re.search(rf"^model {name} [0-9a-f]{{16}}, PBE", told, re.M)
    assert "numpy " in told


def test_completion_is_offered(run):
    assert "--install-completion" in run("--help").output
