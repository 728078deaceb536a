"""Calculate cathode densities with GPAW and pack them; given again, it goes on where it was.

    python recipes/cathode/calculate.py runs/cathode --jobs 2

Structures come from `cathode.extxyz` beside this script; what `densities.zip` has already is not
calculated again. Densities are packed into that file, and `split.json` beside it written, whenever
this script ends, and by `--pack-only` while another runs; the table it prints shows every density's
rounding error.
`--fit-tables` fits atomic densities to the training part first, ships them with the package and
packs the differences to them. `--antiparallel` calculates instead, from nickel moments turned
against the others, what is done already: the state of lower energy is kept.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from deepdft.data.compact import CompactEntry, CompactFile, rounding_error, write_compact
from deepdft.density import Density
from deepdft.dft.campaign import run_campaign
from deepdft.dft.inputs import read_inputs
from deepdft.dft.manifest import DONE, FILE, StructureRecord, read_manifest, record_from
from deepdft.dft.programs import create_calculation
from deepdft.dft.states import States, lowest_states, without_moments
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.atoms.fit import fit_tables, symbols_of
from deepdft.fields.walk import density_on
from deepdft.formats import read
from deepdft.storage.whole_files import replace_file
from deepdft.structures import Structure

HERE = Path(__file__).resolve().parent
STRUCTURES = HERE / "cathode.extxyz"
BUNDLED = HERE.parents[1] / "paper" / "src" / "deepdft_paper" / "densities" / "cathode"
SPLIT = BUNDLED / "split.json"
PACKED = BUNDLED / "densities.zip"
TABLES = HERE.parents[1] / "src" / "deepdft" / "atomic" / "pbe-paw-gpaw-350ev.npz"
VALENCE = {"Li": 1, "O": 6, "Mn": 15, "Co": 9, "Ni": 16}
"""Valence electrons of the neutral atoms in GPAW's default data sets."""
ANTIPARALLEL = "_antiparallel"


