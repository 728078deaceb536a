"""Five-fold cross-validation over formulas, for the test part is small.

    python recipes/crystals/cross_validation.py crystals_pbe_nc -o runs/crystals_folds

The crystals of the training and validation parts fall into five folds by formula (the test part is
left alone). For each fold a network is trained on the others, with a tenth of their formulas held
out to choose the best state and to learn what errors to expect; then it is evaluated on the fold,
with its expected errors. Interrupted, it goes on. Prints errors by fold and together, the rank
correlation of expected and true errors, and how many lie in the range meant for 80 %.
"""

from __future__ import annotations

import argparse

import numpy as np
from experiments import Crystals, Recipe, add_options, errors, trained, with_expected_errors, write
from scipy.stats import spearmanr

FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--folds", type=int, nargs="*", default=list(range(FOLDS)), help="which")
    arguments = parser.parse_args()
    crystals = Crystals.opened(arguments.data)
    recipe = Recipe.of(arguments)
    everything = crystals.of_part("train") + crystals.of_part("validation")
    names = crystals.data.names
    all_true: list[float] = []
    all_expected: list[float] = []
    inside: list[bool] = []
    rows = []
    for fold in arguments.folds:
        held_out = [i for i in everything if crystals.fold(i, FOLDS) == fold]
        others = [i for i in everything if crystals.fold(i, FOLDS) != fold]
        validation = [i for i in others if crystals.fold(i, 10, "validation") == 0]
        training = [i for i in others if i not in set(validation)]
        folder = arguments.output / f"fold_{fold}"
        validation = crystals.known(validation, training)
        run = trained(crystals, recipe, folder, training, validation, seed=fold)
        model = with_expected_errors(crystals, run, training, validation)
        usable = crystals.known(held_out, training)
        found = errors(crystals, recipe, model, usable, folder / "errors.json", expected=True)
        order = [names[i] for i in usable]
        true = [found["eps_mae"][name] for name in order]
        expected = [found["expected"][name] for name in order]
        within = [
            found["range"][name][0] <= error <= found["range"][name][1]
            for name, error in zip(order, true, strict=True)
        ]
        all_true += true
        all_expected += expected
        inside += within
        rows.append(
            row(str(fold), len(training), true, expected, within)
            | {"left_out": [names[i] for i in held_out if i not in set(usable)]}
        )
    total = row("all together", 0, all_true, all_expected, inside)
    write(arguments.output / "folds.json", {"folds": rows, "all": total})


def row(
    name: str, training: int, true: list[float], expected: list[float], inside: list[bool]
) -> dict[str, object]:
    """Print and return what is to be said of a fold."""
    rank = float(spearmanr(true, expected).statistic)
    found = {
        "fold": name, "training": training, "crystals": len(true), "mean": float(np.mean(true)),
        "median": float(np.median(true)), "rank": rank, "within": float(np.mean(inside)),
    }  # fmt: skip
    trained_on = f" trained on {training}" if training else ""
    print(
        f"fold {name}{trained_on}, {len(true)} crystals: mean {found['mean']:.3f} %, median "
        f"{found['median']:.3f} %, rank correlation {rank:.2f}, "
        f"{100 * np.mean(inside):.0f} % in the range of 80 %",
        flush=True,
    )
    return found


if __name__ == "__main__":
    main()
