"""Compare architectures on the same data: errors at equal steps and at equal time.

    python paper/comparison/compare.py DATA --split DATA/split.json --output runs/accuracy \\
        --sizes 400 1532 --steps 20000 --minutes 60

Every row of `rows.yaml` is trained by the package's own training, with the same training,
validation and test structures. At the smallest size each learning rate of a row is tried with the
first seed (`--rate-steps`: in shorter runs); the one with the smallest validation error is used
from then on. Then every row is trained at every size and seed for the same number of steps, and for
as many steps as it does in the same time. The test part is looked at once, at the end of each
run.

Everything that is done is kept in the output folder: the same command goes on where it stopped.
`README.md` beside this file says what the table means.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from charge3net import NAME as CHARGE3NET
from charge3net import register_charge3net
from plan import START, Rows, Run, Settings
from report import entry, table, with_ratios
from runs import RECORD, Record, best_rate, model_of, tested, trained, trained_elsewhere, write_json

from deepdft.data import DensityDataset, open_dataset, split_part
from deepdft.errors import ConfigurationError, DeepDFTError
from deepdft.evaluation.evaluate import AtomicSuperposition
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.choice import tables_for_level
from deepdft.storage.whole_files import replace_file
from deepdft.threads import available_threads

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from reporting import machine

SUPERPOSED = "superposed atoms"

ABOUT = 0.1
"""A run of equal steps that took the equal time within this fraction is not trained again."""


def main() -> None:
    """Do what is left to do, and write the tables."""
    options = parse_arguments(sys.argv[1:])
    try:
        print(Comparison(options).run())
    except DeepDFTError as error:
        print(f"compare.py: {error}", file=sys.stderr)
        sys.exit(2)


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="+", help="reference densities, as deepdft train takes them")
    parser.add_argument("--split", required=True, help="JSON file with train, validation and test")
    parser.add_argument("--output", type=Path, default=Path("runs/accuracy"), help="results")
    parser.add_argument("--file", type=Path, default=Path(__file__).with_name("rows.yaml"))
    parser.add_argument("--rows", nargs="+", help="names of rows; default: all of the file")
    parser.add_argument("--sizes", type=int, nargs="+", required=True, help="training structures")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=20_000, help="steps of every row")
    parser.add_argument(
        "--rate-steps", type=int, help="steps with which rates are tried; default: --steps"
    )
    parser.add_argument(
        "--rates-of", type=Path, metavar="FOLDER",
        help="take the rates that a comparison on other data chose; its output folder",
    )  # fmt: skip
    parser.add_argument(
        "--report", action="store_true", help="train nothing: tables of what has been trained"
    )
    parser.add_argument(
        "--tables", type=Path, metavar="FOLDER",
        help="add the rows of tables made before, on the same data; their folder",
    )  # fmt: skip
    parser.add_argument(
        "--charge3net", type=Path, metavar="CLONE", help="clone of ChargE3Net, for the row of it"
    )
    parser.add_argument(
        "--start", metavar="MODEL", help="model that rows which fine-tune begin with"
    )
    parser.add_argument("--against", default="equivariant", help="row that errors are divided by")
    parser.add_argument("--minutes", type=float, help="time of every row; default: not compared")
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--accelerator", default="cpu", help="cpu, gpu: of training")
    parser.add_argument("--validation-probes", type=int, default=1000)
    parser.add_argument("--spacing", type=float, default=0.2, help="of the test grid, Å")
    parser.add_argument("--margin", type=float, default=5.0, help="of the test grid, Å")
    parser.add_argument("--quick", type=int, help="instead of a grid, so many random points")
    parser.add_argument("--limit", type=int, help="only the first so many test structures")
    parser.add_argument(
        "--also", nargs="+", default=[], metavar="NAME=FOLDER",
        help="models trained elsewhere on the same data, as by released_training.py",
    )  # fmt: skip
    return parser.parse_args(arguments)


def given_needs(options: argparse.Namespace) -> list[str]:
    """Return what rows may need that was given; make the architectures of other groups known."""
    given = [] if options.start is None else [START]
    if options.charge3net is not None:
        register_charge3net(options.charge3net)
        given.append(CHARGE3NET)
    return given


class NotTrained(Exception):
    """What only a training would tell, where none is wanted."""


class Comparison:
    """All runs of a comparison, in an order in which the first tables come early."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.rows = Rows(options.file)
        self.names = self.rows.chosen(options.rows, given_needs(options))
        self.sizes = sorted(set(options.sizes))
        self.settings = Settings(
            tuple(options.data), options.split, options.output, options.steps, options.threads,
            options.accelerator, options.validation_probes, options.start,
        )  # fmt: skip
        self.test = self._test_part()
        self.tables = self._atomic_densities()
        self.before = {} if options.tables is None else read_tables(options.tables)
        self.chosen = {} if options.rates_of is None else rates_of(options.rates_of)

    def run(self) -> str:
        """Do what is left to do, write `tables.md` and `tables.json`, and return the former."""
        references = self._references()
        modes = ["steps"] if self.options.minutes is None else ["steps", "time"]
        titles: dict[str, list[Record]] = {}
        for size in self.sizes:
            for mode in modes:
                equal = (
                    f"{self.settings.steps:,} steps"
                    if mode == "steps"
                    else f"{self.options.minutes:g} minutes"
                )
                title = f"{size} training structures, {equal}"
                entries = references + self._entries(mode, size)
                entries += self._made_before(title, entries)
                titles[title] = with_ratios(entries, self.options.against)
                text = self._write(titles)
        return text

    def _made_before(self, title: str, entries: list[Record]) -> list[Record]:
        """Return what other tables have under a title and these have not."""
        rows = {item["row"] for item in entries}
        added = [item for item in self.before.get(title, []) if item["row"] not in rows]
        if any(list(item["errors"]) != list(self.test.names) for item in added):
            raise ConfigurationError(
                f"The tables in {self.options.tables} are of another test part; leave out --tables."
            )
        return added

    def rate(self, row: str) -> float:
        """Return the learning rate of a row: as given, or by validation at the smallest size."""
        if len(self.rows.rates[row]) == 1:
            return self.rows.rates[row][0]
        if row not in self.chosen:
            size, seed = self.sizes[0], self.options.seeds[0]
            steps = self.options.rate_steps or self.settings.steps
            mode = "steps" if steps == self.settings.steps else "rate"
            records = [
                self._train(Run(row, mode, size, rate, seed, steps))
                for rate in self.rows.rates[row]
            ]
            self.chosen[row] = best_rate(records)
        return self.chosen[row]

    def _entries(self, mode: str, size: int) -> list[Record]:
        entries = []
        for name in self.names:
            try:
                entries.append(self._entry(name, mode, size))
            except NotTrained as missing:
                print(f"Left out, for it has not been trained: {missing}")
        return entries

    def _entry(self, row: str, mode: str, size: int) -> Record:
        trainings, tests = [], []
        for seed in self.options.seeds:
            run = Run(row, "steps", size, self.rate(row), seed, self.settings.steps)
            training = self._train(run)
            if mode == "time":
                run = self._as_long(run, training)
                training = self._train(run)
            if training["diverged"]:
                raise ConfigurationError(
                    f"{run.folder(self.settings.output)} diverged, which its learning rate did "
                    "not at the smallest size; leave the larger rates out of the file of rows."
                )
            folder = run.folder(self.settings.output)
            load = partial(model_of, folder, f"{row}, seed {seed}", self.settings)
            tests.append(tested(load, folder / "test.json", self.test, self._points()))
            trainings.append(training)
        return entry(row, tests, trainings)

    def _as_long(self, run: Run, training: Record) -> Run:
        """Return a row's run for the time: that of equal steps, if it took about as long."""
        minutes = self.options.minutes
        if abs(training["seconds"] / (60.0 * minutes) - 1.0) <= ABOUT:
            return run
        # As many steps as the run of equal steps did, per second of its training.
        steps = max(1, round(60.0 * minutes * training["steps"] / training["seconds"]))
        run = replace(run, mode="time", steps=steps)
        # Once begun, they stay what they were.
        path = run.folder(self.settings.output) / f"steps_for_{minutes:g}_minutes"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{steps}\n", encoding="utf-8")
        return replace(run, steps=int(path.read_text(encoding="utf-8")))

    def _train(self, run: Run) -> Record:
        what = f"{run.row}: {run.mode}, {run.size} structures, rate {run.rate:g}, seed {run.seed}"
        if self.options.report and not (run.folder(self.settings.output) / RECORD).exists():
            raise NotTrained(what)
        print(what)
        return trained(run, self.rows, self.settings)

    def _references(self) -> list[Record]:
        """Return the rows of what is not trained here."""
        folder = self.settings.output / "references"
        entries = []
        if self.tables is not None:
            atoms = partial(AtomicSuperposition, self.tables, self.settings.threads)
            result = tested(atoms, folder / "atoms.json", self.test, self._points())
            entries.append(entry(SUPERPOSED, [result], []))
        for text in self.options.also:
            name, separator, path = text.partition("=")
            if not separator or not name:
                raise ConfigurationError(f"--also must be NAME=FOLDER, not '{text}'.")
            load = partial(model_of, path, name, self.settings)
            result = tested(load, folder / f"{name}.json", self.test, self._points())
            entries.append(entry(name, [result], trained_elsewhere(Path(path))))
        return entries

    def _points(self) -> dict[str, Any]:
        options = self.options
        if options.quick is not None:
            return {"quick": options.quick}
        return {"spacing": options.spacing, "margin": options.margin}

    def _test_part(self) -> DensityDataset:
        dataset = split_part(self.options.split, "test", open_dataset(self.options.data))
        limit = self.options.limit
        return dataset if limit is None else dataset.subset(range(min(limit, len(dataset))))

    def _atomic_densities(self) -> AtomicDensityTables | None:
        try:
            name = tables_for_level(self.test.level, self.test.elements())
        except ConfigurationError as error:
            print(f"No row of {SUPERPOSED}: {error}")
            return None
        return AtomicDensityTables.load(name)

    def _write(self, titles: dict[str, list[Record]]) -> str:
        text = "".join(self._text(titles))
        output = self.settings.output
        words = ["python", "paper/comparison/compare.py", *sys.argv[1:]]
        content = {"command": shlex.join(words), "machine": machine(), "tables": titles}
        write_json(output / "tables.json", content)
        replace_file(output / "tables.md", text.encode())
        return text

    def _text(self, titles: dict[str, list[Record]]) -> Iterator[str]:
        how = (
            f"{self.options.quick} random points a structure: estimates"
            if self.options.quick is not None
            else f"a grid of {self.options.spacing:g} Å, {self.options.margin:g} Å beyond molecules"
        )
        yield (
            f"eps_mae in percent on {len(self.test)} test structures ({how}), "
            f"{self.test.level}; ± is a standard error over structures, in parentheses the "
            "standard deviation of seeds.\n"
        )
        for title, entries in titles.items():
            yield "\n" + table(title, entries, self.rows.rates)


def read_tables(folder: Path) -> dict[str, list[Record]]:
    """Return the tables of a comparison, by title.

    Raises:
        ConfigurationError: if there are none.
    """
    try:
        content = json.loads((folder / "tables.json").read_text(encoding="utf-8"))
        tables: dict[str, list[Record]] = content["tables"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{folder} has no tables of a comparison ({error!r}).") from None
    return tables


def rates_of(folder: Path) -> dict[str, float]:
    """Return the learning rates in the tables of a comparison, by row."""
    rows = [item for entries in read_tables(folder).values() for item in entries if "rate" in item]
    return {item["row"]: float(item["rate"]) for item in rows}


if __name__ == "__main__":
    main()
