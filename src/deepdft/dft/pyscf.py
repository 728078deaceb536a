"""Reference calculations of molecules with PySCF: Gaussians, GTH pseudopotentials, Kohn-Sham."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import time
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pydantic import Field

from deepdft.dft.calculation import CalculatedDensity, CalculationSettings, ReferenceCalculation
from deepdft.dft.functionals import libxc_code
from deepdft.errors import CalculationError, ConfigurationError, UnsupportedStructureError
from deepdft.extras import require_extra
from deepdft.fields.orbitals import OrbitalDensity, load_basis
from deepdft.levels import LevelOfTheory
from deepdft.structures import charge_and_multiplicity
from deepdft.structures.coverage import require_closed_shell
from deepdft.units import BOHR, HARTREE

_WITHOUT_DZVP = ("K", "Ca", "Zn", "Br", "I")
"""Elements that gth-dzvp as published lacks: the shipped basis set has these functions for them."""

_MOLECULAR_BASIS = "gth-dzvp-molopt-sr"


class PySCFSettings(CalculationSettings):
    """Settings of a calculation with PySCF; defaults are those of the shipped models' data."""

    functional: str = Field(
        "PBE", description="One of deepdft.dft.functionals, or a name that PySCF knows."
    )
    basis: Literal["gth-dzvp"] = Field("gth-dzvp", description="Basis set of the orbitals.")
    pseudopotential: Literal["gth-pbe"] = Field("gth-pbe", description="Pseudopotentials.")
    auxiliary_basis: str = Field(
        "def2-universal-jfit", description="Basis set of the density fitting."
    )
    convergence: float = Field(1e-5, gt=0, description="Change of the energy at the end, Ha.")
    max_iterations: int = Field(50, ge=1, description="Iterations before giving up.")
    heavy_grid: tuple[int, int] = Field(
        (20, 86), description="Radial shells and points a shell for the functional, B, C, N, O, F."
    )
    hydrogen_grid: tuple[int, int] = Field((15, 86), description="The same for hydrogen.")
    other_grid: tuple[int, int] = Field((28, 110), description="The same for all other elements.")

    def grid_of(self, symbol: str) -> tuple[int, int]:
        """Return the radial shells and points a shell of an element."""
        if symbol == "H":
            return self.hydrogen_grid
        return self.heavy_grid if symbol in ("B", "C", "N", "O", "F") else self.other_grid


class PySCFCalculation(ReferenceCalculation):
    """Closed-shell Kohn-Sham calculations of molecules with density fitting."""

    name = "pyscf"
    Settings: ClassVar[type[CalculationSettings]] = PySCFSettings
    settings: PySCFSettings

    @property
    def level(self) -> LevelOfTheory:
        """PBE/GTH-PBE/gth-dzvp by default."""
        return level_of(self.settings, self.settings.functional)

    def calculated_charge(self, atoms: Atoms) -> int:
        """The charge that the structure states."""
        return charge_and_multiplicity(atoms)[0]

    def versions(self) -> dict[str, str]:
        """Return the versions of PySCF and of libxc.

        Raises:
            MissingDependencyError: if PySCF is not installed.
            ConfigurationError: if the functional does not exist or the density fitting does not
                suit it.
        """
        version = _version()
        from pyscf.dft import libxc

        check_functional(self.settings)
        return {"pyscf": version, "libxc": str(libxc.__version__)}

    def run(self, atoms: Atoms, directory: Path) -> CalculatedDensity:
        """Calculate one molecule.

        Args:
            atoms: a molecule; its net charge is `atoms.info["charge"]` or the sum of its initial
                charges.
            directory: gets PySCF's output, `pyscf.log`.

        Raises:
            CalculationError: if it does not converge.
            UnsupportedStructureError: if it is periodic, has unpaired electrons or a charge that
                is no whole number, or an element that the basis set lacks.
            MissingDependencyError: if PySCF is not installed.
        """
        field = MeanField(atoms, self.settings, Path(directory) / "pyscf.log")
        return field.converge(self.settings.functional)


