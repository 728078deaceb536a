"""A process of a training ends when the one that has started it is killed, whatever it is at."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from deepdft.first_process import LOST, VARIABLE

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows does not tell of lost parents")

FIRST = f"""
import os, subprocess, sys, time
environment = {{**os.environ, {VARIABLE!r}: str(os.getpid()), "LOCAL_RANK": "1"}}
with open("said", "w") as said:
    command = [sys.executable, "-m", "deepdft", "train", "run.yaml"]
    print(subprocess.Popen(command, env=environment, stderr=said).pid, flush=True)
time.sleep(600)
"""


def test_a_process_that_is_importing_ends_with_the_first(tmp_path):
    (tmp_path / "run.yaml").write_text("data: {paths: [absent]}\n")
    slow = tmp_path / "slow" / "torch"
    slow.mkdir(parents=True)
    (slow / "__init__.py").write_text("open('imports', 'w').close()\nimport time; time.sleep(600)")
    path = os.pathsep.join([str(slow.parent), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, "-c", FIRST], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as first:  # fmt: skip
        assert first.stdout is not None
        other = psutil.Process(int(first.stdout.readline()))
        try:
            end = time.monotonic() + 120
            while not (tmp_path / "imports").exists():
                assert time.monotonic() < end
                time.sleep(0.05)
            assert other.is_running()
        finally:
            first.kill()
    _, left = psutil.wait_procs([other], timeout=30)
    if left:
        other.kill()
    assert not left
    assert (tmp_path / "said").read_text() == f"deepdft: {LOST}\n"
