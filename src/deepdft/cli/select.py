"""`deepdft select`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from deepdft.cli.common import give
from deepdft.cli.computing_options import Threads
from deepdft.cli.structure_inputs import ChosenModel, Refusals, Skip

if TYPE_CHECKING:
    from deepdft.prediction import TrainedModel
    from deepdft.structures import Structure
    from deepdft.uncertainty.selection import Candidate, Choice


def select(
    pool: Annotated[
        list[str],
        typer.Argument(metavar="POOL...", help="Structure files (all frames) and folders of them."),
    ],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many to choose.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="Extended XYZ file to write."),
    ] = Path("chosen.extxyz"),
    model: ChosenModel = None,
    known: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Structures calculated already that the model was not trained on (repeat).",
        ),
    ] = None,
    cost_exponent: Annotated[
        float,
        typer.Option(
            min=0.0, max=2.0, help="How much the cost of a calculation counts; 0: not at all."
        ),
    ] = 0.3,
    threads: Threads = None,
    skip: Skip = False,
) -> None:
    """Choose the structures whose densities would teach a model most.

    Large expected errors, surroundings that training lacks, no two alike, rather cheap than
    expensive (docs/selection.md). What is written is calculated by `deepdft dft run`.

    Examples:

    deepdft select pool.extxyz -n 20 -o next.extxyz

    deepdft select molecules/ -n 50 -m runs/mine --known runs/second.extxyz --json next.json
    """
    from deepdft.uncertainty.selection import choose

    console = Console(highlight=False, soft_wrap=True, markup=False)
    refusals = Refusals(skip)
    structures = _read(pool, refusals)
    chosen_model = _model(model, structures, refusals)
    chosen_model.threads = threads
    chosen_model.require_error_model()
    candidates = _candidates(chosen_model, structures, refusals, console)
    learned = _candidates(chosen_model, _read(known, refusals), refusals, console) if known else []
    choices = choose(candidates, count, known=learned, cost_exponent=cost_exponent)
    why = "" if model else f": the bundled one for {chosen_model.coverage.purpose}"
    console.print(f"model {chosen_model.name} ({chosen_model.level}){why}")
    console.print(_table(choices, len(candidates)))
    _write(output, choices)
    console.print(f"written: {output} ({len(choices)} of {len(candidates)} structures)")
    give({"model": chosen_model.name, "chosen": [choice.as_dict() for choice in choices]})
    refusals.finish(console)


def _read(paths: list[str], refusals: Refusals) -> list[Structure]:
    from deepdft.dft import read_inputs

    return read_inputs(paths, refused=refusals.add)


def _model(name: str | None, structures: list[Structure], refusals: Refusals) -> TrainedModel:
    """Return the model named, or the bundled one that was made for the pool.

    Where structures are skipped, and no model was made for all, it is that of the first one that
    any model was made for.
    """
    from deepdft.errors import UnsupportedStructureError
    from deepdft.prediction import resolve_model

    atoms = [structure.atoms for structure in structures]
    try:
        return resolve_model(name, atoms)
    except UnsupportedStructureError as error:
        if not refusals.skip:
            raise
        found = error
    for single in atoms:
        try:
            return resolve_model(name, single)
        except UnsupportedStructureError:
            continue
    raise found


def _candidates(
    model: TrainedModel, structures: list[Structure], refusals: Refusals, console: Console
) -> list[Candidate]:
    from rich.progress import track

    from deepdft.errors import UnsupportedStructureError
    from deepdft.kernels.announcement import told_of_compilation
    from deepdft.uncertainty.selection import candidate

    found = []
    with told_of_compilation(lambda: console.print("compiling for this processor, once")):
        for structure in track(structures, "looking", console=console, transient=True):
            try:
                found.append(candidate(model, structure))
            except UnsupportedStructureError as error:
                refusals.add(
                    structure.name, UnsupportedStructureError(f"{structure.name}: {error}")
                )
    return found


def _table(choices: list[Choice], pool: int) -> Table:
    table = Table(title=f"{len(choices)} of {pool} structures, the most instructive first")
    for column in ("", "name", "formula"):
        table.add_column(column)
    for column in ("expected eps_mae / %", "distance", "new / %", "cost"):
        table.add_column(column, justify="right")
    for choice in choices:
        table.add_row(
            str(choice.rank), choice.structure.name, choice.structure.atoms.get_chemical_formula(),
            f"{100 * choice.eps_mae:.2f}", f"{choice.distance:.2f}", f"{100 * choice.new:.0f}",
            f"{choice.cost:.3g}",
        )  # fmt: skip
    return table


def _write(path: Path, choices: list[Choice]) -> None:
    from ase.io import write

    from deepdft.storage.whole_files import replace_file

    frames = []
    for choice in choices:
        atoms = choice.structure.atoms.copy()
        atoms.info = {**atoms.info, "name": choice.structure.name}
        frames.append(atoms)
    text = io.StringIO()
    write(text, frames, format="extxyz")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.getvalue().encode())
