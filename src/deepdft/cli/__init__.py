"""The command `deepdft`. Each command parses, calls one library function and prints."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from deepdft.cli import (
    combine,
    compare,
    convert,
    dft,
    evaluate,
    inspect,
    models,
    predict,
    reproduce,
    serve,
    spread,
    train,
    uncertainty,
)
from deepdft.errors import DeepDFTError
from deepdft.extras import missing_extra

app = typer.Typer(
    name="deepdft",
    help="Electron densities of molecules, crystals and liquids in seconds, learned from DFT.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("predict")(predict.predict)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("uncertainty")(uncertainty.uncertainty)
app.command("convert")(convert.convert)
app.command("inspect")(inspect.inspect)
app.command("compare")(compare.compare)
app.command("combine")(combine.combine)
app.command("models")(models.models)
app.command("info")(models.info)
app.command("serve")(serve.serve)
dft.app.command("spread")(spread.spread)
app.add_typer(dft.app, name="dft")
app.add_typer(reproduce.app, name="reproduce")
app.command("import")(models.import_model)


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
