"""Periodic reference calculations with CP2K: Gaussian and plane waves, GTH pseudopotentials."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from deepdft.density import Density
from deepdft.dft.calculation import CalculatedDensity, CalculationSettings, ReferenceCalculation
from deepdft.errors import CalculationError, MissingDependencyError, UnsupportedStructureError
from deepdft.fields.orbitals import OrbitalDensity, Shell, load_basis
from deepdft.formats import read
from deepdft.formats.molden import read_molden
from deepdft.levels import LevelOfTheory
from deepdft.units import HARTREE

PROGRAMS = ("cp2k.psmp", "cp2k.ssmp", "cp2k.popt", "cp2k.sopt", "cp2k")
"""Names of the program, the preferred first."""

_PROJECT = "deepdft"
_DATA = "/usr/share/cp2k"


class CP2KSettings(CalculationSettings):
    """Settings of a calculation with CP2K; defaults are those of the shipped liquid's data."""

    functional: str = Field("PBE", description="A functional that XC_FUNCTIONAL knows by name.")
    density: Literal["orbitals", "grid"] = Field(
        "orbitals",
        description="What is kept: occupied orbitals (closed shells, basis shipped), or CP2K's "
        "grid, as it always is for spin-polarised calculations.",
    )
    basis: str = Field("DZVP-MOLOPT-SR-GTH", description="Basis set of BASIS_MOLOPT.")
    cutoff: float = Field(280.0, gt=0, description="Plane-wave cutoff of the density, Ry.")
    relative_cutoff: float = Field(40.0, gt=0, description="REL_CUTOFF of the multigrid, Ry.")
    multigrids: int = Field(5, ge=1, description="NGRIDS, levels of the multigrid.")
    accuracy: float = Field(1e-8, gt=0, description="EPS_DEFAULT, cut of Gaussians and integrals.")
    convergence: float = Field(5e-5, gt=0, description="EPS_SCF, the largest density change.")
    max_iterations: int = Field(60, ge=1, description="Iterations before giving up.")
    mixing: float = Field(0.4, gt=0, le=1, description="ALPHA of Broyden mixing.")
    broyden_history: int = Field(8, ge=1, description="NBROYDEN.")
    spin_polarised: bool = Field(False, description="Unrestricted; the spin density is kept.")
    charge: int = Field(0, description="Net charge of the cell, e.")


class CP2KCalculation(ReferenceCalculation):
    """CP2K at the Gamma point, diagonalisation with Broyden mixing."""

    name = "cp2k"
    Settings: ClassVar[type[CalculationSettings]] = CP2KSettings
    settings: CP2KSettings

    @property
    def level(self) -> LevelOfTheory:
        """PBE/GTH-PBE and the basis by default."""
        settings = self.settings
        return LevelOfTheory(
            settings.functional, f"GTH-{settings.functional}", settings.basis.lower(), "CP2K"
        )

    def calculated_charge(self, atoms: Atoms) -> int:
        """The charge of the settings; without one there, that of the structure is refused."""
        return self.settings.charge

    @property
    def closed_shells_only(self) -> bool:
        """Whether spin is left out."""
        return not self.settings.spin_polarised

    def versions(self) -> dict[str, str]:
        """Return CP2K's version.

        Raises:
            MissingDependencyError: if CP2K is not installed.
        """
        text = subprocess.run(
            [_program(), "--version"], capture_output=True, text=True, check=False
        ).stdout
        found = re.search(r"CP2K version\s+(\S+)", text)
        return {"cp2k": found.group(1) if found else "unknown"}

    def run(self, atoms: Atoms, directory: Path) -> CalculatedDensity:
        """Calculate one structure, which must have a cell.

        Args:
            atoms: the structure, periodic in three directions.
            directory: gets input, output and the density files.

        Raises:
            CalculationError: if it does not converge or CP2K fails.
            UnsupportedStructureError: if the structure is not periodic.
        """
        if not atoms.pbc.all():
            raise UnsupportedStructureError(
                "CP2K is used for structures that are periodic in three directions; "
                "calculate molecules with the program pyscf."
            )
        directory = Path(directory)
        (directory / "input.inp").write_text(input_text(atoms, self.settings))
        started = time.monotonic()
        output = execute(directory)
        seconds = time.monotonic() - started
        energy, iterations = parse_output(output, directory / "output.out")
        density = _read_density(directory, atoms, self.settings.spin_polarised, self.level)
        if keeps_orbitals(self.settings):
            orbitals = read_orbitals(directory / f"{_PROJECT}-MOS-1_0.molden", atoms, self.level)
            difference = grid_difference(orbitals, density)
            return CalculatedDensity(
                orbitals, energy, iterations, seconds, details={"eps_mae_to_grid": difference}
            )
        total = None if density.spin is None else float(np.sum(density.total_spin or 0.0))
        return CalculatedDensity(
            density,
            energy,
            iterations,
            seconds,
            initial_moments=None if total is None else atoms.get_initial_magnetic_moments(),
            total_moment=total,
        )


