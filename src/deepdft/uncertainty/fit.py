"""Fitting a model's error model, after training, to structures that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.stats import spearmanr

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.data import DensityDataset
from deepdft.errors import ConfigurationError
from deepdft.levels import SharedLevel
from deepdft.models.expected_errors.amplitudes import AtomSample, cross_validated
from deepdft.models.expected_errors.calibration import Calibration, Excess, Wholes
from deepdft.models.expected_errors.error_model import ErrorModel
from deepdft.models.expected_errors.expected import features_of
from deepdft.models.expected_errors.features import FeatureSpace, fit_feature_space
from deepdft.models.expected_errors.shapes import error_basis, shape_tables
from deepdft.prediction.trained_model import TrainedModel
from deepdft.uncertainty.by_group import by_group, group_of
from deepdft.uncertainty.calibration_fit import FEWEST, cross_validated_calibration
from deepdft.uncertainty.residuals import Residuals, sample_residuals
from deepdft.uncertainty.shape_fit import atom_shares, fit_shapes

BEYOND_CUTOFF = 0.5
"""Shares of the error reach so much further than the network's fields, Å."""

_USUAL = 0.99
"""Quantile of an element's training distances that counts as usual."""

_THRESHOLD = 0.98
"""Quantile of training and of held-out structures, the larger, that is within what is known."""

_FEWEST_FOR_RANKS = 10
"""A rank correlation of fewer structures says nothing."""

_RANGE = 0.9
"""Quantile of true / expected errors at the upper end of what is called their range."""

_ROUNDS = 2
"""How often shapes and shares are fitted in turn."""

_MOST_ATOMS = 200_000
"""Training atoms that statistics are taken from."""

Progress = Callable[[str], None]


