"""`deepdft predict`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from deepdft.cli.common import give
from deepdft.cli.computing_options import Device, ExactElectrons, Threads, Vacuum
from deepdft.cli.prediction_outputs import cluster_for, refuse_stores, targets_of
from deepdft.cli.prediction_report import print_summary, print_uncertainty, progress_bar
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
from deepdft.extras import require_extra

if TYPE_CHECKING:
    from ase import Atoms

    from deepdft.density import Grid
    from deepdft.prediction import PredictionSummary, TrainedModel
    from deepdft.prediction.distributed import Cluster
    from deepdft.structures import Structure

_COMPILING = "compiling for this processor, once: some 15 seconds"

Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="File (format by suffix: .cube, .CHGCAR, .npz, ...; .zarr for any size, goes on "
        "after an interruption), or a folder for many structures. "
        "Default: NAME.cube in the working directory.",
    ),
]
Spacing = Annotated[
    float | None, typer.Option(help="Largest distance between grid points, Å [default: 0.1].")
]
Shape = Annotated[
    tuple[int, int, int] | None,
    typer.Option(metavar="NX NY NZ", help="Number of grid points along each axis."),
]
Like = Annotated[Path | None, typer.Option(help="A density file; use exactly its grid.")]
Uncertainty = Annotated[
    bool,
    typer.Option(
        "--uncertainty",
        help="Print the expected eps_mae and write the expected absolute error at every point "
        "as a second volume, NAME_uncertainty.",
    ),
]
AllElectron = Annotated[
    bool,
    typer.Option("--all-electron", help="Add the frozen cores of the atoms; not for .zarr."),
]
Show = Annotated[
    bool,
    typer.Option("--show", help="Open the density in the browser, from NAME.html beside the file."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes on this machine to share out the blocks of a .zarr."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Running dask scheduler to use instead, host:port."),
]


def predict(
    structures: Structures,
    model: ChosenModel = None,
    output: Output = None,
    spacing: Spacing = None,
    grid: Shape = None,
    like: Like = None,
    vacuum: Vacuum = 3.0,
    uncertainty: Uncertainty = False,
    exact_electrons: ExactElectrons = True,
    all_electron: AllElectron = False,
    show: Show = False,
    device: Device = "auto",
    threads: Threads = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    charge: Charge = None,
    multiplicity: Multiplicity = None,
    ordered: Ordered = False,
    relax: Relax = False,
    skip: Skip = False,
) -> None:
    """Predict electron densities and write them to files."""
    from deepdft.structures import ReadOptions, read_structures

    if show:
        require_extra("skimage", "--show")
    if like is not None and (spacing is not None or grid is not None):
        raise ConfigurationError("Give one of --like, --spacing and --grid.")
    console = Console(markup=False)
    refusals = Refusals(skip)
    options = ReadOptions(charge, multiplicity, ordered, relax)
    found = [
        item for source in structures for item in read_structures(source, options, refusals.add)
    ]
    targets = list(targets_of(found, output, alone=len(found) + len(refusals.found) == 1))
    refuse_stores(targets if all_electron else [])
    cluster = cluster_for(targets, workers, scheduler, device)
    print_notes(console, found)
    checked = _checked(found, targets, model, device, refusals)
    if checked is None:
        refusals.finish(console)
        return
    chosen, todo = checked
    chosen.threads, chosen.exact_electrons = threads, exact_electrons
    _announce(console, chosen, uncertainty, by_itself=model is None)
    grid_of = _grids(spacing, grid, like, vacuum)
    summaries: list[dict[str, Any]] = []
    for item, path in todo:
        summary = _predict_one(
            console, item, path, chosen, grid_of(item.atoms), cluster, uncertainty, all_electron
        )
        summaries.append(summary.as_dict())
        if show:
            _show(console, summary.path)
    give(summaries)
    refusals.finish(console)


def _announce(console: Console, model: TrainedModel, uncertainty: bool, *, by_itself: bool) -> None:
    """Get a model ready, and say which it is and why."""
    from deepdft.kernels.announcement import told_of_compilation

    if uncertainty:
        model.require_error_model()
    with told_of_compilation(lambda: console.print(_COMPILING)):
        model.warm_up()
    why = f": the bundled one for {model.coverage.purpose}" if by_itself else ""
    console.print(f"model {model.name} ({model.level}) on {model.device}{why}", soft_wrap=True)


def _grids(
    spacing: float | None, shape: tuple[int, int, int] | None, like: Path | None, vacuum: float
) -> Callable[[Atoms], Grid]:
    """Return what chooses the grid of each structure."""
    if like is None:
        from deepdft.prediction import choose_grid

        return functools.partial(choose_grid, spacing=spacing, shape=shape, vacuum=vacuum)
    from deepdft.formats import read
    from deepdft.prediction.like_grid import grid_like

    return functools.partial(grid_like, grid=read(like).grid, path=like)


def _predict_one(
    console: Console,
    item: Structure,
    path: Path,
    model: TrainedModel,
    grid: Grid,
    cluster: Cluster | None,
    uncertainty: bool,
    all_electron: bool,
) -> PredictionSummary:
    """Write one density, with progress on screen, and say what it holds."""
    from deepdft.prediction import predict_to_file, predict_to_store

    with progress_bar(console) as bar:
        task = bar.add_task(item.atoms.get_chemical_formula(), total=grid.n_points)
        advance = functools.partial(bar.advance, task)
        summary: PredictionSummary
        if path.suffix == ".zarr":
            summary = predict_to_store(
                item.atoms, path, model, grid, cluster=cluster, progress=advance,
                uncertainty=uncertainty,
            )  # fmt: skip
        else:
            summary = predict_to_file(
                item.atoms, path, model, grid, progress=advance, uncertainty=uncertainty,
                all_electron=all_electron,
            )  # fmt: skip
    print_summary(console, summary)
    print_uncertainty(console, summary)
    if summary.warning is not None:
        console.print(f"warning: {summary.warning}", highlight=False, soft_wrap=True)
    return summary


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
