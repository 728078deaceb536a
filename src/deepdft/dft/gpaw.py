"""Periodic reference calculations with GPAW: projector augmented waves in a basis of plane waves.

What is kept is GPAW's pseudo-density with its compensation charges, per spin: the smooth
pseudo-density plus, at every atom, smooth charges that restore the multipoles of the true valence
density inside the augmentation sphere. Total and spin density therefore integrate to the number of
valence electrons and to the magnetic moment of the cell. Outside the spheres (about 1.2 Å around
metals and 0.7 Å around oxygen) it is the valence density; inside them its values are
pseudo-values, without nodes and cusps.
"""

from __future__ import annotations

import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from deepdft.density import Density, Grid
from deepdft.dft.calculation import CalculatedDensity, CalculationSettings, ReferenceCalculation
from deepdft.errors import CalculationError, UnsupportedStructureError
from deepdft.extras import import_extra
from deepdft.levels import LevelOfTheory

CORE = "PAW pseudo-density (GPAW)"
"""The core treatment in the level of theory of these densities."""

LOG = "gpaw.txt"
"""GPAW's own output, in the folder of a calculation."""


class GPAWSettings(CalculationSettings):
    """Settings of a calculation with GPAW; defaults are those of the shipped cathode's data."""

    functional: str = Field("PBE", description="A functional that GPAW knows by name.")
    cutoff: float = Field(350.0, gt=0, description="Plane-wave cutoff of the orbitals, eV.")
    kpoints: tuple[int, int, int] | None = Field(
        None, description="Monkhorst-Pack divisions; None follows kpoint_spacing."
    )
    kpoint_spacing: float = Field(
        0.9, gt=0, description="Largest distance between k-points, 1/Å (2 pi included)."
    )
    smearing: float = Field(0.2, ge=0, description="Width of the Fermi-Dirac occupations, eV.")
    spin_polarised: bool = Field(True, description="Collinear spins; the spin density is kept.")
    charge: int = Field(0, description="Net charge of the cell, e.")
    mixing: float = Field(0.1, gt=0, description="Pulay mixing of the density, fraction.")
    mixing_history: int = Field(12, ge=1, description="Densities that the mixing remembers.")
    mixing_weight: float = Field(
        50.0, ge=1, description="Weight of long against short waves in the mixing's metric."
    )
    eigensolver: Literal["davidson", "rmm-diis", "ppcg"] = Field(
        "davidson", description="How orbitals are improved between density updates."
    )
    eigensolver_iterations: int = Field(
        1, ge=1, description="Steps of the eigensolver between density updates."
    )
    density_convergence: float = Field(
        3e-4, gt=0, description="Integral of |density change| per valence electron at the end."
    )
    eigenstate_convergence: float = Field(
        1e-5, gt=0, description="Squared residual of the orbitals per valence electron, eV^2."
    )
    max_iterations: int = Field(120, ge=1, description="Iterations before giving up.")
    symmetry: bool = Field(True, description="Use the point group and time reversal.")


class GPAWCalculation(ReferenceCalculation):
    """GPAW in plane waves."""

    name = "gpaw"
    Settings: ClassVar[type[CalculationSettings]] = GPAWSettings
    settings: GPAWSettings

    @property
    def level(self) -> LevelOfTheory:
        """PBE/PAW pseudo-density (GPAW)/350 eV by default."""
        settings = self.settings
        return LevelOfTheory(settings.functional, CORE, f"{settings.cutoff:g} eV", "GPAW")

    @property
    def closed_shells_only(self) -> bool:
        """Whether spin is left out."""
        return not self.settings.spin_polarised

    def versions(self) -> dict[str, str]:
        """Return the versions of GPAW and of its PAW data sets.

        Raises:
            MissingDependencyError: if GPAW is not installed.
        """
        found = {"gpaw": _gpaw().__version__}
        for package in ("gpaw-data", "ase"):
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                found[package] = "unknown"
        return found

    def run(self, atoms: Atoms, directory: Path) -> CalculatedDensity:
        """Calculate one structure.

        Args:
            atoms: the structure, periodic in three directions; its initial magnetic moments are
                started from.
            directory: gets GPAW's text output.

        Raises:
            CalculationError: if it does not converge or GPAW fails.
            UnsupportedStructureError: if the structure is not periodic.
            MissingDependencyError: if GPAW is not installed.
        """
        if not atoms.pbc.all():
            raise UnsupportedStructureError(
                "GPAW is used for structures that are periodic in three directions; "
                "calculate molecules with the program pyscf."
            )
        log = Path(directory) / LOG
        started = time.monotonic()
        calculator, iterations = _converge(atoms, self.settings, log)
        seconds = time.monotonic() - started
        spin = self.settings.spin_polarised
        return CalculatedDensity(
            density_of(calculator, atoms, self.level),
            energy=float(calculator.get_potential_energy()),
            iterations=iterations,
            seconds=seconds,
            initial_moments=atoms.get_initial_magnetic_moments() if spin else None,
            moments=np.asarray(calculator.get_magnetic_moments()) if spin else None,
            total_moment=float(calculator.get_magnetic_moment()) if spin else None,
            details={
                "kpoints": list(kpoints(atoms, self.settings)),
                "irreducible_kpoints": len(calculator.get_ibz_k_points()),
                "bands": int(calculator.get_number_of_bands()),
            },
        )


