"""Properties as tables: rows to print, files to write."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deepdft.electronic.properties import Properties
from deepdft.errors import ConfigurationError
from deepdft.storage.whole_files import replace_file


def rows_of(found: Properties) -> list[tuple[str, str, str, str]]:
    """Return (property, value, unit, error) of what is one number, for people to read."""
    errors, rows = found.errors, []

    def add(name: str, value: float | None, unit: str, key: str = "", digits: int = 3) -> None:
        if value is not None:
            rows.append((name, f"{value:.{digits}f}", unit, errors.of(key, unit)))

    add("electrons", found.electrons, f"e (expected {found.expected_electrons:g})", "electrons")
    add("dipole", found.debye, "D", "dipole")
    if found.dipole is not None:
        for axis, value in zip("xyz", found.dipole, strict=True):
            add(f"dipole {axis}", float(value), "e Å")
    for name, value in (found.quadrupole or {}).items():
        add(f"quadrupole {name}", value, "D Å", "quadrupole")
    if found.energies is not None:
        energies = found.energies
        add("energy", energies.energy, "eV", "energy", 4)
        add("energy, Harris", energies.harris, "eV", digits=4)
        add("energy, Kohn-Sham", energies.kohn_sham, "eV", digits=4)
        add("bracket", energies.bracket, "eV", digits=4)
        add("HOMO", energies.homo, "eV", "homo")
        add("LUMO", energies.lumo, "eV", "lumo")
        add("gap", energies.gap, "eV", "gap")
    if found.expected_eps_mae is not None:
        add("expected eps_mae", 100 * found.expected_eps_mae, "%")
    return rows


def table_writer(path: Path) -> Callable[[Sequence[Properties]], None]:
    """Return what writes properties to a file, by its suffix .csv or .json.

    Raises:
        ConfigurationError: for any other suffix.
    """
    writers: dict[str, Callable[[Sequence[Properties]], str]] = {
        ".csv": as_csv,
        ".json": lambda found: json.dumps([each.as_dict() for each in found], indent=2) + "\n",
    }
    if path.suffix not in writers:
        raise ConfigurationError(f"Tables are written as .csv or .json, not as '{path.name}'.")

    def write(found: Sequence[Properties]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, writers[path.suffix](found).encode())

    return write


def as_csv(found: Sequence[Properties]) -> str:
    """Return a line for each structure; a column for each atom's charge where all have the same.

    Otherwise the charges of a structure stand in one column, with spaces between.
    """
    alike = len({tuple(each.atoms.symbols) for each in found}) == 1
    lines = [_line(each, alike) for each in found]
    columns = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _line(found: Properties, alike: bool) -> dict[str, Any]:
    known = found.as_dict()
    line = {
        name: known[name]
        for name in (
            "name", "formula", "model", "electrons", "expected_electrons", "dipole_D", "energy_eV",
            "energy_harris_eV", "energy_kohn_sham_eV", "homo_eV", "lumo_eV", "gap_eV",
        )
        if known[name] is not None
    }  # fmt: skip
    if found.dipole is not None:
        line |= {f"dipole_{axis}_eA": float(v) for axis, v in zip("xyz", found.dipole, strict=True)}
    line |= {f"quadrupole_{name}_DA": value for name, value in (found.quadrupole or {}).items()}
    for kind, charges in (("hirshfeld", found.charges), ("bader", found.bader)):
        if charges is None:
            continue
        if alike:
            symbols = found.atoms.symbols
            line |= {f"{kind}_{s}{i + 1}": float(charges[i]) for i, s in enumerate(symbols)}
        else:
            line[kind] = " ".join(f"{charge:.5f}" for charge in charges)
    line["warning"] = found.warning or ""
    return line
