"""The folders that calculations work in: one campaign each, one calculation each."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from deepdft.storage.locks import sole_writer

LOCK = ".lock"
SCRATCH = "scratch"
"""Folder of a store for work under way and for the files of failed calculations."""


@contextmanager
def sole_campaign(store: Path) -> Iterator[None]:
    """Keep other campaigns out; the system ends the lock when the process ends."""
    taken = f"Another campaign is working in {store}; wait until it has finished"
    with sole_writer(store / LOCK, taken):
        yield


def clean_scratch(store: Path, kept: Collection[str]) -> None:
    """Remove what ended calculations have left, except for the folders of those named."""
    scratch = store / SCRATCH
    for path in scratch.iterdir():
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
    if not any(scratch.iterdir()):
        scratch.rmdir()


@contextmanager
def working_in(directory: Path) -> Iterator[None]:
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
