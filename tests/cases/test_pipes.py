"""Densities that come through pipes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deepdft.errors import FileFormatError
from deepdft.formats import read

CUBE = Path(__file__).parent / "cr_rep.cube.gz"


def feed(fifo: Path, data: bytes) -> threading.Thread:
    thread = threading.Thread(target=fifo.write_bytes, args=(data,), daemon=True)
    thread.start()
    return thread


def test_a_named_pipe(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    thread = feed(fifo, CUBE.read_bytes())
    assert read(fifo).n_electrons == pytest.approx(8.0, abs=1e-3)
    thread.join()


def test_a_pipe_through_which_nothing_comes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    thread = feed(tmp_path / "pipe", b"")
    with pytest.raises(FileFormatError, match="is a pipe through which nothing came"):
        read(tmp_path / "pipe")
    thread.join()


def test_standard_input_of_the_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "deepdft", "inspect", "/dev/stdin"],
        input=CUBE.read_bytes(), capture_output=True, check=True,
    )  # fmt: skip
    assert b"8.0000 (neutral" in run.stdout
    assert b"Gaussian cube, compressed (gzip)" in run.stdout
