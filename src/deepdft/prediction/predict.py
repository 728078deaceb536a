"""From a structure to its density, in memory or streamed into a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from ase import Atoms

from deepdft.density import Density, FloatArray, Grid
from deepdft.errors import UnsupportedStructureError
from deepdft.geometry.blocks import Index, block_shape
from deepdft.geometry.grids import DEFAULT_VACUUM, choose_grid
from deepdft.models.bundled import bundled_models
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.trained_model import TrainedModel, load_model

if TYPE_CHECKING:
    from deepdft.formats.slab_writer import SlabWriter
    from deepdft.uncertainty.expected import Uncertainty

Progress = Callable[[int], None]
"""Told how many further points are done."""

_COMPRESSED = {".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip"}

_SLAB_POINTS = 2_000_000
"""Grid points held in memory while streaming (16 MB)."""


@dataclass(frozen=True)
class PredictionSummary:
    """What was predicted.

    Attributes:
        path: file written.
        formula: chemical formula.
        grid: grid of the density.
        model: name of the model.
        electrons: integral of the predicted density over the grid.
        expected_electrons: electrons that the structure has at the model's level of theory.
        seconds: time for prediction and writing.
        uncertainty: what error to expect, if that was asked for.
        uncertainty_path: where its volume was written, or None.
        warning: a sentence if the structure lies outside what the model knows, as far as the
            model can tell (of stores only with `uncertainty`).
    """

    path: Path
    formula: str
    grid: Grid
    model: str
    electrons: float
    expected_electrons: int | None
    seconds: float
    uncertainty: Uncertainty | None = field(default=None, kw_only=True)
    uncertainty_path: Path | None = field(default=None, kw_only=True)
    warning: str | None = field(default=None, kw_only=True)


@overload
def predict(
    atoms: Atoms,
    model: TrainedModel | str | Path | None = None,
    *,
    grid: Grid | None = None,
    spacing: float | None = None,
    vacuum: float = DEFAULT_VACUUM,
    device: str = "auto",
    progress: Progress | None = None,
    return_uncertainty: Literal[False] = False,
) -> Density: ...


@overload
def predict(
    atoms: Atoms,
    model: TrainedModel | str | Path | None = None,
    *,
    grid: Grid | None = None,
    spacing: float | None = None,
    vacuum: float = DEFAULT_VACUUM,
    device: str = "auto",
    progress: Progress | None = None,
    return_uncertainty: Literal[True],
) -> tuple[Density, Uncertainty]: ...


def predict(
    atoms: Atoms,
    model: TrainedModel | str | Path | None = None,
    *,
    grid: Grid | None = None,
    spacing: float | None = None,
    vacuum: float = DEFAULT_VACUUM,
    device: str = "auto",
    progress: Progress | None = None,
    return_uncertainty: bool = False,
) -> Density | tuple[Density, Uncertainty]:
    """Predict the density of a structure on a grid, in memory.

    Args:
        atoms: the structure.
        model: a loaded model, a bundled name or a folder; by default the bundled model that covers
            the elements.
        grid: points; by default one of `spacing`, see `choose_grid`.
        spacing: distance between points, Å (default 0.1).
        vacuum: space around molecules, Å.
        device: where to compute, see `load_model`; ignored for a loaded model.
        progress: called with the number of points done.
        return_uncertainty: also return what error to expect.

    Returns:
        The density, e/Å^3, labelled with the model's level of theory; with `return_uncertainty`,
        the density and its `deepdft.uncertainty.expected.Uncertainty`, whose ``volume(grid)`` is
        the expected absolute error at every point.

    Raises:
        UnsupportedStructureError: if the model cannot treat the structure.
        ConfigurationError: if an argument is unusable, or uncertainty is asked of a model that has
            no error model.
    """
    chosen = resolve_model(model, atoms, device)
    if grid is None:
        grid = choose_grid(atoms, spacing=spacing, vacuum=vacuum)
    engine = chosen.engine(atoms)
    # Before the work: a model without an error model is refused at once.
    uncertainty = chosen.uncertainty(atoms, engine) if return_uncertainty else None
    values = np.empty(grid.shape)
    for start, stop, slab in predicted_slabs(engine, grid, 0, progress):
        values[start:stop] = slab
    density = Density(atoms, grid, values, level=chosen.level)
    return density if uncertainty is None else (density, uncertainty)


def predict_to_file(
    atoms: Atoms,
    path: str | Path,
    model: TrainedModel,
    grid: Grid,
    *,
    progress: Progress | None = None,
    uncertainty: bool = False,
) -> PredictionSummary:
    """Predict a density and write it block by block; memory does not grow with the grid.

    Args:
        atoms: the structure.
        path: file to write; the format follows from the name.
        model: the model.
        grid: points.
        progress: called with the number of points done.
        uncertainty: write the expected absolute error as a second volume, at `uncertainty_path`.

    Raises:
        UnsupportedStructureError: if the model cannot treat the structure.
        FileFormatError: if the format is unknown or cannot hold the grid.
        ConfigurationError: if uncertainty is asked of a model that has no error model.
    """
    from deepdft.formats import open_writer

    started = time.perf_counter()
    engine = model.engine(atoms)
    expected = model.uncertainty(atoms, engine) if uncertainty else None
    warning = model.warning(engine) if expected is None else expected.warning()
    beside = uncertainty_path(path) if uncertainty else None
    total = 0.0
    comment = f"predicted by deepdft, model {model.name}"
    with ExitStack() as stack:
        writer = stack.enter_context(
            open_writer(path, atoms, grid, level=model.level, comment=comment)
        )
        second: SlabWriter | None = None
        if beside is not None:
            words = f"expected absolute error, model {model.name}"
            second = stack.enter_context(
                open_writer(beside, atoms, grid, level=model.level, comment=words)
            )
        for first, last, slab in predicted_slabs(engine, grid, writer.axis, progress):
            total += float(slab.sum())
            writer.write_slab(slab)
            if second is not None and expected is not None:
                second.write_slab(expected.box(grid, *layers(grid, writer.axis, first, last)))
    return PredictionSummary(
        Path(path),
        atoms.get_chemical_formula(),
        grid,
        model.name,
        total * grid.voxel_volume,
        model.expected_electrons(atoms),
        time.perf_counter() - started,
        uncertainty=expected,
        uncertainty_path=beside,
        warning=warning,
    )


def uncertainty_path(path: str | Path) -> Path:
    """Return where the volume of expected errors goes: beside the density.

    NAME.cube goes with NAME_uncertainty.cube, NAME.cube.gz with NAME_uncertainty.cube.gz, CHGCAR
    with uncertainty.CHGCAR.
    """
    path = Path(path)
    if not path.suffix:
        return path.with_name(f"uncertainty.{path.name}")
    count = 2 if path.suffix.lower() in _COMPRESSED else 1
    suffixes = "".join(path.suffixes[-count:])
    return path.with_name(f"{path.name.removesuffix(suffixes)}_uncertainty{suffixes}")


def layers(grid: Grid, axis: int, first: int, last: int) -> tuple[Index, Index]:
    """Return the index box start:stop of the layers first:last of a grid along `axis`."""
    start, stop = [0, 0, 0], list(grid.shape)
    start[axis], stop[axis] = first, last
    return (start[0], start[1], start[2]), (stop[0], stop[1], stop[2])


def predicted_slabs(
    engine: ProbeEngine, grid: Grid, axis: int, progress: Progress | None = None
) -> Iterator[tuple[int, int, FloatArray]]:
    """Yield (start, stop, values) of consecutive slabs of a grid along `axis`, e/Å^3."""
    per_layer = grid.n_points // grid.shape[axis]
    # Whole layers of blocks, so that no block is cut thin.
    whole = block_shape(grid, engine.block_size)[axis]
    thickness = whole * max(1, _SLAB_POINTS // (per_layer * whole))
    for first in range(0, grid.shape[axis], thickness):
        last = min(first + thickness, grid.shape[axis])
        slab = engine.box(grid, *layers(grid, axis, first, last))
        if progress is not None:
            progress(slab.size)
        yield first, last, slab


def resolve_model(
    model: TrainedModel | str | Path | None, atoms: Atoms | Sequence[Atoms], device: str = "auto"
) -> TrainedModel:
    """Return a loaded model, choosing a bundled one where none is given.

    Raises:
        UnsupportedStructureError: if no bundled model covers the elements.
    """
    if isinstance(model, TrainedModel):
        return model
    if model is not None:
        return load_model(model, device)
    structures = [atoms] if isinstance(atoms, Atoms) else atoms
    wanted = {symbol for structure in structures for symbol in structure.get_chemical_symbols()}
    covered = {}
    for name in bundled_models():
        candidate = load_model(name, device)
        if wanted <= set(candidate.elements):
            return candidate
        covered[name] = ", ".join(candidate.elements)
    listing = "; ".join(f"'{name}' covers {elements}" for name, elements in covered.items())
    raise UnsupportedStructureError(
        f"No bundled model covers {', '.join(sorted(wanted))}: {listing or 'none is bundled'}. "
        "Train one with 'deepdft train', or give one with -m."
    )
