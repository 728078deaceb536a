"""Options that every command has: `--quiet`, and `--json` for its results.

They are added where a command is loaded. A command hands over what it has found by `give`.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

_destination: list[str] = []
"""Where the results of the command under way go: a file or "-"; nothing without `--json`."""

_stdout: list[TextIO] = []
"""The stdout of the process while something else stands in its place."""


def _be_quiet(context: typer.Context, value: bool) -> None:
    if value and not context.resilient_parsing:
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the command ends
        _replace_stdout(context, nowhere)
        context.call_on_close(nowhere.close)


def _to_json(context: typer.Context, value: str | None) -> None:
    if value is None or context.resilient_parsing:
        return
    _destination.append(value)
    context.call_on_close(_destination.clear)
    if value == "-" and not _stdout:
        _replace_stdout(context, sys.stderr)


def _replace_stdout(context: typer.Context, other: TextIO) -> None:
    before, sys.stdout = sys.stdout, other
    _stdout.append(before)

    def restore() -> None:
        sys.stdout = before
        _stdout.remove(before)

    context.call_on_close(restore)


def give(results: Any) -> None:
    """Write the results of a command to where `--json` says, if it is given.

    Raises:
        ConfigurationError: if the file cannot be written.
    """
    if not _destination:
        return
    text = json.dumps(_plain(results), indent=2) + "\n"
    if _destination[0] == "-":
        stdout = _stdout[0] if _stdout else sys.stdout
        stdout.write(text)
        stdout.flush()  # the command may go on for long, as a server does
        return
    from deepdft.storage.whole_files import replace_file

    replace_file(_destination[0], text.encode())


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, in which there is no NaN and no infinity."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _options(
    quiet: Annotated[
        bool,
        typer.Option("--quiet", help="Print nothing but errors.", callback=_be_quiet),
    ] = False,
    json: Annotated[
        str | None,
        typer.Option(
            "--json", metavar="FILE", callback=_to_json,
            help="Write the results to JSON; - prints them, and all else goes to stderr.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Carries the options."""


def with_common_options(command: Any) -> Any:
    """Add the options to a command and to those below it, where it has none of the name."""
    below = getattr(command, "commands", None)
    if below:
        for sub in below.values():
            with_common_options(sub)
        return command
    carrier = typer.Typer(add_completion=False)
    carrier.command()(_options)
    given: Any = typer.main.get_command(carrier)
    taken = {name for parameter in command.params for name in parameter.opts}
    for option in given.params:
        if not taken & set(option.opts) and option.name in ("quiet", "json"):
            option.expose_value = False
            command.params.append(option)
    return command