class MeanField:
    """A molecule with its integrals, to be converged with one functional or several.

    Args:
        atoms: the molecule.
        settings: of the calculation; its functional is not used here.
        log: file for PySCF's output.

    Raises:
        UnsupportedStructureError: as `PySCFCalculation.run`.
        MissingDependencyError: if PySCF is not installed.
    """

    def __init__(self, atoms: Atoms, settings: PySCFSettings, log: Path) -> None:
        _version()
        from pyscf import dft

        from deepdft.dft.pyscf_integration import KeptFunctions

        require_molecule(atoms, settings.basis)
        self.atoms = atoms
        self.settings = settings
        self.log = log
        self._started = time.monotonic()
        self._field = dft.RKS(molecule_of(atoms, settings, log)).density_fit(
            settings.auxiliary_basis
        )
        self._field.conv_tol = settings.convergence
        self._field.max_cycle = settings.max_iterations
        # Nobody reads its checkpoint; where the disk takes no more, HDF5 crashes with it.
        self._field.chkfile = None
        self._field.grids.atom_grid = _shells_of_grids(self._field.mol, settings)
        self._field._numint = KeptFunctions()
        # Without this, fitting integrals are computed anew in every iteration.
        self._field.with_df.build()

    def converge(
        self, functional: str, start: NDArray[np.float64] | None = None
    ) -> CalculatedDensity:
        """Converge with a functional; `density_matrix` is that of the last one.

        Args:
            functional: its name.
            start: (n_functions, n_functions) density matrix to start from, for example that of
                another functional; superposed atoms by default.

        Raises:
            CalculationError: if it does not converge.
        """
        field = self._field
        field.xc = libxc_code(functional)
        iterations = 0

        def count(_: dict[str, Any]) -> None:
            nonlocal iterations
            iterations += 1

        field.callback = count
        energy = field.kernel(dm0=start)
        if not field.converged:
            raise CalculationError(
                f"PySCF did not converge with {functional} in {self.settings.max_iterations} "
                f"iterations; its output is {self.log}."
            )
        seconds = time.monotonic() - self._started
        self._started = time.monotonic()
        density, details = self._result(functional, float(energy) * HARTREE)
        return CalculatedDensity(
            density, float(energy) * HARTREE, iterations, seconds, details=details
        )

    @property
    def program(self) -> Any:
        """PySCF's own object; its density fitting is built."""
        return self._field

    @property
    def density_matrix(self) -> NDArray[np.float64]:
        """(n_functions, n_functions) density matrix of the last functional converged."""
        return np.asarray(self._field.make_rdm1())

    def _result(self, functional: str, energy: float) -> tuple[OrbitalDensity, dict[str, object]]:
        field = self._field
        occupied = field.mo_occ > 0
        dipole = field.dip_moment(unit="AU", verbose=0) * BOHR
        atoms = self.atoms.copy()
        atoms.info.update(energy=energy, dipole=dipole)
        density = OrbitalDensity(
            atoms,
            self.settings.basis,
            field.mo_coeff[:, occupied],
            2.0,
            level_of(self.settings, functional),
        )
        energies = field.mo_energy * HARTREE
        homo, lumo = float(energies[occupied].max()), float(energies[~occupied].min())
        return density, {
            "homo": homo,
            "lumo": lumo,
            "gap": lumo - homo,
            "occupied_orbital_energies": energies[occupied].tolist(),
            "dipole": dipole.tolist(),
        }


def level_of(settings: PySCFSettings, functional: str) -> LevelOfTheory:
    """Return the level of theory of densities with these settings and a functional."""
    core = settings.pseudopotential.upper()
    code = "PySCF " + ".".join(_version().split(".")[:2])
    return LevelOfTheory(functional, core, settings.basis, code)


def check_functional(settings: PySCFSettings) -> None:
    """Raise `ConfigurationError` if PySCF does not know the functional or cannot fit it."""
    from pyscf.dft import libxc

    code = libxc_code(settings.functional)
    try:
        libxc.parse_xc(code)
        hybrid = libxc.is_hybrid_xc(code)
    except (KeyError, ValueError, AttributeError):
        raise ConfigurationError(f"PySCF knows no functional '{settings.functional}'.") from None
    if hybrid and settings.auxiliary_basis.endswith("-jfit"):
        raise ConfigurationError(
            f"The functional {settings.functional} needs exact exchange, which "
            f"{settings.auxiliary_basis} does not fit; set auxiliary_basis=def2-universal-jkfit."
        )


def _version() -> str:
    require_extra("pyscf", "A calculation of a molecule")
    return importlib.metadata.version("pyscf")


def require_molecule(atoms: Atoms, basis: str) -> None:
    """Refuse what PySCF is not used for here.

    Raises:
        UnsupportedStructureError: if the structure is periodic, has unpaired electrons or a charge
            that is no whole number, or an element that the basis set lacks.
    """
    if atoms.pbc.any():
        raise UnsupportedStructureError(
            f"{atoms.symbols} is periodic and PySCF is used for molecules; "
            "calculate it with the program cp2k or gpaw."
        )
    charge, multiplicity = charge_and_multiplicity(atoms)
    only = "PySCF is used for closed-shell molecules"
    require_closed_shell(atoms, charge, multiplicity, only)
    load_basis(basis).shells(atoms.numbers)


def molecule_of(atoms: Atoms, settings: PySCFSettings, log: Path) -> Any:
    """Return PySCF's molecule of a structure, with basis set and pseudopotentials.

    Args:
        atoms: a molecule of elements that the basis set has.
        settings: of the calculation.
        log: where PySCF's output goes.
    """
    from pyscf import gto

    charge, _ = charge_and_multiplicity(atoms)
    basis = {
        symbol: _MOLECULAR_BASIS if symbol in _WITHOUT_DZVP else settings.basis
        for symbol in set(atoms.get_chemical_symbols())
    }
    # PySCF announces on the terminal where its output goes.
    with contextlib.redirect_stdout(io.StringIO()):
        molecule = gto.M(
            atom=[(int(z), tuple(r)) for z, r in zip(atoms.numbers, atoms.positions, strict=True)],
            unit="Angstrom",
            basis=basis,
            pseudo=settings.pseudopotential,
            charge=charge,
            spin=None,
            output=str(log),
            verbose=4,
        )
    return molecule


def grids_of(molecule: Any, settings: PySCFSettings) -> Any:
    """Return PySCF's grid of a molecule for integrating the functional, built.

    Args:
        molecule: PySCF's.
        settings: of the calculation.
    """
    from pyscf import dft

    grids = dft.Grids(molecule)
    grids.atom_grid = _shells_of_grids(molecule, settings)
    grids.build()
    return grids


def _shells_of_grids(molecule: Any, settings: PySCFSettings) -> dict[str, tuple[int, int]]:
    """Return the radial shells and points a shell of the atoms, by PySCF's names of them."""
    return {
        molecule.atom_symbol(i): settings.grid_of(molecule.atom_pure_symbol(i))
        for i in range(molecule.natm)
    }
