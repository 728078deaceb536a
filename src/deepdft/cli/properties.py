"""`deepdft properties`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
from rich.table import Table

from deepdft.cli.common import give
from deepdft.cli.computing_options import Device, Vacuum
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

if TYPE_CHECKING:
    from deepdft.electronic.properties import Properties
    from deepdft.structures import Structure

_SHOWN_ATOMS = 60
"""Charges of larger structures go to files only."""


def properties(
    structures: Structures,
    model: ChosenModel = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Table to write, .csv or .json."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Picture of dipole, charges and energy by frame."),
    ] = None,
    energy: Annotated[
        bool | None,
        typer.Option(
            "--energy/--no-energy",
            help="Energy with bracket, HOMO, LUMO and gap by PySCF [default: molecules of up to "
            "100 atoms, where PySCF is installed].",
        ),
    ] = None,
    bader: Annotated[bool, typer.Option("--bader", help="Bader's charges as well.")] = False,
    critical_points: Annotated[
        bool, typer.Option("--critical-points", help="Bonds, rings and cages of the density.")
    ] = False,
    volume: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Also write NAME_VOLUME.cube: potential, iri, dori, eigenvalue-1, -2 or -3 "
            "(repeat).",
        ),
    ] = None,
    spacing: Annotated[
        float, typer.Option(help="Largest distance between the grid points added up, Å.")
    ] = 0.15,
    vacuum: Vacuum = 4.0,
    device: Device = "auto",
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Processes to share out the structures [default: CPUs]."),
    ] = None,
    charge: Charge = None,
    multiplicity: Multiplicity = None,
    ordered: Ordered = False,
    relax: Relax = False,
    skip: Skip = False,
) -> None:
    """Charges, dipole, quadrupole, energy and levels of structures, from predicted densities.

    Examples:

        deepdft properties CC(=O)O

        deepdft properties trajectory.extxyz -o trajectory.csv --plot trajectory.png
    """
    from deepdft.electronic.frames import properties_of_frames
    from deepdft.electronic.tables import table_writer
    from deepdft.prediction import resolve_model
    from deepdft.structures import ReadOptions, read_structures

    console = Console(markup=False)
    write_table = None if output is None else table_writer(output)
    refusals = Refusals(skip)
    options = ReadOptions(charge, multiplicity, ordered, relax)
    found = [
        item for source in structures for item in read_structures(source, options, refusals.add)
    ]
    print_notes(console, found)
    if not found:
        refusals.finish(console)
        return
    chosen = resolve_model(model, [item.atoms for item in found], device)
    with Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task("", total=len(found))
        results = properties_of_frames(
            found, chosen, processes=processes, refused=refusals.add,
            progress=lambda: bar.advance(task), spacing=spacing, vacuum=vacuum,
            energy="auto" if energy is None else energy, bader=bader,
            critical_points=critical_points,
        )  # fmt: skip
    table = [each.as_dict() for each in results]
    give(table)
    if len(results) == 1:
        _print_one(console, results[0])
    else:
        _print_many(console, results)
    if write_table is not None:
        write_table(results)
    if plot is not None:
        from deepdft.plotting.trajectories import plot_properties

        plot_properties(table, plot)
    for name in volume or []:
        _write_volumes(console, name, found, chosen, spacing, vacuum)
    refusals.finish(console)


def _print_one(console: Console, found: Properties) -> None:
    """Print all that is known of one structure."""
    from deepdft.electronic.tables import rows_of

    title = (
        f"{found.name}: {found.atoms.get_chemical_formula()}, model {found.model} ({found.level})"
    )
    table = Table(title=title, title_justify="left")
    for column in ("property", "value", "unit", "error"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for row in rows_of(found):
        table.add_row(*row)
    console.print(table)
    if len(found.atoms) <= _SHOWN_ATOMS:
        console.print(_charges(found))
    if found.topology is not None:
        console.print(_critical_points(found))
    if found.no_energy:
        console.print(f"no energy: {found.no_energy}", highlight=False, soft_wrap=True)
    if found.errors.structures:
        console.print(
            f"errors: means over {found.errors.structures} structures, {found.errors.data}",
            highlight=False,
            soft_wrap=True,
        )
    _print_warning(console, found)


def _charges(found: Properties) -> Table:
    error = found.errors.of("charges", "e")
    table = Table(title=f"Charges / e{f' ({error})' if error else ''}", title_justify="left")
    table.add_column("atom")
    table.add_column("Hirshfeld", justify="right")
    if found.bader is not None:
        table.add_column("Bader", justify="right")
    for index, symbol in enumerate(found.atoms.symbols):
        cells = [f"{found.charges[index]:+.3f}"]
        if found.bader is not None:
            cells.append(f"{found.bader[index]:+.3f}")
        table.add_row(f"{symbol}{index + 1}", *cells)
    return table


def _critical_points(found: Properties) -> Table:
    assert found.topology is not None
    known = found.topology
    complete = "complete" if known.is_complete else "not complete"
    table = Table(
        title=f"Critical points; n - b + r - c = {known.sum}, {complete}", title_justify="left"
    )
    for column in ("kind", "atoms", "density / e bohr^-3", "Laplacian / e bohr^-5", "ellipticity"):
        table.add_column(column, justify="left" if column in ("kind", "atoms") else "right")
    symbols = list(found.atoms.symbols)
    from deepdft.units import BOHR

    for point in known.points:
        if point.kind == "attractor":
            continue
        table.add_row(
            point.kind,
            " ".join(f"{symbols[atom]}{atom + 1}" for atom in point.atoms),
            f"{point.density * BOHR**3:.4f}",
            f"{point.laplacian * BOHR**5:+.4f}",
            f"{point.ellipticity:.3f}" if point.kind == "bond" else "",
        )
    return table


def _print_many(console: Console, results: list[Properties]) -> None:
    """Print a line for each structure."""
    table = Table()
    names = ["name", "dipole / D", "smallest and largest charge / e"]
    with_energy = any(each.energies is not None for each in results)
    if with_energy:
        names += ["energy / eV", "bracket / eV", "gap / eV"]
    for name in names:
        table.add_column(name, justify="left" if name == "name" else "right")
    for each in results:
        cells = [
            each.name,
            "" if each.debye is None else f"{each.debye:.3f}",
            f"{each.charges.min():+.3f} {each.charges.max():+.3f}",
        ]
        if each.energies is not None:
            cells += [
                f"{each.energies.energy:.4f}", f"{each.energies.bracket:.4f}",
                f"{each.energies.gap:.3f}",
            ]  # fmt: skip
        table.add_row(*cells)
    console.print(table)
    for each in results:
        _print_warning(console, each)


def _print_warning(console: Console, found: Properties) -> None:
    if found.warning is not None:
        console.print(f"warning: {found.warning}", highlight=False, soft_wrap=True)


def _write_volumes(
    console: Console, name: str, found: list[Structure], model: object, spacing: float,
    vacuum: float,
) -> None:  # fmt: skip
    from deepdft.electronic.volumes import write_volume
    from deepdft.geometry.grids import choose_grid
    from deepdft.prediction import TrainedModel
    from deepdft.structures import file_name

    assert isinstance(model, TrainedModel)
    for item in found:
        path = Path(f"{file_name(item.name)}_{name}.cube")
        write_volume(
            name, path, item.atoms, model,
            choose_grid(item.atoms, spacing=spacing, vacuum=vacuum),
        )  # fmt: skip
        console.print(f"written: {path}", highlight=False, soft_wrap=True)
