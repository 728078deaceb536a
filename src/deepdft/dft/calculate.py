"""One job of a campaign, as a worker process does it: from a structure to files in the store."""

from __future__ import annotations

import shutil
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from deepdft.density import Density
from deepdft.dft.calculation import CalculatedDensity, ReferenceCalculation
from deepdft.dft.folders import SCRATCH, working_in
from deepdft.dft.manifest import DONE, FAILED, StructureRecord, write_json
from deepdft.errors import DeepDFTError
from deepdft.failures import RefusedBySystemError, refused_by_disk
from deepdft.formats import npz

RECORD = ".record.json"
"""Ending of the record of a finished calculation that is not in the manifest yet."""


@dataclass(frozen=True)
class Job:
    """One calculation for a worker.

    Attributes:
        store: folder of the campaign.
        record: the structure's record, pending.
        atoms: the structure.
    """

    store: Path
    record: StructureRecord
    atoms: Atoms


@dataclass(frozen=True)
class Calculate:
    """Calculates a structure; density and record are on disk when a call returns.

    Whatever goes wrong becomes part of the record: a campaign goes on. Only where the disk takes
    no more does it end, because that is no fault of the structure.

    Attributes:
        calculation: program and settings.
    """

    calculation: ReferenceCalculation

    def __call__(self, job: Job) -> StructureRecord:
        directory = job.store / SCRATCH / job.record.name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        try:
            self.calculation.require_what_is_meant(job.atoms)
            with working_in(directory):
                result = self.calculation.run(job.atoms, directory)
            record = _finished(job.record, result)
            write_density(job.store / f"{record.name}.npz", result, record, job.atoms)
            shutil.rmtree(directory, ignore_errors=True)
        except Exception as error:  # programs raise whatever they run into
            sentence = refused_by_disk(error, job.store)
            if sentence is not None:
                raise RefusedBySystemError(sentence) from None
            (directory / "error.log").write_text(traceback.format_exc())
            text = (
                str(error)
                if isinstance(error, DeepDFTError)
                else f"{type(error).__name__}: {error}"
            )
            record = _failed(job.record, text)
        write_json(job.store / SCRATCH / f"{record.name}{RECORD}", asdict(record))
        return record


def lost(job: Job, reason: str) -> StructureRecord:
    """Return the record of a calculation whose process has ended."""
    return _failed(job.record, reason)


def _failed(record: StructureRecord, reason: str) -> StructureRecord:
    log = f"{SCRATCH}/{record.name}"
    return replace(record, status=FAILED, error=" ".join(reason.split()), log=log)


def _finished(record: StructureRecord, result: CalculatedDensity) -> StructureRecord:
    def numbers(values: np.ndarray | None) -> list[float] | None:
        return None if values is None else np.asarray(values, dtype=np.float64).tolist()

    return replace(
        record,
        status=DONE,
        energy=float(result.energy),
        iterations=int(result.iterations),
        seconds=round(float(result.seconds), 2),
        initial_moments=numbers(result.initial_moments),
        moments=numbers(result.moments),
        total_moment=None if result.total_moment is None else float(result.total_moment),
        details=dict(result.details),
        error=None,
        log=None,
    )


def write_density(
    path: Path, result: CalculatedDensity, record: StructureRecord, atoms: Atoms
) -> None:
    """Write a calculated density: a grid as a NumPy archive in float32, orbitals as an archive."""
    density = result.density
    structure = density.atoms.copy()
    if result.initial_moments is not None:
        structure.set_initial_magnetic_moments(result.initial_moments)
    elif atoms.has("initial_magmoms"):
        structure.set_initial_magnetic_moments(atoms.get_initial_magnetic_moments())
    if isinstance(density, Density):
        spin = None if density.spin is None else density.spin.astype(np.float32)
        values = density.values.astype(np.float32)
        npz.write(path, replace(density, atoms=structure, values=values, spin=spin))
    else:
        from deepdft.fields.orbitals import write_orbital_archive

        density.atoms.info.setdefault("energy", record.energy)
        write_orbital_archive(path, [density], [record.index], names=[record.name])
