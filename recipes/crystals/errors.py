"""Errors of a model of crystals by element, group, size, kind and distance from training.

    python recipes/crystals/errors.py crystals crystals_pbe_nc -o docs/evaluation/crystals

Measures a model and superposed atoms on the validation part (at the very end, once: --part test),
crystal by crystal; interrupted, it goes on. Prints tables, and writes `tables.md`, `crystals.png`
and the errors of single crystals. A crystal without a band gap is a metal: `--gaps` names a JSON
file of gaps in eV by name, as benchmarks/quantum_espresso_starts.py writes it; of crystals that it
lacks, those without a nonmetal among their elements are taken for metals.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from experiments import Crystals, write

from deepdft.evaluation.evaluate import AtomicSuperposition, evaluate
from deepdft.extras import require_extra
from deepdft.prediction import TrainedModel, load_model

_SYMBOLS = "H B C N O F Si P S Cl Ge As Se Br Te I Sb"
NONMETALS = set(_SYMBOLS.split())
Row = dict[str, Any]


def measured(crystals: Crystals, model: TrainedModel, part: str, path: Path) -> list[Row]:
    """Return a row a crystal, as known before or measured now."""
    known: dict[str, Row] = {}
    if path.exists():
        content = json.loads(path.read_text())
        if (content["model"], content["part"]) != (model.name, part):
            raise SystemExit(f"{path} holds other errors; remove it, or name another folder.")
        known = {row["name"]: row for row in content["crystals"]}
    superposed = AtomicSuperposition.fitting(crystals.data)
    path.parent.mkdir(parents=True, exist_ok=True)
    for index in crystals.of_part(part):
        name = crystals.data.names[index]
        if name in known:
            continue
        ours, theirs = evaluate([model, superposed], crystals.data.subset([index]))
        atoms = crystals.data.atoms(index)
        expected = model.uncertainty(atoms)
        known[name] = {
            "name": name, "formula": crystals.keys[index], "group": atoms.info["group"],
            "elements": sorted(set(atoms.get_chemical_symbols())), "atoms": len(atoms),
            "magnetic": bool(atoms.info["magnetic"]), "eps_mae": 100 * ours.rows[0].eps_mae,
            "superposed": 100 * theirs.rows[0].eps_mae, "expected": 100 * expected.eps_mae,
            "distance": expected.score, "electrons": ours.rows[0].differences()["electrons"],
        }  # fmt: skip
        rows = list(known.values())
        write(path, {"model": model.name, "part": part, "crystals": rows})
    return list(known.values())


def is_metal(row: Row, gaps: dict[str, float]) -> bool:
    """Return whether a crystal has no gap, or is taken to have none."""
    if row["name"] in gaps:
        return gaps[row["name"]] <= 0.0
    return not set(row["elements"]) & NONMETALS


def table(title: str, rows: list[Row], groups: Iterable[tuple[str, Callable[[Row], bool]]]) -> str:
    """Return a table in Markdown: a line for each group of crystals."""
    lines = [
        f"| {title} | crystals | mean / % | median / % | largest / % | superposed atoms / % |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, belongs in groups:
        some = [row for row in rows if belongs(row)]
        if some:
            errors = np.array([row["eps_mae"] for row in some])
            atoms = np.mean([row["superposed"] for row in some])
            lines.append(
                f"| {name} | {len(some)} | {errors.mean():.3f} | {np.median(errors):.3f} | "
                f"{errors.max():.2f} | {atoms:.2f} |"
            )
    return "\n".join(lines) + "\n"


def tables(rows: list[Row], gaps: dict[str, float]) -> str:
    """Return all tables."""
    kinds = sorted({row["group"] for row in rows})
    elements = {symbol for row in rows for symbol in row["elements"]}
    by_number = sorted(elements, key=lambda symbol: int(Atoms(symbol).numbers[0]))
    thirds = np.quantile([row["distance"] for row in rows], [1 / 3, 2 / 3])

    def third(low: float, high: float) -> Callable[[Row], bool]:
        return lambda row: low < row["distance"] <= high

    parts = [
        table("all", rows, [("all", lambda row: True)]),
        table("group", rows, [(k, lambda row, k=k: row["group"] == k) for k in kinds]),
        table("kind", rows, [
            ("metals", lambda row: is_metal(row, gaps)),
            ("others", lambda row: not is_metal(row, gaps)),
            ("magnetic", lambda row: row["magnetic"]),
            ("not magnetic", lambda row: not row["magnetic"]),
        ]),
        table("atoms in the cell", rows, [
            ("1", lambda row: row["atoms"] == 1), ("2", lambda row: row["atoms"] == 2),
            ("3 to 5", lambda row: 3 <= row["atoms"] <= 5),
            ("6 and more", lambda row: row["atoms"] >= 6),
        ]),
        table("distance from training (limit: 1)", rows, [
            (f"up to {thirds[0]:.2f}", third(-1.0, thirds[0])),
            (f"up to {thirds[1]:.2f}", third(thirds[0], thirds[1])),
            ("beyond", third(thirds[1], np.inf)),
        ]),
        table(
            "with the element", rows,
            [(s, lambda row, s=s: s in row["elements"]) for s in by_number],
        ),
    ]  # fmt: skip
    worst = sorted(rows, key=lambda row: -row["eps_mae"])[:10]
    parts.append(
        "| the worst | group | eps_mae / % | expected / % | superposed atoms / % |\n"
        "| --- | --- | ---: | ---: | ---: |\n"
        + "".join(
            f"| {row['name']} | {row['group']} | {row['eps_mae']:.2f} | {row['expected']:.2f} | "
            f"{row['superposed']:.2f} |\n"
            for row in worst
        )
    )
    off = np.mean([row["electrons"] for row in rows])
    parts.append(f"Electrons are off by {off:.4f} on average.\n")
    return "\n".join(parts)


def picture(rows: list[Row], path: Path) -> None:
    """Draw errors beside those of superposed atoms, by group."""
    require_extra("matplotlib", "The picture")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for group in sorted({row["group"] for row in rows}):
        some = [row for row in rows if row["group"] == group]
        axes.scatter(
            [row["superposed"] for row in some], [row["eps_mae"] for row in some], s=24, label=group
        )
    ends = np.array(sorted(row["superposed"] for row in rows))[[0, -1]]
    axes.plot(ends, ends, color="0.6", linewidth=0.8, label="no better")
    axes.plot(ends, ends / 3, color="0.6", linewidth=0.8, linestyle=":", label="a third")
    axes.set(
        xscale="log", yscale="log", xlabel="eps_mae of superposed atoms / %",
        ylabel="eps_mae of the model / %",
    )  # fmt: skip
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="bundled name or model folder")
    parser.add_argument("data", nargs="+", help="folders of archives of plane waves")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    parser.add_argument("--gaps", type=Path, help="JSON file of band gaps, eV, by name")
    arguments = parser.parse_args()
    crystals = Crystals.opened(arguments.data)
    gaps = {} if arguments.gaps is None else json.loads(arguments.gaps.read_text())
    path = arguments.output / f"crystals_{arguments.part}.json"
    rows = measured(crystals, load_model(arguments.model, "cpu"), arguments.part, path)
    text = tables(rows, gaps)
    print(text)
    title = f"# Errors of `{arguments.model}` by kind of crystal"
    (arguments.output / "tables.md").write_text(f"{title}\n\n{text}", encoding="utf-8")
    picture(rows, arguments.output / "crystals.png")


if __name__ == "__main__":
    main()
