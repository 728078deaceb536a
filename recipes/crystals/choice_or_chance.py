"""From 100 to 200 training crystals by choice and by chance, side by side.

    python recipes/crystals/choice_or_chance.py crystals_pbe_nc -o runs/choice_or_chance

For each of three seeds a network is trained on 100 crystals of the training part and learns its
errors from the validation part. A hundred more are then added, once as `deepdft select` chooses
them from what is left (costs do not count), once at random, and a network is trained on each 200.
All three are measured on crystals of a fifth of the training part's formulas, which nothing is
chosen from. The test part is left alone. Interrupted, it goes on. Nine trainings; choice can lose.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from experiments import Crystals, Recipe, add_options, errors, trained, with_expected_errors, write

from deepdft.prediction import TrainedModel, load_model
from deepdft.structures import Structure
from deepdft.uncertainty.selection import candidate, choose

FIFTHS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--first", type=int, default=100, help="crystals at the beginning")
    parser.add_argument("--more", type=int, default=100, help="crystals added")
    arguments = parser.parse_args()
    crystals = Crystals.opened(arguments.data)
    recipe = Recipe.of(arguments)
    training, validation = crystals.of_part("train"), crystals.of_part("validation")
    measured = [i for i in training if crystals.fold(i, FIFTHS, "measured") == 0]
    pool = [i for i in training if i not in set(measured)]
    rows = []
    for seed in arguments.seeds:
        order = crystals.shuffled(pool, seed)
        first, left = order[: arguments.first], order[arguments.first :]
        folder = arguments.output / f"seed_{seed}"
        usable = crystals.known(validation, first)
        before = with_expected_errors(
            crystals, trained(crystals, recipe, folder / "before", first, usable, seed),
            first, usable,
        )  # fmt: skip
        arms = {
            "before": first,
            "choice": first + chosen(crystals, before, left, arguments.more, folder),
            "chance": first + left[: arguments.more],
        }
        on = crystals.known(measured, first)
        means: dict[str, float] = {}
        for arm, indices in arms.items():
            run = trained(crystals, recipe, folder / arm, indices, usable, seed)
            found = errors(
                crystals, recipe, load_model(run, "cpu"), on, folder / arm / "errors.json"
            )
            means[arm] = float(np.mean(list(found["eps_mae"].values())))
        rows.append({"seed": seed, "crystals": len(on), **means})
        write(arguments.output / "result.json", rows)
        told(rows, arguments.first, arguments.more)


def chosen(
    crystals: Crystals, model: TrainedModel, left: list[int], count: int, folder: Path
) -> list[int]:
    """Return the crystals that `deepdft select` would choose."""
    structures = {crystals.data.names[i]: i for i in left}
    pool = [
        candidate(model, Structure(name, crystals.data.atoms(i))) for name, i in structures.items()
    ]
    choices = choose(pool, count, cost_exponent=0.0)
    write(folder / "chosen.json", [choice.as_dict() for choice in choices])
    return [structures[choice.structure.name] for choice in choices]


def told(rows: list[dict[str, float]], first: int, more: int) -> None:
    """Print what is known so far."""
    print(f"mean eps_mae / %: {first} crystals; {first + more} by choice; by chance")
    for row in rows:
        print(
            f"seed {row['seed']}: {row['before']:.3f}; {row['choice']:.3f}; {row['chance']:.3f} "
            f"({row['crystals']} crystals)"
        )
    difference = np.array([row["choice"] - row["chance"] for row in rows])
    spread = f" ± {difference.std(ddof=1) / len(rows) ** 0.5:.3f}" if len(rows) > 1 else ""
    print(f"choice less chance: {difference.mean():+.3f}{spread}", flush=True)


if __name__ == "__main__":
    main()
