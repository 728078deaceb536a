"""Errors against reference densities: eps_mae per structure, summaries, the paper's Fig. 3."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray, Index
from deepdft.data import EVALUATION_MARGIN, EVALUATION_SPACING, DensityDataset
from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.atoms.choice import tables_for_level
from deepdft.fields.field import Field, Remembered
from deepdft.fields.reductions import (
    Reductions,
    Result,
    Subject,
    flattened,
    known_reductions,
    reductions_of,
)
from deepdft.fields.walk import slabs, walk
from deepdft.levels import LevelOfTheory, SharedLevel
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.trained_model import TrainedModel
from deepdft.storage.whole_files import replace_file

if TYPE_CHECKING:
    from deepdft.uncertainty.measure import UncertaintyMeasurement

_SLAB_POINTS = 1_000_000
_QUICK_REACH = 5.0
"""Quick estimates draw their points within this distance of an atom, Å."""


class Predictor(Protocol):
    """Whatever is evaluated: a trained model, or superposed atoms.

    Attributes:
        name: heading in tables.
        level: level of theory of what it predicts.
    """

    name: str
    level: LevelOfTheory

    def engine(self, atoms: Atoms) -> Field:
        """Return the predicted density of one structure."""
        ...

    def core_charges(self, atoms: Atoms) -> FloatArray | None:
        """Return the charges (atoms,) of nuclei with their cores, or None if not known."""
        ...


class AtomicSuperposition:
    """Superposed atomic densities as a predictor: the baseline every model must beat."""

    def __init__(self, tables: AtomicDensityTables, threads: int | None = None) -> None:
        self.name = "superposed atoms"
        self.tables = tables
        self.threads = threads
        self.level = tables.level

    @classmethod
    def fitting(cls, dataset: DensityDataset) -> AtomicSuperposition:
        """Return the superposition at the level of theory of densities.

        Raises:
            ConfigurationError: if there are no atomic densities for it.
        """
        return cls(AtomicDensityTables.load(tables_for_level(dataset.level, dataset.elements())))

    def engine(self, atoms: Atoms) -> SuperposedAtoms:
        """Return the superposition of one structure."""
        return SuperposedAtoms(self.tables, atoms, threads=self.threads)

    def core_charges(self, atoms: Atoms) -> FloatArray:
        """Return the charges (atoms,) of nuclei with their cores: the atoms are neutral."""
        charges = {symbol: round(self.tables.electrons(symbol)) for symbol in self.tables.elements}
        return np.array([charges[symbol] for symbol in atoms.symbols], dtype=np.float64)


@dataclass(frozen=True)
class StructureError:
    """Error of one predictor on one structure.

    Attributes:
        name: name of the structure in the data.
        formula: chemical formula.
        atoms: number of atoms.
        points: grid points, or random points of a quick estimate.
        eps_mae: eq. (7), a fraction.
        eps_mae_standard_error: of a quick estimate; zero on a grid.
        reference: what was added up over the reference (see `deepdft.fields.reductions`), by
            name; empty for quick estimates.
        predicted: the same of the prediction.
    """

    name: str
    formula: str
    atoms: int
    points: int
    eps_mae: float
    eps_mae_standard_error: float = 0.0
    reference: dict[str, Result] = field(default_factory=dict)
    predicted: dict[str, Result] = field(default_factory=dict)

    def differences(self) -> dict[str, float]:
        """Return how far each result of the prediction is from that of the reference."""
        kinds = known_reductions()
        return {
            name: kinds[name].difference(self.predicted[name], result)
            for name, result in self.reference.items()
        }


@dataclass
class Evaluation:
    """Errors of one predictor on a dataset.

    Attributes:
        predictor: its name.
        level: level of theory of the reference.
        quick: whether random points were used (an estimate).
        rows: one per structure.
    """

    predictor: str
    level: LevelOfTheory
    quick: bool
    rows: list[StructureError] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return count, and eps_mae in percent: mean with standard error, median, maximum."""
        values = 100.0 * np.array([row.eps_mae for row in self.rows])
        spread = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
        worst = int(values.argmax())
        result: dict[str, Any] = {
            "predictor": self.predictor,
            "count": len(values),
            "level_of_theory": self.level.to_dict(),
            "estimate": self.quick,
            "eps_mae": {
                "unit": "percent",
                "mean": float(values.mean()),
                "standard_error": spread,
                "median": float(np.median(values)),
                "percentile_95": float(np.percentile(values, 95)),
                "max": float(values.max()),
                "worst": self.rows[worst].name,
            },
        }
        if self.quick:
            points = 100.0 * np.array([row.eps_mae_standard_error for row in self.rows])
            result["eps_mae"]["sampling_error"] = float(np.sqrt((points**2).sum())) / len(values)
        differences = [row.differences() for row in self.rows]
        result["mean_absolute_differences"] = {
            name: float(np.mean([row[name] for row in differences if name in row]))
            for name in dict.fromkeys(itertools.chain(*differences))
        }
        return result


