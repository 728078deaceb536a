"""PySCF checkpoint files (``mf.chkfile``): HDF5 with the molecule as JSON and the orbitals.

Read are `mol`, which has PySCF's integral tables (`_atm`, `_bas`, `_env`, see libcint's
documentation), and `scf/mo_coeff` and `scf/mo_occ`. PySCF itself is not needed.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.density import Density
from deepdft.errors import DeepDFTError, FileFormatError
from deepdft.fields.orbitals.basis import MAX_ANGULAR_MOMENTUM, Shell
from deepdft.fields.orbitals.density import OrbitalDensity
from deepdft.formats import hdf5
from deepdft.formats.orbital_grid import DEFAULT_MARGIN, DEFAULT_SPACING, density_on_grid
from deepdft.formats.source import Source, find_source
from deepdft.levels import LevelOfTheory
from deepdft.storage.damage import DAMAGE
from deepdft.units import BOHR


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like a PySCF checkpoint."""
    return hdf5.sniff(head) and b"mo_coeff" in head


def read_pyscf_checkpoint(path: str | Path) -> OrbitalDensity:
    """Read the density of the occupied orbitals of a PySCF checkpoint.

    Restricted, restricted open-shell and unrestricted calculations of molecules, and of crystals
    at the Gamma point.

    Raises:
        FileFormatError: if the file is missing, damaged, or holds another kind of calculation.
    """
    return _read(find_source(path))


def read(
    source: Source, *, spacing: float = DEFAULT_SPACING, margin: float = DEFAULT_MARGIN
) -> Density:
    """Read a PySCF checkpoint and evaluate its density on a grid.

    Args:
        source: the file.
        spacing: distance between grid points, Å.
        margin: how far the grid of a molecule reaches beyond the outermost nuclei, Å.

    Raises:
        FileFormatError: as `read_pyscf_checkpoint`.
        ConfigurationError: if the grid is unusable.
    """
    return density_on_grid(_read(source), spacing, margin)


def _read(source: Source) -> OrbitalDensity:
    try:
        molecule, coefficients, occupations = _load(source)
        atoms = _atoms(molecule)
        shells = _shells(molecule, len(atoms))
        return _assemble(atoms, shells, coefficients, occupations, _level(molecule))
    except (*DAMAGE, DeepDFTError) as error:
        raise FileFormatError(
            f"{source.path} cannot be read as a PySCF checkpoint: {_reason(error, source)}"
        ) from None


def _reason(error: Exception, source: Source) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}."
    # The path begins the sentence already.
    return str(error).replace(f"{source.path} ", "it ", 1)


def _load(source: Source) -> tuple[dict[str, Any], NDArray[Any], FloatArray]:
    if not hdf5.sniff(source.head):
        raise FileFormatError("it is not an HDF5 file (Gaussian's .chk files are not supported).")
    with hdf5.opened(source) as file:
        molecule = json.loads(_member(file, "mol")[()])
        coefficients = _array(source, file, "scf/mo_coeff")
        occupations = _array(source, file, "scf/mo_occ")
    return molecule, coefficients, np.asarray(occupations, dtype=np.float64)


def _member(file: Any, name: str) -> Any:
    if name not in file:
        raise FileFormatError(f"it has no {name}.")
    return file[name]


def _array(source: Source, file: Any, name: str) -> NDArray[Any]:
    """Return a dataset; PySCF stores what is not one array as a group of them."""
    member = _member(file, name)
    if hasattr(member, "keys"):
        parts = [_array(source, member, part) for part in sorted(member.keys())]
        if len({part.shape for part in parts}) != 1:
            raise FileFormatError("its orbitals are lists of different lengths (k-points?).")
        return np.array(parts)
    return np.asarray(hdf5.dataset(source, file, name)[()])


def _atoms(molecule: dict[str, Any]) -> Atoms:
    environment = np.array(molecule["_env"], dtype=np.float64)
    pointers = np.array(molecule["_atm"], dtype=np.int64).reshape(-1, 6)[:, 1]
    positions = environment[pointers[:, None] + np.arange(3)] * BOHR
    numbers = [_number(str(atom[0])) for atom in molecule["_atom"]]
    vectors = molecule.get("a")
    if vectors is None:
        return Atoms(numbers, positions)
    cell = np.array(_parsed(vectors), dtype=np.float64).reshape(3, 3)
    in_bohr = str(molecule.get("unit", "angstrom")).lower().startswith(("b", "au"))
    dimension = int(molecule.get("dimension", 3))
    periodic = [axis < dimension for axis in range(3)]
    return Atoms(numbers, positions, cell=cell * (BOHR if in_bohr else 1.0), pbc=periodic)


