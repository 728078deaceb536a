"""Gather finished calculations of liquid ethylene carbonate into the data set that ships.

    python recipes/ethylene_carbonate/collect.py runs/ethylene_carbonate/densities

Writes `configurations.npz`, an archive of occupied orbitals, and `split.json`. The split goes by a
packing's number alone, so that it stays what it is when packings are added.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepdft.errors import DeepDFTError
from deepdft.fields.orbitals import OrbitalArchive, OrbitalDensity, write_orbital_archive
from deepdft.levels import LevelOfTheory
from structures import bonds, build_molecule, expected_bonds

TARGET = Path(__file__).resolve().parents[2] / (
    "paper/src/deepdft_paper/densities/ethylene_carbonate"
)
CHECKED_POINTS = 500


def part_of(packing: int) -> str:
    """Return the part of the split to which a packing belongs, now and for ever."""
    if packing % 4 == 0:
        return "test"
    return "validation" if packing % 12 == 3 else "train"


def quantisation_error(exact: OrbitalDensity, stored: OrbitalDensity) -> float:
    """Return eps_mae of a stored density at random points of the cell."""
    generator = np.random.default_rng(0)
    points = generator.random((CHECKED_POINTS, 3)) @ exact.atoms.cell.array
    reference = exact.at(points)
    return float(np.abs(stored.at(points) - reference).sum() / reference.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path, help="folder of the campaign")
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    manifest = json.loads((arguments.store / "manifest.json").read_text())
    records = {record["name"]: record for record in manifest["structures"]}
    level = LevelOfTheory.from_dict(manifest["level"])
    level = replace(level, code=f"CP2K {manifest['versions'][0]['cp2k']}")
    whole = expected_bonds(build_molecule())

    densities, names, split = [], [], {"train": [], "validation": [], "test": []}
    for density in OrbitalArchive(sorted(arguments.store.glob("*.npz"))):
        info = density.atoms.info
        density.level = level
        name = f"packing_{info['packing']:02d}_{info['frame']}"
        if bonds(density.atoms) != whole:
            raise DeepDFTError(f"A molecule in {name} is not whole.")
        info["iterations"] = records[name]["iterations"]
        info["eps_mae_to_grid"] = round(records[name]["details"]["eps_mae_to_grid"], 7)
        densities.append(density)
        names.append(name)
        split[part_of(info["packing"])].append(name)

    arguments.target.mkdir(parents=True, exist_ok=True)
    path = arguments.target / "configurations.npz"
    indices = [100 * d.atoms.info["packing"] + d.atoms.info["frame"] for d in densities]
    write_orbital_archive(path, densities, indices, names=names, coefficients="int16")
    temporary = arguments.target / ".split.json"
    temporary.write_text(json.dumps(split, indent=1) + "\n")
    os.replace(temporary, arguments.target / "split.json")

    stored = OrbitalArchive(path)
    where = {name: number for number, name in enumerate(stored.names)}
    errors = [
        quantisation_error(d, stored[where[n]]) for n, d in zip(names, densities, strict=True)
    ]
    to_grid = [density.atoms.info["eps_mae_to_grid"] for density in densities]
    temperatures = [density.atoms.info["temperature"] for density in densities]
    packings = {part: len({name[:-2] for name in entries}) for part, entries in split.items()}
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {len(densities)} configurations")
    print("configurations:", {part: len(entries) for part, entries in split.items()})
    print("packings:", packings)
    print(f"temperature: mean {np.mean(temperatures):.0f} K, from {min(temperatures):.0f} to "
          f"{max(temperatures):.0f} K")  # fmt: skip
    print(f"eps_mae of int16 against float32: at most {100 * max(errors):.4f} %")
    print(f"eps_mae of orbitals against CP2K's grid: at most {100 * max(to_grid):.4f} %")


if __name__ == "__main__":
    main()
