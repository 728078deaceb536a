"""`deepdft spread`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from deepdft.cli.common import give
from deepdft.cli.endings import DONE_IN_PART
from deepdft.cli.structure_inputs import is_setting
from deepdft.errors import ConfigurationError

if TYPE_CHECKING:
    from deepdft_paper.spread.spread_table import SpreadTable


def spread(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MOLECULES]... [KEY=VALUE]...",
            help="Files that ASE reads (all frames) and folders of them; settings of PySCF. "
            "Without molecules, what the folder has is shown.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder of the measurement.")
    ] = Path("spread"),
    model: Annotated[
        list[str] | None,
        typer.Option(help="Measure this model's eps_mae on the same grid (repeat)."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Single-threaded worker processes.")] = 1,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Measure at most so many molecules this time.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Measure again what failed before.")
    ] = False,
    spacing: Annotated[float, typer.Option(min=0.01, help="Grid spacing, Å.")] = 0.1,
    margin: Annotated[
        float, typer.Option(min=0.0, help="Reach of the grid beyond the nuclei, Å.")
    ] = 5.0,
) -> None:
    """Measure how far the densities of eight functionals lie apart (eq. 8).

    Given again, it goes on where it was.
    """
    from deepdft.cli.campaign_progress import Shown, progress_bar
    from deepdft.dft import create_calculation, read_inputs
    from deepdft.dft.pyscf import PySCFSettings
    from deepdft_paper.spread.measure_spread import measure_spread
    from deepdft_paper.spread.spread_table import SpreadTable

    console = Console(highlight=False, soft_wrap=True, markup=False)
    texts = arguments or []
    settings = [text for text in texts if is_setting(text)]
    paths = [text for text in texts if text not in settings]
    if not paths:
        _show(console, SpreadTable.read(output))
        return
    if any(text.startswith("functional=") for text in settings):
        raise ConfigurationError("The spread is that of eight functionals; leave out functional=.")
    chosen = create_calculation("pyscf", settings).settings
    assert isinstance(chosen, PySCFSettings)
    with progress_bar(console) as bar:
        table = measure_spread(
            read_inputs(paths), output, settings=chosen, models=model or [], jobs=jobs,
            limit=limit, retry_failed=retry_failed, spacing=spacing, margin=margin,
            progress=Shown(bar),
        )  # fmt: skip
    _show(console, table)
    if table.failed:
        raise typer.Exit(DONE_IN_PART)


def _show(console: Console, table: SpreadTable) -> None:
    """Print the statistics of a table of equation (8)."""
    shown = Table(title=f"percent of the electrons, {len(table.rows)} molecules")
    for column in ("", "molecules", "mean", "standard error", "median", "max"):
        shown.add_column(column, justify="left" if column == "" else "right")
    summary = table.summary()
    for name, values in summary.items():
        error = values["standard_error"]
        shown.add_row(
            _TITLES.get(name, name), str(values["count"]), f"{values['mean']:.4f}",
            "-" if error is None else f"{error:.4f}", f"{values['median']:.4f}",
            f"{values['max']:.4f}",
        )  # fmt: skip
    console.print(shown)
    for name, values in summary.items():
        if "below_eps_mad" in values:
            console.print(
                f"{name} is below eps_mad (K = 8) for {values['below_eps_mad']} of "
                f"{values['count']} molecules; the mean eps_mad of these is "
                f"{values['mean_eps_mad_of_the_same']:.4f} %"
            )
    for name, reason in table.failed.items():
        console.print(f"failed: {name}: {reason}")
    give({"summary": summary, "failed": table.failed})


_TITLES = {
    "eps_mad": "eps_mad, K = 8",
    "eps_mad_without_PZ": "eps_mad, K = 7 (without PZ)",
}
