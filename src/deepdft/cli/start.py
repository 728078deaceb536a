"""`deepdft dft start`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from deepdft.cli.common import give
from deepdft.cli.structure_inputs import ChosenModel, Ordered, is_setting, print_notes
from deepdft.errors import ConfigurationError

if TYPE_CHECKING:
    from ase import Atoms

    from deepdft.density import Density, Grid
    from deepdft.prediction import TrainedModel
    from deepdft.structures import Structure

_CRYSTALS = "quantum-espresso"


def start(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="STRUCTURE [KEY=VALUE]...",
            help="One crystal; one molecule for cp2k and pyscf, or a cell for cp2k; settings "
            "of quantum-espresso, as of `deepdft dft run`.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Is made.")],
    program: Annotated[
        str, typer.Option(help="quantum-espresso, cp2k or pyscf.")
    ] = "quantum-espresso",
    model: ChosenModel = None,
    density: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A density instead of a prediction.")
    ] = None,
    ordered: Ordered = False,
    any_structure: Annotated[
        bool,
        typer.Option(
            "--any-structure", help="For cp2k and pyscf: begin so even where it may not pay."
        ),
    ] = False,
) -> None:
    """Leave a folder in which a DFT program begins from a predicted density.

    Crystals for Quantum ESPRESSO, whose settings `deepdft dft settings quantum-espresso` lists;
    molecules for CP2K and PySCF, which begin with orbitals made of the density, and cells for CP2K,
    at the Gamma point.

    Examples:

    deepdft dft start NaCl.cif -o NaCl pseudopotentials=FOLDER

    deepdft dft start "CC(=O)O" -o acid --program cp2k
    """
    from deepdft.structures import ReadOptions, read_structures

    settings = [text for text in arguments if is_setting(text)]
    paths = [text for text in arguments if text not in settings]
    found = [item for path in paths for item in read_structures(path, ReadOptions(ordered=ordered))]
    if len(found) != 1:
        raise ConfigurationError(f"One structure is started at a time, not {len(found)}.")
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if program == _CRYSTALS:
        done = _started_crystal(console, found[0], model, density, settings, output)
    else:
        _require_molecular(program, settings, density)
        done = _started_molecule(console, found[0], program, model, any_structure, output)
    give({"folder": output, **done})


def _started_crystal(
    console: Console, found: Structure, model: str | None, density: Path | None,
    settings: list[str], output: Path,
) -> dict[str, Any]:  # fmt: skip
    from deepdft.dft import create_calculation
    from deepdft.dft.quantum_espresso_input import QuantumEspressoSettings
    from deepdft.dft.quantum_espresso_start import INPUT, prepare_start, require_startable

    calculation = create_calculation(_CRYSTALS, settings)
    assert isinstance(calculation.settings, QuantumEspressoSettings)
    require_startable(found.atoms, calculation.settings)
    calculation.check([found.atoms])
    print_notes(console, [found])
    if density is None:
        density_on, words = _predicted(found.atoms, model)
    else:
        density_on, words = _from_file(density)
    prepared = prepare_start(found.atoms, density_on, calculation.settings, output)
    console.print(
        f"written: {output} ({words}, {prepared.electrons:.3f} electrons); "
        f"run 'pw.x -in {INPUT}' there"
    )
    return {
        "input": INPUT,
        "begins_with": words,
        "electrons": prepared.electrons,
        "settings": calculation.settings.model_dump(mode="json"),
    }


def _require_molecular(program: str, settings: list[str], density: Path | None) -> None:
    """Raise `ConfigurationError` for what only crystals can be started with."""
    from deepdft.electronic.start_folders import PROGRAMS

    if program not in PROGRAMS:
        raise ConfigurationError(
            f"Folders to start from are made for {_CRYSTALS}, {' and '.join(PROGRAMS)}, not for "
            f"'{program}'."
        )
    if settings:
        raise ConfigurationError(
            f"Settings are those of {_CRYSTALS}; for {program} change the input in the folder, "
            f"and leave out {settings[0]}."
        )
    if density is not None:
        raise ConfigurationError(
            f"A file's grid is too coarse to make orbitals of; --density is for {_CRYSTALS}."
        )


def _started_molecule(
    console: Console, found: Structure, program: str, model: str | None, any_structure: bool,
    output: Path,
) -> dict[str, Any]:  # fmt: skip
    from deepdft.electronic import ElectronicStructure
    from deepdft.electronic.start_folders import start_folder, trusted
    from deepdft.prediction import resolve_model

    print_notes(console, [found])
    chosen = resolve_model(model, found.atoms)
    structure = trusted(chosen, chosen.engine(found.atoms), any_structure=any_structure)
    command, words = start_folder(structure, program, output), _words(chosen, model)
    done: dict[str, Any] = {"command": command, "begins_with": words}
    if isinstance(structure, ElectronicStructure):
        done["bracket"] = structure.bracket
        words += f", energies {1000 * structure.bracket:.1f} meV apart"
    console.print(f"written: {output} ({words}); run '{command}' there")
    return done


def _words(model: TrainedModel, name: str | None) -> str:
    why = "" if name else f", the bundled one for {model.coverage.purpose}"
    return f"begins with the density of the model {model.name}{why}"


def _predicted(atoms: Atoms, name: str | None) -> tuple[Callable[[Grid], Density], str]:
    from deepdft.prediction import predict, resolve_model

    model = resolve_model(name, atoms)

    def on_grid(grid: Grid) -> Density:
        return predict(atoms, model, grid=grid)

    return on_grid, _words(model, name)


def _from_file(path: Path) -> tuple[Callable[[Grid], Density], str]:
    from deepdft.formats import read

    density = read(path)
    return lambda grid: density, f"begins with {path}"