def evaluate(
    predictors: Sequence[Predictor],
    dataset: DensityDataset,
    *,
    quick: int | None = None,
    seed: int = 0,
    mix_levels: bool = False,
    spacing: float = EVALUATION_SPACING,
    margin: float = EVALUATION_MARGIN,
    progress: Callable[[str], None] | None = None,
    uncertainty: UncertaintyMeasurement | None = None,
) -> list[Evaluation]:
    """Evaluate predictors on the same points of the same structures.

    >>> from importlib.resources import files
    >>> from deepdft import load_model, open_dataset
    >>> molecule = open_dataset(files("deepdft") / "bundled" / "molecules" / "C6H9NO.npz")
    >>> (result,) = evaluate([load_model("default")], molecule, spacing=0.4)
    >>> 100 * result.rows[0].eps_mae < 0.3
    True

    Molecules given by orbitals are compared on a uniform grid of `spacing` in a box `margin`
    beyond the outermost nuclei, densities on a grid on that grid.

    Args:
        predictors: what to evaluate.
        dataset: reference densities.
        quick: instead of grids, this many random points a structure: an estimate.
        seed: seed of the random points.
        mix_levels: compare although levels of theory differ.
        spacing: Å.
        margin: Å.
        progress: called with a structure's name after it is done.
        uncertainty: takes in the errors of the first predictor, which must be its model.

    Returns:
        One evaluation per predictor.

    Raises:
        LevelOfTheoryError: if levels differ and `mix_levels` is not set.
        ConfigurationError: if there are no structures, or a density is zero everywhere.
    """
    if len(dataset) == 0:
        raise ConfigurationError("There are no structures to evaluate.")
    if not mix_levels:
        shared = SharedLevel()
        dataset.compare_with(shared, "The data cannot be evaluated on")
        for predictor in predictors:
            shared.add(predictor.level, f"{predictor.name} cannot be evaluated on these data")
    results = [Evaluation(p.name, dataset.level, quick is not None) for p in predictors]
    for index, name in enumerate(dataset.names):
        atoms = dataset.atoms(index)
        engines = [predictor.engine(atoms) for predictor in predictors]
        if uncertainty is not None:
            uncertainty.begin(atoms, cast(ProbeEngine, engines[0]))
        if quick is None:
            grid = dataset.grid(index, spacing, margin)
            reference = Remembered(_Reference(dataset, index))
            subject = Subject(atoms, dataset.level, grid, reference=reference)
            charges = [predictor.core_charges(atoms) for predictor in predictors]
            sums, n_points = _on_grid(engines, subject, charges, name, uncertainty), grid.n_points
        else:
            sums, n_points = _at_random(engines, dataset, index, quick, seed, uncertainty)
        if uncertainty is not None:
            uncertainty.end(name, sums[0]["eps_mae"])
        for result, values in zip(results, sums, strict=True):
            result.rows.append(
                StructureError(name, atoms.get_chemical_formula(), len(atoms), n_points, **values)
            )
        if progress is not None:
            progress(name)
    return results


class _Reference:
    """A reference density on the grid of its evaluation.

    Attributes:
        dataset: where it is from.
        index: which of its structures.
    """

    def __init__(self, dataset: DensityDataset, index: int) -> None:
        self.dataset = dataset
        self.index = index

    def box(self, grid: Grid, start: Index, stop: Index) -> NDArray[Any]:
        """Return its values on whole layers along the first axis, e/Å^3."""
        return self.dataset.slab(self.index, grid, start[0], stop[0])


