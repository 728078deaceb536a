"""A reference calculation that takes no time and does as it is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.dft import CalculatedDensity, CalculationSettings, ReferenceCalculation
from deepdft.errors import CalculationError
from deepdft.levels import LevelOfTheory

PBE = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")


class FakeSettings(CalculationSettings):
    """Each structure is known by `atoms.info["job"]`."""

    journal: str = ""
    width: float = 0.6
    orbitals: bool = False


class FakeCalculation(ReferenceCalculation):
    """Writes a line in the journal for every calculation that begins, and one when it ends.

    `atoms.info["job"]` may be "fail", "die", "raise", "wait:FILE" (until the file exists) or
    "child:FILE" (wait, while a program it has started waits as well).
    """

    name = "fake"
    Settings: ClassVar[type[CalculationSettings]] = FakeSettings
    settings: FakeSettings

    @property
    def level(self) -> LevelOfTheory:
        return PBE

    def versions(self) -> dict[str, str]:
        return {"fake": "1.0"}

    def run(self, atoms: Atoms, directory: Path) -> CalculatedDensity:
        job, _, argument = str(atoms.info.get("job", "")).partition(":")
        name = directory.name
        self._note(f"begin {name} {os.environ['OMP_NUM_THREADS']}")
        Path("stray.txt").write_text("left in the working folder")
        print("printed by the program")
        if job == "fail":
            raise CalculationError("It does not converge.")
        if job == "raise":
            raise RuntimeError("something\nelse")
        if job == "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        if job == "child":
            program = "import sys, time; open(sys.argv[1], 'w').write('x'); time.sleep(60)"
            child = subprocess.Popen([sys.executable, "-c", program, f"{argument}.child"])
            self._note(f"child {child.pid}")
        while job in ("wait", "child") and not Path(argument).exists():
            time.sleep(0.01)
        self._note(f"end {name}")
        if self.settings.orbitals:
            from tests.small_data import orbital_density

            return CalculatedDensity(orbital_density("H2O", 3), -5.5, 4, 0.1)
        grid = Grid.of_cell(atoms, 0.8)
        plain = atoms.copy()
        plain.set_initial_magnetic_moments(None)
        distance = np.linalg.norm(grid.points() - plain.positions.mean(axis=0), axis=-1)
        values = np.exp(-0.5 * (distance / self.settings.width) ** 2)
        density = Density(plain, grid, values, level=PBE)
        moments = None
        if atoms.has("initial_magmoms"):
            moments = atoms.get_initial_magnetic_moments()
            density = Density(plain, grid, density.values, 0.5 * density.values, PBE)
        return CalculatedDensity(
            density, -10.0, 7, 0.25, moments, None if moments is None else moments / 2,
            total_moment=None if moments is None else 1.5, details={"gap": np.float64(2.5)},
        )  # fmt: skip

    def _note(self, line: str) -> None:
        with Path(self.settings.journal).open("a") as file:
            file.write(line + "\n")
