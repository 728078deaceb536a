"""From a structure to its density, in memory or streamed into a file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.fields.reductions import Reductions, Result, Subject, reductions_of
from deepdft.fields.walk import Progress, density_on, slabs, walk
from deepdft.geometry.grids import DEFAULT_VACUUM, choose_grid
from deepdft.models.choice import choose_model
from deepdft.prediction.all_electron import frozen_cores, level_with_cores, with_cores
from deepdft.prediction.trained_model import TrainedModel, load_model
from deepdft.storage.compression import codec_of_name
from deepdft.structures import understood_atoms

if TYPE_CHECKING:
    from deepdft.models.expected_errors.expected import Uncertainty


@dataclass(frozen=True)
class PredictionSummary:
    """What was predicted.

    Attributes:
        path: file written.
        formula: chemical formula.
        grid: grid of the density.
        model: name of the model.
        properties: what was added up over the predicted density, by name: its `electrons`, for a
            molecule its `dipole`, ... (see `deepdft.fields.reductions`).
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
    properties: dict[str, Result]
    expected_electrons: int | None
    seconds: float
    uncertainty: Uncertainty | None = field(default=None, kw_only=True)
    uncertainty_path: Path | None = field(default=None, kw_only=True)
    warning: str | None = field(default=None, kw_only=True)

    @property
    def electrons(self) -> float:
        """Integral of the predicted density over the grid."""
        found = self.properties["electrons"]
        assert isinstance(found, float)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it: lengths in Å, errors as fractions."""
        grid, errors = self.grid, self.uncertainty
        return {
            "path": str(self.path),
            "formula": self.formula,
            "model": self.model,
            "grid": {
                "shape": list(grid.shape),
                "cell": grid.cell.tolist(),
                "origin": grid.origin.tolist(),
            },
            "expected_electrons": self.expected_electrons,
            "properties": self.properties,
            "expected_eps_mae": None if errors is None else errors.eps_mae,
            "warning": self.warning,
            "seconds": self.seconds,
        }


@overload
def predict(
    atoms: Any,
    model: TrainedModel | str | Path | None = None,
    *,
    grid: Grid | None = None,
    spacing: float | None = None,
    vacuum: float = DEFAULT_VACUUM,
    device: str = "auto",
    charge: int | None = None,
    multiplicity: int | None = None,
    progress: Progress | None = None,
    exact_electrons: bool = True,
    all_electron: bool = False,
    return_uncertainty: Literal[False] = False,
) -> Density: ...


@overload
def predict(
    atoms: Any,
    model: TrainedModel | str | Path | None = None,
    *,
    grid: Grid | None = None,
    spacing: float | None = None,
    vacuum: float = DEFAULT_VACUUM,
    device: str = "auto",
    charge: int | None = None,
    multiplicity: int | None = None,
    progress: Progress | None = None,
    exact_electrons: bool = True,
    all_electron: bool = False,
    return_uncertainty: Literal[True],
) -> tuple[Density, Uncertainty]: ...


def predict(
    atoms: Any,
    model: TrainedModel | str | Path | None = None,
    *,
    grid: Grid | None = None,
    spacing: float | None = None,
    vacuum: float = DEFAULT_VACUUM,
    device: str = "auto",
    charge: int | None = None,
    multiplicity: int | None = None,
    progress: Progress | None = None,
    exact_electrons: bool = True,
    all_electron: bool = False,
    return_uncertainty: bool = False,
) -> Density | tuple[Density, Uncertainty]:
    """Predict the density of a structure on a grid, in memory.

    >>> from ase.build import molecule
    >>> density = predict(molecule("H2O"), "default", spacing=0.25)
    >>> round(density.n_electrons, 1), str(density.level)
    (8.0, 'PBE/GTH-PBE/gth-dzvp (PySCF 2.14)')

    Args:
        atoms: the structure: ASE atoms, a structure or molecule of pymatgen, or a molecule of RDKit
            or PySCF.
        model: a loaded model, a bundled name or a folder; by default the bundled model that covers
            the elements.
        grid: points; by default one of `spacing`, see `choose_grid`.
        spacing: distance between points, Å (default 0.1).
        vacuum: space around molecules, Å.
        device: where to compute, see `load_model`; ignored for a loaded model.
        charge: net charge, e; by default what the atoms say.
        multiplicity: 2S + 1; by default what the atoms say.
        progress: called with the number of points done.
        exact_electrons: correct the density to have as many electrons as the structure has, where
            the model knows how (`deepdft.prediction.electrons`).
        all_electron: add the frozen cores of the atoms; what is added up (electrons, dipole, ...)
            stays that of the valence density.
        return_uncertainty: also return what error to expect.

    Returns:
        The density, e/Å^3, labelled with the model's level of theory, and with what was added up
        over it (electrons, dipole, ...) as "properties" in its metadata; with `return_uncertainty`,
        the density and its `Uncertainty` (`deepdft.models.expected_errors.expected`), whose
        ``volume(grid)`` is the expected absolute error at every point.

    Raises:
        UnsupportedStructureError: if the structure cannot be what was meant (see
            `deepdft.structures`), or the model cannot treat it.
        ConfigurationError: if an argument is unusable, or uncertainty is asked of a model that has
            no error model.
    """
    atoms = understood_atoms(atoms, charge=charge, multiplicity=multiplicity).atoms
    chosen = resolve_model(model, atoms, device)
    if grid is None:
        grid = choose_grid(atoms, spacing=spacing, vacuum=vacuum)
    engine = chosen.engine(atoms, exact_electrons=exact_electrons)
    # Before the work: a model without an error model is refused at once.
    uncertainty = chosen.uncertainty(atoms, engine) if return_uncertainty else None
    cores = frozen_cores(chosen, atoms) if all_electron else None
    density = density_on(engine, grid, reductions_for(chosen, atoms, grid), progress)
    if cores is not None:
        density = with_cores(density, cores)
    return density if uncertainty is None else (density, uncertainty)


def predict_to_file(
    atoms: Atoms,
    path: str | Path,
    model: TrainedModel,
    grid: Grid,
    *,
    progress: Progress | None = None,
    uncertainty: bool = False,
    all_electron: bool = False,
) -> PredictionSummary:
    """Predict a density and write it block by block; memory does not grow with the grid.

    Args:
        atoms: the structure.
        path: file to write; the format follows from the name.
        model: the model.
        grid: points.
        progress: called with the number of points done.
        uncertainty: write the expected absolute error as a second volume, at `uncertainty_path`.
        all_electron: add the frozen cores of the atoms; the summary stays that of the valence
            density.

    Raises:
        UnsupportedStructureError: if the model cannot treat the structure.
        FileFormatError: if the format is unknown or cannot hold the grid.
        ConfigurationError: if uncertainty is asked of a model that has no error model.
    """
    from deepdft.formats import open_writer

    started = time.perf_counter()
    engine = model.engine(atoms)
    expected = model.uncertainty(atoms, engine) if uncertainty else None
    warning = model.warning(engine, expected)
    beside = uncertainty_path(path) if uncertainty else None
    properties = reductions_for(model, atoms, grid)
    cores = frozen_cores(model, atoms) if all_electron else None
    level = model.level if cores is None else level_with_cores(model.level)
    comment = f"predicted by deepdft, model {model.name}"
    with ExitStack() as stack:
        writer = stack.enter_context(open_writer(path, atoms, grid, level=level, comment=comment))
        boxes = list(slabs(grid, writer.axis))
        filled = [(writer, walk(engine, grid, boxes, properties, progress))]
        if beside is not None and expected is not None:
            words = f"expected absolute error, model {model.name}"
            second = stack.enter_context(
                open_writer(beside, atoms, grid, level=model.level, comment=words)
            )
            filled.append((second, walk(expected, grid, boxes)))
        for _ in boxes:
            for file, steps in filled:
                start, stop, values = next(steps)
                if cores is not None and file is writer:
                    values = values + cores.box(grid, start, stop)
                file.write_slab(values)
    return PredictionSummary(
        Path(path),
        atoms.get_chemical_formula(),
        grid,
        model.name,
        properties.results(),
        model.expected_electrons(atoms),
        time.perf_counter() - started,
        uncertainty=expected,
        uncertainty_path=beside,
        warning=warning,
    )


def reductions_for(model: TrainedModel, atoms: Atoms, grid: Grid) -> Reductions:
    """Return what is added up over the density that a model predicts, still empty."""
    return reductions_of(Subject(atoms, model.level, grid, model.core_charges(atoms)))


def uncertainty_path(path: str | Path) -> Path:
    """Return where the volume of expected errors goes: beside the density.

    NAME.cube goes with NAME_uncertainty.cube, NAME.cube.gz with NAME_uncertainty.cube.gz, CHGCAR
    with uncertainty.CHGCAR.
    """
    path = Path(path)
    if not path.suffix:
        return path.with_name(f"uncertainty.{path.name}")
    count = 1 if codec_of_name(path.name) is None else 2
    suffixes = "".join(path.suffixes[-count:])
    return path.with_name(f"{path.name.removesuffix(suffixes)}_uncertainty{suffixes}")


def resolve_model(
    model: TrainedModel | str | Path | None, atoms: Atoms | Sequence[Atoms], device: str = "auto"
) -> TrainedModel:
    """Return a loaded model, choosing a bundled one where none is given.

    Raises:
        UnsupportedStructureError: if no bundled model was made for the structures.
    """
    if isinstance(model, TrainedModel):
        return model
    if model is None:
        model = choose_model([atoms] if isinstance(atoms, Atoms) else atoms).model
    return load_model(model, device)
