"""Densities of everyday chemistry: geometries, split, calculations, orbital archives.

    python recipes/organic/make.py organic_pbe_gth --count 200 --jobs 4
    python recipes/organic/make.py trial --count 2 --groups small path --smiles more.smi

The first command makes 200 geometries of each group (see `geometries.py`; SMILES of `small`,
`amino` and `salt` come again, with other noise, when all have been used), calculates them with
PySCF (PBE, GTH-PBE, gth-dzvp) into `organic_pbe_gth/campaign`, and collects them in
`organic_pbe_gth/part_GROUP.npz` beside `split.json`. Ended at any moment and given again, it goes
on; with a larger count it goes further. What does not converge, or has a gap below 0.3 eV, is left
out. `--smiles` adds molecules, one SMILES a line, whose BRICS fragments are used as well.

The split follows from the key, the canonical SMILES: its sha256, as an integer, modulo 20: 0 is
test, 1 validation, the rest train. What is made of several molecules goes with the least trained
of those that have three or more heavy atoms.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import ase.io
import molecules
from ase import Atoms
from geometries import Geometries

from deepdft.cli.campaign_progress import run_and_collect
from deepdft.dft import create_calculation, read_manifest
from deepdft.dft.manifest import DONE, write_json
from deepdft.errors import ConfigurationError, MissingDependencyError
from deepdft.fields.orbitals import OrbitalArchive, write_orbital_archive
from deepdft.structures import Structure

PARTS = ("test", "validation", "train")
_SMALLEST_GAP = 0.3
"""eV. Below, a closed shell is no good description."""


def part_of(key: str) -> str:
    """Return the part of the split that a key belongs to, for ever."""
    from rdkit import Chem

    large = [part for part in key.split(".") if Chem.MolFromSmiles(part).GetNumHeavyAtoms() >= 3]
    if "." not in key or not large:
        return PARTS[min(_remainder(key), 2)]
    return min(map(part_of, large), key=PARTS.index)


def _remainder(key: str) -> int:
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 20


def structures_of(
    folder: Path, group: str, count: int, seed: int, made: Geometries
) -> list[Structure]:
    """Return the geometries of a group, made once and kept in the folder."""
    path = folder / "geometries" / f"{group}_{seed}_{count}.traj"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        found: list[Atoms] = []
        offset = list(made.groups).index(group) * 1_000_000
        for number, (atoms, key) in made.of_group(group, count, seed):
            name = f"{group}_{number:05d}"
            atoms.info.update(name=name, group=group, key=key, index=offset + number)
            found.append(atoms)
        unfinished = path.with_suffix(".unfinished")
        ase.io.write(unfinished, found, format="traj")
        unfinished.replace(path)
    return [Structure(atoms.info["name"], atoms) for atoms in ase.io.read(path, ":")]


def collect(folder: Path, structures: list[Structure]) -> int:
    """Put what is done of the campaign into one archive a group, with the split of all.

    Returns:
        The number of structures in the archives.
    """
    campaign = folder / "campaign"
    records = read_manifest(campaign).structures
    done = {record.name for record in records.values() if record.status == DONE}
    split: dict[str, list[str]] = {part: [] for part in PARTS}
    by_group: dict[str, list[Structure]] = {}
    for structure in structures:
        if structure.name in done:
            by_group.setdefault(structure.atoms.info["group"], []).append(structure)
    for group, members in by_group.items():
        densities = list(OrbitalArchive([campaign / f"{item.name}.npz" for item in members]))
        kept = []
        for density, item in zip(densities, members, strict=True):
            if records[item.name].details.get("gap", _SMALLEST_GAP) < _SMALLEST_GAP:
                continue
            density.atoms.info.update(item.atoms.info)
            split[part_of(item.atoms.info["key"])].append(item.name)
            kept.append(density)
        if kept:
            write_orbital_archive(folder / f"part_{group}.npz", kept)
    write_json(folder / "split.json", split)
    return sum(map(len, split.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the data go")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings of PySCF")
    parser.add_argument("--count", type=int, required=True, help="geometries of each group")
    parser.add_argument("--groups", nargs="+", help="only these groups")
    parser.add_argument("--smiles", type=Path, nargs="*", default=[], help="files of SMILES")
    parser.add_argument("--seed", type=int, default=0, help="other geometries for another seed")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--geometries", action="store_true", help="calculate nothing")
    arguments = parser.parse_args()

    more = [
        line.split()[0]
        for path in arguments.smiles
        for line in path.read_text().splitlines()
        if line.split()
    ]
    made = Geometries([*molecules.DRUGS, *more])
    structures = [
        structure
        for group in arguments.groups or made.groups
        for structure in structures_of(
            arguments.folder, group, arguments.count, arguments.seed, made
        )
    ]
    if arguments.geometries:
        print(f"written: {arguments.folder}/geometries, {len(structures)} structures")
        return
    store = arguments.folder / "campaign"
    run_and_collect(
        structures, create_calculation("pyscf", arguments.settings), store,
        lambda: f"{arguments.folder}, {collect(arguments.folder, structures)} structures",
        jobs=arguments.jobs,
    )  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except (ConfigurationError, MissingDependencyError) as error:
        raise SystemExit(f"make.py: {error}") from None
