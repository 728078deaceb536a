"""Archives of molecules' occupied orbitals: many molecules in one compact npz file.

For n molecules a file holds `index`, `energy` (Ha), `dipole` (n, 3) (Debye), `natoms`, `nao`,
`nocc`, all of length n; `numbers` and `positions` (Å) of all atoms one after the other; and
`coeff`, each molecule's (nao, nocc) coefficients in C order, one after the other, float32.
`level`, a JSON text, names the level of theory; files without it are RKS/PBE/GTH-PBE/gth-dzvp.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Debye
from numpy.typing import NDArray

from deepdft.density import LevelOfTheory
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.orbitals.basis import load_basis
from deepdft.orbitals.density import OrbitalDensity
from deepdft.units import HARTREE

DEFAULT_LEVEL = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")

_COUNTS = ("natoms", "nao", "nocc")
_REQUIRED = ("index", *_COUNTS, "numbers", "positions", "coeff")


class OrbitalArchive:
    """Molecules of one or several archive files, sorted by index, each index once.

    Opening reads the indices; the rest of a file is read when its first molecule is asked for,
    and kept. Every molecule's `atoms.info` has "index", and "energy" (eV) and "dipole" (3,)
    (e Å) where the file has them.

    Attributes:
        indices: (n,) index of each molecule (for QM9 its dsgdb9nsd number), ascending.
    """

    def __init__(self, paths: str | Path | Sequence[str | Path]) -> None:
        """Args: paths: a folder of npz files, a file, or several files.

        Raises:
            FileFormatError: if there is no file, or one is not such an archive.
        """
        self._paths = _archive_files(paths)
        self._loaded: dict[int, dict[str, Any]] = {}
        where: dict[int, tuple[int, int]] = {}
        for number, path in enumerate(self._paths):
            for row, index in enumerate(_read(path, ("index",))["index"].tolist()):
                where.setdefault(int(index), (number, row))
        self.indices: NDArray[np.int64] = np.array(sorted(where), dtype=np.int64)
        self._where = [where[int(index)] for index in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def names(self) -> list[str]:
        """Name of each molecule, "qm9_" and its index in six digits."""
        return [f"qm9_{index:06d}" for index in self.indices]

    def position_of(self, index: int) -> int:
        """Return where the molecule with an index stands in the archive.

        Raises:
            ConfigurationError: if it is absent.
        """
        position = int(np.searchsorted(self.indices, index))
        if position == len(self) or self.indices[position] != index:
            raise ConfigurationError(
                f"The archive has no molecule {index} among its {len(self)} molecules."
            )
        return position

    def __getitem__(self, position: int) -> OrbitalDensity:
        """Return the density of the molecule at a position (0 to len - 1, or negative)."""
        number, row = self._where[position]
        if number not in self._loaded:
            self._loaded[number] = _load(self._paths[number])
        data = self._loaded[number]
        atom, after = data["atom_offsets"][row : row + 2]
        first, last = data["coeff_offsets"][row : row + 2]
        info: dict[str, Any] = {"index": int(self.indices[position])}
        if "energy" in data:
            info["energy"] = float(data["energy"][row]) * HARTREE
        if "dipole" in data:
            info["dipole"] = data["dipole"][row] * Debye
        return OrbitalDensity(
            Atoms(data["numbers"][atom:after], data["positions"][atom:after], info=info),
            data["level"].basis,
            data["coeff"][first:last].reshape(data["nao"][row], data["nocc"][row]),
            2.0,
            data["level"],
        )

    def __iter__(self) -> Iterator[OrbitalDensity]:
        return (self[position] for position in range(len(self)))


def _archive_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    if isinstance(paths, str | Path):
        path = Path(paths)
        found = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        if not found:
            raise FileFormatError(f"The folder {path} holds no orbital archive (*.npz).")
        return found
    if not paths:
        raise FileFormatError("No orbital archive was named.")
    return [Path(path) for path in paths]


def _read(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return the named arrays of a file and of the others none.

    Raises:
        FileFormatError: if one is missing or the file cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            missing = [name for name in names if name not in data.files]
            if missing:
                raise FileFormatError(
                    f"{path} is not an orbital archive: it lacks {', '.join(missing)}."
                )
            return {name: data[name] for name in names}
    except FileNotFoundError as error:
        raise FileFormatError(f"There is no orbital archive {path}.") from error
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise FileFormatError(f"{path} cannot be read as an orbital archive: {error}.") from error


def _load(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as stored:
        optional = [name for name in ("energy", "dipole", "level") if name in stored.files]
    data = _read(path, (*_REQUIRED, *optional))
    level = data.get("level")
    data["level"] = (
        DEFAULT_LEVEL if level is None else LevelOfTheory.from_dict(json.loads(str(level)))
    )
    sizes = data["nao"].astype(np.int64) * data["nocc"].astype(np.int64)
    data["coeff_offsets"] = np.concatenate([[0], np.cumsum(sizes)])
    data["atom_offsets"] = np.concatenate([[0], np.cumsum(data["natoms"].astype(np.int64))])
    complete = (
        len(data["coeff"]) == data["coeff_offsets"][-1]
        and len(data["numbers"]) == len(data["positions"]) == data["atom_offsets"][-1]
        and all(len(data[name]) == len(data["index"]) for name in _COUNTS)
    )
    if not complete:
        raise FileFormatError(f"{path} is damaged: its arrays do not have the lengths announced.")
    return data


def write_orbital_archive(
    path: str | Path, densities: Sequence[OrbitalDensity], indices: Sequence[int] | None = None
) -> None:
    """Write molecules to one archive file; coefficients and positions become float32.

    Args:
        path: the file, .npz.
        densities: closed-shell molecules in the shipped basis set that their `level` names, all
            at the same level of theory.
        indices: index of each; `atoms.info["index"]` by default.

    Raises:
        ConfigurationError: if a density does not fit the layout, or there is none.
    """
    if not densities:
        raise ConfigurationError("There is nothing to write to an orbital archive.")
    level = densities[0].level
    for density in densities:
        _require_fit(density, level)
    if indices is None:
        indices = [density.atoms.info.get("index", -1) for density in densities]
    if len(indices) != len(densities) or min(indices) < 0 or len(set(indices)) < len(indices):
        raise ConfigurationError(
            "Every molecule of an orbital archive needs an index of its own, zero or larger; "
            "pass `indices`."
        )
    nothing = np.full(3, np.nan)
    arrays: dict[str, Any] = {
        "index": np.array(indices, dtype=np.int32),
        "energy": np.array([d.atoms.info.get("energy", np.nan) for d in densities]) / HARTREE,
        "dipole": np.array([d.atoms.info.get("dipole", nothing) for d in densities]) / Debye,
        "natoms": np.array([len(d.atoms) for d in densities]),
        "nao": np.array([d.coefficients.shape[0] for d in densities]),
        "nocc": np.array([d.coefficients.shape[1] for d in densities]),
        "numbers": np.concatenate([d.atoms.numbers for d in densities]).astype(np.uint8),
        "positions": np.concatenate([d.atoms.positions for d in densities]).astype(np.float32),
        "coeff": np.concatenate([d.coefficients.ravel() for d in densities]).astype(np.float32),
        "level": np.array(json.dumps(level.to_dict())),
    }
    _write_npz(Path(path), arrays)


def _require_fit(density: OrbitalDensity, level: LevelOfTheory) -> None:
    closed = (density.occupations == 2).all() and density.spin_occupations is None
    if not closed or density.atoms.pbc.any() or density.level != level:
        raise ConfigurationError(
            "An orbital archive holds closed-shell molecules at one level of theory, and "
            f"{density.atoms.symbols} is not like that."
        )
    if density.shells != load_basis(level.basis).shells(density.atoms.numbers):
        raise ConfigurationError(
            f"{density.atoms.symbols} is not in the basis set {level.basis} that "
            "its level of theory names."
        )


def _write_npz(path: Path, arrays: dict[str, Any]) -> None:
    """Write so that the file appears complete or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("xb") as stream:
            np.savez_compressed(stream, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
