"""Train with the authors' own released code on the densities of a comparison.

    git clone https://github.com/peterbjorgensen/DeepDFT released
    python paper/comparison/released_training.py released DATA --split DATA/split.json \\
        --size 400 --network painn --steps 600 --output runs/released_painn_code
    python paper/comparison/compare.py ... --also "authors' PaiNN code=runs/released_painn_code"

Their `runner.py` runs as it is: its loaders, batch of 2 x 1000 uniform grid points, loss, learning
rate and schedule, and the options their README gives for QM9. The densities are written for it as
cube files on a grid of `--spacing` reaching 4 Å beyond molecules (once; files that are there are
kept), with the same training structures as `compare.py` takes for this size and seed. It saves its
model at the end of the steps; only ten validation structures are given to it, which decide nothing.
Where the package asap3 is missing, neighbour lists come from this package (compiled).

The folder is one that `deepdft predict -m` and `--also` read, with `training.json` beside: steps,
seconds of training, probes per second, parameters.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from runs import RECORD, write_json

from deepdft.data import open_dataset, read_split, shuffled_with_elements_first
from deepdft.errors import DeepDFTError
from deepdft.storage.whole_files import replace_file

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from released_code import load_released_code

NETWORKS = {"schnet": ["--num_interactions", "6"], "painn": ["--num_interactions", "3"]}
"""Options of their command for each network, beside those common to both."""

BATCH = 2 * 1000
VALIDATION = 10
MARGIN = 4.0


def main() -> None:
    """Write what the released code reads, and run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("released", type=Path, help="clone of the released code's repository")
    parser.add_argument("data", nargs="+", help="reference densities, as deepdft train takes them")
    parser.add_argument("--split", required=True, help="JSON file with train and validation")
    parser.add_argument("--size", type=int, required=True, help="training structures")
    parser.add_argument("--seed", type=int, default=0, help="which structures: as in compare.py")
    parser.add_argument("--network", choices=sorted(NETWORKS), default="painn")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--spacing", type=float, default=0.2, help="of the grids, Å")
    parser.add_argument("--output", type=Path, required=True, help="folder of the run")
    options = parser.parse_args()
    try:
        densities, split = write_densities(options)
    except DeepDFTError as error:
        print(f"released_training.py: {error}", file=sys.stderr)
        sys.exit(2)
    run(options, densities, split)


def write_densities(options: argparse.Namespace) -> tuple[Path, Path]:
    """Write densities and split; return the folder of the one and the file of the other."""
    dataset = open_dataset(options.data)
    parts = read_split(options.split, dataset)
    shuffled = shuffled_with_elements_first(dataset, parts["train"], options.seed)
    numbers = {
        "train": shuffled[: options.size],
        "validation": parts["validation"][:VALIDATION],
    }
    folder = options.output / "densities"
    folder.mkdir(parents=True, exist_ok=True)
    files = {i: f"{dataset.names[i]}.cube.zz" for part in numbers.values() for i in part}
    for index, name in files.items():
        if not (folder / name).exists():
            dataset.on_grid(index, options.spacing, margin=MARGIN).write(folder / name)
    # Their loader numbers the files of the folder in sorted order.
    order = {name: index for index, name in enumerate(sorted(os.listdir(folder)))}
    split = {part: [order[files[i]] for i in chosen] for part, chosen in numbers.items()}
    path = options.output / "split.json"
    replace_file(path, json.dumps(split).encode())
    return folder, path


def run(options: argparse.Namespace, densities: Path, split: Path) -> None:
    """Run their `main`, and write what it cost."""
    code, neighbours = load_released_code(options.released, ("densitymodel", "runner"))
    clock = TrainingClock(code["runner"])
    sys.argv = [
        "runner.py", "--dataset", str(densities), "--split_file", str(split), "--ignore_pbc",
        "--cutoff", "4", "--node_size", "128", *NETWORKS[options.network], "--device", "cpu",
        "--max_steps", str(options.steps), "--output_dir", str(options.output),
        *(["--use_painn_model"] if options.network == "painn" else []),
    ]  # fmt: skip
    status: Any = 1
    try:
        code["runner"].main()
    except SystemExit as end:
        status = end.code or 0
    if status == 0:
        write_json(options.output / RECORD, cost(options, clock.seconds, neighbours))
    # Its loading process and thread never end by themselves.
    for child in multiprocessing.active_children():
        child.terminate()
    sys.stdout.flush()
    os._exit(int(status))


class TrainingClock:
    """Seconds since the optimiser's first use, without those of their validations.

    Args:
        runner: their module, whose validation is timed from now on.
    """

    def __init__(self, runner: Any) -> None:
        self._begun: float | None = None
        self._validating = 0.0
        step, validate = torch.optim.Adam.step, runner.eval_model

        def timed_step(*arguments: Any, **named: Any) -> Any:
            if self._begun is None:
                self._begun = time.perf_counter()
            return step(*arguments, **named)

        def timed_validation(*arguments: Any) -> Any:
            begun = time.perf_counter()
            result = validate(*arguments)
            self._validating += time.perf_counter() - begun
            return result

        torch.optim.Adam.step = timed_step  # type: ignore[method-assign]
        runner.eval_model = timed_validation

    @property
    def seconds(self) -> float:
        """Seconds of training until now."""
        begun = self._begun if self._begun is not None else time.perf_counter()
        return time.perf_counter() - begun - self._validating


def cost(options: argparse.Namespace, seconds: float, neighbours: str) -> dict[str, Any]:
    """Return what the table of `compare.py` shows."""
    state = torch.load(options.output / "best_model.pth", weights_only=True)["model"]
    return {
        "steps": options.steps,
        "seconds": seconds,
        "probes_per_second": options.steps * BATCH / seconds,
        "parameters": sum(value.numel() for value in state.values()),
        "rate": 1e-4,
        "size": options.size,
        "neighbour_lists": neighbours,
    }


if __name__ == "__main__":
    main()
