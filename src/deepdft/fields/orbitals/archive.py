"""Archives of occupied orbitals: many structures in one compact npz file.

For n structures a file holds `index` or `name` or both, `energy` (Ha), `dipole` (n, 3) (Debye),
`natoms`, `nao`, `nocc`, all of length n; `numbers` and `positions` (Å) of all atoms one after the
other; and `coeff`, each structure's (nao, nocc) coefficients in C order, one after the other,
float32, or int16 in units of `coeff_unit` (n,). Where there are periodic structures (orbitals of
the Gamma point) the file has `cell` (n, 3, 3) (Å, rows) and `pbc` (n, 3). `charge` (n,), `group`
(n,) and `key` (n,), a canonical SMILES, are there where there are ions or several kinds of
structures, `info` (n,), JSON objects of what else is known, where it says something. `level`, a
JSON text, names the level of theory; files without it are RKS/PBE/GTH-PBE/gth-dzvp.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.units import Debye
from numpy.typing import NDArray

from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.fields.orbitals.basis import load_basis
from deepdft.fields.orbitals.density import OrbitalDensity
from deepdft.levels import LevelOfTheory
from deepdft.storage.damage import reported
from deepdft.storage.json_files import parse_json
from deepdft.storage.numpy_archives import Layout, read_arrays, require_layout
from deepdft.storage.whole_files import AtomicFile
from deepdft.units import HARTREE

DEFAULT_LEVEL = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")

_COUNTS = ("natoms", "nao", "nocc")
_REQUIRED = (*_COUNTS, "numbers", "positions", "coeff")
_DESCRIBING = ("charge", "group", "key")
_OPTIONAL = (
    "index", "name", "energy", "dipole", "level", "cell", "pbc", "info", "coeff_unit", *_DESCRIBING,
)  # fmt: skip
_WHOLE = "iu"
_NUMBERS = "iuf"
_ARRAYS: Layout = {
    "index": (_WHOLE, (None,)), "name": ("U", (None,)), "natoms": (_WHOLE, (None,)),
    "nao": (_WHOLE, (None,)), "nocc": (_WHOLE, (None,)), "numbers": (_WHOLE, (None,)),
    "positions": (_NUMBERS, (None, 3)), "coeff": (_NUMBERS, (None,)),
    "coeff_unit": (_NUMBERS, (None,)), "cell": (_NUMBERS, (None, 3, 3)), "pbc": ("b", (None, 3)),
    "charge": (_NUMBERS, (None,)), "group": ("U", (None,)), "key": ("U", (None,)),
    "info": ("U", (None,)), "level": ("U", ()),
}  # fmt: skip
_UNKNOWN_AS_NAN = {"energy": (None,), "dipole": (None, 3)}
"""Of these, values that are not known are not a number."""
_FIRST_UNNUMBERED = 1_000_000
"""Index of the first structure that has a name alone; beyond those of every numbered collection."""
_LARGEST_INTEGER = 32767
_LARGEST_INDEX = 2**62


class OrbitalArchive:
    """Structures of one or several archive files, sorted by index, each index once.

    Structures that have a name and no index come last, in the order of the files, each name once,
    numbered from 1,000,000 on or beyond the largest index; so do those whose index another name has
    already, as two collections may count from 0 alike. Opening reads indices and names; the rest of
    a file is read when its first structure is asked for, and kept. Every structure's `atoms.info`
    has "index", and "energy" (eV), "dipole" (3,) (e Å), "charge" (e) and whatever else was stored
    where the file has them.

    Attributes:
        indices: (n,) index of each structure (for QM9 its dsgdb9nsd number), ascending.
    """

    def __init__(self, paths: str | Path | Sequence[str | Path]) -> None:
        """Args: paths: a folder of npz files, a file, or several files.

        Raises:
            FileFormatError: if there is no file, or one is not such an archive.
        """
        self._paths = _archive_files(paths)
        self._loaded: dict[int, dict[str, Any]] = {}
        where: dict[int, tuple[int, int]] = {}
        named: dict[int, str] = {}
        unnumbered: dict[str, tuple[int, int]] = {}
        for number, path in enumerate(self._paths):
            for row, (index, name) in enumerate(_labels(path)):
                if index is None or (name and named.get(index, name) != name):
                    unnumbered.setdefault(name, (number, row))
                elif where.setdefault(index, (number, row)) == (number, row) and name:
                    named[index] = name
        free = max(_FIRST_UNNUMBERED, 1 + max(where, default=0))
        for index, (name, place) in enumerate(unnumbered.items(), free):
            where[index], named[index] = place, name
        self.indices: NDArray[np.int64] = np.array(sorted(where), dtype=np.int64)
        self._where = [where[int(index)] for index in self.indices]
        self._named = named

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def names(self) -> list[str]:
        """Name of each structure; where the file has none, ``qm9_`` and its index in six digits."""
        return [self._named.get(index, f"qm9_{index:06d}") for index in self.indices.tolist()]

    @property
    def labels(self) -> list[str]:
        """Name of each structure; where the file has none, its index."""
        return [self._named.get(index, str(index)) for index in self.indices.tolist()]

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
        with reported(self._paths[number]):
            return self._density(self._loaded[number], row, position)

    def _density(self, data: dict[str, Any], row: int, position: int) -> OrbitalDensity:
        atom, after = data["atom_offsets"][row : row + 2]
        first, last = data["coeff_offsets"][row : row + 2]
        atoms = Atoms(data["numbers"][atom:after], data["positions"][atom:after])
        atoms.info = {**_info(data, row), "index": int(self.indices[position])}
        if "cell" in data:
            atoms.set_cell(data["cell"][row])
            atoms.pbc = data["pbc"][row]
        coefficients = data["coeff"][first:last].reshape(data["nao"][row], data["nocc"][row])
        if "coeff_unit" in data:
            coefficients = coefficients * np.float32(data["coeff_unit"][row])
        return OrbitalDensity(atoms, data["level"].basis, coefficients, 2.0, data["level"])

    def __iter__(self) -> Iterator[OrbitalDensity]:
        return (self[position] for position in range(len(self)))


def _info(data: dict[str, Any], row: int) -> dict[str, Any]:
    info: dict[str, Any] = json.loads(str(data["info"][row])) if "info" in data else {}
    if not isinstance(info, dict):
        raise ValueError("an 'info' is no JSON object")
    info |= {key: data[key][row].item() for key in _DESCRIBING if key in data}
    if "name" in data and data["name"][row]:
        info["name"] = str(data["name"][row])
    if "energy" in data:
        info["energy"] = float(data["energy"][row]) * HARTREE
    if "dipole" in data and not np.isnan(data["dipole"][row]).all():
        info["dipole"] = data["dipole"][row] * Debye
    return info


def _labels(path: Path) -> Iterator[tuple[int | None, str]]:
    """Yield index and name of each structure of a file: None or "" for what it has not.

    Raises:
        FileFormatError: if the file is no archive, or a structure has neither.
    """
    found = _read(path, ("natoms",), ("index", "name"))
    with reported(path):
        count = len(found["natoms"])
        require_layout(found, _ARRAYS)
        if any(len(found[name]) != count for name in found):
            raise ValueError("its arrays do not have the same length")
        numbers = found.get("index", np.zeros(0, np.int64))
        if numbers.min(initial=0) < 0 or numbers.max(initial=0) > _LARGEST_INDEX:
            raise ValueError("an index is negative or too large")
    indices = found["index"].tolist() if "index" in found else [None] * count
    names = found["name"].tolist() if "name" in found else [""] * count
    for index, name in zip(indices, names, strict=False):
        if index is None and not name:
            raise FileFormatError(
                f"{path} is not an orbital archive: a structure has neither index nor name."
            )
        yield index, name


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


def _read(path: Path, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """Return the named arrays of a file and of the others none.

    Raises:
        FileFormatError: if one is missing or the file cannot be read.
    """
    if not path.exists():
        raise FileFormatError(f"There is no orbital archive {path}.")
    with reported(path, "cannot be read as an orbital archive"):
        data = read_arrays(path, only=(*names, *optional))
    missing = [name for name in names if name not in data]
    if missing:
        raise FileFormatError(f"{path} is not an orbital archive: it lacks {', '.join(missing)}.")
    return data


def _load(path: Path) -> dict[str, Any]:
    data = _read(path, _REQUIRED, _OPTIONAL)
    with reported(path):
        return _checked(data, path)


def _checked(data: dict[str, Any], path: Path) -> dict[str, Any]:
    require_layout(data, _ARRAYS)
    level = data.get("level")
    data["level"] = (
        DEFAULT_LEVEL if level is None else LevelOfTheory.from_dict(parse_json(str(level), path))
    )
    if any(data[name].min(initial=0) < 0 for name in _COUNTS):
        raise ValueError("a count is negative")
    if not ((data["numbers"] > 0) & (data["numbers"] < len(chemical_symbols))).all():
        raise ValueError("an atomic number is that of no element")
    for name, shape in _UNKNOWN_AS_NAN.items():
        if name in data and (data[name].dtype.kind != "f" or data[name].shape[1:] != shape[1:]):
            raise ValueError(f"'{name}' holds {data[name].dtype} of shape {data[name].shape}")
    sizes = data["nao"].astype(np.int64) * data["nocc"].astype(np.int64)
    data["coeff_offsets"] = np.concatenate([[0], np.cumsum(sizes)])
    data["atom_offsets"] = np.concatenate([[0], np.cumsum(data["natoms"].astype(np.int64))])
    complete = (
        len(data["coeff"]) == data["coeff_offsets"][-1]
        and len(data["numbers"]) == len(data["positions"]) == data["atom_offsets"][-1]
        and all(
            len(data[name]) == len(data["natoms"])
            for name in (*_COUNTS, *_OPTIONAL)
            if name in data and name != "level"
        )
        and ("cell" in data) == ("pbc" in data)
    )
    if not complete:
        raise FileFormatError(f"{path} is damaged: its arrays do not have the lengths announced.")
    return data


def write_orbital_archive(
    path: str | Path,
    densities: Sequence[OrbitalDensity],
    indices: Sequence[int] | None = None,
    *,
    names: Sequence[str] | None = None,
    coefficients: Literal["float32", "int16"] = "float32",
) -> None:
    """Write structures to one archive file; positions become float32.

    What `atoms.info` holds of texts, numbers and truth values is kept.

    Args:
        path: the file, .npz.
        densities: closed-shell structures, molecules or periodic, in the shipped basis set that
            their `level` names, all at the same level of theory.
        indices: index of each; `atoms.info["index"]` by default.
        names: name of each; `atoms.info["name"]` by default, or none.
        coefficients: "float32", or "int16" in units of 1/32767 of a structure's largest, which
            takes 40 % of the space (eps_mae about 0.002 %).

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
            "Every structure of an orbital archive needs an index of its own, zero or larger; "
            "pass `indices`."
        )
    if names is None:
        names = [str(density.atoms.info.get("name", "")) for density in densities]
    given = [name for name in names if name]
    if len(names) != len(densities) or len(set(given)) < len(given):
        raise ConfigurationError(
            f"{len(densities)} structures of an orbital archive cannot have the names "
            f"{', '.join(names)}; each needs its own."
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
        "level": np.array(json.dumps(level.to_dict())),
        **_descriptions(densities, names),
        **_coefficients(densities, coefficients),
    }
    with AtomicFile(path) as file:
        np.savez_compressed(file, **arrays)


