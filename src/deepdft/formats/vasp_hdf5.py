"""VASP's HDF5 files: the density in vaspwave.h5 (or vaspout.h5) of VASP 6.

Layout (as py4vasp reads it): `charge/charge` (components, nz, ny, nx), the density times the volume
of the cell as in a CHGCAR; one component, two (with the magnetisation) or four. The structure is
in `structure/positions` or `results/positions` (`scale`, `lattice_vectors`, `position_ions`,
`ion_types`, `number_ion_types`), in the same file or in the vaspout.h5 beside it. The one-centre
occupancies of component 1, for instance, are in `charge/aug_occupancies_s01`, a row an atom, of
which `charge/aug_occupancies_ions_s01` says how many count; they are kept as a CHGCAR has them.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import FileFormatError
from deepdft.extras import import_extra
from deepdft.formats import hdf5
from deepdft.formats.elements import atomic_number
from deepdft.formats.interpretation import Interpretation
from deepdft.formats.occupancies import occupancies_text
from deepdft.formats.quantities import QUANTITIES, find_quantity
from deepdft.formats.source import Source
from deepdft.levels import LevelOfTheory

_CHARGE = "charge/charge"
_STRUCTURES = ("results/positions", "structure/positions", "input/poscar", "original/poscar")
_OCCUPANCIES = "charge/aug_occupancies_s{:02d}"
_OCCUPANCY_COUNTS = "charge/aug_occupancies_ions_s{:02d}"
_ELECTRONS = "results/electron_eigenvalues/nelectrons"


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like HDF5."""
    return hdf5.sniff(head)


def read(source: Source, *, quantity: str | None = None) -> Density:
    """Read the density of a VASP HDF5 file.

    Args:
        source: the file.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.

    Raises:
        FileFormatError: if the file is damaged, or has no density or no structure.
    """
    kind = QUANTITIES["density"] if quantity is None else find_quantity(quantity)
    with hdf5.opened(source) as file:
        blocks = _read_blocks(source, file)
        occupancies = [_read_occupancies(source, file, n + 1) for n in range(len(blocks))]
        atoms, notes = _find_structure(source, file)
        if _ELECTRONS in file:
            expected = float(np.asarray(file[_ELECTRONS][()]).ravel()[0])
            notes.append(f"The file names {expected:g} electrons.")
    metadata = {"augmentation": occupancies} if all(occupancies) else {}
    return _assemble(source, blocks, atoms, kind.name, notes, metadata)


def _read_blocks(source: Source, file: Any) -> list[NDArray[np.float64]]:
    """Return the components, (nx, ny, nz) each."""
    if _CHARGE not in file:
        raise hdf5.unknown(source, file)
    dataset = hdf5.dataset(source, file, _CHARGE)
    shape = dataset.shape
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[0] not in (1, 2, 4)):
        raise FileFormatError(f"{source.path}: {_CHARGE} has the unexpected shape {shape}.")
    values = np.asarray(dataset[()], dtype=np.float64).reshape(-1, *shape[-3:])
    if not np.isfinite(values).all():
        raise FileFormatError(f"{source.path}: a value of {_CHARGE} is not finite.")
    return [block.transpose(2, 1, 0) for block in values]


def _read_occupancies(source: Source, file: Any, component: int) -> str:
    """Return the occupancies of one component as the text of a CHGCAR; empty if there are none."""
    places = _OCCUPANCIES.format(component), _OCCUPANCY_COUNTS.format(component)
    if any(place not in file for place in places):
        return ""
    table, counts = (np.asarray(hdf5.dataset(source, file, place)[()]) for place in places)
    rows = [
        table[atom, :count].tolist() for atom, count in enumerate(counts.astype(np.int64).tolist())
    ]
    if any(len(row) < count for row, count in zip(rows, counts, strict=True)):
        raise ValueError(f"{places[0]} has too few values of an atom")
    return occupancies_text(rows)


def _find_structure(source: Source, file: Any) -> tuple[Atoms, list[str]]:
    h5py = import_extra("h5py", "Reading an HDF5 file")

    for group in _STRUCTURES:
        if group in file and "position_ions" in file[group]:
            return _read_structure(file[group]), []
    beside = os.path.join(os.path.dirname(source.local), "vaspout.h5")
    if os.path.exists(beside) and os.path.realpath(beside) != os.path.realpath(source.local):
        with h5py.File(beside, "r") as other:
            for group in _STRUCTURES:
                if group in other and "position_ions" in other[group]:
                    return _read_structure(other[group]), [
                        "The structure was taken from vaspout.h5."
                    ]
    raise FileFormatError(
        f"{source.path} has no structure, and there is none in a vaspout.h5 beside it."
    )


def _read_structure(group: Any) -> Atoms:
    scale = float(np.asarray(group["scale"][()])) if "scale" in group else 1.0
    vectors = np.array(group["lattice_vectors"][()], dtype=np.float64).reshape(3, 3)
    if scale < 0:
        scale = float(np.cbrt(-scale / abs(np.linalg.det(vectors))))
    cell = vectors * scale
    positions = np.array(group["position_ions"][()], dtype=np.float64).reshape(-1, 3)
    direct = (
        bool(np.asarray(group["direct_coordinates"][()])) if "direct_coordinates" in group else True
    )
    numbers: list[int] = []
    for name, count in zip(group["ion_types"][()], group["number_ion_types"][()], strict=True):
        label = name.decode() if isinstance(name, bytes) else str(name)
        number = atomic_number(label.strip())
        if number is None:
            raise FileFormatError(f"There is no element {label!r}.")
        numbers += [number] * int(count)
    cartesian = positions @ cell if direct else positions * scale
    return Atoms(numbers=numbers, positions=cartesian, cell=cell)


def _assemble(
    source: Source,
    blocks: list[NDArray[np.float64]],
    atoms: Atoms,
    name: str,
    notes: list[str],
    metadata: dict[str, Any],
) -> Density:
    nx, ny, nz = blocks[0].shape
    grid = Grid(np.asarray(atoms.cell), (nx, ny, nz))
    kind = QUANTITIES[name]
    if kind.is_density:
        for block in blocks:
            block /= grid.volume
    interpretation = Interpretation(
        path=source.path,
        quantity=kind,
        unit="e/angstrom^3",
        pbc=[True] * 3,
        level=LevelOfTheory(core="PAW", code="VASP"),
        metadata=metadata,
        notes=notes,
    )
    spin = None
    if len(blocks) == 2:
        spin = blocks[1]
    elif len(blocks) == 4:
        spin = np.stack(blocks[1:])
    return interpretation.density(atoms, grid, blocks[0], spin)
