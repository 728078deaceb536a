"""Measuring equation (8) for many molecules, in parallel and resumable.

A folder gets the table (`spread_table.py`) and, below `densities/FUNCTIONAL/`, an archive
of each molecule's orbitals, so that another model is measured without calculating anything again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms

from deepdft.data.dataset import EVALUATION_MARGIN, EVALUATION_SPACING
from deepdft.dft.campaign import CampaignProgress
from deepdft.dft.folders import SCRATCH, clean_scratch, sole_campaign, working_in
from deepdft.dft.functionals import EIGHT
from deepdft.dft.pool import Lost, WorkerPool
from deepdft.dft.pyscf import MeanField, PySCFCalculation, PySCFSettings
from deepdft.errors import ConfigurationError, DeepDFTError
from deepdft.fields.field import OnBoxes
from deepdft.fields.orbitals import OrbitalArchive, OrbitalDensity, write_orbital_archive
from deepdft.models.bundled import find_model, model_digest
from deepdft.structures import Structure
from deepdft_paper.spread.functional_spread import functional_spread, prediction_error
from deepdft_paper.spread.spread_table import DESCRIPTION, FIRST, SETS, SpreadTable

if TYPE_CHECKING:
    from deepdft.prediction.trained_model import TrainedModel

DENSITIES = "densities"


@dataclass(frozen=True)
class Measurement:
    """One molecule to be measured.

    Attributes:
        name: of the molecule.
        atoms: the molecule.
        spread: whether the functionals are wanted, or only models.
        models: folder of each model that is wanted, by name.
    """

    name: str
    atoms: Atoms
    spread: bool
    models: dict[str, Path]


@dataclass(frozen=True)
class Measure:
    """Measures molecules in a worker process; a call returns columns, or why there are none.

    Attributes:
        folder: of the measurement.
        settings: of the calculations.
        spacing: of the grid, Å.
        margin: of the grid, Å.
    """

    folder: Path
    settings: PySCFSettings
    spacing: float
    margin: float

    def __call__(self, measurement: Measurement) -> dict[str, Any] | str:
        directory = self.folder / SCRATCH / measurement.name
        directory.mkdir(parents=True, exist_ok=True)
        try:
            with working_in(directory):
                found = self._measure(measurement, directory)
        except DeepDFTError as error:
            return str(error)
        except Exception as error:  # PySCF raises whatever it runs into
            return " ".join(f"{type(error).__name__}: {error}".split())
        shutil.rmtree(directory, ignore_errors=True)
        return found

    def _measure(self, measurement: Measurement, directory: Path) -> dict[str, Any]:
        started = time.monotonic()
        wanted = [functional.name for functional in EIGHT] if measurement.spread else [FIRST]
        densities, iterations = self._densities(measurement, wanted, directory)
        models: dict[str, OnBoxes] = {
            name: _loaded(folder).engine(measurement.atoms)
            for name, folder in measurement.models.items()
        }
        grid = {"spacing": self.spacing, "margin": self.margin}
        if not measurement.spread:
            errors = prediction_error(densities[FIRST], models, **grid)
            return {f"eps_mae {name}": value for name, value in errors.items()}
        found = functional_spread(densities, FIRST, SETS, predictions=models, **grid)
        return {
            "name": measurement.name,
            "formula": measurement.atoms.get_chemical_formula(),
            "atoms": len(measurement.atoms),
            "points": found.points,
            "electrons": found.electrons,
            **found.eps_mad,
            **{f"deviation {name}": value for name, value in found.deviations.items()},
            **{f"eps_mae {name}": value for name, value in found.eps_mae.items()},
            "iterations": iterations,
            "seconds": round(time.monotonic() - started, 1),
        }

    def _densities(
        self, measurement: Measurement, functionals: Sequence[str], directory: Path
    ) -> tuple[dict[str, OrbitalDensity], int]:
        """Return a density for every functional: stored ones, and new ones, which are stored."""
        paths = {
            name: self.folder / DENSITIES / name / f"{measurement.name}.npz" for name in functionals
        }
        iterations = 0
        if any(not path.exists() for path in paths.values()):
            field = MeanField(measurement.atoms, self.settings, directory / "pyscf.log")
            # All start from the same density matrix, which is near every one of them.
            first = field.converge(FIRST)
            start = field.density_matrix
            iterations = first.iterations
            _store(paths[FIRST], first.density, measurement)
            for name, path in paths.items():
                if not path.exists():
                    result = field.converge(name, start)
                    iterations += result.iterations
                    _store(path, result.density, measurement)
        return {name: OrbitalArchive(path)[0] for name, path in paths.items()}, iterations


def measure_spread(
    structures: Sequence[Structure],
    folder: str | Path,
    *,
    settings: PySCFSettings | None = None,
    models: Sequence[str] = (),
    jobs: int = 1,
    limit: int | None = None,
    retry_failed: bool = False,
    spacing: float = EVALUATION_SPACING,
    margin: float = EVALUATION_MARGIN,
    progress: CampaignProgress | None = None,
) -> SpreadTable:
    """Measure equation (8) for molecules with the eight functionals of `functionals.EIGHT`.

    What the folder's table has is not measured again; a model that is new to it, or no longer the
    one that had this name, is measured on the molecules it has.

    Args:
        structures: named molecules.
        folder: for the table and the densities, made if missing.
        settings: of the calculations; the functional is not used.
        models: names of bundled models, or model folders, whose eps_mae is measured on the same
            grid.
        jobs: single-threaded worker processes.
        limit: measure at most so many molecules this time.
        retry_failed: measure again what failed before.
        spacing: of the grid, Å.
        margin: reach of the grid beyond the nuclei, Å.
        progress: is told what happens.

    Raises:
        ConfigurationError: if the folder's table was made with other settings, or another process
            is working in the folder.
        MissingDependencyError: if PySCF is not installed.
    """
    settings = settings or PySCFSettings()
    progress = progress or CampaignProgress()
    folder = Path(folder).absolute()
    versions = PySCFCalculation(settings).versions()
    folder.mkdir(parents=True, exist_ok=True)
    with sole_campaign(folder):
        table = _opened(folder, settings, spacing, margin)
        # Absolute: workers have folders of their own.
        folders = {name: find_model(name).absolute() for name in models}
        for name, path in folders.items():
            table.set_model(name, model_digest(path))
        todo = _outstanding(table, structures, folders, retry_failed)[:limit]
        progress.planned(len(todo))
        if not todo:
            return table
        table.versions = versions
        temporary = folder / SCRATCH / ".tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        measure = Measure(folder, settings, spacing, margin)
        try:
            with WorkerPool(measure, min(jobs, len(todo)), temporary) as pool:
                for job, result in pool.run(todo, lambda job: progress.started(job.name)):
                    error = _enter(table, job.name, result)
                    table.write(folder)
                    progress.finished(job.name, error)
        finally:
            clean_scratch(folder, table.failed)
    return table


def _enter(table: SpreadTable, name: str, result: dict[str, Any] | str | Lost) -> str | None:
    """Put a result into the table; return why there is none."""
    if isinstance(result, dict):
        table.failed.pop(name, None)
        table.rows.setdefault(name, {}).update(result)
        return None
    error = result.reason if isinstance(result, Lost) else result
    table.failed[name] = error
    return error


def _opened(folder: Path, settings: PySCFSettings, spacing: float, margin: float) -> SpreadTable:
    wanted = json.loads(settings.model_dump_json(exclude={"functional"}))
    wanted |= {"spacing": spacing, "margin": margin}
    wanted["functionals"] = {functional.name: functional.libxc for functional in EIGHT}
    if not (folder / DESCRIPTION).exists():
        return SpreadTable(wanted)
    table = SpreadTable.read(folder)
    # A setting that there was not yet had what is its default today.
    defaults = json.loads(PySCFSettings().model_dump_json())
    stored = {**defaults, **table.settings}
    differing = [key for key in wanted if stored.get(key) != wanted[key]]
    if differing:
        raise ConfigurationError(
            f"{folder} was measured with {differing[0]}={stored.get(differing[0])}, not "
            f"{wanted[differing[0]]}; give the same settings or name another folder."
        )
    return table


def _outstanding(
    table: SpreadTable, structures: Sequence[Structure], models: dict[str, Path], retry_failed: bool
) -> list[Measurement]:
    todo = []
    for structure in structures:
        if structure.name in table.failed and not retry_failed:
            continue
        row = table.rows.get(structure.name)
        missing = {n: p for n, p in models.items() if row is None or f"eps_mae {n}" not in row}
        if row is None or missing:
            todo.append(Measurement(structure.name, structure.atoms, row is None, missing))
    return todo


@functools.cache
def _loaded(folder: Path) -> TrainedModel:
    from deepdft.prediction import load_model

    loaded = load_model(folder, "cpu")
    loaded.threads = 1
    return loaded


def _store(path: Path, density: Any, measurement: Measurement) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    index = measurement.atoms.info.get("index")
    if index is None:
        index = int(hashlib.sha256(measurement.name.encode()).hexdigest()[:7], 16)
    write_orbital_archive(path, [density], [int(index)], names=[measurement.name])
