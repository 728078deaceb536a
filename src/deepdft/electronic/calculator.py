"""A calculator for ASE: energies, dipoles and charges from predicted densities.

>>> from ase.build import molecule
>>> water = molecule("H2O")
>>> water.calc = DeepDFT(spacing=0.2)
>>> charges = water.get_charges()
>>> bool(charges[0] < 0), abs(round(float(charges.sum()), 6))
(True, 0.0)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from deepdft.arrays import FloatArray
from deepdft.density import Grid
from deepdft.electronic.properties import (
    DEFAULT_SPACING,
    DEFAULT_VACUUM,
    energies_of,
    properties,
)
from deepdft.errors import ConfigurationError
from deepdft.fields.walk import values_on
from deepdft.geometry.grids import choose_grid
from deepdft.prediction.predict import resolve_model
from deepdft.prediction.trained_model import TrainedModel

_PROPERTIES = ("energy", "free_energy", "forces", "dipole", "charges")
_OF_ENERGIES = {"energy", "free_energy", "forces"}


class DeepDFT(Calculator):
    """Energy, dipole and charges of ASE atoms from the density that a model predicts.

    Properties, in ASE's units (eV, Å, e):

    - `energy`: of one diagonalisation, as `deepdft.properties` has it; molecules only, with PySCF;
    - `free_energy`: the same: there is no smearing. The bracket, Kohn-Sham minus Harris energy, is
      ``results["energy_bracket"]``: how well the energy is known;
    - `forces`: central differences of the energy, 6 energies for each atom, so for small molecules.
      ``results["forces_error"]`` is what they would have to be off by to explain that they do not
      add up to zero;
    - `dipole`, for molecules; `charges`: Hirshfeld's.

    Args:
        model: a loaded model, a bundled name or a folder; by default chosen for the atoms.
        spacing: largest distance between grid points, Å.
        vacuum: space around molecules, Å.
        displacement: of the finite differences, Å.
        device: where to compute, see `deepdft.load_model`.
    """

    implemented_properties = list(_PROPERTIES)  # noqa: RUF012 (as ASE declares it)

    def __init__(
        self, model: TrainedModel | str | Path | None = None, *, spacing: float = DEFAULT_SPACING,
        vacuum: float = DEFAULT_VACUUM, displacement: float = 0.01, device: str = "auto",
    ) -> None:  # fmt: skip
        super().__init__()  # type: ignore[no-untyped-call]
        if not displacement > 0:
            raise ConfigurationError(f"A displacement must be positive, not {displacement} Å.")
        self._model = model
        self._spacing = spacing
        self._vacuum = vacuum
        self._displacement = displacement
        self._device = device

    def calculate(
        self, atoms: Atoms | None = None, properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:  # fmt: skip
        """Calculate properties of atoms, as ASE calls it.

        Raises:
            PropertyNotImplementedError: for energies of what is periodic.
            DeepDFTError: see `deepdft.properties`.
        """
        super().calculate(  # type: ignore[no-untyped-call]
            atoms, list(properties), list(system_changes)
        )
        present = self._required_atoms()
        wanted = set(properties)
        if wanted & _OF_ENERGIES:
            if present.pbc.any():
                raise PropertyNotImplementedError("energies are there for molecules only")
            self._add_energies(forces="forces" in wanted)
        if wanted & {"dipole", "charges"}:
            self._add_charges()

    def get_pseudo_density(
        self, spin: int | None = None, pad: bool = True, *, spacing: float | None = None
    ) -> FloatArray:
        """Return the predicted valence density (nx, ny, nz), e/Å^3, as ASE's DFT calculators do.

        Its grid is `get_density_grid`'s.

        Args:
            spin: None for both spins together; 0 or 1 for one, half of it for a closed shell.
            pad: without meaning here: the density has no missing faces.
            spacing: largest distance between points, Å; by default that of the calculator.
        """
        atoms = self._required_atoms()
        model = self._resolved(atoms)
        values = values_on(model.engine(atoms), self.get_density_grid(spacing))
        return values if spin is None else 0.5 * values

    def get_density_grid(self, spacing: float | None = None) -> Grid:
        """Return the grid of `get_pseudo_density`: cell, shape and origin."""
        atoms = self._required_atoms()
        return choose_grid(atoms, spacing=spacing or self._spacing, vacuum=self._vacuum)

    def _required_atoms(self) -> Atoms:
        if self.atoms is None:
            raise ConfigurationError(
                "The calculator has no atoms yet; ask for a property first, or set its `atoms`."
            )
        atoms: Atoms = self.atoms
        return atoms

    def _resolved(self, atoms: Atoms) -> TrainedModel:
        self._model = resolve_model(self._model, atoms, self._device)
        return self._model

    def _add_charges(self) -> None:
        atoms = self._required_atoms()
        found = properties(
            atoms, self._resolved(atoms), spacing=self._spacing, vacuum=self._vacuum,
            energy=False,
        )  # fmt: skip
        self.results["charges"] = found.charges
        if found.dipole is not None:
            self.results["dipole"] = found.dipole

    def _add_energies(self, forces: bool) -> None:
        atoms = self._required_atoms().copy()
        model = self._resolved(atoms)
        energies = energies_of(model.engine(atoms))
        self.results["energy"] = self.results["free_energy"] = energies.energy
        self.results["energy_bracket"] = energies.bracket
        if not forces:
            return
        step = self._displacement
        found = np.zeros((len(atoms), 3))
        for atom, axis in np.ndindex(*found.shape):
            ends = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[atom, axis] += sign * step
                ends.append(energies_of(model.engine(moved)).energy)
            found[atom, axis] = -(ends[0] - ends[1]) / (2 * step)
        # Forces on a molecule add up to zero; what they miss it by is error of all of them.
        missed: FloatArray = found.sum(axis=0)
        self.results["forces"] = found
        self.results["forces_error"] = float(np.linalg.norm(missed) / np.sqrt(len(atoms)))


def with_calculator(atoms: Atoms, **options: Any) -> Atoms:
    """Return a copy of atoms with a `DeepDFT` calculator of some options."""
    copy: Atoms = atoms.copy()
    copy.calc = DeepDFT(**options)
    return copy
