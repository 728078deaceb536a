"""Where a model's errors of the number of electrons are, learned from structures.

The correction of `deepdft.prediction.electrons` adds (N - N_pred) s(r). Its functions

    f_Z(r) = sum over k of exp(b_k + d_Zk) B_k(r)

of B-splines B_k are fitted to the errors e(r) = rho(r) - rho_pred(r) of a model at points of
structures: what is smallest is the mean over structures of the integral of |e - (N - N_pred) s|
over N, so that the correction makes eps_mae (eq. 7) smaller wherever that can be. A quadratic
penalty draws the elements' d_Zk to zero, which those that are in few structures need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.data import DensityDataset
from deepdft.fields.atoms.fit import RadialBasis, tables_of
from deepdft.geometry.graphs import probe_edges
from deepdft.levels import LevelOfTheory
from deepdft.prediction.electrons import electrons_by_fragment, fragments
from deepdft.prediction.trained_model import TrainedModel
from deepdft.uncertainty.fit import check_disjoint

_REACH = 5.0
"""Points are drawn within this distance of an atom, Å."""

_POINTS = 2_000
_STRUCTURES, _FEWEST = 400, 12
"""Training structures that are looked at, and how many of every element."""

_PENALTY = 1e-7
"""Of d_Zk squared, in units of eps_mae."""

_SMOOTHING = 3e-5
"""Errors smaller than this count by their square, e/Å^3."""

_NO_WORSE = 1.002
"""How much eps_mae may seem to grow: with few structures held out, less than that says nothing."""

_SPACING, _PIECES = 0.05, 10
_LARGEST_LOGARITHM = 30.0

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class SignedErrors:
    """Errors at points of one structure, and the functions of its atoms there.

    Attributes:
        missing: electrons that the prediction lacks, N - N_pred.
        electrons: N.
        weights: (n,) volume that each point stands for, Å^3.
        errors: (n,) rho - rho_pred, e/Å^3.
        species: (elements,) which elements the structure has.
        counts: (elements,) how many atoms of each.
        functions: (n, elements, functions) sums of each function over an element's atoms, 1/Å^3.
    """

    missing: float
    electrons: float
    weights: FloatArray
    errors: FloatArray
    species: IntegerArray
    counts: IntegerArray
    functions: FloatArray

    @property
    def eps_mae(self) -> float:
        """Without correction, a fraction."""
        return float(self.weights @ np.abs(self.errors)) / self.electrons

    def corrected_eps_mae(self, coefficients: FloatArray, integrals: FloatArray) -> float:
        """With the correction by functions of some coefficients (elements, functions)."""
        left = self.errors - self.missing * self.share(coefficients, integrals)
        return float(self.weights @ np.abs(left)) / self.electrons

    def share(self, coefficients: FloatArray, integrals: FloatArray) -> FloatArray:
        """Return s at the points, (n,) 1/Å^3."""
        own = coefficients[self.species]
        size = float(self.counts @ (own @ integrals))
        return np.asarray(np.einsum("nek,ek->n", self.functions, own) / size)


def learn_electrons(
    model: TrainedModel, train: DensityDataset, validation: DensityDataset, *, seed: int = 0,
    progress: Progress | None = None,
) -> str:  # fmt: skip
    """Give a model what it needs to predict exact numbers of electrons.

    It is kept only where it does not make the errors of structures held out of training larger.

    Args:
        model: the trained model; its checkpoint gets `electron_shapes`, or None.
        train: structures to learn from: those that it was trained on.
        validation: structures held out of training; not those of a test.
        seed: of the structures that are looked at and the points in them.
        progress: called with a structure's name after it is done.

    Returns:
        A sentence on what was learned.

    Raises:
        ConfigurationError: if structures are missing, or in both parts.
    """
    check_disjoint(train, validation)
    model.checkpoint.electron_shapes = None
    if model.checkpoint.about.keeps_constant or not model.card.get("electrons"):
        return "electrons: their number is not known, so it is not corrected"
    chosen = train.subset(_chosen(train, seed))
    elements = tuple(element for element in model.elements if element in model.card["electrons"])
    basis = RadialBasis(model.cutoff, _PIECES, _SPACING)
    sample = signed_errors(model, chosen, elements, basis, seed=seed, progress=progress)
    held_out = signed_errors(model, validation, elements, basis, seed=seed, progress=progress)
    if not sample or not held_out:
        return "electrons: no structure tells how to correct their number"
    coefficients = fitted_coefficients(sample, len(elements), basis)
    integrals = _integrals(basis)
    before = 100 * float(np.mean([item.eps_mae for item in held_out]))
    after = 100 * float(
        np.mean([item.corrected_eps_mae(coefficients, integrals) for item in held_out])
    )
    off = 100 * float(np.mean([abs(item.missing) / item.electrons for item in held_out]))
    found = (
        f"electrons: their number is off by {off:.3f} % on average over {len(held_out)} held-out "
        f"structures; made exact, eps_mae goes from {before:.4f} to {after:.4f} %"
    )
    if after > _NO_WORSE * before:
        return f"{found}: it is left as it is"
    source = f"fitted to errors on {len(sample)} training structures"
    tables = tables_of(elements, coefficients, basis, model.level, source)
    model.checkpoint.electron_shapes = tables
    return found


def signed_errors(
    model: TrainedModel, dataset: DensityDataset, elements: Sequence[str], basis: RadialBasis, *,
    seed: int = 0, progress: Progress | None = None,
) -> list[SignedErrors]:  # fmt: skip
    """Return the errors of a model, without correction, at random points of structures.

    Structures of several fragments, or of elements whose electrons are not known, are left out.

    Args:
        model: the model.
        dataset: the structures.
        elements: chemical symbols; structures must have no others.
        basis: the functions.
        seed: of the points.
        progress: called with a structure's name after it is done.
    """
    found = []
    for index, name in enumerate(dataset.names):
        atoms = dataset.atoms(index)
        electrons = model.expected_electrons(atoms)
        if electrons is not None and not fragments(atoms, 2.0 * model.cutoff).any():
            generator = np.random.default_rng((seed, index))
            found.append(
                _errors_of(model, dataset, index, atoms, electrons, elements, basis, generator)
            )
        if progress is not None:
            progress(name)
    return found


def fitted_coefficients(
    sample: Sequence[SignedErrors], n_elements: int, basis: RadialBasis
) -> FloatArray:
    """Return the coefficients (elements, functions) that make eps_mae smallest."""
    from scipy.optimize import minimize

    integrals = _integrals(basis)
    size = len(integrals)

    def loss(x: FloatArray) -> tuple[float, FloatArray]:
        common, own = x[:size], x[size:].reshape(n_elements, size)
        logarithms = np.clip(common + own, -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)
        coefficients = np.exp(logarithms)
        slopes = np.zeros_like(coefficients)
        total = 0.0
        for item in sample:
            mine = coefficients[item.species]
            norm = float(item.counts @ (mine @ integrals))
            share = np.einsum("nek,ek->n", item.functions, mine) / norm
            left = item.errors - item.missing * share
            smooth = np.sqrt(left**2 + _SMOOTHING**2)
            factors = item.weights / (item.electrons * len(sample))
            total += float(factors @ smooth)
            pull = -item.missing / norm * factors * left / smooth
            slopes[item.species] += np.einsum("n,nek->ek", pull, item.functions)
            slopes[item.species] -= float(pull @ share) * item.counts[:, None] * integrals
        slopes *= coefficients
        total += _PENALTY * float((own**2).sum()) + 1e-3 * _PENALTY * float((common**2).sum())
        of_common = slopes.sum(axis=0) + 2e-3 * _PENALTY * common
        return total, np.concatenate([of_common, (slopes + 2 * _PENALTY * own).ravel()])

    start = np.concatenate([-2.0 * np.arange(size) / size, np.zeros(n_elements * size)])
    options = {"maxiter": 200, "ftol": 1e-10, "gtol": 1e-9}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    logarithms = found.x[:size] + found.x[size:].reshape(n_elements, size)
    return np.asarray(np.exp(np.clip(logarithms, -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)))


def _integrals(basis: RadialBasis) -> FloatArray:
    """Return the integral of each function over all space."""
    size = basis.functions().c.shape[1]
    names = tuple(chemical_symbols[1 : size + 1])
    tables = tables_of(names, np.eye(size), basis, LevelOfTheory())
    return np.array([tables.electrons(name) for name in names])


def _errors_of(
    model: TrainedModel, dataset: DensityDataset, index: int, atoms: Atoms, electrons: int,
    elements: Sequence[str], basis: RadialBasis, generator: np.random.Generator,
) -> SignedErrors:  # fmt: skip
    engine = model.engine(atoms, exact_electrons=False)
    whole = np.zeros(len(atoms), dtype=np.int64)
    found = electrons_by_fragment(engine, atoms, whole, model.baseline, model.cutoff, model.threads)
    probes = dataset.draw(index, _POINTS, generator, cutoff=_REACH, importance=0.5)
    absolute = dataset.n_electrons(index) / (probes.weights @ np.abs(probes.values))
    species, kinds = np.unique([elements.index(s) for s in atoms.symbols], return_inverse=True)
    edges = probe_edges(atoms, probes.points, float(basis.distances[-1]))
    row = edges.receivers.numpy()
    splines = basis.functions()
    functions = np.zeros((len(probes.points), len(species), splines.c.shape[1]), dtype=np.float32)
    within = np.minimum(edges.distances.numpy(), np.nextafter(basis.distances[-1], 0.0))
    place = (row, kinds[edges.senders.numpy()])
    np.add.at(functions, place, splines(within).astype(np.float32))
    return SignedErrors(
        electrons - float(found.sum()), float(electrons), probes.weights * absolute,
        probes.values - engine.at(probes.points), species, np.bincount(kinds), functions,
    )  # fmt: skip


def _chosen(dataset: DensityDataset, seed: int) -> list[int]:
    """Return structures drawn at random, with some of every element that occurs."""
    order: list[int] = np.random.default_rng(seed).permutation(len(dataset)).tolist()
    chosen = order[:_STRUCTURES]
    held: Counter[str] = Counter()
    for index in chosen:
        held.update(set(dataset.preview(index).symbols))
    for index in order[_STRUCTURES:]:
        symbols = set(dataset.preview(index).symbols)
        if any(held[symbol] < _FEWEST for symbol in symbols):
            chosen.append(index)
            held.update(symbols)
    return chosen
