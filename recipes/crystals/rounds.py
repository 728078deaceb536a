"""Rounds of select, calculate, train and evaluate: a set of crystals that grows where it pays.

    python recipes/crystals/rounds.py crystals_pbe_nc --pool pool.extxyz -n 20 --rounds 3 \\
        -o runs/crystals_rounds

In each round `deepdft select` chooses crystals of the pool with the model of the round before (at
first the bundled one), pw.x calculates them, they are collected into an archive, the model is
trained further on all there is, learns its errors and is evaluated on the validation part. Only
formulas of the training part are chosen. May be interrupted at any moment; given again, it goes
on. Pseudopotentials are found by ESPRESSO_PSEUDO. Salts, oxides and molecular crystals (`group` of
the pool's frames) get k-points 0.55 1/Å apart, all others 0.35, as in the data.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import ase.io
import numpy as np
from collect import collect, part_of
from experiments import Crystals, Recipe, add_options, errors, trained, with_expected_errors

from deepdft.dft import create_calculation, read_inputs, run_campaign
from deepdft.errors import UnsupportedStructureError
from deepdft.prediction import TrainedModel, load_model
from deepdft.storage.whole_files import replace_file
from deepdft.structures import Structure
from deepdft.uncertainty.selection import Candidate, candidate, choose

COARSE = ("ionic", "oxide", "molecular")
SPACINGS = {True: 0.55, False: 0.35}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--pool", nargs="+", required=True, help="structures to choose from")
    parser.add_argument("-n", "--count", type=int, default=20, help="crystals a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--start", default="crystals", help="model of the first round")
    arguments = parser.parse_args()
    recipe = Recipe.of(arguments)
    pool = read_inputs(arguments.pool)
    folders = [Path(path) for path in arguments.data]
    model = load_model(arguments.start, "cpu")
    for number in range(1, arguments.rounds + 1):
        folder = arguments.output / f"round_{number}"
        taken = {name for path in folders for name in Crystals.opened([path]).data.names}
        chosen = selected(pool, taken, model, arguments.count, folder / "chosen.extxyz")
        stores = calculated(chosen, folder)
        collect(stores, folder / "data", folders)
        folders.append(folder / "data")
        crystals = Crystals.opened(folders)
        training = crystals.of_part("train")
        validation = crystals.of_part("validation")
        run = trained(
            crystals, recipe, folder / "model", training, validation, number, model.folder
        )
        model = with_expected_errors(crystals, run, training, validation)
        found = errors(crystals, recipe, model, validation, folder / "errors.json")
        values = list(found["eps_mae"].values())
        print(
            f"round {number}: {len(training)} crystals to train, validation eps_mae "
            f"{np.mean(values):.3f} % on average, {np.median(values):.3f} % in the middle",
            flush=True,
        )


def selected(
    pool: list[Structure], taken: set[str], model: TrainedModel, count: int, path: Path
) -> list[Structure]:
    """Return the crystals of a round: those that the file names, or chosen now."""
    if not path.exists():
        candidates: list[Candidate] = []
        for structure in pool:
            info = structure.atoms.info
            if info.get("name", structure.name) in taken or part_of(str(info["key"])) != "train":
                continue
            try:
                candidates.append(candidate(model, structure))
            except UnsupportedStructureError as error:
                print(f"left out: {structure.name}: {error}")
        choices = choose(candidates, count)
        text = io.StringIO()
        ase.io.write(text, [choice.structure.atoms for choice in choices], format="extxyz")
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.getvalue().encode())
        table = [choice.as_dict() for choice in choices]
        replace_file(path.with_suffix(".json"), (json.dumps(table, indent=1) + "\n").encode())
    return read_inputs([path])


def calculated(chosen: list[Structure], folder: Path) -> list[Path]:
    """Calculate crystals, or what is left of them, and return the stores."""
    stores = []
    for coarse, spacing in SPACINGS.items():
        some = [s for s in chosen if (s.atoms.info.get("group") in COARSE) == coarse]
        if some:
            store = folder / ("dft_coarse" if coarse else "dft_fine")
            calculation = create_calculation("quantum-espresso", [f"kpoint_spacing={spacing}"])
            manifest = run_campaign(some, calculation, store)
            for record in manifest.structures.values():
                if record.error:
                    print(f"failed: {record.name}: {record.error}")
            stores.append(store)
    return stores


if __name__ == "__main__":
    main()