def main() -> None:
    """Calculate what is outstanding, then pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Formatter)
    parser.add_argument("store", type=Path, help="folder of the campaign")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--limit", type=int, help="calculate at most so many")
    parser.add_argument("--atoms", type=int, help="only structures of at most so many atoms")
    parser.add_argument("--fit-tables", action="store_true", help="fit atomic densities anew")
    parser.add_argument("--antiparallel", action="store_true", help="second magnetic states")
    parser.add_argument("--pack-only", action="store_true", help="calculate nothing")
    arguments = parser.parse_args()
    structures = read_inputs([STRUCTURES])
    try:
        if not arguments.pack_only:
            todo = outstanding(structures, arguments.antiparallel)
            run_campaign(
                [s for s in todo if arguments.atoms is None or len(s.atoms) <= arguments.atoms],
                create_calculation("gpaw"),
                arguments.store,
                jobs=arguments.jobs,
                limit=arguments.limit,
            )
    finally:
        names = {without_moments(s.atoms): s.name for s in structures}
        pack(arguments.store, names, fit=arguments.fit_tables)


class _Formatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    pass


def outstanding(structures: list[Structure], antiparallel: bool) -> list[Structure]:
    """Return what is still to be calculated."""
    packed = CompactFile(str(PACKED)) if PACKED.exists() else None
    done = set(packed.names) if packed is not None else set()
    if not antiparallel:
        return [s for s in structures if s.name not in done]
    return [Structure(s.name + ANTIPARALLEL, turned(s.atoms)) for s in structures if s.name in done]


def turned(atoms: Atoms) -> Atoms:
    """Return a structure with the moments of nickel turned around."""
    copy = atoms.copy()
    moments = copy.get_initial_magnetic_moments()
    copy.set_initial_magnetic_moments(np.where(copy.symbols == "Ni", -moments, moments))
    return copy


def pack(store: Path, names: dict[str, str], *, fit: bool) -> None:
    """Write what is done, in the store and in the packed file, into the packed file.

    Args:
        store: folder of a campaign; it need not exist.
        names: structure without moments -> its name.
        fit: fit atomic densities to the training part anew.
    """
    calculated = list(_calculated(store))
    starts = {record.name for record, _ in calculated}
    # What the store still has was not rounded yet.
    found = [entry for entry in _packed() if entry[0].info["start"] not in starts] + calculated
    if not found:
        return
    entries = []
    for states in lowest_states((density.atoms, energy_of(record)) for record, density in found):
        record, density = found[states.lowest]
        start = record.info.get("start", record.name)
        info = record.info | {"start": start, "higher_states": _higher(found, states, start)}
        record = replace(record, name=names[without_moments(density.atoms)], info=info)
        entries.append(CompactEntry(record.name, density, asdict(record)))
    entries.sort(key=lambda entry: entry.name)
    if fit:
        tables = fitted(entries)
    else:
        tables = CompactFile(str(PACKED)).tables if PACKED.exists() else None
    for entry in entries:
        if entry.info["info"]["start"] in starts:
            entry.info["info"]["rounding_eps_mae"] = rounding_error(entry.density, tables)
    write_compact(PACKED, entries, tables=tables)
    write_split(entries)
    _report(entries)


def write_split(entries: list[CompactEntry]) -> None:
    """Write which packed density is in which part; parts follow from the composition."""
    split: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for entry in entries:
        split[_part(entry)].append(entry.name)
    replace_file(SPLIT, (json.dumps(split, indent=1) + "\n").encode())


def _part(entry: CompactEntry) -> str:
    return str(entry.info["info"]["part"])


def _higher(
    found: list[tuple[StructureRecord, Density]], states: States, start: str
) -> list[dict[str, object]]:
    """Return what is known of the states that are not kept, each start once."""
    higher = {
        state["start"]: state
        for position in (states.lowest, *states.higher)
        for state in found[position][0].info.get("higher_states", [])
    }
    higher |= {state["start"]: state for state in (_state(found[p][0]) for p in states.higher)}
    higher.pop(start, None)
    return list(higher.values())


def fitted(entries: list[CompactEntry]) -> AtomicDensityTables:
    """Return atomic densities fitted to the training part, shipped from then on."""
    train = [entry.density for entry in entries if _part(entry) == "train"]
    validation = [entry.density for entry in entries if _part(entry) == "validation"]
    tables = fit_tables(
        train,
        symbols_of([density.atoms for density in train]),
        train[0].level,
        electrons=VALENCE,
        source=f"fitted to {len(train)} cathode densities by recipes/cathode/calculate.py, "
        "integrals those of neutral atoms",
    )
    tables.save(TABLES)
    for title, densities in (("training", train), ("validation", validation)):
        errors = [
            d.compare(density_on(SuperposedAtoms(tables, d.atoms), d.grid)).eps_mae
            for d in densities
        ]
        if errors:
            print(f"superposed atoms, {title}: eps_mae {100 * np.mean(errors):.3f} %")
    return tables


def energy_of(record: StructureRecord) -> float:
    """Return the energy of a finished calculation."""
    assert record.energy is not None
    return record.energy


def _packed() -> Iterator[tuple[StructureRecord, Density]]:
    if PACKED.exists():
        file = CompactFile(str(PACKED))
        for name in file.names:
            density = file.density(name)
            record = record_from(density.metadata["calculation"])
            yield record, density


def _calculated(store: Path) -> Iterator[tuple[StructureRecord, Density]]:
    if (store / FILE).exists():
        manifest = read_manifest(store)
        for record in manifest.structures.values():
            if record.status == DONE:
                yield record, read(store / f"{record.name}.npz")


def _state(record: StructureRecord) -> dict[str, object]:
    return {
        "start": record.info.get("start", record.name),
        "energy": record.energy,
        "total_moment": record.total_moment,
        "moments": record.moments,
    }


def _report(entries: list[CompactEntry]) -> None:
    print(
        "name        formula               part        E / eV    moment  iterations  rounding / %"
    )
    for entry in entries:
        info = entry.info
        print(
            f"{entry.name:11s} {info['formula']:21s} {info['info']['part']:10s} "
            f"{info['energy']:9.3f} {info['total_moment']:7.2f} {info['iterations']:8d} "
            f"{100 * info['info']['rounding_eps_mae']:12.5f}"
        )
    parts = Counter(_part(entry) for entry in entries)
    mixed = sum(entry.info["info"]["cell"] != "stacked" for entry in entries)
    print(
        f"{len(entries)} densities ({', '.join(f'{n} {part}' for part, n in parts.items())}), "
        f"{mixed} in cells with several metals a layer, "
        f"{sum(entry.info['atoms'] >= 24 for entry in entries)} of 24 atoms or more; "
        f"{PACKED.stat().st_size / 1e6:.2f} MB; largest rounding error "
        f"{100 * max(e.info['info']['rounding_eps_mae'] for e in entries):.5f} % of eps_mae"
    )


if __name__ == "__main__":
    main()
