"""Densities of QM9 molecules: geometries, split, calculations, orbital archives.

    python recipes/qm9/make.py qm9_pbe_gth --count 2000 --jobs 8
    python recipes/qm9/make.py qm9_pbe_gth --count 10 --part test --first DATA --structures test.xyz
    python recipes/qm9/make.py more_qm9 --count 2000 --part train --without qm9_pbe_gth

The first command calculates 2000 molecules with PySCF (PBE, GTH-PBE, gth-dzvp) into
`qm9_pbe_gth/campaign` and collects them in `qm9_pbe_gth/part_*.npz`, 50 molecules each, beside
`split.json`; these are what models are trained on. Ended at any moment, by Ctrl-C or a kill, and
given again, it goes on; with a larger count it goes further. The second only writes the chosen
geometries to a file, for `deepdft dft run` or `deepdft spread`. The third adds molecules to train
on to those that are there.

Geometries are those of QM9 (Ramakrishnan et al., Sci. Data 1, 140022, 2014), from the PyPI package
qm9pack, without the 3,054 molecules that failed QM9's own consistency check. Molecules come in a
fixed order that looks random, and which part of the split a molecule belongs to follows from its
number alone, so data made at different times fit together.
"""

from __future__ import annotations

import argparse
import ast
import csv
import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from deepdft.cli.campaign_progress import run_and_collect
from deepdft.dft import create_calculation, read_manifest
from deepdft.dft.manifest import DONE, write_json
from deepdft.errors import ConfigurationError, MissingDependencyError
from deepdft.fields.orbitals import OrbitalArchive, write_orbital_archive
from deepdft.structures import Structure

PARTS = ("test", "validation", "train")
PER_FILE = 50


def part_of(index: int) -> str:
    """Return the part of the split that a molecule belongs to, for ever."""
    rest = int(hashlib.sha256(str(index).encode()).hexdigest(), 16) % 20
    return PARTS[min(rest, 2)]


def in_order(indices: Sequence[int]) -> list[int]:
    """Return QM9 numbers in the order in which they are calculated."""
    return sorted(indices, key=lambda index: hashlib.sha256(f"order {index}".encode()).digest())


class Geometries:
    """The geometries of QM9, as the package qm9pack holds them.

    Attributes:
        indices: QM9's numbers of the molecules (dsgdb9nsd).
    """

    def __init__(self) -> None:
        # The package itself cannot be imported where setuptools is recent; its data can be read.
        found = importlib.util.find_spec("qm9pack")
        if found is None or found.origin is None:
            raise MissingDependencyError(
                "QM9's geometries need qm9pack: pip install 'deepdft-density[recipes]'."
            )
        files = sorted((Path(found.origin).parent / "data").glob("qm9_part*.csv"))
        self._texts = {
            int(row["Index"]): (row["Elements"], row["XYZ_Ang"])
            for file in files
            for row in _rows(file)
        }
        self.indices = sorted(self._texts)

    def structure(self, index: int) -> Structure:
        """Return a molecule, called qm9_ and its number in six digits."""
        elements, positions = self._texts[index]
        name = f"qm9_{index:06d}"
        # QM9 writes some small numbers as 6.0*^-6.
        coordinates = np.array(ast.literal_eval(positions.replace("*^", "e")), dtype=np.float64)
        info = {"index": index, "name": name}
        return Structure(name, Atoms(ast.literal_eval(elements), coordinates, info=info))


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def chosen(
    geometries: Geometries,
    count: int,
    part: str | None = None,
    first: Path | None = None,
    without: Path | None = None,
) -> list[int]:
    """Return the numbers of the molecules that are wanted.

    Args:
        geometries: all of QM9.
        count: how many.
        part: only those of this part of the split.
        first: orbital archives whose molecules come before all others.
        without: orbital archives whose molecules are left out.
    """
    before, others = (
        [] if folder is None else OrbitalArchive(folder).indices.tolist()
        for folder in (first, without)
    )
    later = set(geometries.indices) - set(before)
    order = [*in_order(before), *in_order(sorted(later))]
    left_out = set(others)
    order = [index for index in order if index not in left_out]
    return [index for index in order if part is None or part_of(index) == part][:count]


def collect(folder: Path, indices: Sequence[int]) -> int:
    """Put what is done of the campaign into archives of many molecules, with their split.

    Returns:
        The number of molecules in the archives.
    """
    campaign = folder / "campaign"
    records = read_manifest(campaign).structures
    done = {record.index for record in records.values() if record.status == DONE}
    for start in range(0, len(indices), PER_FILE):
        path = folder / f"part_{start:06d}.npz"
        wanted = sorted(done.intersection(indices[start : start + PER_FILE]))
        if not wanted:
            continue
        if not path.exists() or OrbitalArchive(path).indices.tolist() != wanted:
            archive = OrbitalArchive([campaign / f"qm9_{index:06d}.npz" for index in wanted])
            # Without names: there and in the split, a molecule is called by its number.
            write_orbital_archive(path, list(archive), names=[""] * len(wanted))
    collected = OrbitalArchive(sorted(folder.glob("part_*.npz"))).indices.tolist() if done else []
    split = {part: [index for index in collected if part_of(index) == part] for part in PARTS}
    write_json(folder / "split.json", split)
    return len(collected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the data go")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings of PySCF")
    parser.add_argument("--count", type=int, required=True, help="how many molecules")
    parser.add_argument("--part", choices=PARTS, help="only molecules of this part of the split")
    parser.add_argument("--first", type=Path, help="archives whose molecules come first")
    parser.add_argument("--without", type=Path, help="archives whose molecules are left out")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--structures", type=Path, help="only write the geometries to this file")
    arguments = parser.parse_args()

    geometries = Geometries()
    indices = chosen(
        geometries, arguments.count, arguments.part, arguments.first, arguments.without
    )
    structures = [geometries.structure(index) for index in indices]
    if arguments.structures is not None:
        ase.io.write(arguments.structures, [s.atoms for s in structures], format="extxyz")
        print(f"written: {arguments.structures} ({len(structures)} molecules)")
        return
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "campaign"
    run_and_collect(
        structures, create_calculation("pyscf", arguments.settings), store,
        lambda: f"{folder}, {collect(folder, indices)} molecules", jobs=arguments.jobs,
    )  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except (ConfigurationError, MissingDependencyError) as error:
        raise SystemExit(f"make.py: {error}") from None
