"""Calculate cathode densities with GPAW and pack them; given again, it goes on where it was.

    python recipes/cathode/calculate.py runs/cathode --jobs 2

Structures come from `cathode.extxyz` beside this script; what `densities.zip` has already is not
calculated again. Densities are packed into that file whenever this script ends, and by
`--pack-only` while another runs; its table of what was packed shows every density's rounding error.
`--antiparallel` calculates instead, from nickel moments turned against the others, what is done
already: the state of lower energy is kept.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from deepdft.atomic import AtomicDensityTables
from deepdft.data.compact import CompactEntry, CompactFile, write_compact
from deepdft.density import Density
from deepdft.dft.campaign import run_campaign
from deepdft.dft.inputs import read_inputs
from deepdft.dft.manifest import DONE, FILE, StructureRecord, read_manifest, record_from
from deepdft.dft.programs import create_calculation
from deepdft.dft.states import lowest_states, without_moments
from deepdft.io import read
from deepdft.structures import Structure

HERE = Path(__file__).parent
STRUCTURES = HERE / "cathode.extxyz"
PACKED = HERE / "densities.zip"
TABLES = HERE / "tables.npz"
ANTIPARALLEL = "_antiparallel"


def main() -> None:
    """Calculate what is outstanding, then pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Formatter)
    parser.add_argument("store", type=Path, help="folder of the campaign")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--limit", type=int, help="calculate at most so many")
    parser.add_argument("--antiparallel", action="store_true", help="second magnetic states")
    parser.add_argument("--pack-only", action="store_true", help="calculate nothing")
    arguments = parser.parse_args()
    structures = read_inputs([STRUCTURES])
    try:
        if not arguments.pack_only:
            run_campaign(
                outstanding(structures, arguments.antiparallel),
                create_calculation("gpaw"),
                arguments.store,
                jobs=arguments.jobs,
                limit=arguments.limit,
            )
    finally:
        pack(arguments.store, {without_moments(s.atoms): s.name for s in structures})


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


def pack(store: Path, names: dict[str, str]) -> None:
    """Write what is done, in the store and in the packed file, into the packed file.

    Args:
        store: folder of a campaign; it need not exist.
        names: structure without moments -> its name.
    """
    found = [*_packed(), *_calculated(store)]
    if not found:
        return
    entries = []
    for states in lowest_states((density.atoms, energy_of(record)) for record, density in found):
        record, density = found[states.lowest]
        higher = {
            state["start"]: state
            for position in (states.lowest, *states.higher)
            for state in found[position][0].info.get("higher_states", [])
        }
        higher |= {state["start"]: state for state in (_state(found[p][0]) for p in states.higher)}
        start = record.info.get("start", record.name)
        higher.pop(start, None)
        info = record.info | {"start": start, "higher_states": list(higher.values())}
        record = replace(record, name=names[without_moments(density.atoms)], info=info)
        entries.append(CompactEntry(record.name, density, asdict(record)))
    entries.sort(key=lambda entry: entry.name)
    tables = AtomicDensityTables.load(TABLES) if TABLES.exists() else None
    write_compact(PACKED, entries, tables=tables)
    written = CompactFile(str(PACKED))
    _report(entries, {e.name: e.density.compare(written.density(e.name)).eps_mae for e in entries})


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
    known = set(CompactFile(str(PACKED)).names) if PACKED.exists() else set()
    if (store / FILE).exists():
        manifest = read_manifest(store)
        for record in manifest.structures.values():
            if record.status == DONE and record.name not in known:
                yield record, read(store / f"{record.name}.npz")


def _state(record: StructureRecord) -> dict[str, object]:
    return {
        "start": record.info.get("start", record.name),
        "energy": record.energy,
        "total_moment": record.total_moment,
        "moments": record.moments,
    }


def _report(entries: list[CompactEntry], rounding: dict[str, float]) -> None:
    print(
        "name        formula               part        E / eV    moment  iterations  rounding / %"
    )
    for entry in entries:
        info = entry.info
        print(
            f"{entry.name:11s} {info['formula']:21s} {info['info']['part']:10s} "
            f"{info['energy']:9.3f} {info['total_moment']:7.2f} {info['iterations']:8d} "
            f"{100 * rounding[entry.name]:12.5f}"
        )
    parts = Counter(entry.info["info"]["part"] for entry in entries)
    mixed = sum(entry.info["info"]["cell"] != "stacked" for entry in entries)
    print(
        f"{len(entries)} densities ({', '.join(f'{n} {part}' for part, n in parts.items())}), "
        f"{mixed} in cells with several metals a layer, "
        f"{sum(entry.info['atoms'] >= 24 for entry in entries)} of 24 atoms or more; "
        f"{PACKED.stat().st_size / 1e6:.2f} MB; largest rounding error "
        f"{100 * max(rounding.values()):.5f} % of eps_mae"
    )


if __name__ == "__main__":
    main()
