"""What every reference calculation is: settings, a structure in, a density out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from deepdft.density import Density
from deepdft.errors import UnsupportedStructureError
from deepdft.levels import LevelOfTheory
from deepdft.structures import charge_and_multiplicity
from deepdft.structures.coverage import require_closed_shell

if TYPE_CHECKING:
    # With torch behind it, which the start of a worker process should not wait for.
    from deepdft.fields.orbitals import OrbitalDensity


class CalculationSettings(BaseModel):
    """Settings of a reference calculation; each program has its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class CalculatedDensity:
    """The outcome of one converged reference calculation.

    Attributes:
        density: on a grid (periodic systems) or as occupied orbitals (molecules).
        energy: total energy, eV.
        iterations: self-consistency iterations taken.
        seconds: wall-clock time taken.
        initial_moments: (atoms,) magnetic moments started from, Bohr magnetons; None without spin.
        moments: (atoms,) final local moments where the program gives them.
        total_moment: final moment of the cell, Bohr magnetons; None without spin.
        details: anything else worth keeping beside the density (JSON values).
    """

    density: Density | OrbitalDensity
    energy: float
    iterations: int
    seconds: float
    initial_moments: NDArray[np.float64] | None = None
    moments: NDArray[np.float64] | None = None
    total_moment: float | None = None
    details: dict[str, object] = field(default_factory=dict)


class ReferenceCalculation(ABC):
    """A program with its settings.

    Attributes:
        name: how the program is chosen, for example "pyscf".
        Settings: the class of its settings.
        settings: the settings in force.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[CalculationSettings]]

    def __init__(self, settings: CalculationSettings | None = None) -> None:
        self.settings = self.Settings() if settings is None else settings

    @property
    @abstractmethod
    def level(self) -> LevelOfTheory:
        """Level of theory of the densities."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the program's version and those of the libraries and data it rests on.

        Raises:
            ConfigurationError: if the program is not installed, saying how to install it.
        """

    def check(self, structures: Sequence[Atoms]) -> None:  # noqa: B027 (most have nothing to check)
        """Refuse structures that cannot be calculated, before anything runs.

        Raises:
            UnsupportedStructureError: if the program does not treat one.
            ConfigurationError: if a file is missing that it needs.
        """

    def calculated_charge(self, atoms: Atoms) -> int:
        """Return the net charge of what `run` calculates for a structure, e."""
        return 0

    @property
    def closed_shells_only(self) -> bool:
        """Whether all electrons are taken as paired."""
        return True

    def require_what_is_meant(self, atoms: Atoms) -> None:
        """Refuse a structure for which another one would be calculated.

        Raises:
            UnsupportedStructureError: if its charge or its spin is not what is calculated, or is
                nonsense or contradictory.
        """
        charge, multiplicity = charge_and_multiplicity(atoms)
        calculated = self.calculated_charge(atoms)
        if charge != calculated:
            raise UnsupportedStructureError(
                f"{atoms.get_chemical_formula()} has a net charge of {charge:+d}, and {self.name} "
                f"would calculate one of {calculated:+d}."
            )
        if self.closed_shells_only and not atoms.pbc.any():
            only = f"{self.name} is used for closed-shell molecules"
            require_closed_shell(atoms, charge, multiplicity, only)

    @abstractmethod
    def run(self, atoms: Atoms, directory: Path) -> CalculatedDensity:
        """Calculate one structure.

        Args:
            atoms: the structure; its initial magnetic moments and charges count.
            directory: an existing folder for scratch and log files.

        Raises:
            CalculationError: if it does not converge or the program fails, with the reason.
        """
