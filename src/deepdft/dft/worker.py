"""What runs in a campaign's worker process: calculations, one after the other.

A worker leads a process group of its own, with the programs it starts. It ends when the process
that started it ends, however that happens, and takes them along.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from ase import Atoms

from deepdft.density import Density
from deepdft.dft.calculation import CalculatedDensity, ReferenceCalculation
from deepdft.dft.manifest import DONE, FAILED, StructureRecord, write_json
from deepdft.errors import DeepDFTError
from deepdft.io import npz

SCRATCH = "scratch"
"""Folder of a store for work under way and for the files of failed calculations."""
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


def perform(calculation: ReferenceCalculation, job: Job) -> StructureRecord:
    """Calculate a structure; density and record are on disk when this returns.

    Whatever goes wrong becomes part of the record: a campaign goes on.
    """
    directory = job.store / SCRATCH / job.record.name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        with _inside(directory):
            result = calculation.run(job.atoms, directory)
        record = _finished(job.record, result)
        write_density(job.store / f"{record.name}.npz", result, record, job.atoms)
        shutil.rmtree(directory, ignore_errors=True)
    except Exception as error:  # programs raise whatever they run into
        (directory / "error.log").write_text(traceback.format_exc())
        text = str(error) if isinstance(error, DeepDFTError) else f"{type(error).__name__}: {error}"
        record = failed(job.record, " ".join(text.split()), directory.relative_to(job.store))
    write_json(job.store / SCRATCH / f"{record.name}{RECORD}", asdict(record))
    return record


def failed(record: StructureRecord, error: str, log: Path | None) -> StructureRecord:
    """Return the record of a calculation that failed."""
    return replace(record, status=FAILED, error=error, log=str(log) if log else None)


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
        from deepdft.orbitals import write_orbital_archive

        density.atoms.info.setdefault("energy", record.energy)
        write_orbital_archive(path, [density], [record.index])


@contextlib.contextmanager
def _inside(directory: Path) -> Iterator[None]:
    """Run in a folder, with what programs print in a file there."""
    before = os.getcwd()
    saved = os.dup(1), os.dup(2)
    sys.stdout.flush()
    sys.stderr.flush()
    with (directory / "printed.log").open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        os.chdir(directory)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.chdir(before)
            for number, descriptor in enumerate(saved, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)


def _end_with(lifeline: int) -> None:
    """End this process group when the other end of a pipe is closed."""

    def watch() -> None:
        os.read(lifeline, 1)
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def main(connection_number: int, lifeline: int) -> None:
    """Receive a calculation and then jobs, and send a record for each, until told to stop."""
    _end_with(lifeline)
    connection: Connection = Connection(connection_number)
    sys.path[:] = connection.recv()
    try:
        calculation = connection.recv()
    except Exception as error:  # unpickling a class that this process cannot import
        connection.send(
            f"The calculation cannot be loaded in a worker process ({error}); "
            "define its class in a module that can be imported."
        )
        return
    connection.send(None)
    with contextlib.suppress(EOFError):
        while (job := connection.recv()) is not None:
            connection.send(perform(calculation, job))
