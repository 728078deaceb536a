"""The properties of a structure, from the density that a model predicts.

What needs no integrals is there for molecules and crystals of any size: charges, dipole and
quadrupole moment. With PySCF, and a model of a level of theory that PySCF has, one diagonalisation
gives the energy with its bracket and the orbitals' levels as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray
from deepdft.density import Grid
from deepdft.electronic.accuracy import StatedErrors, stated_errors
from deepdft.electronic.bader import bader_charges
from deepdft.electronic.charges import charges_and_moments_over
from deepdft.electronic.critical_points import Topology, topology
from deepdft.electronic.ions import core_charges_at
from deepdft.errors import ConfigurationError, LevelOfTheoryError, UnsupportedStructureError
from deepdft.extras import is_installed
from deepdft.fields.reductions.dipole import DEBYE
from deepdft.fields.walk import density_on
from deepdft.geometry.grids import choose_grid
from deepdft.levels import LevelOfTheory
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.predict import resolve_model
from deepdft.prediction.trained_model import TrainedModel
from deepdft.structures import understood_atoms

DEFAULT_SPACING = 0.15
"""Largest distance between grid points, Å: enough for what is added up over a density."""

DEFAULT_VACUUM = 4.0
"""Space around molecules, Å."""

_BADER_SPACING = 0.1
"""Å. Surfaces of zero flux need a finer grid than what is added up within."""

ENERGY_ATOMS = 100
"""Molecules of up to so many atoms get an energy where nobody has said otherwise."""


@dataclass(frozen=True)
class Energies:
    """What one diagonalisation gives, eV.

    Attributes:
        energy: total energy of the valence electrons and the ions.
        harris: of Harris' functional of the predicted density, most often below.
        kohn_sham: of the orbitals, never below the converged energy.
        homo: of the highest occupied orbital.
        lumo: of the lowest empty one.
        dipole: (3,) of the orbitals' density, e Å, or None.
    """

    energy: float
    harris: float
    kohn_sham: float
    homo: float
    lumo: float
    dipole: FloatArray | None = None

    @property
    def bracket(self) -> float:
        """Kohn-Sham energy minus Harris', eV: how well the energy is known."""
        return self.kohn_sham - self.harris

    @property
    def gap(self) -> float:
        """LUMO minus HOMO, eV."""
        return self.lumo - self.homo