def _descriptions(densities: Sequence[OrbitalDensity], names: Sequence[str]) -> dict[str, Any]:
    """Return the arrays that only some archives need."""
    arrays: dict[str, Any] = {}
    if any(density.atoms.pbc.any() for density in densities):
        arrays["cell"] = np.array([density.atoms.cell.array for density in densities])
        arrays["pbc"] = np.array([density.atoms.pbc for density in densities])
    if any(names):
        arrays["name"] = np.array(names)
    elsewhere = ("index", "energy", "dipole", "name")
    infos = [
        {
            str(key): value.item() if isinstance(value, np.generic) else value
            for key, value in density.atoms.info.items()
            if key not in elsewhere and isinstance(value, str | int | float | np.generic)
        }
        for density in densities
    ]
    if any(infos):
        arrays["info"] = np.array([json.dumps(info) for info in infos])
    return arrays


def _coefficients(densities: Sequence[OrbitalDensity], kind: str) -> dict[str, Any]:
    flat = [density.coefficients.ravel() for density in densities]
    if kind == "float32":
        return {"coeff": np.concatenate(flat).astype(np.float32)}
    if kind != "int16":
        raise ConfigurationError(f"Coefficients are kept as float32 or int16, not as {kind}.")
    units = np.array([np.abs(values).max() / _LARGEST_INTEGER for values in flat])
    integers = [np.round(values / unit) for values, unit in zip(flat, units, strict=True)]
    return {"coeff": np.concatenate(integers).astype(np.int16), "coeff_unit": units}


def _require_fit(density: OrbitalDensity, level: LevelOfTheory) -> None:
    closed = (density.occupations == 2).all() and density.spin_occupations is None
    if not closed or density.level != level:
        raise ConfigurationError(
            "An orbital archive holds closed-shell structures at one level of theory, and "
            f"{density.atoms.symbols} is not like that."
        )
    if density.atoms.pbc.any() and not density.atoms.pbc.all():
        raise ConfigurationError(
            "An orbital archive holds molecules and structures that are periodic in three "
            f"directions; {density.atoms.symbols} is periodic in some."
        )
    if density.shells != load_basis(level.basis).shells(density.atoms.numbers):
        raise ConfigurationError(
            f"{density.atoms.symbols} is not in the basis set {level.basis} that "
            "its level of theory names."
        )
