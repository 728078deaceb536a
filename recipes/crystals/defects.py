"""Vacancies and surfaces: what a model expects to be wrong by, and what it is wrong by.

    python recipes/crystals/defects.py crystals -o runs/defects

Crystals that everybody knows, each with an atom taken out of its cubic cell and as a slab, are
calculated with pw.x (pseudopotentials are found by ESPRESSO_PSEUDO), unrelaxed: the whole crystal,
too, so that errors can be compared. None of the broken ones has been trained on; most of the whole
ones have. Interrupted, it goes on. Prints a table, and writes it to `defects.md`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from ase import Atoms
from ase.build import bulk, surface

from deepdft.data import open_dataset
from deepdft.dft import create_calculation, run_campaign
from deepdft.evaluation.evaluate import evaluate
from deepdft.prediction import TrainedModel, load_model
from deepdft.storage.whole_files import replace_file
from deepdft.structures import Structure

VACUUM = 5.0
"""On both sides of a slab, Å."""

CRYSTALS = {
    "Si": bulk("Si", cubic=True),
    "GaAs": bulk("GaAs", "zincblende", a=5.65, cubic=True),
    "Al": bulk("Al", cubic=True),
    "Cu": bulk("Cu", cubic=True),
    "NaCl": bulk("NaCl", "rocksalt", a=5.64, cubic=True),
    "MgO": bulk("MgO", "rocksalt", a=4.21, cubic=True),
}
SLABS = {"Al": (1, 0, 0), "Cu": (1, 1, 1), "NaCl": (1, 0, 0), "MgO": (1, 0, 0)}


def structures() -> Iterator[Structure]:
    """Yield each crystal whole, with a vacancy of each element, and as a slab."""
    for name, whole in CRYSTALS.items():
        yield Structure(name, whole)
        for element in dict.fromkeys(whole.get_chemical_symbols()):
            vacancy = whole.copy()
            del vacancy[vacancy.get_chemical_symbols().index(element)]
            yield Structure(f"{name} without one {element}", vacancy)
        if name in SLABS:
            yield Structure(f"{name} slab", slab(whole, SLABS[name]))


def slab(whole: Atoms, indices: tuple[int, int, int]) -> Atoms:
    """Return two cells of a crystal between vacuum."""
    return surface(whole, indices, 2, VACUUM, periodic=True)


def row(model: TrainedModel, structure: Structure, store: Path) -> str:
    """Return a line of the table."""
    dataset = open_dataset([str(store / f"{structure.name}.npz")])
    (result,) = evaluate([model], dataset)
    engine = model.engine(structure.atoms)
    expected = model.uncertainty(structure.atoms, engine)
    warned = model.warning(engine, expected) is not None
    low, high = (100 * end for end in expected.eps_mae_range)
    return (
        f"| {structure.name} | {len(structure.atoms)} | {100 * result.rows[0].eps_mae:.2f} | "
        f"{100 * expected.eps_mae:.2f} | {low:.2f} to {high:.2f} | "
        f"{'yes' if warned else 'no'} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="bundled name or model folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to go on in")
    parser.add_argument("--jobs", type=int, default=1, help="calculations at the same time")
    arguments = parser.parse_args()
    found = [Structure(item.name.replace(" ", "_"), item.atoms) for item in structures()]
    store = arguments.output / "dft"
    calculation = create_calculation("quantum-espresso", ["kpoint_spacing=0.55"])
    manifest = run_campaign(found, calculation, store, jobs=arguments.jobs)
    model = load_model(arguments.model, "cpu")
    lines = [
        "| structure | atoms | true / % | expected / % | 8 of 10 lie in / % | warned |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    for structure in found:
        if manifest.structures[structure.name].error:
            print(f"{structure.name}: {manifest.structures[structure.name].error}")
        else:
            lines.append(row(model, structure, store))
    text = "\n".join(lines) + "\n"
    print(text, end="")
    replace_file(arguments.output / "defects.md", text.encode())


if __name__ == "__main__":
    main()