def _parsed(value: Any) -> Any:
    """Return numbers that PySCF may store as the text that the user gave."""
    if not isinstance(value, str):
        return value
    return [float(token) for token in re.split(r"[\s,;]+", value.strip())]


def _number(label: str) -> int:
    """Return the atomic number of PySCF's label, for example C, C1, or GHOST-C (0)."""
    letters = re.match(r"[A-Za-z]+", label)
    symbol = letters[0].capitalize() if letters else ""
    if symbol in atomic_numbers:
        return int(atomic_numbers[symbol])
    if label.upper().startswith(("GHOST", "X")):
        return 0
    raise FileFormatError(f"there is no element {label!r}.")


def _shells(molecule: dict[str, Any], n_atoms: int) -> list[tuple[Shell, ...]]:
    """Build shells from libcint's tables, whose coefficients include all normalisation.

    A row of `_bas`: atom, l, number of primitives, of contractions, kappa, where the exponents
    begin in `_env`, where the coefficients begin (contraction by contraction), unused.
    """
    environment = np.array(molecule["_env"], dtype=np.float64)
    cartesian = bool(molecule.get("cart", False))
    shells: list[list[Shell]] = [[] for _ in range(n_atoms)]
    for row in np.array(molecule["_bas"], dtype=np.int64).reshape(-1, 8).tolist():
        atom, momentum, primitives, contractions, kappa, exponents, coefficients, _ = row
        if kappa != 0 or momentum > MAX_ANGULAR_MOMENTUM:
            raise FileFormatError(
                f"it has a shell of angular momentum {momentum} or a spinor shell, which are not "
                "supported."
            )
        alpha = environment[exponents : exponents + primitives]
        table = environment[coefficients : coefficients + primitives * contractions]
        radial = table.reshape(contractions, primitives) / BOHR ** (momentum + 1.5)
        shells[atom].append(
            Shell(
                momentum,
                tuple((alpha / BOHR**2).tolist()),
                tuple(tuple(values) for values in radial.tolist()),
                cartesian,
            )
        )
    return [tuple(of_atom) for of_atom in shells]


def _level(molecule: dict[str, Any]) -> LevelOfTheory:
    """Return what the file says: the functional is not stored."""
    basis = _name(molecule.get("basis"))
    potential = _name(molecule.get("pseudo"))
    has_core = any(molecule.get(key) for key in ("_ecp", "_pseudo"))
    core = potential.upper() if potential else ("" if has_core else "all-electron")
    return LevelOfTheory("", core, basis, "PySCF")


def _name(value: Any) -> str:
    """Return a name that PySCF stores as `repr` of what the user gave; else ""."""
    try:
        value = ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError):
        return ""
    return value if isinstance(value, str) else ""


def _assemble(
    atoms: Atoms,
    shells: list[tuple[Shell, ...]],
    coefficients: NDArray[Any],
    occupations: FloatArray,
    level: LevelOfTheory,
) -> OrbitalDensity:
    if np.iscomplexobj(coefficients):
        if np.abs(coefficients.imag).max() > 1e-8:
            raise FileFormatError("its orbitals are complex, which is not supported.")
        coefficients = coefficients.real
    n_functions = sum(shell.n_functions for of_atom in shells for shell in of_atom)
    if coefficients.ndim == 3 and len(coefficients) == 1 and occupations.shape[0] == 1:
        coefficients, occupations = coefficients[0], occupations[0]
    if coefficients.shape[-2] != n_functions or coefficients.ndim not in (2, 3):
        raise FileFormatError(
            f"its orbitals have shape {coefficients.shape} for {n_functions} basis functions; "
            "two-component and k-point calculations are not supported."
        )
    if occupations.shape != (*coefficients.shape[:-2], coefficients.shape[-1]):
        raise FileFormatError("its occupations do not fit its orbitals.")
    spin: FloatArray | None = None
    if coefficients.ndim == 3:
        if len(coefficients) != 2:
            raise FileFormatError("it has orbitals at several k-points, which is not supported.")
        spin = np.concatenate([occupations[0], -occupations[1]])
        coefficients = np.concatenate([coefficients[0], coefficients[1]], axis=1)
        occupations = occupations.ravel()
    elif (occupations == 1).any() and np.isin(occupations, (0, 1, 2)).all():
        spin = np.where(occupations == 1, 1.0, 0.0)
    filled = np.flatnonzero(occupations)
    return OrbitalDensity(
        atoms,
        shells,
        coefficients[:, filled],
        occupations[filled],
        level,
        spin_occupations=None if spin is None else spin[filled],
    )