def keeps_orbitals(settings: CP2KSettings) -> bool:
    """Return whether the density is kept as orbitals."""
    return settings.density == "orbitals" and not settings.spin_polarised


def read_orbitals(path: Path, atoms: Atoms, level: LevelOfTheory) -> OrbitalDensity:
    """Return the occupied orbitals that CP2K wrote, in the shipped basis of `level`.

    Raises:
        CalculationError: if the file's basis functions are not those of the shipped basis.
        FileFormatError: if the orbitals are not orthonormal or the file is damaged.
    """
    # CP2K 2023.1 leaves out the cell, without which the orbitals are not orthonormal.
    text = path.read_text()
    if "[Cell]" not in text:
        vectors = "".join(
            " ".join(f"{x:.10f}" for x in vector) + "\n" for vector in np.asarray(atoms.cell)
        )
        path.write_text(text.replace("[GTO]", f"[Cell]\n{vectors} [GTO]", 1))
    found = read_molden(path)
    basis = load_basis(level.basis)
    # The file's positions are rounded; the structure's are not.
    density = OrbitalDensity(atoms.copy(), basis, found.coefficients, found.occupations, level)
    for known, read_shells in zip(density.shells, found.shells, strict=True):
        if not _same_functions(known, read_shells):
            raise CalculationError(
                f"The basis functions in {path} are not those of {basis.name} as shipped; "
                "calculate with density=grid."
            )
    return density


def _same_functions(first: tuple[Shell, ...], second: tuple[Shell, ...]) -> bool:
    flat = [
        [(shell.angular_momentum, shell.exponents, row) for shell in shells
         for row in shell.coefficients]
        for shells in (first, second)
    ]  # fmt: skip
    return len(flat[0]) == len(flat[1]) and all(
        a[0] == b[0] and np.allclose(a[1], b[1], rtol=1e-6) and np.allclose(a[2], b[2], atol=1e-5)
        for a, b in zip(*flat, strict=True)
    )


def grid_difference(orbitals: OrbitalDensity, density: Density, count: int = 2000) -> float:
    """Return eps_mae between orbitals and CP2K's grid, estimated from random points of the grid.

    The grid differs a little, because CP2K adds products of Gaussians up on coarser grids and
    interpolates them.
    """
    chosen = np.random.default_rng(0).choice(
        density.grid.n_points, min(count, density.grid.n_points)
    )
    indices = np.stack(np.unravel_index(chosen, density.grid.shape), axis=1)
    points = density.grid.origin + (indices / density.grid.shape) @ density.grid.cell
    exact = orbitals.at(points)
    return float(np.abs(density.values[tuple(indices.T)] - exact).sum() / exact.sum())


def input_text(atoms: Atoms, settings: CP2KSettings, start: str | None = None) -> str:
    """Return CP2K's input file for one energy calculation that writes the density.

    Args:
        atoms: the structure.
        settings: of the calculation.
        start: a wave function file in the same folder to begin with, instead of atoms.
    """
    cell = "\n".join(
        f"      {axis} " + " ".join(f"{x:.10f}" for x in vector)
        for axis, vector in zip("ABC", np.asarray(atoms.cell), strict=True)
    )
    kinds, labels = _kinds(atoms, settings)
    coordinates = "\n".join(
        f"      {label} " + " ".join(f"{x:.10f}" for x in position)
        for label, position in zip(labels, atoms.positions, strict=True)
    )
    restart = f"    WFN_RESTART_FILE_NAME {start}\n" if start else ""
    spin = ""
    if settings.spin_polarised:
        moment = round(abs(float(atoms.get_initial_magnetic_moments().sum())))
        spin = f"    UKS\n    MULTIPLICITY {moment + 1}\n"
    orbitals = ""
    if keeps_orbitals(settings):
        orbitals = "      &MO_MOLDEN\n        NDIGITS 12\n        GTO_KIND SPHERICAL\n"
        orbitals += "      &END MO_MOLDEN\n"
    return f"""&GLOBAL
  PROJECT {_PROJECT}
  RUN_TYPE ENERGY
  PRINT_LEVEL LOW
&END GLOBAL
&FORCE_EVAL
  METHOD QS
  &DFT
    BASIS_SET_FILE_NAME BASIS_MOLOPT
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    CHARGE {settings.charge}
{restart}{spin}    &QS
      EPS_DEFAULT {settings.accuracy:.3E}
    &END QS
    &MGRID
      CUTOFF {settings.cutoff}
      REL_CUTOFF {settings.relative_cutoff}
      NGRIDS {settings.multigrids}
    &END MGRID
    &SCF
      SCF_GUESS {"RESTART" if start else "ATOMIC"}
      EPS_SCF {settings.convergence:.3E}
      MAX_SCF {settings.max_iterations}
      &DIAGONALIZATION
      &END DIAGONALIZATION
      &MIXING
        METHOD BROYDEN_MIXING
        ALPHA {settings.mixing}
        NBROYDEN {settings.broyden_history}
      &END MIXING
      &PRINT
        &RESTART OFF
        &END RESTART
      &END PRINT
    &END SCF
    &XC
      &XC_FUNCTIONAL {settings.functional}
      &END XC_FUNCTIONAL
    &END XC
    &PRINT
      &E_DENSITY_CUBE
        STRIDE 1 1 1
      &END E_DENSITY_CUBE
{orbitals}    &END PRINT
  &END DFT
  &SUBSYS
    &CELL
{cell}
    &END CELL
    &COORD
{coordinates}
    &END COORD
{kinds}  &END SUBSYS
&END FORCE_EVAL
"""


