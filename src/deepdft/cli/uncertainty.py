"""`deepdft uncertainty`, and what `deepdft evaluate --uncertainty` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from deepdft.cli.common import give
from deepdft.cli.computing_options import Device, Threads
from deepdft.cli.inputs import part_of
from deepdft.cli.progress import Progress

if TYPE_CHECKING:
    from deepdft.uncertainty.measure import UncertaintyMeasurement


def uncertainty(
    model: Annotated[str, typer.Argument(help="Model folder or run directory, or bundled name.")],
    data: Annotated[list[str], typer.Argument(help="Reference densities: files or folders.")],
    train: Annotated[
        str,
        typer.Option(metavar="FILE:PART", help="What the model was trained on, as s.json:train."),
    ],
    split: Annotated[
        str,
        typer.Option(metavar="FILE:PART", help="Held out of training, as s.json:validation."),
    ],
    seed: Annotated[int, typer.Option(min=0, help="Of the points at which errors are seen.")] = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Teach a trained model about its errors, from structures held out of its training.

    First where its errors of the number of electrons are, so that this number can be made exact;
    then which errors to expect. What it learns is stored in the model's folder; its weights do not
    change.
    """
    from deepdft.data import open_dataset
    from deepdft.models.expected_errors.error_model import require_writable, save_error_model
    from deepdft.models.folder import save_electron_shapes
    from deepdft.prediction import load_model
    from deepdft.uncertainty.electrons import learn_electrons
    from deepdft.uncertainty.fit import fit_error_model

    dataset = open_dataset(data)
    training = part_of(dataset, train, "--train")
    held_out = part_of(dataset, split, "--split")
    loaded = load_model(model, device)
    loaded.threads = threads
    require_writable(loaded.folder)
    assert loaded.folder is not None
    console = Console(markup=False)
    with Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=console, transient=True,
    ) as bar:  # fmt: skip
        first = bar.add_task("", total=None)
        learned = learn_electrons(
            loaded, training, held_out, seed=seed,
            progress=lambda name: bar.update(first, advance=1, description=name),
        )  # fmt: skip
        bar.remove_task(first)
        task = bar.add_task("", total=len(training) + len(held_out))
        fitted = fit_error_model(
            loaded, training, held_out, seed=seed,
            progress=lambda name: bar.update(task, advance=1, description=name),
        )  # fmt: skip
    save_electron_shapes(loaded.checkpoint.electron_shapes, loaded.folder)
    console.print(learned, highlight=False, soft_wrap=True)
    path = save_error_model(fitted, loaded.folder)
    about = fitted.about
    give({"model": loaded.folder, "learned": learned, **about})
    correlation = about["cross_validated_rank_correlation"]
    console.print(
        f"written: {path} ({path.stat().st_size / 1000:.0f} kB); errors of {about['structures']} "
        f"held-out structures (mean eps_mae {about['eps_mae_percent']:.3g} %), distances to "
        f"{about['training_atoms']} atoms of {about['training_structures']} training structures"
        + ("" if correlation is None else f"; cross-validated rank correlation {correlation:.2f}"),
        highlight=False,
        soft_wrap=True,
    )
    _print_groups(console, about["groups"])


def _print_groups(console: Console, groups: list[dict[str, Any]]) -> None:
    """Print how expected errors compare with true ones, by group."""
    table = Table(title="Expected against true eps_mae by group")
    for column in (
        "group", "structures", "true / %", "rank", "true / expected", "in the 80 % range",
        "above twice, no warning",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column == "group" else "right")
    for found in groups:
        rank = found["rank_correlation"]
        table.add_row(
            found["group"], str(found["structures"]), f"{found['mean_percent']:.3f}",
            "-" if rank is None else f"{rank:.2f}", f"{found['median_ratio']:.2f}",
            f"{100 * found['in_range']:.0f} %", f"{100 * found['missed']:.1f} %",
        )  # fmt: skip
    console.print(table)


def print_measurement(console: Console, measurement: UncertaintyMeasurement) -> None:
    """Print how expected errors compare with true ones."""
    summary = measurement.summary()
    correlation = summary["rank_correlation"]
    words = (
        "too few structures for a rank correlation"
        if correlation is None
        else f"rank correlation {correlation:.2f} ± "
        f"{summary['rank_correlation_standard_error']:.2f}"
    )
    table = Table(title="Expected and true eps_mae / %")
    for column in ("structures, by what is expected", "expected", "true"):
        table.add_column(column, justify="right")
    for group in summary["groups"]:
        table.add_row(str(group["structures"]), f"{group['expected']:.4f}", f"{group['true']:.4f}")
    table.add_section()
    table.add_row(
        f"all {summary['structures']}", f"{summary['mean_expected_percent']:.4f}",
        f"{summary['mean_true_percent']:.4f}",
    )  # fmt: skip
    console.print(table)
    _print_groups(console, summary["by_group"])
    within = summary["points"]["fraction_within"]
    parts = ", ".join(f"{name} times that in {100 * part:.0f} %" for name, part in within.items())
    console.print(
        f"{words}; {100 * summary['fraction_in_range']:.0f} % of the structures within the range "
        f"meant for 80 %; {summary['warnings']} outside what the model knows. Of the volume where "
        f"at least 1e-4 e/Å³ are expected, the error is below {parts}",
        highlight=False,
        soft_wrap=True,
    )
