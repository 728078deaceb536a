"""Pseudopotential files of a folder, found by element and checked before anything is calculated."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms
from ase.data import atomic_numbers

from deepdft.errors import ConfigurationError
from deepdft.storage.identities import file_identity

VARIABLE = "ESPRESSO_PSEUDO"
"""Environment variable that names the folder where a setting does not."""


@dataclass(frozen=True)
class Pseudopotential:
    """One file in the UPF format.

    Attributes:
        path: the file.
        element: chemical symbol.
        valence: electrons that it leaves to the calculation.
        functional: as the file names it, for example "PBE".
        norm_conserving: whether densities made with it have no augmentation charges.
    """

    path: Path
    element: str
    valence: float
    functional: str
    norm_conserving: bool

    @property
    def digest(self) -> str:
        """The first twelve digits of the file's SHA-256."""
        return file_identity(self.path)[:12]


def pseudopotential_folder(setting: str | None) -> Path:
    """Return the folder of pseudopotentials: a setting, or what the environment names.

    Raises:
        ConfigurationError: if neither names a folder.
    """
    chosen = setting or os.environ.get(VARIABLE)
    if not chosen:
        raise ConfigurationError(
            "Quantum ESPRESSO needs pseudopotentials: give pseudopotentials=FOLDER with one UPF "
            f"file an element (from pseudo-dojo.org, for example), or set {VARIABLE}."
        )
    folder = Path(chosen).expanduser().absolute()
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder of pseudopotentials {folder}.")
    return folder


def pseudopotentials_for(structures: Iterable[Atoms], folder: Path) -> dict[str, Pseudopotential]:
    """Return the pseudopotential of every element that structures hold.

    Raises:
        ConfigurationError: naming every element without a file, or with several.
    """
    wanted = {symbol for atoms in structures for symbol in atoms.get_chemical_symbols()}
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".upf":
            # Si.upf, si_pbe_v1.uspp.F.UPF, Si.pbe-n-rrkjus_psl.1.0.0.UPF
            letters = re.match(r"[A-Za-z]+", path.name)
            symbol = "" if letters is None else letters.group().capitalize()
            if symbol in wanted:
                files.setdefault(symbol, []).append(path)
    missing = sorted(wanted - set(files), key=atomic_numbers.__getitem__)
    if missing:
        raise ConfigurationError(
            f"The folder {folder} has no pseudopotential (ELEMENT*.upf) for {', '.join(missing)}."
        )
    for symbol, found in files.items():
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ConfigurationError(
                f"The folder {folder} has several pseudopotentials for {symbol} ({names}); "
                "leave one."
            )
    return {symbol: read_pseudopotential(found[0], symbol) for symbol, found in files.items()}


def read_pseudopotential(path: Path, element: str) -> Pseudopotential:
    """Return what the header of a UPF file says.

    Raises:
        ConfigurationError: if the file is of another element or not such a file.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    header = re.search(r"<PP_HEADER(.*?)/?>", text, re.DOTALL)
    fields = dict(re.findall(r'(\w+)\s*=\s*"([^"]*)"', header.group(1))) if header else {}
    try:
        valence = float(fields["z_valence"].upper().replace("D", "E"))
        symbol = fields["element"].strip().capitalize()
    except (KeyError, ValueError):
        raise ConfigurationError(
            f"{path} is not a pseudopotential in the UPF format, version 2."
        ) from None
    if symbol != element:
        raise ConfigurationError(f"{path} is a pseudopotential of {symbol}, not of {element}.")
    return Pseudopotential(
        path,
        element,
        valence,
        fields.get("functional", "").strip(),
        fields.get("pseudo_type", "").strip().upper() in ("NC", "SL"),
    )
