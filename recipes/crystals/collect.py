"""Gather finished calculations of crystals into one small archive of plane waves.

    python recipes/crystals/collect.py runs/salts.dft runs/metals.dft -o runs/more_crystals

The stores are those of `deepdft dft run --program quantum-espresso`, finished or not; what is done
is taken. Folders collected before may be among them, to be joined with the rest. OUTPUT gets
`crystals.npz`, one plane wave of each star of symmetry-equivalent ones (deepdft.data.plane_waves),
and `split.json` by the rule of the crystals' data: all polymorphs of a formula are in one part, now
and for ever. Given again, it writes both anew. The operations are spglib's, as far as the density
itself has them: k-points, for example, may break some.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import spglib
from ase import Atoms
from numpy.typing import NDArray

import deepdft
from deepdft.data.plane_waves import PlaneWaveArchive, write_plane_waves
from deepdft.data.symmetric_waves import Symmetry, expand, reduce
from deepdft.density import Density
from deepdft.dft import Manifest, read_manifest
from deepdft.storage.whole_files import replace_file
from deepdft.units import BOHR

ARCHIVE = "crystals.npz"
PARTS = ("train", "validation", "test")
WAVES = 240.0
"""Kinetic energy of the largest wave kept, Ry."""
TOLERANCES = (1e-3, 1e-4, 1e-5)
"""How far atoms may be from symmetric places, Å; the loosest that the density agrees with."""
ASYMMETRY = 1e-4
"""Largest eps_mae between a density and its symmetric one."""


def part_of(key: str) -> str:
    """Return the part of the split to which a reduced formula belongs, now and for ever."""
    remainder = int(hashlib.sha256(key.encode()).hexdigest(), 16) % 20
    return {0: "test", 1: "validation"}.get(remainder, "train")


def candidates(atoms: Atoms) -> Iterator[Symmetry]:
    """Yield groups of operations, the largest first, the identity last.

    Atoms of an element that began with different moments are different.
    """
    moments = np.round(atoms.get_initial_magnetic_moments(), 2)
    kinds = sorted({*zip(atoms.numbers.tolist(), moments.tolist(), strict=True)})
    labels = [
        1 + kinds.index(pair) for pair in zip(atoms.numbers.tolist(), moments.tolist(), strict=True)
    ]
    crystal = (atoms.cell.array, atoms.get_scaled_positions(), labels)
    count = 0
    for tolerance in TOLERANCES:
        found = spglib.get_symmetry(crystal, symprec=tolerance)
        if found is not None and len(found["rotations"]) != count:
            count = len(found["rotations"])
            yield Symmetry(found["rotations"].astype(np.int8), found["translations"])
    yield Symmetry.none()


def symmetry_of(density: Density, cutoff: float) -> tuple[Symmetry, float]:
    """Return the operations that a density has, and eps_mae of the density that they make.

    Args:
        density: on a grid over the cell.
        cutoff: largest |G| of a wave, 1/Å.
    """
    cell, values = density.atoms.cell.array, np.asarray(density.values, np.float64)
    smooth = without_short_waves(values, cell, cutoff)
    for symmetry in candidates(density.atoms):
        found = expand(values.shape, symmetry, *reduce(smooth, cell, symmetry, cutoff))
        error = float(np.abs(found - smooth).sum() / np.abs(values).sum())
        if error < ASYMMETRY:
            break
    return symmetry, float(np.abs(found - values).sum() / np.abs(values).sum())


def without_short_waves(
    values: NDArray[np.float64], cell: NDArray[np.float64], cutoff: float
) -> NDArray[np.float64]:
    """Return the values on a grid of all waves with |G| up to a cutoff, 1/Å."""
    axes = [np.fft.fftfreq(n, 1 / n) for n in values.shape]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    inside = 2 * np.pi * np.linalg.norm(hkl @ np.linalg.inv(cell).T, axis=-1) <= cutoff
    inside &= (2 * np.abs(hkl) < values.shape).all(axis=-1)
    kept: NDArray[np.float64] = np.fft.ifftn(np.where(inside, np.fft.fftn(values), 0)).real
    return kept


def finished(store: Path, manifest: Manifest) -> Iterator[Density]:
    """Yield the densities of a campaign with what is known of each, in the order of the pool."""
    for name, record in manifest.structures.items():
        path = store / f"{name}.npz"
        if record.status != "done" or not path.exists():
            continue
        found = deepdft.read(path)
        atoms = found.atoms
        key = str(record.info.get("key", ""))
        if not key:
            raise SystemExit(f"{name} of {store} has no key, its reduced formula, in its frame.")
        versions = manifest.versions[record.versions or 0]
        level = replace(
            manifest.level, code=f"Quantum ESPRESSO {versions.get('quantum-espresso', '')}".strip()
        )
        atoms.info = {"name": str(record.info.get("name", name))}
        known: dict[str, Any] = {
            "key": key,
            "group": str(record.info.get("group", "")),
            "prototype": str(record.info.get("prototype", "")),
            "energy": record.energy,
            "electrons": round(found.n_electrons, 4),
            "moment": record.total_moment or 0.0,
            "kpoints": record.details["kpoints"],
        }
        yield replace(found, atoms=atoms, level=level, metadata={"calculation": known})


def gathered(store: Path, cutoff: float) -> Iterator[tuple[Density, Symmetry, float]]:
    """Yield what a campaign or an earlier collection holds: density, symmetry, error of both.

    Args:
        store: folder of a campaign, or one that was collected before.
        cutoff: largest |G| of a wave, 1/Å.
    """
    if (store / ARCHIVE).exists():
        archive = PlaneWaveArchive(store / ARCHIVE)
        for name in archive.names:
            yield archive.density(name), archive.symmetry(name), 0.0
        return
    for density in finished(store, read_manifest(store)):
        yield density, *symmetry_of(density, cutoff)


def known_names(folders: Sequence[Path]) -> set[str]:
    """Return the names of crystals in folders of archives."""
    files = (path for folder in folders for path in sorted(folder.glob("*.npz")))
    return {name for path in files for name in PlaneWaveArchive(path).names}


def collect(stores: Sequence[Path], output: Path, beside: Sequence[Path] = ()) -> None:
    """Write what is done in campaigns to OUTPUT/crystals.npz, and OUTPUT/split.json.

    Args:
        stores: folders of campaigns, or collected before.
        output: folder to write.
        beside: collections whose names are taken; crystals of such names are left out.
    """
    cutoff = np.sqrt(WAVES) / BOHR
    taken = known_names(beside)
    densities: list[Density] = []
    symmetries: list[Symmetry] = []
    errors: list[float] = []
    split: dict[str, list[str]] = {part: [] for part in PARTS}
    for store in stores:
        for density, symmetry, error in gathered(store, cutoff):
            name = density.atoms.info["name"]
            if name in taken:
                print(f"left out, there is one of this name: {name}")
                continue
            taken.add(name)
            densities.append(density)
            symmetries.append(symmetry)
            errors.append(error)
            split[part_of(density.metadata["calculation"]["key"])].append(name)
    output.mkdir(parents=True, exist_ok=True)
    path = output / ARCHIVE
    write_plane_waves(path, densities, symmetries, cutoff=cutoff)
    replace_file(output / "split.json", (json.dumps(split, indent=1) + "\n").encode())
    counts = ", ".join(f"{part} {len(names)}" for part, names in split.items())
    operations = np.mean([len(symmetry.rotations) for symmetry in symmetries])
    print(f"written: {path} ({len(densities)} crystals, {path.stat().st_size / 1e6:.2f} MB)")
    print(f"{counts}; {operations:.0f} operations on average")
    print(f"eps_mae of what is kept: at most {100 * max(errors):.4f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stores", type=Path, nargs="+", help="folders of campaigns, or collected")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--beside", type=Path, nargs="*", default=[], help="collections whose names are taken"
    )
    arguments = parser.parse_args()
    collect(arguments.stores, arguments.output, arguments.beside)


if __name__ == "__main__":
    main()
