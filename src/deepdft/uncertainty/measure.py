"""Expected errors against true ones: rank correlation, calibration per structure and per point."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.stats import spearmanr

from deepdft.arrays import FloatArray, Index
from deepdft.density import Grid
from deepdft.fields.field import OnBoxes
from deepdft.fields.reductions import Reduction, Subject
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.trained_model import TrainedModel
from deepdft.storage.whole_files import replace_file
from deepdft.uncertainty.by_group import by_group, group_of

_RESAMPLINGS = 2000
_EDGES = np.geomspace(1e-7, 1.0, 29)
"""Bins of the expected error at a point, e/Å^3."""

LEAST = 1e-4
"""Points at which a smaller error is expected do not count for fractions, e/Å^3."""

_MULTIPLES = (1.0, 2.0, 4.0)
_GROUPS = 5


@dataclass(frozen=True)
class ExpectedAndTrue:
    """One structure.

    Attributes:
        name: name of the structure in the data.
        formula: chemical formula.
        expected: expected eps_mae, a fraction.
        low: lower end of the range that holds 80 % of held-out structures.
        high: upper end of it.
        eps_mae: the true one.
        score: largest distance of an atom in units of the limit; above 1 a warning is printed.
        group: that it belongs to, or nothing.
        warned: whether a warning is printed, of this or of its number of electrons.
    """

    name: str
    formula: str
    expected: float
    low: float
    high: float
    eps_mae: float
    score: float
    group: str = ""
    warned: bool = False


class ErrorBins:
    """Expected and true absolute errors at points, in bins of what is expected.

    Attributes:
        sums: (3, bins) volume, expected and true error of each bin.
    """

    def __init__(self) -> None:
        self.sums = np.zeros((3, len(_EDGES) + 1))
        self._within = np.zeros(len(_MULTIPLES))
        self._volume = 0.0

    def add(self, expected: FloatArray, errors: FloatArray, volumes: FloatArray) -> None:
        """Take in errors at points that stand for volumes."""
        bins = np.searchsorted(_EDGES, expected)
        for row, values in enumerate((volumes, volumes * expected, volumes * errors)):
            self.sums[row] += np.bincount(bins, values, len(_EDGES) + 1)
        counted = expected >= LEAST
        self._volume += float(volumes[counted].sum())
        for place, multiple in enumerate(_MULTIPLES):
            within = counted & (errors <= multiple * expected)
            self._within[place] += volumes[within].sum()

    def merge(self, other: ErrorBins) -> None:
        """Take in what others have."""
        self.sums += other.sums
        self._within += other._within
        self._volume += other._volume

    def fractions(self) -> dict[str, float]:
        """Return the part of the volume with errors within multiples of what is expected."""
        fractions = self._within / self._volume if self._volume else self._within
        return {
            f"{multiple:g}": float(fraction)
            for multiple, fraction in zip(_MULTIPLES, fractions, strict=True)
        }


class PointErrors(Reduction):
    """Sorts the errors of a density into bins while it is walked through.

    Args:
        expected: the expected errors.
        reference: the true density.
        bins: where they go.
    """

    name = "point_errors"

    def __init__(self, expected: OnBoxes, reference: OnBoxes, bins: ErrorBins) -> None:
        self._expected = expected
        self._reference = reference
        self._bins = bins

    @classmethod
    def of(cls, subject: Subject) -> Self | None:
        """Return None: only evaluations of a model with an error model have them."""
        return None

    def fresh(self) -> Self:
        """Return an empty one for the same densities."""
        return type(self)(self._expected, self._reference, ErrorBins())

    def add(self, grid: Grid, start: Index, stop: Index, values: Any) -> None:
        """Take in the density on an index box of a grid."""
        reference = self._reference.box(grid, start, stop)
        errors: FloatArray = np.abs(values - reference, dtype=np.float64).ravel()
        expected = np.asarray(self._expected.box(grid, start, stop), np.float64).ravel()
        self._bins.add(expected, errors, np.full(errors.size, grid.voxel_volume))

    def merge(self, other: Self) -> None:
        """Take in what another one has taken in."""
        self._bins.merge(other._bins)

    def result(self) -> dict[str, float]:
        """Return the part of the volume with errors within multiples of what is expected."""
        return self._bins.fractions()


class UncertaintyMeasurement:
    """Collects expected and true errors while structures are evaluated.

    Args:
        model: the model; it must have an error model.

    Attributes:
        rows: one per structure.

    Raises:
        ConfigurationError: if the model has no error model.
    """

    def __init__(self, model: TrainedModel) -> None:
        model.require_error_model()
        self._model = model
        self.rows: list[ExpectedAndTrue] = []
        self._bins = ErrorBins()

    def begin(self, atoms: Atoms, engine: ProbeEngine) -> None:
        """Turn to a structure."""
        self._expected = self._model.uncertainty(atoms, engine)
        self._warned = self._model.warning(engine, self._expected) is not None

    def errors_against(self, reference: OnBoxes) -> PointErrors:
        """Return what takes in the errors of the structure's density in a walk."""
        return PointErrors(self._expected, reference, self._bins)

    def add_points(self, points: FloatArray, weights: FloatArray, errors: FloatArray) -> None:
        """Take in the absolute errors at points that stand for volumes `weights`."""
        self._bins.add(self._expected.at(points), errors, weights)

    def end(self, name: str, eps_mae: float) -> None:
        """Leave a structure, whose true eps_mae is known by now."""
        found = self._expected
        low, high = found.eps_mae_range
        formula = found.atoms.get_chemical_formula()
        row = ExpectedAndTrue(
            name, formula, found.eps_mae, low, high, eps_mae, found.score, group_of(found.atoms),
            self._warned,
        )  # fmt: skip
        self.rows.append(row)

    def point_bins(self) -> list[dict[str, float]]:
        """Return, for each bin of expected error at a point, its volume and mean errors."""
        volume, expected, true = self._bins.sums
        return [
            {
                "volume": float(volume[i]),
                "expected": float(expected[i] / volume[i]),
                "true": float(true[i] / volume[i]),
            }
            for i in range(1, len(_EDGES) + 1)
            if volume[i] > 0
        ]

    def summary(self) -> dict[str, Any]:
        """Return what the measurement says, errors of structures in percent."""
        expected = np.array([row.expected for row in self.rows])
        true = np.array([row.eps_mae for row in self.rows])
        ratios = true / expected
        correlation, error = rank_correlation(expected, true)
        inside = [row.low <= row.eps_mae <= row.high for row in self.rows]
        return {
            "model": self._model.name,
            "structures": len(self.rows),
            "rank_correlation": correlation,
            "rank_correlation_standard_error": error,
            "mean_expected_percent": 100 * float(expected.mean()),
            "mean_true_percent": 100 * float(true.mean()),
            "spread_of_ratios": float(np.std(np.log(ratios))),
            "fraction_in_range": float(np.mean(inside)),
            "warnings": sum(row.warned for row in self.rows),
            "by_group": [
                found.as_dict()
                for found in by_group(
                    [row.group for row in self.rows],
                    expected,
                    true,
                    np.array(inside),
                    np.array([row.warned for row in self.rows]),
                )
            ],
            "groups": _groups(expected, true),
            "points": {
                "fraction_within": self._bins.fractions(),
                "bins": self.point_bins(),
            },
        }


