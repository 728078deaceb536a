"""Words on screen: examples under every help, where to begin, versions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import deepdft
from deepdft.cli.commands import COMMANDS, Commands, load_command
from deepdft.errors import DeepDFTError
from deepdft.models.bundled import bundled_models


def commands_below(name: str, command: Any) -> Iterator[str]:
    yield name
    for word, sub in getattr(command, "commands", {}).items():
        yield from commands_below(f"{name} {word}", sub)


OURS = [path for name in COMMANDS for path in commands_below(name, load_command(name))]
OF_OTHERS = [name for name in Commands() if name not in COMMANDS]


@pytest.mark.parametrize("command", OURS)
def test_every_help_has_two_examples(run, command):
    assert_two_examples(run, command)


@pytest.mark.parametrize("name", OF_OTHERS)
def test_so_has_that_of_commands_of_other_packages(run, name):
    try:
        command = load_command(name)
    except DeepDFTError as error:
        pytest.skip(f"the package that brings it is of another version: {error}")
    for path in commands_below(name, command):
        assert_two_examples(run, path)


def assert_two_examples(run: Any, command: str) -> None:
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


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("deepdft pre", {"predict"}),
        ("deepdft predict --unc", {"--uncertainty"}),
        ("deepdft dft se", {"settings"}),
    ],
)
def test_the_shell_completes_commands_and_options(words, found):
    # As the installed command; its name says which variable the shell sets.
    program = "import sys; from deepdft.cli import main; sys.argv = ['deepdft']; main()"
    asked = {
        "_DEEPDFT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    result = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | asked, capture_output=True, text=True
    )
    assert set(result.stdout.split()) == found, result.stderr
