"""`deepdft inspect`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from deepdft.cli.common import give
from deepdft.cli.inputs import (
    FormatName,
    Quantity,
    ReaderOptions,
    Unit,
    as_options,
    read_density,
    reader_options,
    sources_of,
)


def inspect(
    file: Annotated[
        str,
        typer.Argument(
            help="A density file, a member as ARCHIVE.tar::MEMBER, a density in a store as "
            "STORE::NAME; or an archive, a store or a folder, to see what it holds."
        ),
    ],
    quantity: Quantity = None,
    unit: Unit = None,
    format: FormatName = None,
    read: ReaderOptions = None,
) -> None:
    """Say what a density file holds, and what it does not say."""
    from deepdft.formats.inspection import describe_density

    console = Console(highlight=False, soft_wrap=True, markup=False)
    found = sources_of(file)
    if len(found) != 1:
        give({"file": file, "members": [source.path for source in found]})
        _print_members(console, file, [source.path for source in found])
        return
    kind, path = found[0]
    if kind == "store":
        _print_store(console, path)
        return
    if kind == "orbitals":
        _print_orbitals(console, path)
        return
    if _is_point_file(path):
        _print_points(console, path)
        return
    density = read_density(path, reader_options(quantity, unit, format, read))
    lines = [("file", path), ("format", _format_of(path, format))]
    lines += describe_density(density)
    for heading, text in lines:
        console.print(f"{heading + ':':18} {text}")
    for note in density.metadata.get("notes", []):
        console.print(f"{'note:':18} {as_options(note)}")
    give({**dict(lines), "notes": [as_options(note) for note in density.metadata.get("notes", [])]})


def _format_of(path: str, name: str | None) -> str:
    from deepdft.data.training_store_layout import is_training_store
    from deepdft.formats.registry import find_format, format_to_read
    from deepdft.formats.source import find_source
    from deepdft.storage.tar_members import split_member

    archive, member = split_member(path)
    if member is not None and is_training_store(archive):
        return "density in a training store"
    source = find_source(path)
    entry = find_format(name) if name else format_to_read(source)
    text = (
        entry.title if source.codec is None else f"{entry.title}, compressed ({source.codec.name})"
    )
    return text if member is None else f"{text}, in a tar file"


def _is_point_file(path: str) -> bool:
    from deepdft.data.training_store_layout import is_training_store
    from deepdft.formats import points
    from deepdft.formats.source import find_source
    from deepdft.storage.tar_members import split_member

    archive, member = split_member(path)
    in_store = member is not None and is_training_store(archive)
    return not in_store and points.sniff(find_source(path).head)


def _print_points(console: Console, path: str) -> None:
    from deepdft.formats.points import read_points

    known = read_points(path)
    electrons, error = known.n_electrons
    spin = "not spin-polarised" if known.spin is None else "up minus down is stored"
    for heading, text in (
        ("file", path),
        ("format", "HDF5, values at scattered points (EAC-Net): references, but no grid"),
        ("formula", f"{known.atoms.symbols.formula.format('hill')} ({len(known.atoms)} atoms)"),
        ("points", f"{len(known.points):,} in a cell of {known.atoms.get_volume():.6g} Å^3"),
        ("electrons", f"{electrons:.1f} ± {error:.1f}, by the mean over the points"),
        ("spin", spin),
        ("minimum, maximum", f"{known.values.min():.6g}, {known.values.max():.6g} e/Å^3"),
        ("level of theory", str(known.level)),
    ):
        console.print(f"{heading + ':':18} {text}")


def _print_members(console: Console, path: str, found: list[str]) -> None:
    console.print(f"{path} holds {len(found)} entries:")
    for member in found[:10]:
        console.print(f"  {member}")
    if len(found) > 10:
        console.print(f"  ... and {len(found) - 10} more")


def _print_store(console: Console, path: str) -> None:
    from ase.data import chemical_symbols

    from deepdft.data.training_store import TrainingStore

    store = TrainingStore(path)
    give({"file": path, "levels of theory": list(map(str, store.levels)), "members": store.names})
    console.print(f"{path}: training store of {len(store)} densities")
    if len(store) == 0:
        return
    points = sum(store.grid(index).n_points for index in range(len(store)))
    elements = " ".join(chemical_symbols[number] for number in store.elements())
    console.print(f"{'elements:':18} {elements}")
    console.print(f"{'grid points:':18} {points:,}")
    console.print(f"{'level of theory:':18} {'; '.join(map(str, store.levels))}")
    _print_members(console, path, [f"{path}::{name}" for name in store.names])


def _print_orbitals(console: Console, path: str) -> None:
    from deepdft.fields.orbitals import OrbitalArchive

    archive = OrbitalArchive(path)
    give({"file": path, "level of theory": str(archive[0].level), "structures": len(archive)})
    console.print(f"{path}: archive of occupied orbitals of {len(archive)} structures")
    console.print(f"{'level of theory:':18} {archive[0].level}")
