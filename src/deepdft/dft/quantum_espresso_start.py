"""Calculations with pw.x that begin from a density which is there: ``startingpot = 'file'``.

pw.x reads charge-density.dat in the order of its own plane waves, so a run of one step at the
Gamma point, with few plane waves for the orbitals, leaves a file in that order first. It costs a
fraction of one step of the calculation itself. Then the density takes its place.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.dft.pseudopotentials import (
    Pseudopotential,
    pseudopotential_folder,
    pseudopotentials_for,
)
from deepdft.dft.quantum_espresso import SAVE, execute, failure
from deepdft.dft.quantum_espresso_bands import Bands, read_bands
from deepdft.dft.quantum_espresso_input import (
    QuantumEspressoSettings,
    input_text,
    is_spin_polarised,
)
from deepdft.errors import CalculationError, ConfigurationError, UnsupportedStructureError
from deepdft.formats import write
from deepdft.formats.quantum_espresso_schema import NAME, read_calculation

INPUT = "scf.in"
MOST_OFF = 0.02
"""Part of its electrons that a density may lack, or have too much, to be begun with."""
_ORBITAL_CUTOFF = 20.0
"""Of the run that lays out the plane waves of the density, Ry."""


@dataclass(frozen=True)
class PreparedStart:
    """A folder in which pw.x begins from a density.

    Attributes:
        directory: the folder; ``pw.x -in scf.in`` there runs the calculation.
        settings: of the calculation.
        files: pseudopotential of each element.
        electrons: that the density held; it was scaled to the right number.
    """

    directory: Path
    settings: QuantumEspressoSettings
    files: dict[str, Pseudopotential]
    electrons: float


def prepare_start(
    atoms: Atoms,
    density_on: Callable[[Grid], Density],
    settings: QuantumEspressoSettings,
    directory: str | Path,
) -> PreparedStart:
    """Leave a folder in which pw.x begins from a density instead of superposed atoms.

    Args:
        atoms: the structure, periodic in three directions.
        density_on: returns the density on a grid, that of pw.x, as `deepdft.predict` does.
        settings: of the calculation.
        directory: made if missing; gets `scf.in` and the save folder, with the density
            scaled to the right number of electrons.

    Raises:
        UnsupportedStructureError: if spins are distinguished, or the structure is not periodic.
        ConfigurationError: if a pseudopotential is missing, or the density is of another structure,
            level of theory or number of electrons.
        CalculationError: if pw.x does not run.
    """
    require_startable(atoms, settings)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    files = pseudopotentials_for([atoms], pseudopotential_folder(settings.pseudopotentials))
    schema = _lay_out(atoms, settings, files, directory)
    calculation = read_calculation(schema)
    density = density_on(Grid(np.asarray(atoms.cell), calculation.shape))
    # Without iterations pw.x does not scale a density to the number of electrons itself.
    write(directory / SAVE / "charge-density.dat", _scaled(density, calculation.electrons))
    text = input_text(atoms, settings, files, mixing=settings.mixing[0], density_from_file=True)
    (directory / INPUT).write_text(text)
    return PreparedStart(directory, settings, files, density.n_electrons)


def _scaled(density: Density, electrons: float) -> Density:
    """Return a density that holds a number of electrons, which it must hold almost by itself."""
    found = density.n_electrons
    if abs(found - electrons) > MOST_OFF * electrons:
        raise ConfigurationError(
            f"The density of {density.atoms.get_chemical_formula()} integrates to {found:.4f} "
            f"electrons, and the calculation has {electrons:g}."
        )
    values = np.asarray(density.values, dtype=np.float64)
    return replace(density, values=values * (electrons / found))


def bands_of_density(
    atoms: Atoms,
    settings: QuantumEspressoSettings,
    files: dict[str, Pseudopotential],
    directory: Path,
    empty: int = 8,
) -> Bands:
    """Return the bands of the density in a save folder, without making it self-consistent.

    Args:
        atoms: the structure.
        settings: of the calculation.
        files: pseudopotential of each element.
        directory: what `prepare_start` left, or where pw.x has run.
        empty: bands above those that would be filled.

    Raises:
        CalculationError: if pw.x does not run.
    """
    valence = sum(files[symbol].valence for symbol in atoms.get_chemical_symbols())
    text = execute(
        input_text(
            atoms, settings, files, mixing=settings.mixing[0], calculation="nscf",
            bands=int(np.ceil(valence / 2)) + empty,
        ),
        directory,
        "nscf",
    )  # fmt: skip
    if "JOB DONE" not in text:
        raise CalculationError(failure(text, directory / "nscf.out"))
    return read_bands(directory / SAVE)


def require_startable(atoms: Atoms, settings: QuantumEspressoSettings) -> None:
    """Refuse structures whose calculation cannot begin from a total density.

    Raises:
        UnsupportedStructureError: if spins are distinguished, or the structure is not periodic.
    """
    formula = atoms.get_chemical_formula()
    if not atoms.pbc.all():
        raise UnsupportedStructureError(f"{formula} is not periodic in three directions.")
    if is_spin_polarised(atoms, settings):
        raise UnsupportedStructureError(
            f"{formula} has magnetic moments: a spin-polarised calculation begins from two "
            "densities, and only their sum is known. Remove the moments (spin_polarised=false) to "
            "begin without, or let pw.x begin from atoms."
        )


def _lay_out(
    atoms: Atoms,
    settings: QuantumEspressoSettings,
    files: dict[str, Pseudopotential],
    directory: Path,
) -> Path:
    """Run pw.x for one step; return the description of what it has saved."""
    small = settings.model_copy(
        update={
            "cutoff": min(_ORBITAL_CUTOFF, settings.cutoff),
            "density_cutoff": settings.density_cutoff or 4 * settings.cutoff,
            "kpoints": (1, 1, 1),
            "max_iterations": 1,
            "convergence": 1.0,
        }
    )
    shutil.rmtree(directory / SAVE, ignore_errors=True)
    text = execute(input_text(atoms, small, files, mixing=0.5), directory, "layout")
    schema = directory / SAVE / NAME
    if not schema.exists() or not (directory / SAVE / "charge-density.dat").exists():
        raise CalculationError(failure(text, directory / "layout.out"))
    return schema
