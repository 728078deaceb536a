"""Starts of PySCF's own SCF calculations from a predicted density.

The first Fock matrix is built in the basis set of the calculation, whatever that is, so nothing has
to be projected; only what stands for the cores must be what the model has learned. The grid is a
coarse one: that of the model's data.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.dft.functionals import libxc_code
from deepdft.dft.pyscf import PySCFSettings, grids_of
from deepdft.electronic.fitting import Fitting, OwnFitting, SharedFitting
from deepdft.electronic.occupied_points import occupied_points
from deepdft.electronic.one_step import FockBuilder, Step
from deepdft.electronic.theory import require_same_cores, semilocal_kind, settings_of
from deepdft.errors import ConfigurationError, StaleErrorModelError, UnsupportedStructureError
from deepdft.extras import require_extra
from deepdft.prediction.trained_model import TrainedModel, load_model
from deepdft.units import BOHR, HARTREE

LARGEST_EXPECTED_ERROR = 0.02
"""Expected error of the density (eps_mae, a fraction) above which a start does not pay."""

SMALLEST_GAP = 0.5
"""Gap of the first diagonalisation, eV, below which it does not."""

LARGEST_BRACKET = 0.005
"""Kohn-Sham minus Harris energy, eV an atom, above which it does not.

Of 22 validation molecules of QM9 21 have 0.0003 at most. The other one, for which the start saves
nothing, has 0.02.
"""


def initial_guess(
    program: Any, model: str | TrainedModel = "default", *, any_structure: bool = False
) -> NDArray[np.float64]:
    """Return a density matrix that a mean field of PySCF can start from.

        mf.kernel(dm0=deepdft.electronic.initial_guess(mf))

    Where the structure is unlike those that the model has learned, the density's expected error is
    above 2 %, or the energies of the first diagonalisation are far apart or its gap is closed, a
    warning says so, and what is returned is PySCF's own guess.

    Args:
        program: `dft.RKS`, `dft.UKS`, `scf.RHF` or `scf.UHF` of a molecule without unpaired
            electrons, with or without density fitting; any basis set and functional.
        model: a model of molecules, or its name or folder.
        any_structure: start from the model whatever error is to be expected, without looking.

    Returns:
        (n, n) density matrix, in the basis set of the calculation; for UKS and UHF (2, n, n).

    Raises:
        LevelOfTheoryError: if the calculation's pseudopotentials are not the model's, or it has
            none.
        UnsupportedStructureError: if the molecule has unpaired electrons, or the model does not
            treat it.
        ConfigurationError: if the basis set has Cartesian functions.
        MissingDependencyError: if PySCF is not installed.
    """
    require_extra("pyscf", "A start of a calculation")
    molecule = program.mol
    if isinstance(model, str):
        model = load_model(model, device="cpu")
    settings_of(model.level)
    require_same_cores(molecule, model.level)
    if molecule.cart:
        raise ConfigurationError(
            "The basis set has Cartesian functions; use spherical ones (mol.cart = False)."
        )
    atoms = _structure_of(molecule)
    engine = model.engine(atoms)
    reason = None if any_structure else _why_not(model, engine)
    if reason is None:
        builder = _builder(program, model, atoms)
        step = builder.diagonalised(builder.of_field(engine))
        reason = None if any_structure else _why_not_after(builder, step)
    if reason is not None:
        warnings.warn(f"{reason}; the calculation starts from PySCF's own guess.", stacklevel=2)
        own: NDArray[np.float64] = program.get_init_guess()
        return own
    matrix = step.matrix
    if _is_unrestricted(program):
        half = np.asarray(matrix) / 2
        return np.stack([half, half])
    start: NDArray[np.float64] = matrix
    return start


def _why_not(model: TrainedModel, engine: Any) -> str | None:
    """Return why a start from the model would not pay, or None."""
    try:
        expected = model.uncertainty_of_encoded(engine.atoms, engine.senders)
    except (StaleErrorModelError, ConfigurationError):
        return None
    warning = expected.warning()
    if warning is not None:
        return warning
    if expected.eps_mae > LARGEST_EXPECTED_ERROR:
        return (
            f"An error of {100 * expected.eps_mae:.1f} % is to be expected of the density of "
            f"{engine.atoms.get_chemical_formula()}"
        )
    return None


def _why_not_after(builder: FockBuilder, step: Step) -> str | None:
    """Return why the orbitals of the first diagonalisation are no good start, or None."""
    molecule = builder.molecule
    pairs = molecule.nelectron // 2
    levels = step.energies * HARTREE
    if pairs < len(levels) and levels[pairs] - levels[pairs - 1] < SMALLEST_GAP:
        return f"The gap of the first diagonalisation is {levels[pairs] - levels[pairs - 1]:.2f} eV"
    kohn_sham = builder.kohn_sham(step.matrix, builder.of_matrix(step.matrix))
    bracket = abs(kohn_sham - step.harris) * HARTREE
    if bracket > LARGEST_BRACKET * molecule.natm:
        return (
            f"The two energies of the first diagonalisation are {1000 * bracket:.0f} meV apart, so "
            "the predicted density is far from the converged one"
        )
    return None


def _builder(program: Any, model: TrainedModel, atoms: Atoms) -> FockBuilder:
    from deepdft.dft.pyscf_integration import CompiledFunctions

    molecule, settings = program.mol, settings_of(model.level)
    functional = libxc_code(getattr(program, "xc", "HF"))
    try:
        kind = semilocal_kind(functional)
    except ConfigurationError:
        # Of a functional that needs orbitals there is nothing to start with: the model's own.
        functional = libxc_code(model.level.functional)
        kind = semilocal_kind(functional)
    points = occupied_points(grids_of(molecule, settings), atoms, model.level)
    return FockBuilder(
        molecule, _fitting(program, settings), points, CompiledFunctions(), functional, kind,
        float(program.max_memory),
    )  # fmt: skip


def _fitting(program: Any, settings: PySCFSettings) -> Fitting:
    shared: Any = getattr(program, "with_df", None)
    if not hasattr(shared, "auxmol"):
        return OwnFitting(program.mol, settings.auxiliary_basis, float(program.max_memory))
    if shared._cderi is None:
        # What the calculation would do next.
        shared.build()
    return SharedFitting(shared)


def _structure_of(molecule: Any) -> Atoms:
    if molecule.spin != 0:
        raise UnsupportedStructureError(
            f"The molecule has {molecule.spin} unpaired electrons, and the model has learned "
            "densities of paired ones."
        )
    symbols = [molecule.atom_pure_symbol(i) for i in range(molecule.natm)]
    atoms = Atoms(symbols, molecule.atom_coords() * BOHR)
    atoms.info["charge"] = int(molecule.charge)
    return atoms


def _is_unrestricted(program: Any) -> bool:
    from pyscf.scf.uhf import UHF

    return isinstance(program, UHF)
