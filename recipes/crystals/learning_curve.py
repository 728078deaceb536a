"""The learning curve of crystals: errors against the number of training crystals.

    python recipes/crystals/learning_curve.py crystals_pbe_nc -o runs/crystals_curve

Trains networks on 50, 100, 200 and all crystals of the training part, each set within the next,
and evaluates them on the validation part (or, once, at the very end, on the test part: --part
test). Interrupted, it goes on. The spherical atoms below the networks are those of the package,
which were fitted to the whole training part. Prints a table and a power law, writes `curve.json`.
"""

from __future__ import annotations

import argparse

import numpy as np
from experiments import Crystals, Recipe, add_options, errors, trained, write

from deepdft.prediction import load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--sizes", type=int, nargs="*", default=[50, 100, 200], help="besides all")
    parser.add_argument("--seeds", type=int, default=1, help="orders of crystals, and weights")
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    arguments = parser.parse_args()
    crystals = Crystals.opened(arguments.data)
    recipe = Recipe.of(arguments)
    training, validation = crystals.of_part("train"), crystals.of_part("validation")
    measured = crystals.of_part(arguments.part)
    sizes = [*(size for size in arguments.sizes if size < len(training)), len(training)]
    rows = []
    for size in sizes:
        for seed in range(arguments.seeds):
            chosen = crystals.shuffled(training, seed)[:size]
            folder = arguments.output / f"{size}_seed_{seed}"
            usable = crystals.known(validation, chosen)
            run = trained(crystals, recipe, folder, chosen, usable, seed)
            on = crystals.known(measured, chosen)
            found = errors(
                crystals, recipe, load_model(run, "cpu"), on, folder / f"{arguments.part}.json"
            )
            values = np.array(list(found["eps_mae"].values()))
            rows.append({
                "size": size, "seed": seed, "crystals": len(values),
                "left_out": len(measured) - len(on), "mean": float(values.mean()),
                "median": float(np.median(values)),
                "standard_error": float(values.std(ddof=1) / len(values) ** 0.5),
            })  # fmt: skip
            write(arguments.output / "curve.json", {"part": arguments.part, "runs": rows})
    print(f"{arguments.part} part, eps_mae / %, {recipe.steps} steps each")
    print("training  seed  crystals  mean ± standard error  median")
    for row in rows:
        print(
            f"{row['size']:8d} {row['seed']:5d} {row['crystals']:9d} "
            f"{row['mean']:7.3f} ± {row['standard_error']:5.3f}         {row['median']:7.3f}"
        )
    if len(sizes) > 1:
        slope = np.polyfit(
            np.log([row["size"] for row in rows]), np.log([row["mean"] for row in rows]), 1
        )[0]
        print(f"mean error proportional to size to the power of {slope:.2f}")


if __name__ == "__main__":
    main()
