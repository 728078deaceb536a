"""`deepdft train`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from deepdft.cli.common import give
from deepdft.first_process import leave
from deepdft.threads import is_first_process

if TYPE_CHECKING:
    from deepdft.training import TrainingResult


def train(
    config: Annotated[Path, typer.Argument(help="YAML configuration.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Changes, as optimizer.loss=..."),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option("--from", help="Fine-tune this model (bundled name or folder)."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run in run_directory, with what is not given as it was.",
        ),
    ] = False,
) -> None:
    """Train a model on DFT densities."""
    from deepdft.training import TrainingStopped
    from deepdft.training import train as run
    from deepdft.training.config import read_config
    from deepdft.training.module import RunEndedError
    from deepdft.training.processes import LostProcessError

    # Further processes of the same run compute and say nothing.
    console = Console(quiet=not is_first_process())

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    try:
        result = run(
            read_config(config, overrides or ()), start_from=start_from, resume=resume, notify=say
        )
    except LostProcessError as error:
        # What torch shares with the lost process may abort where it is torn down.
        sys.stdout.flush()
        leave(error.tells, error.told)
    except RunEndedError:
        if is_first_process():
            raise
        raise typer.Exit(2) from None
    except TrainingStopped as stopped:
        _say_result(say, stopped.result)
        if stopped.resumable:
            say(f"stopped after {stopped.result.steps} steps; --resume goes on from there")
        raise
    _say_result(say, result)


def _say_result(say: Callable[[str], None], result: TrainingResult) -> None:
    if is_first_process():
        give(
            {
                "model": result.folder, "steps": result.steps,
                "steps_left_out": result.steps_left_out,
                "eps_mae": result.eps_mae, "eps_mae_before": result.eps_mae_before,
                "structures_per_second": result.structures_per_second,
                "probes_per_second": result.probes_per_second,
            }
        )  # fmt: skip
    if math.isnan(result.eps_mae):
        say("no model yet: the first validation was not reached")
        return
    before = (
        "" if result.eps_mae_before is None else f" ({100 * result.eps_mae_before:.3f} % before)"
    )
    say(
        f"best model: {result.folder}, validation eps_mae {100 * result.eps_mae:.3f} %{before} "
        f"after {result.steps} steps; {result.structures_per_second:.3g} structures/s, "
        f"{result.probes_per_second:,.0f} probes/s"
    )
    if result.steps_left_out:
        say(
            f"warning: {result.steps_left_out} of {result.steps} steps were left out because their "
            "gradient was not finite"
        )