@dataclass(frozen=True)
class Properties:
    """Properties of a structure.

    Attributes:
        name: of the structure.
        atoms: the structure.
        model: name of the model.
        level: level of theory.
        electrons: what the predicted density holds on the grid.
        expected_electrons: what the structure has; the density was multiplied to have as many.
        dipole: (3,) e Å, from negative to positive charge; None for crystals.
        quadrupole: traceless moment about the centre of mass, D Å; None for what is periodic.
        charges: (atoms,) Hirshfeld's charges, e.
        bader: (atoms,) Bader's charges, e, or None.
        topology: critical points of the density, or None.
        energies: what PySCF adds, or None.
        no_energy: why there are no energies, or an empty string.
        errors: of each property on held-out structures, as far as they were measured.
        expected_eps_mae: expected error of the density, a fraction, where the model knows.
        warning: a sentence where the structure lies outside what the model knows, or None.
    """

    name: str
    atoms: Atoms
    model: str
    level: LevelOfTheory
    electrons: float
    expected_electrons: float
    dipole: FloatArray | None
    quadrupole: dict[str, float] | None
    charges: FloatArray
    bader: FloatArray | None = None
    topology: Topology | None = None
    energies: Energies | None = None
    no_energy: str = ""
    errors: StatedErrors = field(default_factory=StatedErrors)
    expected_eps_mae: float | None = None
    warning: str | None = None

    @property
    def debye(self) -> float | None:
        """The magnitude of the dipole moment, D."""
        return None if self.dipole is None else float(np.linalg.norm(self.dipole)) * DEBYE

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it; units are part of the names."""
        energies = self.energies
        return {
            "name": self.name,
            "formula": self.atoms.get_chemical_formula(),
            "model": self.model,
            "level": self.level.to_dict(),
            "electrons": self.electrons,
            "expected_electrons": self.expected_electrons,
            "dipole_eA": None if self.dipole is None else self.dipole.tolist(),
            "dipole_D": self.debye,
            "quadrupole_DA": self.quadrupole,
            "symbols": list(self.atoms.symbols),
            "hirshfeld_charges_e": self.charges.tolist(),
            "bader_charges_e": None if self.bader is None else self.bader.tolist(),
            "critical_points": None if self.topology is None else self.topology.as_dicts(),
            "energy_eV": None if energies is None else energies.energy,
            "energy_harris_eV": None if energies is None else energies.harris,
            "energy_kohn_sham_eV": None if energies is None else energies.kohn_sham,
            "homo_eV": None if energies is None else energies.homo,
            "lumo_eV": None if energies is None else energies.lumo,
            "gap_eV": None if energies is None else energies.gap,
            "no_energy": self.no_energy,
            "errors": self.errors.as_dict(),
            "expected_eps_mae": self.expected_eps_mae,
            "warning": self.warning,
        }


def properties(
    atoms: Any, model: TrainedModel | str | Path | None = None, *, grid: Grid | None = None,
    spacing: float = DEFAULT_SPACING, vacuum: float = DEFAULT_VACUUM,
    energy: bool | Literal["auto"] = "auto", bader: bool = False, critical_points: bool = False,
    charge: int | None = None, multiplicity: int | None = None, device: str = "auto",
    name: str | None = None,
) -> Properties:  # fmt: skip
    """Return the properties of a structure from its predicted density.

    >>> from ase.build import molecule
    >>> found = properties(molecule("H2O"), energy=False, spacing=0.2)
    >>> bool(1.7 < found.debye < 2.1), bool(found.charges[0] < 0)
    (True, True)

    Args:
        atoms: the structure, of ASE, pymatgen, RDKit or PySCF.
        model: a loaded model, a bundled name or a folder; by default the bundled model that covers
            the elements.
        grid: points that are added up; by default one of `spacing` and `vacuum`.
        spacing: largest distance between points, Å.
        vacuum: space around molecules, Å.
        energy: whether PySCF is to give the energy and the orbitals' levels. "auto": for molecules
            of up to 100 atoms where it is installed and has the model's level of theory.
        bader: whether to cut space along surfaces of zero flux, on a grid of its own.
        critical_points: whether to look for bonds, rings and cages.
        charge: net charge, e; by default what the atoms say.
        multiplicity: 2S + 1; by default what the atoms say.
        device: where to compute, see `load_model`; ignored for a loaded model.
        name: of the structure; default: its formula.

    Raises:
        UnsupportedStructureError: if the structure cannot be what was meant, the model cannot
            treat it, or an element has no free atom to share the density with.
        ConfigurationError: if an argument is unusable, the predicted density has by far the wrong
            number of electrons, or an energy is asked for that PySCF cannot give.
        LevelOfTheoryError: if the model does not say how many electrons it leaves out, or an energy
            is asked for at a level that PySCF is not used at.
    """
    structure = understood_atoms(atoms, charge=charge, multiplicity=multiplicity)
    chosen = resolve_model(model, structure.atoms, device)
    engine = chosen.engine(structure.atoms)
    points = grid or choose_grid(structure.atoms, spacing=spacing, vacuum=vacuum)
    cores = _core_charges(chosen, structure.atoms)
    found = charges_and_moments_over(engine, structure.atoms, chosen.level, points, cores)
    cut = _bader(engine, cores, vacuum) if bader else None
    critical = topology(engine, structure.atoms.numbers - cores) if critical_points else None
    energies, no_energy = _energies(engine, energy)
    eps_mae, warning = _expected(chosen, engine)
    return Properties(
        name=structure.name if name is None else name,
        atoms=structure.atoms,
        model=chosen.name,
        level=chosen.level,
        electrons=found.electrons,
        expected_electrons=found.expected_electrons,
        dipole=found.dipole,
        quadrupole=found.quadrupole,
        charges=found.charges,
        bader=cut,
        topology=critical,
        energies=energies,
        no_energy=no_energy,
        errors=stated_errors(chosen.name),
        expected_eps_mae=eps_mae,
        warning=warning,
    )


def energies_of(engine: ProbeEngine) -> Energies:
    """Return what one diagonalisation gives for a molecule.

    Raises:
        DeepDFTError: see `deepdft.electronic.from_density`.
    """
    from deepdft.electronic.from_density import from_density

    found = from_density(engine)
    return Energies(
        found.energy, found.harris_energy, found.kohn_sham_energy, found.homo, found.lumo,
        found.dipole,
    )  # fmt: skip


def _core_charges(model: TrainedModel, atoms: Atoms) -> FloatArray:
    known = model.core_charges(atoms)
    return core_charges_at(model.level, atoms) if known is None else known


def _bader(engine: ProbeEngine, core_charges: FloatArray, vacuum: float) -> FloatArray:
    grid = choose_grid(engine.atoms, spacing=_BADER_SPACING, vacuum=vacuum)
    return bader_charges(density_on(engine, grid), core_charges)


def _energies(engine: ProbeEngine, wanted: bool | Literal["auto"]) -> tuple[Energies | None, str]:
    """Return energies, or why there are none."""
    if wanted is False:
        return None, "not asked for"
    if wanted is True:
        return energies_of(engine), ""
    if engine.atoms.pbc.any():
        return None, "only for molecules"
    if not is_installed("pyscf"):
        return None, "needs PySCF: pip install 'deepdft-density[electronic]'"
    if len(engine.atoms) > ENERGY_ATOMS:
        return None, f"more than {ENERGY_ATOMS} atoms; ask for it"
    try:
        return energies_of(engine), ""
    except (LevelOfTheoryError, UnsupportedStructureError) as error:
        return None, str(error)


def _expected(model: TrainedModel, engine: ProbeEngine) -> tuple[float | None, str | None]:
    """Return the expected eps_mae and a warning, where the model knows its errors."""
    warning = model.warning(engine)
    try:
        expected = model.uncertainty_of_encoded(engine.atoms, engine.senders)
    except (ConfigurationError, UnsupportedStructureError):
        return None, warning
    return expected.eps_mae, warning
