"""Folders in which PySCF or CP2K begins with the orbitals of a molecule's predicted density."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from deepdft.dft.cp2k import CP2KSettings, input_text
from deepdft.dft.functionals import libxc_code
from deepdft.electronic.cp2k_start import cp2k_start
from deepdft.electronic.doubts import doubt_of_bracket, doubt_of_gap, doubt_of_structure
from deepdft.electronic.from_density import from_density
from deepdft.electronic.gamma_point import GammaOrbitals, orbitals_at_gamma
from deepdft.electronic.structure import ElectronicStructure
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.trained_model import TrainedModel
from deepdft.storage.whole_files import replace_file
from deepdft.structures import charge_and_multiplicity
from deepdft.units import HARTREE

_PYSCF_SCRIPT = '''\
"""A calculation of {formula} that begins with the orbitals of a predicted density."""

from pyscf import dft, lib

molecule = lib.chkfile.load_mol("start.chk")
molecule.verbose = 4
field = dft.RKS(molecule, xc="{functional}").density_fit()
field.kernel(dm0=field.from_chk("start.chk"))
'''

_CP2K_INPUT = """\
&GLOBAL
  PROJECT molecule
  RUN_TYPE ENERGY
&END GLOBAL
&FORCE_EVAL
  METHOD QS
  &DFT
    BASIS_SET_FILE_NAME GTH_BASIS_SETS
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    WFN_RESTART_FILE_NAME start.wfn
    CHARGE {charge}
    &MGRID
      CUTOFF 280
    &END MGRID
    &POISSON
      PERIODIC NONE
      POISSON_SOLVER MT
    &END POISSON
    &SCF
      SCF_GUESS RESTART
      EPS_SCF 1e-6
      MAX_SCF 40
      &DIAGONALIZATION
      &END DIAGONALIZATION
      &MIXING
        METHOD BROYDEN_MIXING
        ALPHA 0.4
      &END MIXING
    &END SCF
    &XC
      &XC_FUNCTIONAL PBE
      &END XC_FUNCTIONAL
    &END XC
  &END DFT
  &SUBSYS
    &CELL
      ABC {cell}
      PERIODIC NONE
    &END CELL
    &COORD
{positions}
    &END COORD
{kinds}
  &END SUBSYS
&END FORCE_EVAL
"""
_KIND = "    &KIND {}\n      BASIS_SET DZVP-GTH\n      POTENTIAL GTH-PBE\n    &END KIND"

_REACH = 3.0
"""How much wider the density is than its nuclei, Å; CP2K's solver for molecules asks for a cell
twice as wide as the density."""


def start_folder(
    found: ElectronicStructure | GammaOrbitals, program: str, folder: str | Path
) -> str:
    """Leave a folder in which a program begins with the orbitals of a density.

    Args:
        found: what `from_density` has returned, or for CP2K `orbitals_at_gamma`.
        program: a key of `PROGRAMS`.
        folder: made if missing. For PySCF it gets `start.chk` and `scf.py`, for CP2K `start.wfn`
            and `molecule.inp` or for a periodic structure `input.inp`, an input to be changed at
            will but for basis set and potentials.

    Returns:
        What runs the calculation there.

    Raises:
        ConfigurationError: if there is no such program.
        LevelOfTheoryError: if the orbitals suit no calculation of the program.
    """
    if program not in PROGRAMS:
        raise ConfigurationError(
            f"Folders with orbitals are made for {' and '.join(PROGRAMS)}, not for '{program}'."
        )
    path = Path(folder)
    if not isinstance(found, GammaOrbitals):
        path.mkdir(parents=True, exist_ok=True)
        return PROGRAMS[program](found, path)
    if program != "cp2k":
        raise ConfigurationError(
            f"Periodic structures are begun in CP2K and Quantum ESPRESSO, not in {program}."
        )
    path.mkdir(parents=True, exist_ok=True)
    return _periodic_for_cp2k(found, path)


def trusted(
    model: TrainedModel, engine: ProbeEngine, *, any_structure: bool = False
) -> ElectronicStructure | GammaOrbitals:
    """Return the electronic structure of a model's density if a start from it pays.

    Args:
        model: the model.
        engine: what it says of the structure.
        any_structure: return it whether it pays or not, without looking.

    Raises:
        ConfigurationError: if it does not pay, with the reason.
    """
    reason = None if any_structure else doubt_of_structure(model, engine)
    if reason is None:
        found = orbitals_at_gamma(engine) if engine.atoms.pbc.all() else from_density(engine)
        reason = None if any_structure else _doubt_of(found)
        if reason is None:
            return found
    raise ConfigurationError(
        f"{reason}: begin with the program's own guess, or with this one all the same by "
        "--any-structure."
    )


def _doubt_of(found: ElectronicStructure | GammaOrbitals) -> str | None:
    reason = doubt_of_gap(found.gap)
    if reason is None and isinstance(found, ElectronicStructure):
        reason = doubt_of_bracket(found.bracket, found.atoms)
    return reason


def _for_pyscf(found: ElectronicStructure, folder: Path) -> str:
    from pyscf.scf import chkfile

    occupations = np.where(np.arange(len(found.orbitals)) < found.occupied, 2.0, 0.0)
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        whole = Path(beside) / "start.chk"
        chkfile.dump_scf(
            found.molecule, str(whole), found.energy / HARTREE, found.orbital_energies / HARTREE,
            found.orbitals, occupations,
        )  # fmt: skip
        whole.replace(folder / "start.chk")
    formula, functional = found.atoms.get_chemical_formula(), libxc_code(found.level.functional)
    script = _PYSCF_SCRIPT.format(formula=formula, functional=functional)
    replace_file(folder / "scf.py", script.encode())
    return "python scf.py"


def _for_cp2k(found: ElectronicStructure, folder: Path) -> str:
    atoms = found.atoms
    _require_pbe(found)
    cp2k_start(found, folder / "start.wfn")
    extent = np.ptp(atoms.positions, axis=0)
    cell = 2.0 * (extent + _REACH)
    shifted = atoms.positions - atoms.positions.min(axis=0) + (cell - extent) / 2.0
    symbols = atoms.get_chemical_symbols()
    lines = (
        f"      {symbol} {x:.10f} {y:.10f} {z:.10f}"
        for symbol, (x, y, z) in zip(symbols, shifted, strict=True)
    )
    text = _CP2K_INPUT.format(
        charge=charge_and_multiplicity(atoms)[0],
        cell=" ".join(f"{length:.4f}" for length in cell),
        positions="\n".join(lines),
        kinds="\n".join(_KIND.format(symbol) for symbol in sorted(set(symbols))),
    )
    replace_file(folder / "molecule.inp", text.encode())
    return "cp2k.psmp -i molecule.inp"


def _require_pbe(found: ElectronicStructure | GammaOrbitals) -> None:
    if found.level.functional.casefold() != "pbe":
        raise LevelOfTheoryError(
            "CP2K's potentials GTH-PBE go with PBE, and the density is of "
            f"{found.level.functional}."
        )


def _periodic_for_cp2k(found: GammaOrbitals, folder: Path) -> str:
    _require_pbe(found)
    cp2k_start(found, folder / "start.wfn")
    text = input_text(found.atoms, CP2KSettings(), start="start.wfn")
    replace_file(folder / "input.inp", text.encode())
    return "cp2k.psmp -i input.inp"


PROGRAMS: Mapping[str, Callable[[ElectronicStructure, Path], str]] = {
    "pyscf": _for_pyscf,
    "cp2k": _for_cp2k,
}
"""What makes the folder, by program."""
