"""Errors of a model by group, element, charge, size and strain: a page and pictures.

    deepdft evaluate default ORGANIC QM9 --split split.json:validation -o report/
    python benchmarks/accuracy/by_kind.py report/ ORGANIC QM9 -o docs/evaluation/organic

The first command measures eps_mae; the second one reads `report/structures.csv`, looks at the
structures in the data, and writes `errors.md`, `errors.json` and a picture for each kind. Strain is
how much longer than the sum of the covalent radii the longest bond is, in percent.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from deepdft.data import open_dataset
from deepdft.errors import DeepDFTError
from deepdft.storage.whole_files import replace_file
from deepdft.structures import charge_and_multiplicity
from deepdft.structures.molecules import Molecules

SIZES = (2, 4, 7, 10, 13)
"""First numbers of heavy atoms of the classes of size after the first one."""

STRAINS = (5, 10, 15, 25)
"""The same in percent, of strain."""

_CLASSES = ((SIZES, "heavy atoms"), (STRAINS, "%"))


@dataclass(frozen=True)
class KindErrors:
    """Errors of the structures of one kind, percent.

    Attributes:
        kind: what they have in common.
        structures: how many.
        mean, standard_error, median, largest: of their eps_mae; no standard error for one.
        worst: name of the structure with the largest.
    """

    kind: str
    structures: int
    mean: float
    standard_error: float | None
    median: float
    largest: float
    worst: str


def group(atoms: Atoms) -> list[str]:
    """Return the group of a structure; those of QM9 have none."""
    return [str(atoms.info.get("group") or "QM9")]


def elements(atoms: Atoms) -> list[str]:
    """Return the elements that a structure holds."""
    return sorted(set(atoms.symbols), key=lambda symbol: atomic_numbers[symbol])


def charge(atoms: Atoms) -> list[str]:
    """Return the net charge."""
    found = charge_and_multiplicity(atoms)[0]
    return [f"{found:+d}" if found else "0"]


def size(atoms: Atoms) -> list[str]:
    """Return the class of the number of heavy atoms."""
    return [_class(int((atoms.numbers > 1).sum()), *_CLASSES[0])]


def strain(atoms: Atoms) -> list[str]:
    """Return the class of the longest bond relative to the covalent radii."""
    bonds = Molecules(atoms)
    longest = 0.0
    for one in range(len(atoms)):
        others, vectors = bonds.bonds_of(one)
        for other, vector in zip(others, vectors, strict=True):
            usual = covalent_radii[atoms.numbers[[one, other]]].sum()
            longest = max(longest, 100.0 * (float(np.linalg.norm(vector)) / usual - 1.0))
    return [_class(int(longest), *_CLASSES[1])]


def _place(kind: str) -> int:
    """Return the place of a class among those that are in order, 0 for what is in none."""
    orders = [["-1", "0", "+1"], *([_class(v, f, u) for v in (0, *f)] for f, u in _CLASSES)]
    return max((order.index(kind) for order in orders if kind in order), default=0)


def _class(value: int, firsts: Sequence[int], unit: str) -> str:
    place = int(np.searchsorted(firsts, value, side="right"))
    if place == 0:
        return f"below {firsts[0]} {unit}"
    if place == len(firsts):
        return f"{firsts[-1]} {unit} and more"
    last = firsts[place] - 1
    return f"{firsts[place - 1]}{f' to {last}' if last > firsts[place - 1] else ''} {unit}"


KINDS: dict[str, Callable[[Atoms], list[str]]] = {
    "group": group, "element": elements, "charge": charge, "size": size, "strain": strain,
}  # fmt: skip


def by_kind(
    names: Sequence[str], errors: Sequence[float], structures: Sequence[Atoms],
    kinds_of: Callable[[Atoms], list[str]],
) -> list[KindErrors]:  # fmt: skip
    """Return the errors of each kind: classes in their order, others with the best first.

    Args:
        names: of the structures.
        errors: eps_mae of each, percent.
        structures: the structures.
        kinds_of: kinds that a structure belongs to.
    """
    members: dict[str, list[int]] = {}
    for place, atoms in enumerate(structures):
        for kind in kinds_of(atoms):
            members.setdefault(kind, []).append(place)
    found = []
    for kind, places in members.items():
        values = np.array([errors[place] for place in places])
        spread = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        found.append(
            KindErrors(
                kind, len(values), float(values.mean()), spread, float(np.median(values)),
                float(values.max()), names[places[int(values.argmax())]],
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: (_place(one.kind), one.mean))


def read_errors(report: Path) -> dict[str, float]:
    """Return eps_mae in percent by structure, of the first predictor of an evaluation."""
    with (report / "structures.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    first = rows[0]["predictor"]
    return {row["name"]: 100 * float(row["eps_mae"]) for row in rows if row["predictor"] == first}


def page(report: Path, tables: dict[str, list[KindErrors]], count: int, mean: float) -> str:
    """Return the page in Markdown."""
    summary = json.loads((report / "summary.json").read_text(encoding="utf-8"))
    lines = [
        f"# Errors of `{summary['predictor']}` by kind of structure",
        "",
        f"{count} structures, mean eps_mae {mean:.3f} %. Each counts for all of its elements.",
        "Written by `benchmarks/accuracy/by_kind.py`, whose head says how.",
    ]
    for title, found in tables.items():
        lines += [
            "", f"## By {title}", "", f"![errors by {title}](by_{title}.png)", "",
            f"| {title} | structures | mean / % | median / % | max / % | worst |",
            "| --- | ---: | ---: | ---: | ---: | --- |",
        ]  # fmt: skip
        for one in found:
            error = "" if one.standard_error is None else f" ± {one.standard_error:.3f}"
            lines.append(
                f"| {one.kind} | {one.structures} | {one.mean:.3f}{error} | {one.median:.3f} | "
                f"{one.largest:.2f} | {one.worst} |"
            )
    return "\n".join(lines) + "\n"


def picture(path: Path, title: str, values: dict[str, list[float]]) -> None:
    """Draw the distribution of errors of each kind."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import ScalarFormatter

    figure, axes = pyplot.subplots(figsize=(7, 0.32 * len(values) + 1.2), layout="constrained")
    axes.boxplot(list(values.values()), orientation="horizontal", whis=(5, 95), widths=0.6)
    axes.set_yticks(range(1, len(values) + 1), [f"{k} ({len(v)})" for k, v in values.items()])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(ScalarFormatter())
    axes.set_xlabel("eps_mae / %; boxes: quartiles, lines: 5 to 95 %")
    axes.set_title(f"by {title}")
    axes.grid(axis="x", alpha=0.3, which="both")
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="folder that deepdft evaluate -o has written")
    parser.add_argument("data", nargs="+", help="the data that were evaluated")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the page")
    arguments = parser.parse_args()

    errors = read_errors(arguments.report)
    dataset = open_dataset(arguments.data)
    place = {name: index for index, name in enumerate(dataset.names)}
    missing = [name for name in errors if name not in place]
    if missing:
        raise SystemExit(f"by_kind.py: the data hold no structure {missing[0]}.")
    names = list(errors)
    structures = [dataset.atoms(place[name]) for name in names]
    values = list(errors.values())
    tables = {title: by_kind(names, values, structures, kinds) for title, kinds in KINDS.items()}
    arguments.output.mkdir(parents=True, exist_ok=True)
    for title, found in tables.items():
        drawn: dict[str, list[float]] = {one.kind: [] for one in found}
        for value, atoms in zip(values, structures, strict=True):
            for kind in KINDS[title](atoms):
                drawn[kind].append(value)
        picture(arguments.output / f"by_{title}.png", title, drawn)
    content = {title: [asdict(one) for one in found] for title, found in tables.items()}
    replace_file(arguments.output / "errors.json", (json.dumps(content, indent=2) + "\n").encode())
    text = page(arguments.report, tables, len(values), float(np.mean(values)))
    replace_file(arguments.output / "errors.md", text.encode())
    print(f"written: {arguments.output}/errors.md, errors.json and {len(tables)} pictures")


if __name__ == "__main__":
    try:
        main()
    except DeepDFTError as error:
        raise SystemExit(f"by_kind.py: {error}") from None