def rank_correlation(
    one: FloatArray, other: FloatArray, seed: int = 0
) -> tuple[float | None, float | None]:
    """Return Spearman's rank correlation and its standard error by resampling structures.

    None for fewer than three structures.
    """
    if len(one) < 3:
        return None, None
    generator = np.random.default_rng(seed)
    drawn = generator.integers(len(one), size=(_RESAMPLINGS, len(one)))
    drawn = drawn[[len(np.unique(row)) > 1 for row in drawn]]
    samples = [float(spearmanr(one[row], other[row])[0]) for row in drawn]
    return float(spearmanr(one, other)[0]), float(np.nanstd(samples))


def area_under_curve(
    scores: FloatArray, positive: NDArray[np.bool_], seed: int = 0
) -> tuple[float, float]:
    """Return the area under the receiver operating characteristic, and its standard error.

    It is the probability that a positive case has the larger score than a negative one; the error
    is by resampling both kinds.

    Args:
        scores: (n,).
        positive: (n,) whether a case is positive; both kinds must occur.
        seed: of the resampling.
    """
    yes, no = scores[positive], scores[~positive]

    def area(a: FloatArray, b: FloatArray) -> float:
        return float((a[:, None] > b).mean() + 0.5 * (a[:, None] == b).mean())

    generator = np.random.default_rng(seed)
    samples = [
        area(generator.choice(yes, len(yes)), generator.choice(no, len(no)))
        for _ in range(_RESAMPLINGS)
    ]
    return area(yes, no), float(np.std(samples))


def _groups(expected: FloatArray, true: FloatArray) -> list[dict[str, float]]:
    """Return mean expected and true errors of structures in order of what is expected, percent."""
    order = np.argsort(expected)
    count = min(_GROUPS, len(order))
    return [
        {
            "structures": len(part),
            "expected": 100 * float(expected[part].mean()),
            "true": 100 * float(true[part].mean()),
        }
        for part in np.array_split(order, count)
    ]


def write_measurement(folder: str | Path, measurement: UncertaintyMeasurement) -> None:
    """Write `uncertainty.json`, `uncertainty.csv` and `uncertainty.png` into a folder."""
    from deepdft.plotting.pictures import calibration_picture

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    summary = json.dumps(measurement.summary(), indent=2) + "\n"
    replace_file(folder / "uncertainty.json", summary.encode())
    replace_file(folder / "uncertainty.csv", _table(measurement.rows).encode())
    picture = calibration_picture(
        [(row.formula, 100 * row.expected, 100 * row.eps_mae) for row in measurement.rows],
        [(item["expected"], item["true"], item["volume"]) for item in measurement.point_bins()],
    )
    replace_file(folder / "uncertainty.png", picture)


def _table(rows: Sequence[ExpectedAndTrue]) -> str:
    text = io.StringIO()
    columns = [field.name for field in fields(ExpectedAndTrue)]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()
