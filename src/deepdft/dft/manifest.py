"""The manifest of a campaign: what was calculated, how, and with what outcome."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from deepdft.errors import ConfigurationError
from deepdft.levels import LevelOfTheory
from deepdft.storage.identities import structure_identity
from deepdft.storage.whole_files import AtomicFile

FILE = "manifest.json"
FORMAT = "deepdft reference calculations"
VERSION = 1

PENDING, DONE, FAILED = "pending", "done", "failed"


@dataclass
class StructureRecord:
    """One structure of a campaign.

    Attributes:
        name: of the structure; its density is in `NAME.npz`.
        index: number of the structure in the campaign, or `atoms.info["index"]`.
        formula: chemical formula.
        atoms: number of atoms.
        fingerprint: hash of elements, positions, cell, periodicity, initial moments and charge.
        info: `atoms.info`, as far as JSON can hold it.
        status: "pending", "done" or "failed".
        energy: total energy, eV.
        iterations: self-consistency iterations.
        seconds: wall-clock time.
        initial_moments: (atoms,) magnetic moments started from, Bohr magnetons, or None.
        moments: (atoms,) final local moments, or None.
        total_moment: of the cell, Bohr magnetons, or None.
        details: what else the program gave.
        error: why it failed, one sentence.
        log: folder of a failed calculation's files, relative to the store.
        versions: position of the versions it was made with in `Manifest.versions`.
    """

    name: str
    index: int
    formula: str
    atoms: int
    fingerprint: str
    info: dict[str, Any] = field(default_factory=dict)
    status: str = PENDING
    energy: float | None = None
    iterations: int | None = None
    seconds: float | None = None
    initial_moments: list[float] | None = None
    moments: list[float] | None = None
    total_moment: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    log: str | None = None
    versions: int | None = None


@dataclass
class Manifest:
    """A campaign: one program with one choice of settings, many structures.

    Attributes:
        program: name of the program.
        settings: every setting, defaults included.
        level: level of theory of the densities.
        versions: versions of the programs, one entry for each set that was used.
        structures: records by name, in the order they were added.
    """

    program: str
    settings: dict[str, Any]
    level: LevelOfTheory
    versions: list[dict[str, str]] = field(default_factory=list)
    structures: dict[str, StructureRecord] = field(default_factory=dict)

    def count(self, status: str) -> int:
        """Return how many structures have a status."""
        return sum(record.status == status for record in self.structures.values())

    def write(self, store: Path) -> None:
        """Write the manifest into a store; an earlier one is replaced at once."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "program": self.program,
            "settings": self.settings,
            "level": self.level.to_dict(),
            "versions": self.versions,
            "structures": [asdict(record) for record in self.structures.values()],
        }
        write_json(store / FILE, content)


def read_manifest(store: str | Path) -> Manifest:
    """Read the manifest of a store of reference calculations.

    Raises:
        ConfigurationError: if there is none, or it is damaged.
    """
    path = Path(store) / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigurationError(f"{path} is not valid JSON: {error}.") from None
    try:
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise ValueError(f"version {content['version']!r} of {content['format']!r}")
        records = [record_from(values) for values in content["structures"]]
        return Manifest(
            content["program"],
            content["settings"],
            LevelOfTheory.from_dict(content["level"]),
            content["versions"],
            {record.name: record for record in records},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"{path} is not the manifest of reference calculations, or it is damaged: {error}."
        ) from None


def record_from(values: dict[str, Any]) -> StructureRecord:
    """Return a record from what `dataclasses.asdict` made of it; unknown entries are ignored."""
    known = {f.name for f in fields(StructureRecord)}
    return StructureRecord(**{key: value for key, value in values.items() if key in known})


def new_record(name: str, index: int, atoms: Atoms) -> StructureRecord:
    """Return the record of a structure that is still to be calculated."""
    info = {str(key): value for key, value in atoms.info.items() if _is_storable(value)}
    return StructureRecord(
        name, index, atoms.get_chemical_formula(), len(atoms), structure_identity(atoms), info
    )


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that the file appears whole or not at all."""
    text = json.dumps(content, indent=1, default=_plain)
    with AtomicFile(path) as file:
        file.write(text.encode() + b"\n")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _is_storable(value: Any) -> bool:
    try:
        json.dumps(value, default=_plain)
    except (TypeError, ValueError):
        return False
    return True
