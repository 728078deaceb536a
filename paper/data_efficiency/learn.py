"""Are energy and gap learned from fewer molecules when a density model's states are given?

    python paper/data_efficiency/learn.py DATA --split DATA/split.json \\
        --density runs/learning_curve/equivariant --output runs/data_efficiency

All ways to learn see the same molecules, sizes and validation part, and choose what they have to
choose by validation alone. The test part is predicted once, by the weights that validated best.
What is finished is kept in the output folder: the same command goes on where it stopped, and adds
the density models that have appeared since. `README.md` beside this file says what the ways are.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import Outcome, PropertyNetwork, Scale, frozen_states, train
from properties import PROPERTIES, Molecules, read_molecules
from report import write_report
from torch import Tensor

from deepdft.architectures import create_model
from deepdft.architectures.equivariant.model import Equivariant
from deepdft.errors import ConfigurationError, DeepDFTError
from deepdft.models.bundled import open_checkpoint
from deepdft.storage.whole_files import replace_file
from kernels import best_fits, kernels_of_bonds, kernels_of_states

Record = dict[str, Any]

RATES = (5e-4, 1.5e-3, 5e-3)
"""Learning rates that every trained way tries, with the first seed at the size `--rate-size`."""

FROZEN_STEPS = 3000
"""Steps of a readout of frozen states, which cost little; with more nothing improves."""

STARTS = ("untrained", "same", "bundled")
"""Where the encoder is from: random weights, the density model of the same molecules, the bundled
model, which knows the densities of all training molecules."""

WAYS = {
    "bonds": (None, "bonds"),
    "untrained states, kernel": ("untrained", "kernel"),
    "density states (same molecules), kernel": ("same", "kernel"),
    "density states (all molecules), kernel": ("bundled", "kernel"),
    "density states (same molecules), network": ("same", "readout"),
    "density states (all molecules), network": ("bundled", "readout"),
    "direct": ("untrained", "train"),
    "fine-tuned (density of the same molecules)": ("same", "train"),
    "fine-tuned (density of all molecules)": ("bundled", "train"),
}


def main() -> None:
    """Do what is left to do, and write the tables."""
    options = parse_arguments(sys.argv[1:])
    torch.set_num_threads(options.threads)
    try:
        print(Experiment(options).run())
    except DeepDFTError as error:
        print(f"learn.py: {error}", file=sys.stderr)
        sys.exit(2)


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="+", help="orbital archives of QM9 molecules with energies")
    parser.add_argument("--split", required=True, help="JSON file with train, validation and test")
    parser.add_argument(
        "--density", type=Path, help="runs of paper/comparison/compare.py with the same split"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/data_efficiency"))
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[50, 100, 200, 400, 800, 1532], help="molecules"
    )
    parser.add_argument(
        "--largest", type=int, default=400, help="size up to which encoders are trained (slow)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--few-seeds", type=int, default=400, help="size from which only the first seed is run"
    )
    parser.add_argument("--rate-size", type=int, default=100, help="where learning rates are tried")
    parser.add_argument("--steps", type=int, default=600, help="of 8 molecules, up to size 100")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report", type=Path, help="folder for the tables and the figure")
    return parser.parse_args(arguments)


class Experiment:
    """All ways, sizes and seeds, cheap ones first."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.molecules: Molecules = read_molecules(options.data, options.split)
        self.states: dict[str, dict[int, Tensor]] = {}

    def run(self) -> str:
        """Do what is left to do and return the tables."""
        options = self.options
        for kinds in (("bonds", "kernel"), ("readout", "train")):
            ways = [way for way in options.ways if WAYS[way][1] in kinds]
            # Whole curves of one seed after the other: the first ones come early.
            for seed in options.seeds:
                for size in options.sizes:
                    for way in ways:
                        if seed in self._seeds(size):
                            self._result(way, size, seed)
        return write_report(options, list(WAYS), self.molecules, self._finished())

    def _seeds(self, size: int) -> list[int]:
        seeds: list[int] = self.options.seeds
        return seeds[:1] if size >= self.options.few_seeds else seeds

    def _finished(self) -> list[Record]:
        files = sorted(self.options.output.glob("*/*.json"))
        found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        return [record for record in found if record["way"] in self.options.ways]

    def _result(self, way: str, size: int, seed: int) -> None:
        """Learn and predict the test part, unless that is done or cannot be done yet."""
        start, kind = WAYS[way]
        if kind == "train" and size > self.options.largest:
            return
        if start == "same" and self._density_run(size, seed) is None:
            print(f"{way}, {size} molecules, seed {seed}: there is no such density model (yet)")
            return
        rate = None
        if kind in ("train", "readout"):
            rate = self._rate(way, start, kind)
            if rate is None:
                return
        self._kept(way, size, seed, rate)

    def _rate(self, way: str, start: str | None, kind: str) -> float | None:
        """Return the rate with the smallest validation error, in units of the targets' widths."""
        size, seed = self.options.rate_size, self.options.seeds[0]
        if start == "same" and self._density_run(size, seed) is None:
            # The two that begin with a density model are alike: they share their rate.
            way = next(w for w, how in WAYS.items() if how == ("bundled", kind))
        records = [self._kept(way, size, seed, rate) for rate in RATES]
        return min(records, key=lambda r: float(r["relative_validation"]))["rate"]

    def _kept(self, way: str, size: int, seed: int, rate: float | None) -> Record:
        name = "".join(c if c.isalnum() else "_" for c in way)
        folder = self.options.output / name
        with_rate = "" if rate is None else f"_rate_{rate:g}"
        path = folder / f"{size}_seed_{seed}{with_rate}.json"
        if path.exists():
            found: Record = json.loads(path.read_text(encoding="utf-8"))
            return found
        begun = time.process_time()
        result = self._learn(way, size, seed, rate)
        result = {
            "way": way, "size": size, "seed": seed, "rate": rate, **result,
            "seconds": time.process_time() - begun,
        }  # fmt: skip
        errors = ", ".join(f"{p} {1e3 * result['validation'][p]:.0f} meV" for p in PROPERTIES)
        print(f"{way}, {size}, seed {seed}{with_rate}: validation {errors}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, (json.dumps(result) + "\n").encode())
        return result

    def _learn(self, way: str, size: int, seed: int, rate: float | None) -> Record:
        molecules = self.molecules
        training = molecules.training_part(size, seed)
        parts = {
            "train": training,
            "validation": molecules.parts["validation"],
            "test": molecules.parts["test"],
        }
        targets = molecules.targets(training)
        start, kind = WAYS[way]
        if kind in ("bonds", "kernel"):
            found = self._fit(start, parts, targets, size, seed)
        else:
            assert start is not None
            assert rate is not None
            found = self._train(start, kind, parts, targets, size, seed, rate)
        widths = {p: float(np.std(targets[p][training])) for p in PROPERTIES}
        errors = {
            p: np.abs(np.array(found["predicted"][p]) - targets[p][parts["test"]]).tolist()
            for p in PROPERTIES
        }
        relative = sum(found["validation"][p] / widths[p] for p in PROPERTIES)
        return {**found, "errors": errors, "widths": widths, "relative_validation": relative}

    def _fit(
        self, start: str | None, parts: dict[str, list[int]], targets: Any, size: int, seed: int
    ) -> Record:
        rows = [i for part in ("train", "validation", "test") for i in parts[part]]
        ends = np.cumsum([0] + [len(parts[p]) for p in ("train", "validation", "test")])
        slices = {p: slice(ends[i], ends[i + 1]) for i, p in enumerate(parts)}
        structures = [self.molecules.dataset.atoms(i) for i in rows]
        if start is None:
            kernels = kernels_of_bonds(structures, size)
        else:
            states = self._frozen(start, rows, size, seed)
            kernels = kernels_of_states(states, [a.numbers for a in structures], size)
        fits = best_fits(kernels, slices, {p: targets[p][rows] for p in PROPERTIES})
        return {
            "validation": {p: fits[p].validation for p in PROPERTIES},
            "choice": {p: fits[p].choice for p in PROPERTIES},
            "predicted": {p: fits[p].test.tolist() for p in PROPERTIES},
        }

    def _train(
        self, start: str, kind: str, parts: dict[str, list[int]], targets: Any, size: int,
        seed: int, rate: float,
    ) -> Record:  # fmt: skip
        both = np.stack([targets[p] for p in PROPERTIES], axis=1)
        model = self._encoder(start, size, seed).train().requires_grad_(True)
        graphs = self.molecules.graphs
        states = frozen_states(model, [graphs[i] for i in parts["train"]])
        torch.manual_seed(seed)
        scale = Scale.of(states, both[parts["train"]])
        if kind == "train":
            network = PropertyNetwork(model, scale)
            given: Any = {p: [graphs[i] for i in rows] for p, rows in parts.items()}
            steps = round(self.options.steps * max(1.0, (size / 100) ** 0.5))
        else:
            network = PropertyNetwork(None, scale)
            given = {
                p: [s[-1] for s in self._frozen(start, rows, size, seed)]
                for p, rows in parts.items()
            }
            steps = FROZEN_STEPS
        known = {
            p: torch.tensor(both[parts[p]], dtype=torch.float32) for p in ("train", "validation")
        }
        outcome: Outcome = train(network, given, known, rate=rate, steps=steps, seed=seed)
        return {
            "steps": steps,
            "validation": outcome.validation,
            "best_step": outcome.step,
            "predicted": {p: outcome.test[p].tolist() for p in PROPERTIES},
        }

    def _frozen(self, start: str, rows: list[int], size: int, seed: int) -> list[Tensor]:
        """Return states of molecules; those of one encoder are kept in memory."""
        key = {"untrained": f"untrained {seed}", "bundled": "bundled"}.get(start)
        key = key or str(self._density_run(size, seed))
        if key not in self.states:
            self.states = {key: {}}
        known = self.states[key]
        missing = [i for i in rows if i not in known]
        if missing:
            graphs = [self.molecules.graphs[i] for i in missing]
            found = frozen_states(self._encoder(start, size, seed), graphs)
            known.update(zip(missing, found, strict=True))
        return [known[i] for i in rows]

    def _encoder(self, start: str, size: int, seed: int) -> Equivariant:
        bundled = open_checkpoint("qm9").network
        if start == "untrained":
            torch.manual_seed(seed)
            network = create_model("equivariant", bundled.options.model_dump(), bundled.elements)
        elif start == "bundled":
            network = bundled
        else:
            folder = self._density_run(size, seed)
            assert folder is not None
            network = open_checkpoint(folder).network
        assert isinstance(network, Equivariant)
        return network

    def _density_run(self, size: int, seed: int) -> Path | None:
        """Return the finished density model of the same molecules."""
        if self.options.density is None:
            return None
        found = self.options.density.glob(f"steps_{size}_rate_*_seed_{seed}/training.json")
        folder = next(iter(sorted(found)), None)
        if folder is None:
            return None
        return self._of_the_same_molecules(folder.parent, size, seed)

    def _of_the_same_molecules(self, folder: Path, size: int, seed: int) -> Path:
        from deepdft.training.config import read_config

        data = read_config(folder / "config.yaml").data
        if (data.max_train, data.train_seed) != (size, seed):
            raise ConfigurationError(
                f"{folder} was trained on other molecules: data.max_train and data.train_seed are "
                f"{data.max_train} and {data.train_seed}, not {size} and {seed}."
            )
        return folder


if __name__ == "__main__":
    main()