def kpoints(atoms: Atoms, settings: GPAWSettings) -> tuple[int, int, int]:
    """Return the Monkhorst-Pack divisions of a structure."""
    if settings.kpoints is not None:
        return settings.kpoints
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(np.asarray(atoms.cell)), axis=0)
    counts = np.maximum(np.ceil(lengths / settings.kpoint_spacing - 1e-6).astype(int), 1)
    return int(counts[0]), int(counts[1]), int(counts[2])


def parameters(atoms: Atoms, settings: GPAWSettings, *, point_group: bool = True) -> dict[str, Any]:
    """Return the keyword arguments of GPAW's calculator for a structure.

    Args:
        atoms: the structure.
        settings: the settings in force.
        point_group: use the crystal's symmetry operations beside time reversal.
    """
    return {
        "mode": {"name": "pw", "ecut": settings.cutoff},
        "xc": settings.functional,
        "kpts": {"size": kpoints(atoms, settings)},
        "occupations": {"name": "fermi-dirac", "width": settings.smearing},
        "spinpol": settings.spin_polarised,
        "charge": settings.charge,
        # Sum and difference of the spin densities are mixed alike, by one history.
        "mixer": {
            "name": "pulay",
            "beta": settings.mixing,
            "nmaxold": settings.mixing_history,
            "weight": settings.mixing_weight,
        },
        "eigensolver": {
            "name": settings.eigensolver,
            "niter": settings.eigensolver_iterations,
        },
        "convergence": {
            "density": settings.density_convergence,
            "eigenstates": settings.eigenstate_convergence,
        },
        "maxiter": settings.max_iterations,
        "symmetry": {
            "point_group": settings.symmetry and point_group,
            "time_reversal": settings.symmetry,
        },
    }


def density_of(calculator: Any, atoms: Atoms, level: LevelOfTheory) -> Density:
    """Return the pseudo-density, compensation charges included, of a finished calculation.

    Args:
        calculator: GPAW's calculator.
        atoms: the structure that was calculated.
        level: level of theory of the density.

    Returns:
        Total density in e/Å^3 and, where spins were distinguished, the spin density.
    """
    total = np.asarray(calculator.get_pseudo_density())
    spin = None
    if calculator.get_number_of_spins() == 2:
        spin = calculator.get_pseudo_density(0) - calculator.get_pseudo_density(1)
    shape = (int(total.shape[0]), int(total.shape[1]), int(total.shape[2]))
    return Density(atoms.copy(), Grid(np.asarray(atoms.cell), shape), total, spin=spin, level=level)


def _converge(atoms: Atoms, settings: GPAWSettings, log: Path) -> tuple[Any, int]:
    """Return GPAW's calculator after self-consistency, and the iterations taken."""
    try:
        return _iterate(atoms, parameters(atoms, settings), log)
    except ValueError as error:
        # A mesh with an even division can be less symmetric than the crystal.
        if "k-points are not as symmetric" not in str(error):
            raise
    return _iterate(atoms, parameters(atoms, settings, point_group=False), log)


def _iterate(atoms: Atoms, arguments: dict[str, Any], log: Path) -> tuple[Any, int]:
    gpaw = _gpaw()
    copy = atoms.copy()
    calculator = gpaw.GPAW(**arguments, txt=str(log))
    iterations = 0
    try:
        for _ in calculator.iconverge(copy):
            iterations += 1
    except gpaw.KohnShamConvergenceError:
        raise CalculationError(
            f"GPAW did not converge in {iterations} iterations; its output is {log}."
        ) from None
    copy.calc = calculator
    return calculator, iterations


def _gpaw() -> Any:
    return import_extra(
        "gpaw",
        "A calculation with GPAW",
        hint=" where a C compiler, libxc and BLAS are (on Debian and Ubuntu: apt install libxc-dev "
        "libopenblas-dev)",
    )
