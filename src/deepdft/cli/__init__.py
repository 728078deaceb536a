"""The command `deepdft`. Each command parses, calls one library function and prints."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from typing import Annotated

import typer

from deepdft.cli.commands import LazyGroup
from deepdft.cli.endings import ended_with_a_sentence
from deepdft.cli.first_words import FIRST
from deepdft.cli.first_words import version as version_of

app = typer.Typer(
    name="deepdft",
    cls=LazyGroup,
    help="Electron densities of molecules, crystals and liquids in seconds, learned from DFT.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _all_commands(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="With --version: libraries and models too.")
    ] = False,
) -> None:
    if version:
        print(version_of(verbose))
    elif context.invoked_subcommand is None:
        print(FIRST)
    else:
        return
    raise typer.Exit


def main() -> None:
    """Run the command; every failure becomes one sentence and an exit code (`cli.endings`)."""
    # Looking through all installed packages for plug-ins of pydantic delays every command.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Of processes that do not meet PyTorch logs stacks of C++; we say it in a sentence.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # At its end Python looks for cycles among all that was imported, to free what goes anyway.
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files need not be text.
            stream.reconfigure(errors="backslashreplace")
    with ended_with_a_sentence():
        app()
