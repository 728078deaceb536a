"""`deepdft convert`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from deepdft.cli.common import give
from deepdft.cli.inputs import (
    FormatName,
    Quantity,
    ReaderOptions,
    Unit,
    as_options,
    read_density,
    reader_options,
    sources_of,
)
from deepdft.cli.progress import Progress
from deepdft.errors import ConfigurationError
from deepdft.levels import LevelOfTheory


def convert(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT",
            help="One density (file, ARCHIVE.tar::MEMBER or STORE::NAME) and a file, whose name "
            "tells the format; or any number of files, folders, patterns, tar files, lists of "
            "paths and stores, and a training store.",
        ),
    ],
    store: Annotated[
        bool,
        typer.Option(
            "--store",
            help="OUT is a training store; also if its name ends in .store, it is one already, or "
            "there are several densities.",
        ),
    ] = False,
    level: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE",
            help="Level of theory where files do not tell: functional=PBE, core=PAW, basis=..., "
            "code=... (repeat).",
        ),
    ] = None,
    quantity: Quantity = None,
    unit: Unit = None,
    format: FormatName = None,
    read: ReaderOptions = None,
    spacing: Annotated[
        float | None, typer.Option(min=0.01, help="Grid spacing for orbitals, Å.")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(min=0.0, help="Reach of that grid beyond the nuclei of a molecule, Å."),
    ] = None,
    without_spin: Annotated[
        bool, typer.Option("--without-spin", help="Leave out the spin density.")
    ] = False,
    mix_levels: Annotated[
        bool, typer.Option("--mix-levels", help="Let a store hold different levels of theory.")
    ] = False,
    skip: Annotated[
        bool, typer.Option("--skip", help="Go on behind a file that cannot be used, and list it.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read ahead for a store.")] = 1,
) -> None:
    """Convert a density to another format, or many to a training store.

    A store is appended to: densities that it has by name are left out, so an interrupted
    conversion goes on when the command is given again.
    """
    if len(paths) < 2:
        raise ConfigurationError("Give at least one input and, as the last argument, the output.")
    from deepdft.levels import parse_level

    *inputs, output = paths
    options: dict[str, Any] = reader_options(quantity, unit, format, read)
    options.update({k: v for k, v in (("spacing", spacing), ("margin", margin)) if v is not None})
    known = parse_level(level or [])
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if store or _wants_store(inputs, output):
        _to_store(
            console, inputs, output, known, options,
            without_spin=without_spin, mix_levels=mix_levels, skip=skip, workers=workers,
        )  # fmt: skip
    else:
        _to_file(console, inputs, output, known, options, without_spin)


def _wants_store(inputs: list[str], output: str) -> bool:
    from deepdft.data.training_store_layout import is_training_store

    if output.rstrip("/").endswith(".store") or is_training_store(output):
        return True
    if not output.rstrip("/").endswith(".zarr"):
        return False
    found = [source for path in inputs for source in sources_of(path)]
    return len(found) > 1 or found[0].kind != "density"


def _to_file(
    console: Console,
    inputs: list[str],
    output: str,
    level: LevelOfTheory,
    options: dict[str, Any],
    without_spin: bool,
) -> None:
    from deepdft.data.sources import is_zarr_group
    from deepdft.formats import write
    from deepdft.formats.quantities import QUANTITIES
    from deepdft.formats.registry import format_to_write
    from deepdft.levels import completed_level

    found = [source for path in inputs for source in sources_of(path)]
    if len(found) != 1 or found[0].kind != "density":
        what = f"{len(found)} densities were" if len(found) != 1 else f"A whole {inputs[0]} was"
        raise ConfigurationError(
            f"{what} given, but {output} takes one density; for a training store end its name in "
            ".store or pass --store."
        )
    entry = format_to_write(output)
    if not (options or without_spin or level != LevelOfTheory()) and is_zarr_group(found[0].path):
        _stream(console, found[0].path, output)
        return
    density = read_density(found[0].path, options)
    density = replace(density, level=completed_level(density.level, level))
    if without_spin:
        density = replace(density, spin=None)
    for note in density.metadata.get("notes", []):
        console.print(f"note: {as_options(note)}")
    write(output, density)
    kind = QUANTITIES[density.metadata.get("quantity", "density")]
    what = f"{density.n_electrons:.4f} electrons" if kind.is_density else kind.name
    points = "x".join(map(str, density.grid.shape))
    console.print(f"written: {output} ({entry.title}, {points} points, {what})")
    give({"file": output, "format": entry.title, "grid": density.grid.shape,
          "electrons": density.n_electrons if kind.is_density else None})  # fmt: skip


def _stream(console: Console, path: str, output: str) -> None:
    """Convert a zarr group, which may be larger than memory, slab by slab."""
    from deepdft.data.reading import read_density as read
    from deepdft.formats import write
    from deepdft.formats.zarr_streaming import stream_to_file
    from deepdft.storage.density_group import open_density_group, read_grid

    group, about = open_density_group(path)
    grid = read_grid(group, about)
    with Progress(
        TextColumn("converting"), BarColumn(), TimeRemainingColumn(),
        console=console, transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=grid.n_points)
        if "spin" not in group:
            stream_to_file(path, output, progress=lambda done: bar.update(task, advance=done))
        else:
            write(output, read(path))
    console.print(f"written: {output} ({'x'.join(map(str, grid.shape))} points)")
    give({"file": output, "grid": grid.shape})


def _to_store(
    console: Console,
    inputs: list[str],
    output: str,
    level: LevelOfTheory,
    options: dict[str, Any],
    *,
    without_spin: bool,
    mix_levels: bool,
    skip: bool,
    workers: int,
) -> None:
    from deepdft.data import open_dataset
    from deepdft.data.conversion import fill_store

    if any(os.path.realpath(path) == os.path.realpath(output) for path in inputs):
        raise ConfigurationError(f"{output} is both input and output.")
    grid = {key: options[key] for key in ("spacing", "margin") if key in options}
    dataset = open_dataset(inputs, level, mix_levels=mix_levels, read_options=options)
    with Progress(
        TextColumn("converting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False), console=console, transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=len(dataset))
        summary = fill_store(
            output, dataset, assumed=level, mix_levels=mix_levels, without_spin=without_spin,
            skip_unusable=skip, workers=workers, **grid,
            progress=lambda name: bar.update(task, advance=1, description=name),
        )  # fmt: skip
    for name, reason in summary.skipped:
        console.print(f"skipped: {name}: {as_options(reason)}")
    give({"store": output, "added": summary.added, "present": summary.present,
          "skipped": dict(summary.skipped)})  # fmt: skip
    noun = "density" if summary.added == 1 else "densities"
    console.print(
        f"written: {output}, {summary.added} {noun} added"
        + (f", {summary.present} were there already" if summary.present else "")
        + (f", {len(summary.skipped)} skipped" if summary.skipped else "")
    )
