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
from deepdft.electronic.one_step import FockBuilder
from deepdft.electronic.theory import require_same_cores, semilocal_kind, settings_of
from deepdft.errors import ConfigurationError, StaleErrorModelError, UnsupportedStructureError
from deepdft.extras import require_extra
from deepdft.prediction.trained_model import TrainedModel, load_model
from deepdft.units import BOHR

LARGEST_EXPECTED_ERROR = 0.02
"""Expected error of the density (eps_mae, a fraction) above which a start does not pay."""


def initial_guess(
    program: Any, model: str | TrainedModel = "default", *, any_structure: bool = False
) -> NDArray[np.float64]:
    """Return a density matrix that a mean field of PySCF can start from.

        mf.kernel(dm0=deepdft.electronic.initial_guess(mf))

    Where the structure is unlike those that the model has learned, or the density's expected error
    is above 2 %, a warning says so, and what is returned is PySCF's own guess.

    Args:
        program: `dft.RKS`, `dft.UKS`, `scf.RHF` or `scf.UHF` of a molecule without unpaired
            electrons, with or without density fitting; any basis set and functional.
        model: a model of molecules, or its name or folder.
        any_structure: start from the model whatever error is to be expected.

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
    if reason is not None:
        warnings.warn(f"{reason}; the calculation starts from PySCF's own guess.", stacklevel=2)
        own: NDArray[np.float64] = program.get_init_guess()
        return own
    builder = _builder(program, model)
    matrix = builder.diagonalised(builder.of_field(engine)).matrix
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


def _builder(program: Any, model: TrainedModel) -> FockBuilder:
    from pyscf import df, dft

    from deepdft.dft.pyscf_integration import KeptFunctions

    molecule, settings = program.mol, settings_of(model.level)
    functional = libxc_code(getattr(program, "xc", "HF"))
    try:
        kind = semilocal_kind(functional)
    except ConfigurationError:
        # Of a functional that needs orbitals there is nothing to start with: the model's own.
        functional = libxc_code(model.level.functional)
        kind = semilocal_kind(functional)
    fitting: Any = getattr(program, "with_df", None)
    if not hasattr(fitting, "auxmol"):
        fitting = df.DF(molecule, settings.auxiliary_basis)
    if fitting._cderi is None:
        fitting.build()
    grids = dft.Grids(molecule)
    symbols = {molecule.atom_symbol(i) for i in range(molecule.natm)}
    grids.atom_grid = {s: settings.grid_of(s.rstrip("0123456789")) for s in symbols}
    grids.build()
    memory = float(program.max_memory)
    return FockBuilder(molecule, fitting, grids, KeptFunctions(), functional, kind, memory)


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