def _on_grid(
    fields: Sequence[Field],
    subject: Subject,
    charges: Sequence[FloatArray | None],
    name: str,
    measurement: UncertaintyMeasurement | None,
) -> list[dict[str, Any]]:
    """Walk through reference and fields side by side, and return what was added up over them."""
    reference, grid = subject.reference, subject.grid
    assert reference is not None
    ours = [reductions_of(replace(subject, core_charges=known)) for known in charges]
    theirs = reductions_of(replace(subject, core_charges=charges[0], reference=None))
    if measurement is not None:
        ours[0] = Reductions([*ours[0].members.values(), measurement.errors_against(reference)])
    boxes = list(slabs(grid, 0, _SLAB_POINTS))
    walks = [walk(field, grid, boxes, taken) for field, taken in zip(fields, ours, strict=True)]
    # The reference first: it is remembered for those who compare with it.
    for _ in zip(walk(reference, grid, boxes, theirs), *walks, strict=True):
        pass
    found = theirs.results()
    _require_density(cast(float, found["absolute_integral"]), name)
    sums = []
    for taken in ours:
        results = taken.results()
        predicted = {each: results[each] for each in found if each in results}
        known = {each: found[each] for each in predicted}
        sums.append({"eps_mae": results["eps_mae"], "reference": known, "predicted": predicted})
    return sums


def _at_random(
    engines: Sequence[Field], dataset: DensityDataset, index: int, count: int, seed: int,
    uncertainty: UncertaintyMeasurement | None,
) -> tuple[list[dict[str, Any]], int]:  # fmt: skip
    generator = np.random.default_rng((seed, index))
    probes = dataset.draw(index, count, generator, cutoff=_QUICK_REACH, importance=0.5)
    norm = probes.weights * np.abs(probes.values)
    _require_density(float(norm.sum()), dataset.names[index])
    sums = []
    for number, engine in enumerate(engines):
        absolute = np.abs(engine.at(probes.points) - probes.values)
        error = probes.weights * absolute
        if number == 0 and uncertainty is not None:
            volumes = probes.weights * (dataset.n_electrons(index) / norm.sum())
            uncertainty.add_points(probes.points, volumes, absolute)
        ratio = float(error.sum() / norm.sum())
        # Standard error of a ratio of means, to first order.
        residual = error - ratio * norm
        spread = float(np.sqrt((residual**2).sum()) / norm.sum())
        sums.append({"eps_mae": ratio, "eps_mae_standard_error": spread})
    return sums, len(probes.points)


def _require_density(norm: float, name: str) -> None:
    if norm == 0.0:
        raise ConfigurationError(
            f"The density of {name} is zero everywhere: no error can be measured against it; "
            "leave it out."
        )


def write_evaluation(folder: str | Path, evaluations: Sequence[Evaluation]) -> None:
    """Write `summary.json`, `structures.csv` and `eps_mae.png` into a folder.

    The first evaluation is the summary's main entry; the others stand under "others".
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    summary = evaluations[0].summary()
    if len(evaluations) > 1:
        summary["others"] = [evaluation.summary() for evaluation in evaluations[1:]]
    replace_file(folder / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    replace_file(folder / "structures.csv", _table(evaluations).encode())
    from deepdft.plotting.pictures import error_histogram

    errors: Mapping[str, Sequence[tuple[str, float]]] = {
        evaluation.predictor: [(row.formula, 100 * row.eps_mae) for row in evaluation.rows]
        for evaluation in evaluations
    }
    replace_file(folder / "eps_mae.png", error_histogram(errors))


def _table(evaluations: Sequence[Evaluation]) -> str:
    text = io.StringIO()
    lines = [
        {"predictor": evaluation.predictor, **_columns(row)}
        for evaluation in evaluations
        for row in evaluation.rows
    ]
    writer = csv.DictWriter(text, dict.fromkeys(itertools.chain(*lines)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _columns(row: StructureError) -> dict[str, Any]:
    columns = vars(row) | flattened(row.reference) | flattened(row.predicted, "predicted_")
    return {name: value for name, value in columns.items() if not isinstance(value, dict)}


# A trained model is a predictor; mypy checks it here.
def _as_predictor(model: TrainedModel) -> Predictor:
    return model
