"""Campaigns: one program, one choice of settings, many structures, in parallel and resumable.

A store is a folder: `manifest.json` (see `deepdft.dft.manifest`) and `NAME.npz` for every
structure that is done, a density on a grid (`deepdft.formats.npz`, float32) or an archive of one
structure's orbitals (`deepdft.fields.orbitals.archive`). `deepdft.open_dataset` opens it as it is.
Below `scratch/` is work under way, and the files of calculations that failed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepdft.dft.calculate import RECORD, Calculate, Job, lost
from deepdft.dft.calculation import ReferenceCalculation
from deepdft.dft.folders import LOCK, SCRATCH, clean_scratch, sole_campaign
from deepdft.dft.manifest import (
    DONE,
    FAILED,
    FILE,
    PENDING,
    Manifest,
    new_record,
    read_manifest,
    record_from,
)
from deepdft.dft.pool import Lost, WorkerPool
from deepdft.errors import ConfigurationError
from deepdft.storage.identities import structure_identity
from deepdft.structures import Structure

_SAVE_INTERVAL = 2.0
"""Seconds between writings of the manifest; records not in it yet lie in `scratch/`."""


class CampaignProgress:
    """Is told what happens in a campaign; by itself it does nothing."""

    def planned(self, count: int) -> None:
        """So many structures are about to be calculated."""

    def started(self, name: str) -> None:
        """A worker has begun with a structure."""

    def finished(self, name: str, error: str | None) -> None:
        """A structure is done, or has failed for a reason."""


def run_campaign(
    structures: Sequence[Structure],
    calculation: ReferenceCalculation,
    store: str | Path,
    *,
    jobs: int = 1,
    limit: int | None = None,
    retry_failed: bool = False,
    progress: CampaignProgress | None = None,
) -> Manifest:
    """Calculate structures into a store; what the store has already is not calculated again.

    May be ended at any moment, by Ctrl-C or a kill: given again, it goes on where it was. Each
    calculation has a folder of its own below `STORE/scratch` and one thread.

    Args:
        structures: named structures; names become file names. Where `atoms.info["index"]` is set
            it numbers the structure in orbital archives.
        calculation: program and settings; its class must be importable by worker processes.
        store: folder, made if missing.
        jobs: worker processes.
        limit: calculate at most so many structures this time.
        retry_failed: calculate again what failed before.
        progress: is told what happens.

    Returns:
        The manifest of the store.

    Raises:
        ConfigurationError: if the store was made with other settings, has another structure of
            the same name, or another campaign is working in it.
        MissingDependencyError: if the program is not installed.
    """
    versions = calculation.versions()
    calculation.check([structure.atoms for structure in structures])
    progress = progress or CampaignProgress()
    store = Path(store).absolute()
    _require_store(store)
    (store / SCRATCH).mkdir(parents=True, exist_ok=True)
    with sole_campaign(store):
        manifest = _opened(store, calculation)
        _collect(store, manifest)
        _add(manifest, structures)
        todo = _outstanding(store, manifest, structures, retry_failed)[:limit]
        number = _version_number(manifest, versions) if todo else None
        todo_jobs = [
            Job(
                store,
                replace(manifest.structures[structure.name], versions=number),
                structure.atoms,
            )
            for structure in todo
        ]
        manifest.write(store)
        try:
            _work(manifest, store, calculation, todo_jobs, jobs, progress)
        finally:
            _collect(store, manifest)
            manifest.write(store)
            records = manifest.structures.values()
            clean_scratch(store, {r.name for r in records if r.status == FAILED})
    return manifest


def _work(
    manifest: Manifest,
    store: Path,
    calculation: ReferenceCalculation,
    todo: Sequence[Job],
    jobs: int,
    progress: CampaignProgress,
) -> None:
    progress.planned(len(todo))
    if not todo:
        return
    temporary = store / SCRATCH / ".tmp"
    temporary.mkdir(exist_ok=True)
    saved = time.monotonic()
    with WorkerPool(Calculate(calculation), min(jobs, len(todo)), temporary) as pool:
        for job, result in pool.run(todo, lambda job: progress.started(job.record.name)):
            record = lost(job, result.reason) if isinstance(result, Lost) else result
            manifest.structures[record.name] = record
            if time.monotonic() - saved > _SAVE_INTERVAL:
                _collect(store, manifest)
                saved = time.monotonic()
            progress.finished(record.name, record.error)


def _require_store(store: Path) -> None:
    if store.exists() and not store.is_dir():
        raise ConfigurationError(f"{store} is a file; the store of a campaign is a folder.")
    if store.is_dir() and not (store / FILE).exists():
        others = [path.name for path in store.iterdir() if path.name not in (SCRATCH, LOCK)]
        if others:
            raise ConfigurationError(
                f"The folder {store} is not a store of reference calculations and not empty; "
                "name another one."
            )


def _opened(store: Path, calculation: ReferenceCalculation) -> Manifest:
    # Through JSON, so that it equals what was stored.
    settings = json.loads(calculation.settings.model_dump_json())
    fresh = Manifest(calculation.name, settings, calculation.level)
    if not (store / FILE).exists():
        return fresh
    manifest = read_manifest(store)
    if manifest.program != fresh.program:
        raise ConfigurationError(
            f"{store} was calculated with {manifest.program}, not {fresh.program}; "
            "name another store."
        )
    # A setting that there was not yet had what is its default today.
    stored = {**json.loads(calculation.Settings().model_dump_json()), **manifest.settings}
    differing = [
        f"{key}={stored.get(key)} (now {settings.get(key)})"
        for key in sorted(stored.keys() | settings.keys())
        if stored.get(key) != settings.get(key)
    ]
    if differing:
        raise ConfigurationError(
            f"{store} was calculated with other settings, {', '.join(differing)}; "
            "give the same ones or name another store."
        )
    return manifest


def _add(manifest: Manifest, structures: Sequence[Structure]) -> None:
    """Put new structures into the manifest."""
    owners = {record.index: name for name, record in manifest.structures.items()}
    seen: set[str] = set()
    following = max(owners, default=-1) + 1
    for name, atoms in ((s.name, s.atoms) for s in structures):
        if name in seen or "/" in name or name.startswith("."):
            problem = "is given twice" if name in seen else "cannot be the name of a file"
            raise ConfigurationError(f"The structure name '{name}' {problem}.")
        seen.add(name)
        known = manifest.structures.get(name)
        if known is not None:
            if known.fingerprint != structure_identity(atoms):
                raise ConfigurationError(
                    f"The store has another structure called {name} ({known.formula}, with other "
                    "positions, cell or moments); rename one of them."
                )
            continue
        given = atoms.info.get("index")
        index = following
        if isinstance(given, int | np.integer) and not isinstance(given, bool) and given >= 0:
            index = int(given)
        if index in owners:
            raise ConfigurationError(
                f"The structures {owners[index]} and {name} have the same index {index}."
            )
        owners[index] = name
        following = max(following, index + 1)
        manifest.structures[name] = new_record(name, index, atoms)


def _outstanding(
    store: Path, manifest: Manifest, structures: Sequence[Structure], retry_failed: bool
) -> list[Structure]:
    def wanted(structure: Structure) -> bool:
        record = manifest.structures[structure.name]
        if record.status == DONE and not (store / f"{structure.name}.npz").exists():
            record.status = PENDING
        return record.status == PENDING or (retry_failed and record.status == FAILED)

    return [structure for structure in structures if wanted(structure)]


def _version_number(manifest: Manifest, versions: dict[str, str]) -> int:
    if versions not in manifest.versions:
        manifest.versions.append(versions)
    return manifest.versions.index(versions)


def _collect(store: Path, manifest: Manifest) -> None:
    """Move records that workers have left into the manifest."""
    left = sorted((store / SCRATCH).glob(f"*{RECORD}"))
    for path in left:
        record = record_from(json.loads(path.read_text(encoding="utf-8")))
        manifest.structures[record.name] = record
    if left:
        manifest.write(store)
        for path in left:
            path.unlink()
