"""Periodic reference calculations with Quantum ESPRESSO's pw.x: plane waves, k-points, spins."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.dft.calculation import CalculatedDensity, CalculationSettings, ReferenceCalculation
from deepdft.dft.pseudopotentials import (
    Pseudopotential,
    pseudopotential_folder,
    pseudopotentials_for,
)
from deepdft.dft.quantum_espresso_input import (
    PREFIX,
    QuantumEspressoSettings,
    input_text,
    is_spin_polarised,
    kpoints,
)
from deepdft.errors import CalculationError, MissingDependencyError, UnsupportedStructureError
from deepdft.formats import read
from deepdft.levels import LevelOfTheory
from deepdft.units import HARTREE

SAVE = f"{PREFIX}.save"
"""The folder that pw.x leaves, with the density in `charge-density.dat` or `.hdf5`."""


class QuantumEspressoCalculation(ReferenceCalculation):
    """pw.x at a mesh of k-points."""

    name = "quantum-espresso"
    Settings: ClassVar[type[CalculationSettings]] = QuantumEspressoSettings
    settings: QuantumEspressoSettings

    @property
    def level(self) -> LevelOfTheory:
        """PBE/PseudoDojo NC-SR 0.4/80 Ry by default."""
        settings = self.settings
        return LevelOfTheory(
            settings.functional, settings.core, f"{settings.cutoff:g} Ry", "Quantum ESPRESSO"
        )

    def versions(self) -> dict[str, str]:
        """Return pw.x's version.

        Raises:
            MissingDependencyError: if it is not installed.
        """
        run = subprocess.run(
            [_program(), "-in", os.devnull], capture_output=True, text=True, check=False
        )
        found = re.search(r"Program PWSCF v\.?(\S+)", run.stdout)
        return {"quantum-espresso": found.group(1) if found else "unknown"}

    def check(self, structures: Sequence[Atoms]) -> None:
        """Refuse structures before anything runs: molecules, elements without pseudopotential.

        Raises:
            UnsupportedStructureError: if a structure is not periodic.
            ConfigurationError: if a pseudopotential is missing.
        """
        for atoms in structures:
            if not atoms.pbc.all():
                raise UnsupportedStructureError(
                    f"{atoms.get_chemical_formula()} is not periodic in three directions; "
                    "calculate molecules with the program pyscf."
                )
        pseudopotentials_for(structures, pseudopotential_folder(self.settings.pseudopotentials))

    def run(self, atoms: Atoms, directory: Path) -> CalculatedDensity:
        """Calculate one structure; gentler mixing is tried where pw.x does not converge.

        Args:
            atoms: the structure, periodic in three directions; its initial magnetic moments are
                started from.
            directory: gets input, output and what pw.x saves.

        Raises:
            CalculationError: if it does not converge with any mixing, or pw.x fails.
            UnsupportedStructureError: if the structure is not periodic.
            ConfigurationError: if a pseudopotential is missing.
        """
        self.check([atoms])
        folder = pseudopotential_folder(self.settings.pseudopotentials)
        files = pseudopotentials_for([atoms], folder)
        started = time.monotonic()
        text, tried = converge(atoms, self.settings, files, Path(directory))
        spin = is_spin_polarised(atoms, self.settings)
        return CalculatedDensity(
            saved_density(Path(directory) / SAVE, atoms, self.level),
            energy=total_energy(text),
            iterations=iterations(text),
            seconds=time.monotonic() - started,
            initial_moments=atoms.get_initial_magnetic_moments() if spin else None,
            total_moment=_total_moment(text) if spin else None,
            details={
                "kpoints": list(kpoints(atoms, self.settings)),
                "mixings_tried": tried,
                "pseudopotentials": {symbol: file.digest for symbol, file in files.items()},
            },
        )


def converge(
    atoms: Atoms,
    settings: QuantumEspressoSettings,
    files: Mapping[str, Pseudopotential],
    directory: Path,
    *,
    density_from_file: bool = False,
) -> tuple[str, int]:
    """Run pw.x with gentler and gentler mixing until it converges.

    Args:
        atoms: the structure.
        settings: the settings in force.
        files: pseudopotential of each element.
        directory: where it runs.
        density_from_file: begin with the density in the save folder.

    Returns:
        The output of the first mixing that converges, and how many were tried.

    Raises:
        CalculationError: if none does, or pw.x fails.
    """
    for tried, mixing in enumerate(settings.mixing, start=1):
        text = execute(
            input_text(
                atoms, settings, files, mixing=mixing, density_from_file=density_from_file
            ),
            directory,
            "scf",
        )  # fmt: skip
        if "convergence has been achieved" in text:
            return text, tried
        if "convergence NOT achieved" not in text:
            raise CalculationError(failure(text, directory / "scf.out"))
    raise CalculationError(
        f"pw.x did not converge with any mixing of {settings.mixing}; its output is "
        f"{directory / 'scf.out'}."
    )


def execute(text: str, directory: Path, name: str) -> str:
    """Run pw.x in a folder; return its output, which is `NAME.out` there as well.

    Raises:
        MissingDependencyError: if pw.x is not installed.
    """
    (directory / f"{name}.in").write_text(text)
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    with (directory / f"{name}.out").open("w") as output:
        subprocess.run(
            [_program(), "-in", f"{name}.in"],
            cwd=directory,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            check=False,
        )
    return (directory / f"{name}.out").read_text(errors="replace")


def saved_density(folder: Path, atoms: Atoms, level: LevelOfTheory) -> Density:
    """Return the density that pw.x has saved, with the structure's own cell and positions.

    Raises:
        CalculationError: if there is none.
    """
    for name in ("charge-density.dat", "charge-density.hdf5"):
        if (folder / name).exists():
            found = read(folder / name)
            # The file's lengths are in units of a lattice constant and rounded.
            grid = Grid(np.asarray(atoms.cell), found.grid.shape)
            return replace(found, atoms=atoms.copy(), grid=grid, level=level)
    raise CalculationError(f"pw.x has saved no density in {folder}.")


def total_energy(text: str) -> float:
    """Return the final energy of an output of pw.x, eV.

    Raises:
        CalculationError: if there is none.
    """
    found = re.findall(r"^!\s+total energy\s+=\s+(-?\d+\.\d+) Ry", text, re.MULTILINE)
    if not found:
        raise CalculationError("The output of pw.x has no total energy.")
    return float(found[-1]) * HARTREE / 2


def iterations(text: str) -> int:
    """Return the number of iterations after which pw.x converged (0 where it did not)."""
    found = re.search(r"convergence has been achieved in\s+(\d+) iterations", text)
    return int(found.group(1)) if found else 0


def processor_seconds(text: str) -> float:
    """Return the time of processors that pw.x says it took.

    Raises:
        CalculationError: if it does not say.
    """
    found = re.search(r"PWSCF\s*:(?:\s*(\d+)h)?(?:\s*(\d+)m)?\s*(?:([\d.]+)s)?\s*CPU", text)
    if found is None:
        raise CalculationError("The output of pw.x does not say what time it took.")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


def _total_moment(text: str) -> float | None:
    found = re.findall(r"total magnetization\s+=\s+(-?\d+\.\d+) Bohr", text)
    return float(found[-1]) if found else None


def failure(text: str, where: Path) -> str:
    """Return a sentence on why pw.x ended early, from its output."""
    reason = re.search(r"Error in routine.*?\n\s*(.*?)\n\s*%%", text, re.DOTALL)
    said = f": {' '.join(reason.group(1).split())}" if reason else ""
    return f"pw.x ended early{said}; its output is {where}."


def _program() -> str:
    found = shutil.which("pw.x")
    if found is None:
        raise MissingDependencyError(
            "Quantum ESPRESSO is not installed: no program called pw.x is on the path; on Debian "
            "and Ubuntu 'apt install quantum-espresso' installs it."
        )
    return found
