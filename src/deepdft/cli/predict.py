"""`deepdft predict`."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from deepdft.cli.common import give
from deepdft.cli.progress import Progress
from deepdft.cli.structure_inputs import (
    Charge,
    ChosenModel,
    Multiplicity,
    Ordered,
    Refusals,
    Relax,
    Skip,
    Structures,
    print_notes,
)
from deepdft.errors import ConfigurationError, UnsupportedStructureError

if TYPE_CHECKING:
    from deepdft.prediction import PredictionSummary, TrainedModel
    from deepdft.prediction.distributed import Cluster
    from deepdft.structures import Structure

_ENOUGH = 20
"""Of so many held-out structures the spread of errors is told."""

_COMPILING = "compiling for this processor, once: some 15 seconds"

_SUSPICIOUS = 0.02
"""Relative error of the electron count above which a prediction comes with a warning."""


class _PointRate(ProgressColumn):
    """Points per second."""

    def render(self, task: Task) -> Text:
        """Return the current rate."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} points/s")


def predict(
    structures: Structures,
    model: ChosenModel = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="File (format by suffix: .cube, .CHGCAR, .npz, ...; .zarr for any size, goes on "
            "after an interruption), or a folder for many structures. "
            "Default: NAME.cube in the working directory.",
        ),
    ] = None,
    spacing: Annotated[
        float | None, typer.Option(help="Largest distance between grid points, Å [default: 0.1].")
    ] = None,
    grid: Annotated[
        tuple[int, int, int] | None,
        typer.Option(metavar="NX NY NZ", help="Number of grid points along each axis."),
    ] = None,
    like: Annotated[Path | None, typer.Option(help="A density file; use exactly its grid.")] = None,
    vacuum: Annotated[
        float, typer.Option(help="Space around molecules beyond the outermost nuclei, Å.")
    ] = 3.0,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="Print the expected eps_mae and write the expected absolute error at every point "
            "as a second volume, NAME_uncertainty.",
        ),
    ] = False,
    exact_electrons: Annotated[
        bool,
        typer.Option(
            "--exact-electrons/--no-exact-electrons",
            help="Correct the density to have as many electrons as the structure.",
        ),
    ] = True,
    all_electron: Annotated[
        bool,
        typer.Option(
            "--all-electron",
            help="Add the frozen cores of the atoms; not for .zarr.",
        ),
    ] = False,
    show: Annotated[
        bool,
        typer.Option(
            "--show", help="Open the density in the browser, from NAME.html beside the file."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads [default: all].")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on this machine to share out the blocks of a .zarr."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Running dask scheduler to use instead, host:port."),
    ] = None,
    charge: Charge = None,
    multiplicity: Multiplicity = None,
    ordered: Ordered = False,
    relax: Relax = False,
    skip: Skip = False,
) -> None:
    """Predict electron densities and write them to files."""
    from deepdft.kernels.announcement import told_of_compilation
    from deepdft.prediction import choose_grid, predict_to_file, predict_to_store
    from deepdft.prediction.like_grid import grid_like
    from deepdft.structures import ReadOptions, read_structures

    if show:
        from deepdft.extras import require_extra

        require_extra("skimage", "--show")
    if like is not None and (spacing is not None or grid is not None):
        raise ConfigurationError("Give one of --like, --spacing and --grid.")
    console = Console(markup=False)
    refusals = Refusals(skip)
    options = ReadOptions(charge, multiplicity, ordered, relax)
    found = [
        item for source in structures for item in read_structures(source, options, refusals.add)
    ]
    targets = list(_targets(found, output, alone=len(found) + len(refusals.found) == 1))
    _refuse_stores(targets if all_electron else [])
    cluster = _cluster(targets, workers, scheduler, device)
    print_notes(console, found)
    checked = _checked(found, targets, model, device, refusals)
    if checked is None:
        refusals.finish(console)
        return
    chosen, todo = checked
    chosen.threads, chosen.exact_electrons = threads, exact_electrons
    if uncertainty:
        chosen.require_error_model()
    with told_of_compilation(lambda: console.print(_COMPILING)):
        chosen.warm_up()
    why = "" if model else f": the bundled one for {chosen.coverage.purpose}"
    console.print(f"model {chosen.name} ({chosen.level}) on {chosen.device}{why}", soft_wrap=True)
    summaries: list[dict[str, Any]] = []
    like_grid = None
    if like is not None:
        from deepdft.formats import read

        like_grid = read(like).grid
    for item, path in todo:
        if like is not None and like_grid is not None:
            points = grid_like(item.atoms, like_grid, like)
        else:
            points = choose_grid(item.atoms, spacing=spacing, shape=grid, vacuum=vacuum)
        with _progress_bar(console) as bar:
            task = bar.add_task(item.atoms.get_chemical_formula(), total=points.n_points)
            advance = functools.partial(bar.advance, task)
            if path.suffix == ".zarr":
                summary: PredictionSummary = predict_to_store(
                    item.atoms, path, chosen, points, cluster=cluster, progress=advance,
                    uncertainty=uncertainty,
                )  # fmt: skip
            else:
                summary = predict_to_file(
                    item.atoms, path, chosen, points, progress=advance, uncertainty=uncertainty,
                    all_electron=all_electron,
                )  # fmt: skip
        summaries.append(summary.as_dict())
        _print_summary(console, summary)
        _print_uncertainty(console, summary)
        if summary.warning is not None:
            console.print(f"warning: {summary.warning}", highlight=False, soft_wrap=True)
        if show:
            _show(console, summary.path)
    give(summaries)
    refusals.finish(console)


