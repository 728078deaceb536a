"""The Triton kernels without a GPU: in Triton's interpreter, as machine code, and not there."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from deepdft.kernels.triton import support as triton_support
from tests.kernels.triton_cases import CASES

ROOT = Path(__file__).parents[2]

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)


def run(*arguments, **variables):
    # One torch thread: the process beside this one has its own.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    found = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def interpreted():
    """The traceback of each case in the interpreter, empty where it passed."""
    return json.loads(run("-m", "tests.kernels.triton_cases").splitlines()[-1])


@needs_triton
@pytest.mark.parametrize("case", CASES)
def test_in_the_interpreter(interpreted, case):
    assert not interpreted[case], interpreted[case]


@needs_triton
@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="the tools that Triton brings are for Linux on x86",
)
def test_compiles_for_an_h100(tmp_path):
    output = run("benchmarks/gpu_kernels.py", "--small", TRITON_CACHE_DIR=str(tmp_path))
    rows = [line.split("│") for line in output.splitlines() if line.startswith("│")]
    assert len(rows) == 13
    assert all(int(row[3]) == 0 for row in rows), "registers are spilled"


def test_the_package_does_without():
    script = """
import sys
sys.modules["triton"] = None  # importing it fails
import numpy as np
import torch
torch.cuda.get_device_capability = lambda device: (9, 0)
from ase import Atoms
from deepdft.kernels.triton.support import triton_installed, triton_serves
from deepdft.architectures import create_model
from deepdft.prediction.engine import ProbeEngine
import deepdft.cli, deepdft.training

network = create_model("deepdft", {"steps": 1, "channels": 4}, [1]).eval()
engine = ProbeEngine(network, None, Atoms("H"), 1)
print(triton_installed(), triton_serves(torch.device("cuda")), engine.is_fused)
print(np.isfinite(engine.at(np.zeros((1, 3)))).all())
"""
    assert run("-c", script).split() == ["False", "False", "False", "True"]


def test_triton_is_imported_by_nothing_on_a_cpu():
    script = """
import sys
import torch
before = "triton" in sys.modules
from ase import Atoms
from deepdft.architectures import create_model
from deepdft.prediction.engine import ProbeEngine

network = create_model("deepdft", {"steps": 1, "channels": 4}, [1])
ProbeEngine(network.eval(), None, Atoms("H"), 1).at([[0.0, 0.0, 0.1]])
print("triton" in sys.modules and not before)
"""
    assert run("-c", script).split() == ["False"]


@pytest.mark.parametrize(
    ("version", "expected"), [("3.5.1", False), ("3.6.0", True), ("3.10.0+git1", True)]
)
def test_oldest_version(monkeypatch, version, expected):
    monkeypatch.setitem(sys.modules, "triton", types.SimpleNamespace(__version__=version))
    assert triton_support.triton_installed.__wrapped__() is expected


def test_devices_that_are_served(monkeypatch):
    monkeypatch.setattr(triton_support, "triton_installed", lambda: True)
    capability = {0: (9, 0), 1: (7, 5)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda found: capability[found.index])
    serves = triton_support.triton_serves
    assert not serves(torch.device("cpu"))
    assert serves(torch.device("cuda", 0)) is (torch.version.hip is None)
    assert not serves(torch.device("cuda", 1))
