"""`deepdft dft`: reference calculations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deepdft.cli.common import give
from deepdft.cli.endings import DONE_IN_PART
from deepdft.cli.start import start
from deepdft.cli.structure_inputs import (
    Charge,
    Multiplicity,
    Ordered,
    Refusals,
    Relax,
    is_setting,
    print_notes,
)

app = typer.Typer(help="Reference densities from DFT programs.", no_args_is_help=True)
app.command("start")(start)


@app.command("run")
def run(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="STRUCTURES... [KEY=VALUE]...",
            help="Structure files (all frames) and folders of them; settings of the program.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="STORE", help="Folder of the campaign.")
    ],
    program: Annotated[str, typer.Option(help="pyscf, cp2k, quantum-espresso or gpaw.")] = "pyscf",
    jobs: Annotated[int, typer.Option(min=1, help="Single-threaded worker processes.")] = 1,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Calculate at most so many structures this time.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Calculate again what failed before.")
    ] = False,
    charge: Charge = None,
    multiplicity: Multiplicity = None,
    ordered: Ordered = False,
    relax: Relax = False,
    skip: Annotated[
        bool, typer.Option("--skip", help="Go on behind structures that cannot be used, list them.")
    ] = False,
) -> None:
    """Calculate the densities of structures; given again, it goes on where it was.

    The exit code is 1 where calculations have failed; they are listed.

    STORE can be trained on as it is. `deepdft dft settings PROGRAM` lists the settings.
    """
    from deepdft.cli.campaign_progress import Shown, progress_bar
    from deepdft.dft import create_calculation, read_inputs, run_campaign
    from deepdft.structures import ReadOptions

    settings = [text for text in arguments if is_setting(text)]
    refusals = Refusals(skip)
    structures = read_inputs(
        [text for text in arguments if text not in settings],
        ReadOptions(charge, multiplicity, ordered, relax),
        refusals.add,
    )
    calculation = create_calculation(program, settings)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    print_notes(console, structures)
    with progress_bar(console) as bar:
        manifest = run_campaign(
            structures, calculation, output, jobs=jobs, limit=limit, retry_failed=retry_failed,
            progress=Shown(bar),
        )  # fmt: skip
    records = [manifest.structures[structure.name] for structure in structures]
    for record in records:
        if record.status == "failed":
            console.print(f"failed: {record.name}: {record.error}")
    counts = {status: sum(r.status == status for r in records) for status in _STATUSES}
    console.print(
        f"written: {output} ({', '.join(f'{n} {s}' for s, n in counts.items() if n)}; "
        f"{manifest.level})"
    )
    give(
        {"store": output, "level": manifest.level.to_dict(), "counts": counts,
         "structures": [{"name": r.name, "status": r.status, "energy": r.energy, "error": r.error}
                        for r in records]}
    )  # fmt: skip
    refusals.finish(console)
    if counts["failed"]:
        raise typer.Exit(DONE_IN_PART)


_STATUSES = ("done", "failed", "pending")


@app.command("settings")
def settings(
    program: Annotated[str, typer.Argument(help="pyscf, cp2k, quantum-espresso or gpaw.")],
) -> None:
    """List what can be set of a program's calculations, with defaults."""
    from deepdft.dft import create_calculation

    table = Table()
    for column in ("setting", "default", "meaning"):
        table.add_column(column)
    for name, field in create_calculation(program).Settings.model_fields.items():
        table.add_row(name, str(field.default), field.description or "")
    Console(highlight=False, markup=False).print(table)
    give(create_calculation(program).settings.model_dump(mode="json"))
