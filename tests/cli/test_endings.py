"""How commands end, and what all of them can do: `--quiet` and `--json`."""

from __future__ import annotations

import errno
import inspect
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import typer

from deepdft.cli.commands import COMMANDS, LazyGroup, load_command
from deepdft.cli.common import give, with_common_options
from deepdft.cli.progress import Progress


@pytest.fixture
def usual_signals():
    """Take signals as a terminal's programs do; in the background, shells let SIGINT be ignored."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def ending(monkeypatch, run, usual_signals):
    """Run `deepdft models` with something else in the place of its work."""

    def call(work):
        monkeypatch.setattr("deepdft.models.overview.bundled_overviews", work)
        return run("models")

    return call


ENDINGS = pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "deepdft: interrupted\n"),
        (signal.SIGTERM, 143, "deepdft: terminated\n"),
    ],
)


@ENDINGS
def test_signals_end_with_a_line_and_a_code(ending, number, code, line):
    before = signal.getsignal(number)
    result = ending(lambda: signal.raise_signal(number))
    assert (result.code, result.output, result.error) == (code, "", line)
    assert signal.getsignal(number) is before


@ENDINGS
def test_signals_before_the_work_begins_are_a_line_too(ending, monkeypatch, number, code, line):
    # Here Typer is at work, which makes an exit without a word of an interrupt.
    def find(group, context, name):
        signal.raise_signal(number)

    monkeypatch.setattr(LazyGroup, "get_command", find)
    result = ending(lambda: [])
    assert (result.code, result.output, result.error) == (code, "", line)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "", "a"), "a: no space is left on the disk; free some or name"),
        (MemoryError(), "There is not enough memory: "),
        (RecursionError(), "The input is nested too deeply"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(ending, error, line):
    def work():
        raise error

    result = ending(work)
    assert result.code == 2
    assert result.error.startswith(f"deepdft: {line}")
    assert result.error.count("\n") == 1


def test_of_several_processes_the_first_tells_of_an_interrupt(ending, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    result = ending(lambda: signal.raise_signal(signal.SIGINT))
    assert (result.code, result.error) == (130, "")


def test_a_defect_keeps_its_traceback(monkeypatch, run):
    def work():
        raise KeyError("defect")

    monkeypatch.setattr("deepdft.models.overview.bundled_overviews", work)
    with pytest.raises(KeyError, match="defect"):
        run("models")


@pytest.mark.parametrize(
    "place",
    ["file/rho.cube", "n" * 300 + ".cube", "missing/deeper/\x01/" + "d" * 300 + "/rho.cube"],
)
def test_places_that_cannot_be(run, tmp_path, place):
    (tmp_path / "file").write_text("no folder")
    result = run("predict", "O", "-o", place)
    assert result.code == 2
    assert result.error.count("\n") == 1
    assert "Traceback" not in result.error


def test_names_that_are_no_text_are_printed(run, tmp_path):
    name = os.fsdecode(b"caf\xe9.cube")
    result = run("inspect", name)
    assert result.code == 2
    assert "caf" in result.error


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_can_be_quiet_and_gives_its_results(name):
    def leaves(command):
        below = getattr(command, "commands", None)
        return [leaf for sub in below.values() for leaf in leaves(sub)] if below else [command]

    for command in leaves(load_command(name)):
        options = {opt for parameter in command.params for opt in parameter.opts}
        assert {"--quiet", "--json"} <= options
        json_option = next(p for p in command.params if "--json" in p.opts)
        assert json_option.metavar == "FILE"
        assert not json_option.expose_value  # the one that all share
        # Whoever asks for results gets some.
        assert "give(" in inspect.getsource(sys.modules[command.callback.__module__])


def test_results_go_to_a_file_or_to_stdout(run, tmp_path):
    printed = run("info", "default", "--json", "-")
    assert json.loads(printed.output)["model"] == "default"
    assert "architecture" in printed.error
    quiet = run("info", "default", "--quiet", "--json", "found.json")
    assert (quiet.code, quiet.output, quiet.error) == (0, "", "")
    assert json.loads((tmp_path / "found.json").read_text()) == json.loads(printed.output)


def test_results_are_json_for_every_program(capsys):
    app = typer.Typer()

    @app.command()
    def work():
        give({"a": float("nan"), "b": np.array([1.5, np.inf]), 3: [np.float32(2)]})
        print("words")

    command = with_common_options(typer.main.get_command(app))
    command.main(["--json", "-"], standalone_mode=False)
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"a": None, "b": [1.5, None], "3": [2.0]}
    assert "NaN" not in printed.out
    assert printed.err == "words\n"


def test_without_a_terminal_progress_is_a_line_now_and_then(monkeypatch, capsys):
    from rich.console import Console

    monkeypatch.setattr("deepdft.cli.progress.INTERVAL", 0.0)
    with Progress("{task.description}", console=Console(width=100)) as bar:
        task = bar.add_task("working", total=4)
        bar.advance(task)
        bar.update(task, advance=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["working: 1 of 4", "working: 2 of 4"]
    assert all(line.endswith("left") for line in lines)


def test_what_libraries_could_only_half_make_is_not_heard_of():
    code = """
import deepdft.cli

class Loop:
    def __init__(self):
        raise OSError(24, "Too many open files")

    def __del__(self):
        self.missing

def command():
    from deepdft.cli.endings import ended_with_a_sentence

    with ended_with_a_sentence():
        Loop()

deepdft.cli.main = command
from deepdft.__main__ import main

main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "deepdft: This process has too many files open; raise the limit (ulimit -n)."
    ]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("MemoryError()", "There is not enough memory: "),
        ("OSError(24, 'x')", "This process has too many files open; "),
    ],
)
def test_what_is_refused_while_the_command_is_imported_is_a_sentence(error, line):
    code = f"""
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name == "deepdft.cli":
            raise {error}

sys.meta_path.insert(0, Refused())
from deepdft.__main__ import main

main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"deepdft: {line}")
    assert done.stderr.count("\n") == 1