def fit_error_model(
    model: TrainedModel,
    train: DensityDataset,
    validation: DensityDataset,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> ErrorModel:
    """Fit what errors to expect.

    Args:
        model: the trained model.
        train: what it was trained on; only the structures are used.
        validation: structures held out of training, with densities; not those of a test.
        seed: of the points at which errors are looked at.
        progress: called with a structure's name after it is done.

    Raises:
        ConfigurationError: if training structures are missing or are held out as well, or an
            element of the held-out structures does not occur in training.
        LevelOfTheoryError: if the densities are of another level of theory than the model's.
    """
    validation.compare_with(
        SharedLevel(model.level), "An error model cannot be fitted to these data"
    )
    check_disjoint(train, validation)
    features, numbers, structure = training_features(model, train, progress)
    elements = tuple(s for s in model.elements if atomic_numbers[s] in numbers)
    species = _species_of(elements)
    space = fit_feature_space(features, species(numbers), len(elements))
    basis = error_basis(model.cutoff + BEYOND_CUTOFF)
    residuals = sample_residuals(model, validation, basis.cutoff, seed=seed, progress=progress)
    _check_elements(residuals, elements)
    kinds = [species(item.atoms.numbers) for item in residuals]
    shapes, shares = _shapes_and_shares(model, residuals, kinds, elements)
    sample = _atom_sample(space, residuals, kinds, shares)
    amplitudes, expected = cross_validated(sample, len(elements))
    usual, threshold, distances = _limits(space, features, species(numbers), structure, sample)
    unusual = _largest(distances, sample.structure) > threshold
    true = np.array([item.eps_mae for item in residuals])
    calibration, guess, widths = _calibrated(residuals, expected, distances, true)
    ratios = _range((true / guess) ** (1.0 / widths))
    inside = _inside(true / guess, widths, ratios)
    return ErrorModel(
        elements=elements,
        space=space,
        amplitudes=amplitudes,
        cutoff=basis.cutoff,
        shapes=shapes,
        electrons=_electrons(model, elements, kinds, residuals),
        usual=usual,
        threshold=threshold,
        ratios=ratios,
        level=model.level,
        about=_about(residuals, guess, int(structure[-1]) + 1, len(numbers))
        | {"groups": _groups(residuals, guess, true, inside, unusual)},
        calibration=calibration,
    )


def _calibrated(
    residuals: Sequence[Residuals], expected: FloatArray, distances: FloatArray, true: FloatArray
) -> tuple[Calibration | None, FloatArray, FloatArray]:
    """Return the calibration, and eps_mae and its width from fits without a structure.

    Args:
        residuals: of the held-out structures.
        expected: (structures,) errors by what the atoms say, electrons.
        distances: (atoms of all structures,) from what training holds.
        true: (structures,) eps_mae.
    """
    electrons = np.array([item.electrons for item in residuals])
    by_atoms = expected / electrons
    ends = np.cumsum([len(item.atoms) for item in residuals])
    by_structure = np.split(distances, ends[:-1])
    found = [
        _whole(share, own, item.excess)
        for share, own, item in zip(by_atoms, by_structure, residuals, strict=True)
        if item.excess is not None
    ]
    if len(true) < FEWEST or len(found) < len(true):
        return None, by_atoms, np.ones(len(true))
    wholes = Wholes(*np.array(found).T)
    fitted = cross_validated_calibration(wholes, true)
    return fitted.calibration, fitted.eps_mae, fitted.widths


def _whole(share: float, distances: FloatArray, excess: Excess) -> list[float]:
    """Return a, delta, n and d of a structure; of several fragments the mean of log n and log d."""
    fragments = Wholes.of_fragments(np.zeros(len(distances)), distances, excess)
    parts = excess.electrons / excess.electrons.sum()
    size, distance = (
        float(np.exp(parts @ np.log(values))) for values in (fragments.sizes, fragments.distances)
    )
    return [share, float(parts @ fragments.excess), size, distance]


def _inside(ratios: FloatArray, widths: FloatArray, ends: tuple[float, float]) -> NDArray[np.bool_]:
    """Return which true errors are in the range meant for 80 %."""
    low, high = ends
    return (low**widths <= ratios) & (ratios <= high**widths)


def _groups(
    residuals: Sequence[Residuals], guess: FloatArray, true: FloatArray, inside: NDArray[np.bool_],
    warned: NDArray[np.bool_],
) -> list[dict[str, Any]]:  # fmt: skip
    names = [group_of(item.atoms) for item in residuals]
    return [found.as_dict() for found in by_group(names, guess, true, inside, warned)]


def training_features(
    model: TrainedModel, train: DensityDataset, progress: Progress | None = None
) -> tuple[FloatArray, IntegerArray, IntegerArray]:
    """Return features (atoms, D), atomic numbers and numbers of the structures of training atoms.

    Structures are taken until there are enough atoms.
    """
    features, numbers, structure, total = [], [], [], 0
    for index, name in enumerate(train.names):
        atoms = train.atoms(index)
        model.check(atoms)
        senders = model.evaluator.encode(atoms, model.threads)
        features.append(features_of(model.evaluator, senders).astype(np.float32))
        numbers.append(atoms.numbers)
        structure.append(np.full(len(atoms), index))
        total += len(atoms)
        if progress is not None:
            progress(name)
        if total >= _MOST_ATOMS:
            break
    return (
        np.concatenate(features).astype(np.float64),
        np.concatenate(numbers),
        np.concatenate(structure),
    )


def check_disjoint(train: DensityDataset, validation: DensityDataset) -> None:
    """Raise `ConfigurationError` where structures are missing, or in both parts."""
    if not len(train) or not len(validation):
        raise ConfigurationError(
            "An error model needs training structures and structures held out of training."
        )
    both = sorted(set(train.names) & set(validation.names))
    if both:
        raise ConfigurationError(
            f"'{both[0]}' is among the training structures and among those held out of training; "
            "errors on training structures are too small to learn from."
        )


def _species_of(elements: Sequence[str]) -> Callable[[IntegerArray], IntegerArray]:
    index = np.full(119, -1)
    for place, symbol in enumerate(elements):
        index[atomic_numbers[symbol]] = place
    return lambda numbers: index[numbers]


def _check_elements(residuals: Sequence[Residuals], elements: Sequence[str]) -> None:
    found = {symbol for item in residuals for symbol in item.atoms.get_chemical_symbols()}
    missing = sorted(found - set(elements))
    if missing:
        raise ConfigurationError(
            f"Held-out structures hold {', '.join(missing)}, which no training structure does."
        )


def _shapes_and_shares(
    model: TrainedModel, residuals: Sequence[Residuals], kinds: Sequence[IntegerArray],
    elements: Sequence[str],
) -> tuple[FloatArray, list[FloatArray]]:  # fmt: skip
    basis = error_basis(model.cutoff + BEYOND_CUTOFF)
    shares = [np.ones(len(kind)) for kind in kinds]
    for _ in range(_ROUNDS):
        shapes = fit_shapes(residuals, kinds, shares, len(elements), basis)
        tables = shape_tables(elements, shapes, basis, model.level)
        shares = [atom_shares(r, kind, tables) for r, kind in zip(residuals, kinds, strict=True)]
    return shapes, shares


def _atom_sample(
    space: FeatureSpace, residuals: Sequence[Residuals], kinds: Sequence[IntegerArray],
    shares: Sequence[FloatArray],
) -> AtomSample:  # fmt: skip
    species = np.concatenate(kinds)
    features = np.concatenate([item.features for item in residuals])
    structure = np.repeat(np.arange(len(kinds)), [len(kind) for kind in kinds])
    return AtomSample(*space.locate(features, species), species, structure, np.concatenate(shares))


def _limits(
    space: FeatureSpace, features: FloatArray, species: IntegerArray, structure: IntegerArray,
    held_out: AtomSample,
) -> tuple[FloatArray, float, FloatArray]:  # fmt: skip
    """Return usual distances of the elements' atoms, the limit of a score, relative distances.

    The last are those of the held-out atoms.
    """
    _, distances = space.locate(features, species)
    elements = range(len(space.leftovers))
    usual = np.array([np.quantile(distances[species == i], _USUAL) for i in elements])
    relative = held_out.distances / usual[held_out.species]
    scores = (
        _largest(distances / usual[species], structure),
        _largest(relative, held_out.structure),
    )
    return usual, float(max(np.quantile(part, _THRESHOLD) for part in scores)), relative


def _largest(values: FloatArray, structure: IntegerArray) -> FloatArray:
    """Return the largest value of the atoms of each structure."""
    result = np.zeros(int(structure.max()) + 1)
    np.maximum.at(result, structure, values)
    return result


def _range(ratios: FloatArray) -> tuple[float, float]:
    """Return where the ratio of a further structure will be in 8 of 10 cases.

    Of n structures the quantile (n + 1) q / n is taken, so that it holds for one not among them
    (split conformal prediction: Vovk et al., 2005); where that is beyond all, the extreme.
    """
    level = min(1.0, (len(ratios) + 1) * _RANGE / len(ratios))
    return float(np.quantile(ratios, 1.0 - level)), float(np.quantile(ratios, level))


def _electrons(
    model: TrainedModel, elements: Sequence[str], kinds: Sequence[IntegerArray],
    residuals: Sequence[Residuals],
) -> FloatArray:  # fmt: skip
    known = model.card.get("electrons") or {}
    if set(elements) <= set(known):
        return np.array([float(known[symbol]) for symbol in elements])
    counts = np.array([np.bincount(kind, minlength=len(elements)) for kind in kinds])
    totals = np.array([item.electrons for item in residuals])
    # Of elements that no held-out structure has, only the atoms below the network tell.
    guess = np.full(len(elements), totals.sum() / counts.sum())
    if model.baseline is not None:
        guess = np.array([model.baseline.electrons(symbol) for symbol in elements])
    differences = totals - counts @ guess
    found = guess + np.linalg.lstsq(counts.astype(np.float64), differences, rcond=None)[0]
    return np.asarray(found)


def _about(
    residuals: Sequence[Residuals], guess: FloatArray, n_train: int, n_train_atoms: int
) -> dict[str, Any]:
    true = np.array([item.eps_mae for item in residuals])
    enough = len(true) >= _FEWEST_FOR_RANKS
    correlation = float(spearmanr(true, guess)[0]) if enough else math.nan
    return {
        "structures": len(residuals),
        "training_structures": n_train,
        "training_atoms": n_train_atoms,
        "eps_mae_percent": round(100 * float(true.mean()), 4),
        "cross_validated_rank_correlation": (
            None if math.isnan(correlation) else round(correlation, 3)
        ),
    }
