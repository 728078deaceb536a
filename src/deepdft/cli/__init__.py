"""The command `deepdft`. Each command parses, calls one library function and prints."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from deepdft.cli.commands import LazyGroup
from deepdft.cli.first_words import FIRST
from deepdft.cli.first_words import version as version_of
from deepdft.errors import DeepDFTError
from deepdft.extras import missing_extra

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
    """Run the command; errors of input become one sentence and exit code 2."""
    try:
        app()
    except DeepDFTError as error:
        _leave(error)
    except ModuleNotFoundError as error:
        missing = missing_extra(error, f"'{' '.join(['deepdft', *sys.argv[1:2]])}'")
        if missing is None:
            raise
        _leave(missing)
    except KeyboardInterrupt:
        print("deepdft: interrupted.", file=sys.stderr)
        sys.exit(130)


def _leave(error: DeepDFTError) -> NoReturn:
    print(f"deepdft: {error}", file=sys.stderr)
    sys.exit(2)
