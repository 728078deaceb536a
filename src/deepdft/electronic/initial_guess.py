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
from deepdft.electronic.doubts import doubt_of_bracket, doubt_of_gap, doubt_of_structure
from deepdft.electronic.fitting import Fitting, OwnFitting, SharedFitting
from deepdft.electronic.occupied_points import occupied_points
from deepdft.electronic.one_step import FockBuilder, Step
from deepdft.electronic.theory import require_same_cores, semilocal_kind, settings_of
from deepdft.errors import ConfigurationError, UnsupportedStructureError
from deepdft.extras import require_extra
from deepdft.prediction.trained_model import TrainedModel, load_model
from deepdft.units import BOHR, HARTREE


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
    reason = None if any_structure else doubt_of_structure(model, engine)
    if reason is None:
        builder = _builder(program, model, atoms)
        step = builder.diagonalised(builder.of_field(engine))
        reason = None if any_structure else _doubt_of(builder, step, atoms)
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


def _doubt_of(builder: FockBuilder, step: Step, atoms: Atoms) -> str | None:
    """Return why the orbitals of the first diagonalisation are no good start, or None."""
    pairs = builder.molecule.nelectron // 2
    levels = step.energies * HARTREE
    doubt = doubt_of_gap(levels[pairs] - levels[pairs - 1]) if pairs < len(levels) else None
    if doubt is not None:
        return doubt
    kohn_sham = builder.kohn_sham(step.matrix, builder.of_matrix(step.matrix))
    return doubt_of_bracket((kohn_sham - step.harris) * HARTREE, atoms)


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
