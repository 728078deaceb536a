"""`deepdft evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from deepdft.cli.common import give
from deepdft.cli.computing_options import Device, ExactElectrons, Threads
from deepdft.cli.inputs import part_of
from deepdft.cli.progress import Progress
from deepdft.cli.uncertainty import print_measurement
from deepdft.errors import ConfigurationError

if TYPE_CHECKING:
    from deepdft.data import DensityDataset
    from deepdft.evaluation.evaluate import Evaluation, Predictor
    from deepdft.uncertainty.measure import UncertaintyMeasurement


def evaluate(
    model: Annotated[str, typer.Argument(help="Bundled name or model folder.")],
    data: Annotated[list[str], typer.Argument(help="Reference densities: files or folders.")],
    split: Annotated[
        str | None, typer.Option(metavar="FILE:PART", help="Part of a JSON split, as s.json:test.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for summary, table and figure.")
    ] = None,
    also: Annotated[
        list[str] | None, typer.Option(help="A further model, evaluated on the same points.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="'atoms': evaluate superposed atomic densities as well.")
    ] = None,
    uncertainty: Annotated[
        bool,
        typer.Option("--uncertainty", help="Compare the errors that the model expects as well."),
    ] = False,
    quick: Annotated[
        int | None,
        typer.Option(min=10, help="An estimate from so many random points a structure."),
    ] = None,
    spacing: Annotated[
        float, typer.Option(min=0.01, help="Grid spacing for molecules given by orbitals, Å.")
    ] = 0.1,
    margin: Annotated[
        float, typer.Option(min=0.0, help="Reach of that grid beyond the nuclei, Å.")
    ] = 5.0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many structures.")
    ] = None,
    exact_electrons: ExactElectrons = True,
    mix_levels: Annotated[
        bool, typer.Option("--mix-levels", help="Compare different levels of theory all the same.")
    ] = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Measure eps_mae (eq. 7) against reference densities."""
    from deepdft.evaluation.evaluate import evaluate as run

    dataset = _dataset(data, split, limit, mix_levels)
    predictors = _models([model, *(also or [])], device, threads, exact_electrons)
    if baseline is not None:
        predictors.append(_baseline(baseline, dataset))
    measurement = _measurement(predictors[0]) if uncertainty else None
    console = Console(markup=False)
    with Progress(
        TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False), console=console, transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=len(dataset))
        results = run(
            predictors,
            dataset,
            quick=quick,
            mix_levels=mix_levels,
            spacing=spacing,
            margin=margin,
            progress=lambda name: bar.update(task, advance=1, description=name),
            uncertainty=measurement,
        )
    _print_results(console, results, dataset, quick)
    give({result.predictor: result.summary() for result in results})
    if measurement is not None:
        print_measurement(console, measurement)
    if output is not None:
        _write(console, output, results, measurement)


def _dataset(
    data: list[str], split: str | None, limit: int | None, mix_levels: bool
) -> DensityDataset:
    """Open what a model is measured on."""
    from deepdft.data import open_dataset

    dataset = open_dataset(data, mix_levels=mix_levels)
    if split is not None:
        dataset = part_of(dataset, split, "--split")
    return dataset if limit is None else dataset.subset(range(min(limit, len(dataset))))


def _models(
    names: list[str], device: str, threads: int | None, exact_electrons: bool
) -> list[Predictor]:
    """Load what is measured."""
    from deepdft.prediction import load_model

    predictors: list[Predictor] = []
    for name in names:
        loaded = load_model(name, device)
        loaded.threads, loaded.exact_electrons = threads, exact_electrons
        predictors.append(loaded)
    return predictors


def _write(
    console: Console,
    folder: Path,
    results: list[Evaluation],
    measurement: UncertaintyMeasurement | None,
) -> None:
    """Write tables and figures into a folder, and say which."""
    from deepdft.evaluation.evaluate import write_evaluation

    write_evaluation(folder, results)
    console.print(f"written: {folder}/summary.json, structures.csv, eps_mae.png", soft_wrap=True)
    if measurement is not None:
        from deepdft.uncertainty.measure import write_measurement

        write_measurement(folder, measurement)
        console.print(
            f"written: {folder}/uncertainty.json, uncertainty.csv, uncertainty.png", soft_wrap=True
        )


def _print_results(
    console: Console, results: list[Evaluation], dataset: DensityDataset, quick: int | None
) -> None:
    heading = f"eps_mae / % over {len(dataset)} structures, {dataset.level}"
    if quick is not None:
        heading += f"\nESTIMATE from {quick} random points a structure"
    table = Table(title=heading)
    for column in ("", "mean", "standard error", "median", "95th percentile", "max", "worst"):
        table.add_column(column, justify="left" if column in ("", "worst") else "right")
    for result in results:
        summary = result.summary()
        eps = summary["eps_mae"]
        error = "-" if eps["standard_error"] is None else f"{eps['standard_error']:.4f}"
        if quick is not None:
            error += f" (sampling {eps['sampling_error']:.4f})"
        table.add_row(
            result.predictor, f"{eps['mean']:.4f}", error, f"{eps['median']:.4f}",
            f"{eps['percentile_95']:.4f}", f"{eps['max']:.4f}", eps["worst"],
        )  # fmt: skip
    console.print(table)
    for result in results:
        differences = ", ".join(_differences(result))
        if differences:
            console.print(f"{result.predictor}, mean differences: {differences}", soft_wrap=True)


def _differences(result: Evaluation) -> Iterator[str]:
    """Yield how far what was added up over predictions is from that of references."""
    from deepdft.fields.reductions import known_reductions

    for name, difference in result.summary().get("mean_absolute_differences", {}).items():
        unit = known_reductions()[name].unit
        yield f"{name.replace('_', ' ')} {difference:.4f} {unit}"


def _measurement(predictor: Predictor) -> UncertaintyMeasurement:
    from deepdft.prediction import TrainedModel
    from deepdft.uncertainty.measure import UncertaintyMeasurement

    assert isinstance(predictor, TrainedModel)
    return UncertaintyMeasurement(predictor)


def _baseline(name: str, dataset: DensityDataset) -> Predictor:
    from deepdft.evaluation.evaluate import AtomicSuperposition

    if name != "atoms":
        raise ConfigurationError(f"The only baseline is 'atoms', not '{name}'.")
    return AtomicSuperposition.fitting(dataset)
