"""Archives of orbitals and of plane waves whose members are not what they should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from deepdft.data import open_dataset
from deepdft.data.plane_waves import PlaneWaveArchive, write_plane_waves
from deepdft.density import Density, Grid
from deepdft.errors import DeepDFTError
from deepdft.fields.orbitals import OrbitalDensity, write_orbital_archive
from deepdft.levels import LevelOfTheory

Arrays = dict[str, Any]
LEVEL = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")


def orbitals(path: Path) -> Arrays:
    """Two molecules and a crystal of hydrogen."""
    molecules = [Atoms("H2", [[0, 0, 0], [0, 0, 0.7 + 0.1 * n]]) for n in range(3)]
    molecules[2].set_cell([4.0, 4.0, 4.0])
    molecules[2].pbc = True
    written = []
    for number, atoms in enumerate(molecules):
        atoms.info = {"name": f"h2_{number}", "energy": -31.0, "dipole": np.zeros(3), "kind": "x"}
        written.append(OrbitalDensity(atoms, "gth-dzvp", np.full((10, 1), 0.1), 2.0, LEVEL))
    write_orbital_archive(path, written, [1, 2, 3], coefficients="int16")
    return arrays_of(path)


def waves(path: Path) -> Arrays:
    """Two crystals, one of them with a spin density."""
    crystals = []
    for name, symbol in (("a", "Si"), ("b", "Fe")):
        atoms = bulk(symbol)
        atoms.info["name"] = name
        grid = Grid(atoms.cell.array, (6, 6, 6))
        values = np.random.default_rng(1).random(grid.shape)
        spin = 0.1 * values if name == "b" else None
        metadata = {"calculation": {"energy": -1.0}}
        crystals.append(Density(atoms, grid, values, spin=spin, level=LEVEL, metadata=metadata))
    write_plane_waves(path, crystals, cutoff=5.0)
    return arrays_of(path)


def waves_as_they_are(path: Path) -> Arrays:
    """The same with `hkl` in place of its steps, as earlier versions wrote it."""
    whole = waves(path)
    steps = whole.pop("hkl_steps")
    whole["hkl"] = np.ascontiguousarray(steps.cumsum(axis=1, dtype=np.int16).T)
    np.savez(path, **whole)
    return whole


def arrays_of(path: Path) -> Arrays:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def with_value(value: Any) -> Callable[[Any], Any]:
    """Put a value in the place of the first."""

    def change(array: Any) -> Any:
        changed = array.astype(np.result_type(array.dtype, np.asarray(value).dtype))
        changed.flat[0] = value
        return changed

    return change


NUMBERS: dict[str, Callable[[Any], Any]] = {
    "of a dimension more": lambda array: array[..., None],
    "flat": lambda array: array.reshape(-1)[: len(array)],
    "one value": lambda array: array.reshape(-1)[0],
    "one short": lambda array: array[:-1],
    "one more": lambda array: np.concatenate([array, array[:1]]),
    "empty": lambda array: array[:0],
    "texts": lambda array: array.astype("U8"),
    "truth values": lambda array: array.astype(bool),
    "complex": lambda array: array + 1j,
    "not a number": with_value(np.nan),
    "infinite": with_value(np.inf),
    "beyond measure": with_value(2**62),
    "negative": with_value(-1),
}
STILL_ONE = {
    "negative": ("positions", "cell", "coeff", "coeff_unit", "hkl", "hkl_steps", "translations",
                 "waves", "spin_waves", "energy", "dipole", "rotations"),
    "beyond measure": ("positions", "cell", "coeff", "coeff_unit", "translations", "waves",
                       "spin_waves", "energy", "dipole", "index"),
    "not a number": ("energy", "dipole"),
    "infinite": ("energy", "dipole"),
    "truth values": ("magnetic",),
}  # fmt: skip
"""Changes that leave an archive what it is, though perhaps not a sensible one."""
DESCRIBING = "energy"
"""Of plane waves it may be anything: whoever made the archive says what describes a crystal."""


def use_orbitals(path: Path) -> None:
    dataset = open_dataset(path)
    for number in range(len(dataset)):
        density = dataset.density(number)
        density.at([[0.0, 0.0, 0.3]])
        assert np.isfinite(density.atoms.positions).all()


def use_waves(path: Path) -> None:
    archive = PlaneWaveArchive(path)
    for name in archive.names:
        archive.atoms(name)
        archive.density(name)
    dataset = open_dataset(path)
    for number in range(len(dataset)):
        dataset.atoms(number)


@pytest.mark.parametrize(
    ("make", "use"), [(orbitals, use_orbitals), (waves, use_waves), (waves_as_they_are, use_waves)]
)
def test_every_array_in_every_wrong_way(make, use, tmp_path) -> None:
    path = tmp_path / "archive.npz"
    whole = make(path)
    use(path)
    described = set() if make is orbitals else {DESCRIBING}
    defects = []
    for name, array in whole.items():
        if array.dtype.kind not in "iufb" or name in described:
            continue
        for kind, change in NUMBERS.items():
            changed = change(array)
            if changed.dtype == array.dtype and np.array_equal(changed, array):
                continue
            np.savez(path, **whole | {name: changed})
            with np.errstate(all="ignore"):
                told = sentence(use, path)
            if told is None and name not in STILL_ONE.get(kind, ()):
                defects.append((name, kind, "nothing was said"))
            elif told is not None and ("\n" in told or len(told) > 400):
                defects.append((name, kind, told))
    assert defects == []


def sentence(use: Callable[[Path], None], path: Path) -> str | None:
    """Return what is said of a file; whatever is no `DeepDFTError` is a defect."""
    try:
        use(path)
    except DeepDFTError as error:
        return str(error)
    return None
