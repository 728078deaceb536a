"""`deepdft dft start`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from deepdft.cli.common import give
from deepdft.cli.structure_inputs import ChosenModel, Ordered, is_setting, print_notes
from deepdft.errors import ConfigurationError

if TYPE_CHECKING:
    from ase import Atoms

    from deepdft.density import Density, Grid


def start(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="STRUCTURE [KEY=VALUE]...",
            help="One crystal; settings of the calculation, as of `deepdft dft run`.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Is made.")],
    program: Annotated[str, typer.Option(help="quantum-espresso.")] = "quantum-espresso",
    model: ChosenModel = None,
    density: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A density instead of a prediction.")
    ] = None,
    ordered: Ordered = False,
) -> None:
    """Leave a folder in which a DFT program begins from a predicted density.

    `pw.x -in scf.in` there runs it. `deepdft dft settings quantum-espresso` lists the settings.

    Examples:

    deepdft dft start NaCl.cif -o NaCl pseudopotentials=FOLDER

    deepdft dft start slab.cif -o slab -m runs/mine kpoints=[4,4,1] cutoff=60
    """
    from deepdft.dft import create_calculation
    from deepdft.dft.quantum_espresso_input import QuantumEspressoSettings
    from deepdft.dft.quantum_espresso_start import INPUT, prepare_start, require_startable
    from deepdft.structures import ReadOptions, read_structures

    if program != "quantum-espresso":
        raise ConfigurationError(
            f"Folders to start from are made for quantum-espresso, not for '{program}'."
        )
    settings = [text for text in arguments if is_setting(text)]
    paths = [text for text in arguments if text not in settings]
    found = [item for path in paths for item in read_structures(path, ReadOptions(ordered=ordered))]
    if len(found) != 1:
        raise ConfigurationError(f"One structure is started at a time, not {len(found)}.")
    calculation = create_calculation(program, settings)
    assert isinstance(calculation.settings, QuantumEspressoSettings)
    atoms = found[0].atoms
    require_startable(atoms, calculation.settings)
    calculation.check([atoms])
    console = Console(highlight=False, soft_wrap=True, markup=False)
    print_notes(console, found)
    if density is None:
        density_on, words = _predicted(atoms, model)
    else:
        density_on, words = _from_file(density)
    prepared = prepare_start(atoms, density_on, calculation.settings, output)
    console.print(
        f"written: {output} ({words}, {prepared.electrons:.3f} electrons); "
        f"run 'pw.x -in {INPUT}' there"
    )
    give(
        {
            "folder": output,
            "input": INPUT,
            "begins_with": words,
            "electrons": prepared.electrons,
            "settings": calculation.settings.model_dump(mode="json"),
        }
    )


def _predicted(atoms: Atoms, name: str | None) -> tuple[Callable[[Grid], Density], str]:
    from deepdft.prediction import predict, resolve_model

    model = resolve_model(name, atoms)

    def on_grid(grid: Grid) -> Density:
        return predict(atoms, model, grid=grid)

    why = "" if name else f", the bundled one for {model.coverage.purpose}"
    return on_grid, f"begins with the density of the model {model.name}{why}"


def _from_file(path: Path) -> tuple[Callable[[Grid], Density], str]:
    from deepdft.formats import read

    density = read(path)
    return lambda grid: density, f"begins with {path}"