def _show(console: Console, path: Path) -> None:
    """Write an interactive view beside a density and open it."""
    import webbrowser

    from deepdft.formats import read

    page = path.with_name(f"{path.name.removesuffix('.gz').removesuffix(path.suffix)}.html")
    read(path).view().write(page)
    console.print(f"{page}: open it in any browser", highlight=False, soft_wrap=True)
    webbrowser.open(page.resolve().as_uri())


def _checked(
    found: list[Structure],
    targets: list[Path],
    model: str | None,
    device: str,
    refusals: Refusals,
) -> tuple[TrainedModel, list[tuple[Structure, Path]]] | None:
    """Return the model and what it can treat; None where it is nothing.

    Everything is checked before anything is computed. Without a model that covers all elements,
    structures are skipped for the one that covers the first.
    """
    from deepdft.prediction import resolve_model

    chosen: TrainedModel | None = None
    todo = []
    groups = [found] if not refusals.skip else [found, *([item] for item in found)]
    for group in groups:
        try:
            chosen = resolve_model(model, [item.atoms for item in group], device)
            break
        except UnsupportedStructureError:
            if group is groups[-1] and not refusals.skip:
                raise
    for item, path in zip(found, targets, strict=True):
        try:
            if chosen is None:
                resolve_model(model, item.atoms, device)
            else:
                chosen.check(item.atoms)
        except UnsupportedStructureError as error:
            told = error if len(found) == 1 else UnsupportedStructureError(f"{item.name}: {error}")
            refusals.add(item.name, error if refusals.skip else told)
        else:
            todo.append((item, path))
    return None if chosen is None or not todo else (chosen, todo)


def _print_summary(console: Console, summary: PredictionSummary) -> None:
    from deepdft.fields.reductions import described
    from deepdft.prediction import StoreSummary

    expected = summary.expected_electrons
    points: float = summary.grid.n_points
    blocks = ""
    if isinstance(summary, StoreSummary):
        points *= summary.blocks_computed / summary.blocks
        blocks = f", {summary.blocks_computed} of {summary.blocks} blocks were missing"
    console.print(
        f"{summary.path}: {summary.formula}, grid {'x'.join(map(str, summary.grid.shape))}, "
        f"{summary.electrons:.3f} electrons"
        + ("" if expected is None else f" (expected {expected})")
        + "".join(f", {words}" for words in described(summary.properties))
        + f"{blocks}, {summary.seconds:.1f} s, {points / summary.seconds:,.0f} points/s",
        highlight=False,
        soft_wrap=True,
    )
    if expected and abs(summary.electrons / expected - 1) > _SUSPICIOUS:
        console.print(
            f"warning: the density holds "
            f"{100 * abs(summary.electrons / expected - 1):.1f} % of electrons too "
            f"{'many' if summary.electrons > expected else 'few'}: {summary.formula} is probably "
            "outside what the model knows, or the grid cuts into the density",
            highlight=False,
            soft_wrap=True,
        )


def _print_uncertainty(console: Console, summary: PredictionSummary) -> None:
    expected = summary.uncertainty
    if expected is None:
        return
    low, high = (100 * end for end in expected.eps_mae_range)
    spread = (
        f"8 of 10 held-out structures: {low:.2g} to {high:.2g} %"
        if expected.held_out >= _ENOUGH
        else f"rough: learned from {expected.held_out} held-out structures"
    )
    console.print(
        f"{summary.uncertainty_path}: expected eps_mae {100 * expected.eps_mae:.2g} % ({spread})",
        highlight=False,
        soft_wrap=True,
    )


def _progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _PointRate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _targets(found: list[Structure], output: Path | None, alone: bool) -> Iterator[Path]:
    """Yield a path for each structure: the file asked for, or files named after the structures."""
    from deepdft.structures import file_name

    if alone and output is not None and not _is_folder(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        yield from [output] * len(found)
        return
    folder, suffix = Path(), ".cube"
    if output is not None and _is_folder(output):
        folder = output
    elif output is not None:
        # One file for many structures: its stem and suffix with the structure's name between.
        folder, suffix = output.parent, output.suffix
    folder.mkdir(parents=True, exist_ok=True)
    used: set[str] = set()
    prefix = f"{output.stem}_" if output is not None and not _is_folder(output) else ""
    for item in found:
        name = base = prefix + file_name(item.name)
        number = 1
        # SMILES of different molecules may differ in case alone, which some file systems ignore.
        while name.casefold() in used:
            number += 1
            name = f"{base}_{number}"
        used.add(name.casefold())
        yield folder / f"{name}{suffix}"


def _cluster(
    targets: list[Path], workers: int | None, scheduler: str | None, device: str
) -> Cluster | None:
    if workers is None and scheduler is None:
        return None
    if any(path.suffix != ".zarr" for path in targets):
        raise ConfigurationError(
            "--workers and --scheduler share out the blocks of a zarr store; end the output's name "
            "in .zarr."
        )
    from deepdft.prediction.distributed import Cluster

    return Cluster(scheduler=scheduler, workers=workers, device=device)


def _refuse_stores(targets: list[Path]) -> None:
    if any(path.suffix == ".zarr" for path in targets):
        raise ConfigurationError(
            "--all-electron is not for .zarr stores, which hold what a model predicts; write "
            "another format."
        )


def _is_folder(path: Path) -> bool:
    if path.suffix == ".zarr":
        return False
    return path.is_dir() or (path.suffix == "" and "CHG" not in path.name.upper())