def _kinds(atoms: Atoms, settings: CP2KSettings) -> tuple[str, list[str]]:
    """Return a KIND section for every element and initial moment, and each atom's kind."""
    moments = atoms.get_initial_magnetic_moments() if settings.spin_polarised else None
    kinds: dict[tuple[str, float], str] = {}
    labels, text = [], ""
    for i, symbol in enumerate(atoms.get_chemical_symbols()):
        moment = 0.0 if moments is None else round(float(moments[i]), 2)
        if (symbol, moment) not in kinds:
            count = sum(known == symbol for known, _ in kinds)
            label = symbol if count == 0 else f"{symbol}{count}"
            kinds[symbol, moment] = label
            magnetization = f"      MAGNETIZATION {moment}\n" if moment else ""
            text += (
                f"    &KIND {label}\n      ELEMENT {symbol}\n      BASIS_SET {settings.basis}\n"
                f"      POTENTIAL GTH-{settings.functional}\n{magnetization}    &END KIND\n"
            )
        labels.append(kinds[symbol, moment])
    return text, labels


def parse_output(text: str, where: Path) -> tuple[float, int]:
    """Return the energy (eV) and the number of iterations from CP2K's output.

    Raises:
        CalculationError: if it did not converge, or ended early.
    """
    converged = re.search(r"SCF run converged in\s+(\d+) steps", text)
    energy = re.findall(r"ENERGY\| Total FORCE_EVAL.*?:?\s+(-?\d+\.\d+)\s*$", text, re.MULTILINE)
    if converged is None:
        reason = "did not converge" if "SCF run NOT converged" in text else "ended early"
        last = [line.strip(" *") for line in text.splitlines() if line.strip(" *")][-1:]
        raise CalculationError(
            f"CP2K {reason}; its output is {where}"
            + (f" and ends with '{last[0]}'." if last and reason == "ended early" else ".")
        )
    if not energy:
        raise CalculationError(f"CP2K's output {where} has no total energy.")
    return float(energy[-1]) * HARTREE, int(converged.group(1))


def _program() -> str:
    for name in PROGRAMS:
        found = shutil.which(name)
        if found:
            return found
    raise MissingDependencyError(
        "CP2K is not installed: no program called cp2k.psmp or cp2k is on the path; on Debian and "
        "Ubuntu 'apt install cp2k' installs it."
    )


def execute(directory: Path) -> str:
    """Run CP2K on `input.inp` in a folder; return its output, which goes to `output.out`.

    Raises:
        MissingDependencyError: if CP2K is not installed.
    """
    environment = dict(os.environ)
    environment.setdefault("OMP_NUM_THREADS", "1")
    if Path(_DATA).is_dir():
        environment.setdefault("CP2K_DATA_DIR", _DATA)
    with (directory / "output.out").open("w") as output:
        subprocess.run(
            [_program(), "-i", "input.inp"],
            cwd=directory,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            check=False,
        )
    return (directory / "output.out").read_text(errors="replace")


def _read_density(directory: Path, atoms: Atoms, spin: bool, level: LevelOfTheory) -> Density:
    total = read(directory / f"{_PROJECT}-ELECTRON_DENSITY-1_0.cube")
    # The cube's coordinates are rounded; the structure's are not.
    density = replace(total, atoms=atoms.copy(), level=level)
    if spin:
        difference = read(directory / f"{_PROJECT}-SPIN_DENSITY-1_0.cube", quantity="spin density")
        density = replace(density, spin=difference.values)
    return density
