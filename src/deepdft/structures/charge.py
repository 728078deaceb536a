"""Net charge and spin multiplicity, from every place where they are stated.

The result is kept in `atoms.info["charge"]` (an integer, e) and `atoms.info["multiplicity"]`
(2S + 1). Keys of `atoms.info` are compared without case, spaces and underscores.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms

from deepdft.errors import UnsupportedStructureError
from deepdft.structures.structure import CHARGE, MULTIPLICITY, Statement

ROUNDING = 0.1
"""How far a sum of partial charges may be from a whole number, e."""

_CHARGE_KEYS = frozenset(
    ("charge", "totalcharge", "netcharge", "molecularcharge", "molcharge", "systemcharge", "q")
)
_MULTIPLICITY_KEYS = frozenset(("multiplicity", "spinmultiplicity", "mult", "spinmult"))
_UNPAIRED_KEYS = frozenset(
    ("unpaired", "unpairedelectrons", "nunpaired", "numunpaired", "nunpairedelectrons", "uhf")
)
_MOMENT_KEYS = frozenset(("magmom", "totalmagmom", "totalmoment", "magneticmoment"))
_ATOMIC_CHARGES = ("charges", "charge", "partial_charges", "formal_charges")


def charge_statements(atoms: Atoms) -> list[Statement]:
    """Return what an ASE structure says of its net charge."""
    found = [
        Statement(value, f"{key}={value}")
        for key, value in atoms.info.items()
        if _plain(key) in _CHARGE_KEYS and value is not None
    ]
    if atoms.has("initial_charges"):
        values = np.asarray(atoms.get_initial_charges(), dtype=np.float64)
        # Zeros are what is there when nobody said anything.
        if not np.isfinite(values).all() or np.abs(values).max(initial=0.0) > 0:
            found.append(Statement(float(values.sum()), "the sum of initial charges"))
    parameters = getattr(atoms.calc, "parameters", None) or {}
    if "charge" in parameters:
        found.append(Statement(parameters["charge"], "the charge of the calculation"))
    for values in _atomic_charges(atoms):
        if np.isfinite(values).all() and abs(float(values.sum())) > ROUNDING:
            found.append(Statement(float(values.sum()), "the sum of atomic charges", firm=False))
    return found


def _atomic_charges(atoms: Atoms) -> list[Any]:
    arrays = [atoms.arrays[name] for name in _ATOMIC_CHARGES if name in atoms.arrays]
    results = getattr(atoms.calc, "results", None) or {}
    if results.get("charges") is not None:
        arrays.append(results["charges"])
    numeric = [np.asarray(values) for values in arrays]
    return [values.astype(np.float64) for values in numeric if values.dtype.kind in "iuf"]


def resolved_charge(statements: Sequence[Statement], given: int | None) -> tuple[int | None, str]:
    """Return the net charge that statements agree on, or None where nothing is said.

    Args:
        statements: from a structure.
        given: by the user; it decides where statements cannot be read.

    Returns:
        The charge and a note on it, or an empty string.

    Raises:
        UnsupportedStructureError: if a statement is no charge, or two contradict each other.
    """
    if given is not None:
        statements = [Statement(given, f"--charge {given}"), *statements]
    return _agreed(statements, whole_charge, "charge", given is not None)


def resolved_multiplicity(
    statements: Sequence[Statement], given: int | None
) -> tuple[int | None, str]:
    """Return the multiplicity that statements agree on, as `resolved_charge` does."""
    if given is not None:
        statements = [Statement(given, f"--multiplicity {given}"), *statements]
    return _agreed(statements, _whole_multiplicity, "multiplicity", given is not None)


def _agreed(
    statements: Sequence[Statement], parse: Any, what: str, given: bool
) -> tuple[int | None, str]:
    firm: list[tuple[int, Statement]] = []
    note = ""
    for statement in (s for s in statements if s.firm):
        try:
            firm.append((parse(statement), statement))
        except UnsupportedStructureError:
            if not given or not firm:
                raise
            note = f"{firm[0][1].where} decides; {statement.where} does not say the {what}"
    if firm:
        (value, first), *others = firm
        for other, statement in others:
            if other != value:
                raise UnsupportedStructureError(
                    f"The {what} is contradictory: {_shown(value, what)} as {first.where}, "
                    f"{_shown(other, what)} as {statement.where}; correct one of them."
                )
        return value, note
    for statement in statements:
        try:
            value = parse(statement)
        except UnsupportedStructureError:
            continue
        return value, f"{what} {_shown(value, what)}, from {statement.where}"
    return None, note


def _shown(value: int, what: str) -> str:
    return f"{value:+d}" if what == "charge" and value else str(value)


def whole_charge(statement: Statement) -> int:
    """Return a statement as a whole number of elementary charges.

    Raises:
        UnsupportedStructureError: if it is none.
    """
    value = _number(statement.value)
    if value is None or not math.isfinite(value) or abs(value) > 1e6:
        raise UnsupportedStructureError(
            f"'{_brief(statement)}' is no charge ({statement.where}); give a whole number of "
            "elementary charges."
        )
    if abs(value - round(value)) > ROUNDING:
        raise UnsupportedStructureError(
            f"A net charge of {value:g} ({statement.where}) is no whole number of elementary "
            "charges."
        )
    return round(value)


def _whole_multiplicity(statement: Statement) -> int:
    if statement.problem:
        raise UnsupportedStructureError(statement.problem)
    value = _number(statement.value)
    if value is None or not math.isfinite(value) or not 1 <= value < 1e6 or value % 1:
        raise UnsupportedStructureError(
            f"'{_brief(statement)}' is no spin multiplicity ({statement.where}); give 2S + 1: 1 "
            "for a closed shell, 2 for one unpaired electron, 3 for two."
        )
    return int(value)


def _brief(statement: Statement) -> str:
    return str(statement.value).replace("\n", " ")[:40]


def _number(value: object) -> float | None:
    """Return a number from `1`, `"+1"`, `"2-"` or a NumPy scalar; None from anything else."""
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, str):
        text = value.strip().replace("\N{MINUS SIGN}", "-")
        behind = re.fullmatch(r"(\d*)([+-])", text)
        text = f"{behind[2]}{behind[1] or 1}" if behind else text
        try:
            return float(text)
        except ValueError:
            return None
    if isinstance(value, int | float | np.integer | np.floating):
        try:
            return float(value)
        except OverflowError:  # an integer of hundreds of digits
            return None
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "iuf":
        return float(value.reshape(-1)[0])
    return None


def multiplicity_statements(atoms: Atoms, electrons: int) -> list[Statement]:
    """Return what an ASE structure says of its spin multiplicity.

    Args:
        atoms: the structure.
        electrons: their number, nuclear charges less the net charge: it tells which of its three
            meanings `spin` has (2S, S or 2S + 1).

    Raises:
        UnsupportedStructureError: if magnetic moments are not finite.
    """
    found = []
    for key, value in atoms.info.items():
        name, where = _plain(key), f"{key}={value}"
        if value is None:
            continue
        if name in _MULTIPLICITY_KEYS:
            found.append(Statement(value, where))
        elif name in _UNPAIRED_KEYS:
            found.append(_from_unpaired(value, where))
        elif name in _MOMENT_KEYS and not atoms.pbc.any():
            found.append(_from_unpaired(value, where, ROUNDING))
        elif name == "spin":
            found.append(_from_spin(value, where, electrons))
    parameters = getattr(atoms.calc, "parameters", None) or {}
    for key in ("mult", "multiplicity"):
        if key in parameters:
            found.append(Statement(parameters[key], "the multiplicity of the calculation"))
    results = getattr(atoms.calc, "results", None) or {}
    total = _number(results.get("magmom"))
    if total is not None and abs(total) > ROUNDING and not atoms.pbc.any():
        found.append(_from_unpaired(total, "the calculated magnetic moment", ROUNDING))
    moments = _moments(atoms)
    if np.abs(moments).max(initial=0.0) > 0 and not atoms.pbc.any():
        total = float(np.linalg.norm(moments.reshape(len(moments), -1).sum(axis=0)))
        found.append(_from_unpaired(total, "the sum of initial magnetic moments", 0.5))
    return found


def _moments(atoms: Atoms) -> Any:
    moments = np.asarray(atoms.get_initial_magnetic_moments(), dtype=np.float64)
    if not np.isfinite(moments).all():
        atom = int(np.argmin(np.isfinite(moments.reshape(len(moments), -1)).all(axis=1)))
        raise UnsupportedStructureError(
            f"The initial magnetic moment of atom {atom} is not a finite number."
        )
    return moments


def _from_unpaired(value: object, where: str, rounding: float = 0.0) -> Statement:
    number = _number(value)
    if number is None or not math.isfinite(number):
        return Statement(value, where)
    number = abs(number)
    if abs(number - round(number)) <= rounding:
        number = round(number)
    return Statement(number + 1, where)


def _from_spin(value: object, where: str, electrons: int) -> Statement:
    """Programs mean 2S (PySCF), S or 2S + 1 (FAIR's models) by `spin`."""
    number = _number(value)
    if number is None or not math.isfinite(number):
        return Statement(value, where)
    number = abs(number)
    if number % 1:
        return Statement(2 * number + 1, where)
    odd = electrons % 2 == 1
    if number == 0:
        return Statement(1, where)
    # 2S has the parity of the number of electrons, 2S + 1 the other one.
    if (number % 2 == 1) == odd:
        return Statement(number + 1, where)
    if number > 1 or odd:
        return Statement(number, where)
    return Statement(
        value,
        where,
        problem=f"{where} with an even number of electrons may be a multiplicity of 1 or a spin "
        "S = 1; say which with --multiplicity 1 or --multiplicity 3.",
    )


def store(atoms: Atoms, charge: int | None, multiplicity: int | None) -> None:
    """Write charge and multiplicity where they are looked for, in place of what was read.

    Raises:
        UnsupportedStructureError: if no molecule has this charge, or not this multiplicity.
    """
    others = _CHARGE_KEYS | _MULTIPLICITY_KEYS | _UNPAIRED_KEYS | {"spin"}
    others |= frozenset() if atoms.pbc.any() else _MOMENT_KEYS
    for key in [key for key in atoms.info if _plain(key) in others]:
        del atoms.info[key]
    if charge is not None:
        atoms.info[CHARGE] = charge
    if multiplicity is not None:
        atoms.info[MULTIPLICITY] = multiplicity
    nuclear = int(atoms.numbers.sum())
    electrons = nuclear - (charge or 0)
    name = atoms.get_chemical_formula()
    if electrons < (0 if nuclear < 3 else 1) or electrons > 2 * nuclear + 2:
        raise UnsupportedStructureError(
            f"{name} cannot have a charge of {charge:+d}: that leaves {electrons} electrons."
        )
    if multiplicity is None:
        return
    if multiplicity > electrons + 1 or electrons % 2 == multiplicity % 2:
        of = f" with charge {charge:+d}" if charge else ""
        raise UnsupportedStructureError(
            f"{name}{of} has {electrons} electrons, which is at odds with a multiplicity of "
            f"{multiplicity}; correct the charge or the multiplicity."
        )


def charge_and_multiplicity(
    atoms: Atoms, charge: int | None = None, multiplicity: int | None = None
) -> tuple[int, int | None]:
    """Return net charge (e) and multiplicity of any ASE structure, whoever made it.

    Args:
        atoms: the structure.
        charge: given by the user.
        multiplicity: given by the user.

    Returns:
        The charge, 0 where nothing is said, and 2S + 1 or None.

    Raises:
        UnsupportedStructureError: for nonsense and contradictions.
    """
    found, _ = resolved_charge(charge_statements(atoms), charge)
    electrons = int(atoms.numbers.sum()) - (found or 0)
    statements = multiplicity_statements(atoms, electrons)
    return found or 0, resolved_multiplicity(statements, multiplicity)[0]


def _plain(key: object) -> str:
    return re.sub(r"[\s_-]", "", str(key)).casefold()
