"""`deepdft reproduce`: the paper's tables on our densities."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from deepdft.cli.common import give
from deepdft.cli.progress import Progress
from deepdft.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdft_paper.reproduce.systems import System
    from deepdft_paper.reproduce.table1 import Choices, SystemResult

app = typer.Typer(help="The paper's results on our own densities.", no_args_is_help=True)


@app.command("table1")
def table1(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder of the results.")
    ] = Path("runs/table1"),
    system: Annotated[
        list[str] | None,
        typer.Option(help="Only this system: qm9, cathode, ethylene_carbonate (repeat)."),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train the models instead of loading the bundled ones.")
    ] = False,
    configs: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Training configurations.")
    ] = Path("configs"),
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SYSTEM=FOLDER",
            help="Training densities with split.json, as qm9=DATA (repeat).",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure on a coarser grid: estimates.")
    ] = False,
    spread: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of `deepdft spread`, laid over the histogram of QM9 "
            "[default: docs/evaluation/spread, where there is one].",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads [default: all].")] = None,
) -> None:
    """Print Table 1 on the test densities that ship; given again, it goes on where it was."""
    from deepdft_paper.reproduce.report import as_json, default_spread, write_report
    from deepdft_paper.reproduce.systems import SYSTEMS, find_system
    from deepdft_paper.reproduce.table1 import Choices

    systems = [find_system(key) for key in system] if system else list(SYSTEMS)
    folders = _folders(data or [])
    for key in folders:
        find_system(key)
    choices = Choices(output, train, configs, folders, quick, device, threads)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    results = _with_progress(systems, choices, console)
    _show(console, results, choices)
    written = write_report(results, choices, spread or default_spread())
    console.print(f"written: {output} ({', '.join(written)})")
    give(as_json(results, choices))


def _folders(texts: Sequence[str]) -> dict[str, Path]:
    folders = {}
    for text in texts:
        key, separator, folder = text.partition("=")
        if not separator or not key or not folder:
            raise ConfigurationError(f"--data must be SYSTEM=FOLDER, not '{text}'.")
        folders[key] = Path(folder)
    return folders


def _with_progress(
    systems: Sequence[System], choices: Choices, console: Console
) -> list[SystemResult]:
    from deepdft_paper.reproduce.table1 import reproduce

    results = []
    with Progress(
        TextColumn("measuring {task.description}", markup=False), BarColumn(),
        MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True,
    ) as bar:  # fmt: skip
        for system in systems:
            task = bar.add_task(system.title, total=None)

            def shown(name: str, count: int, task: object = task) -> None:
                bar.update(task, advance=1, total=count)  # type: ignore[arg-type]

            results += reproduce([system], choices, shown)
    return results


def _show(console: Console, results: Sequence[SystemResult], choices: Choices) -> None:
    from deepdft_paper.reproduce.report import claims, notes, title
    from deepdft_paper.reproduce.table import COLUMNS, cells

    table = Table(title=title(choices))
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("system", COLUMNS[-1]) else "right")
    for result in results:
        table.add_row(*cells(result.row))
    console.print(table)
    for text in (*notes(results), *claims(results)):
        console.print(f"- {text}")


@app.command("learning-curve")
def learning_curve(
    runs: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUNS]",
            help="Output folder of paper/comparison/compare.py. Without it, what the output "
            "folder has is fitted and shown.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="For curve.json, .md and .png.")
    ] = Path("docs/evaluation/learning_curve"),
    row: Annotated[str, typer.Option(help="Whose runs: a row of the comparison.")] = "equivariant",
) -> None:
    """Print QM9's error against the number of training molecules, with a power law."""
    from deepdft_paper.reproduce.curve_report import (
        COLUMNS,
        as_json,
        fitted,
        rows,
        sentences,
        write_curve,
    )  # fmt: skip
    from deepdft_paper.reproduce.learning_curve import read_curve, read_runs, shipped_model

    curve = read_curve(output) if runs is None else read_runs(runs, row)
    result = fitted(curve, shipped_model())
    console = Console(highlight=False, soft_wrap=True, markup=False)
    table = Table(title="Learning curve of QM9")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for texts in rows(curve):
        table.add_row(*texts)
    console.print(table)
    for sentence in sentences(result):
        console.print(f"- {sentence}")
    if runs is not None:
        console.print(f"written: {output} ({', '.join(write_curve(output, result))})")
    give(as_json(result))
