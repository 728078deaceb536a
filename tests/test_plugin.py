"""The sample package with an architecture of its own is installed, found, and passes its tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deepdft.architectures import registry
from deepdft.architectures.deepdft import DEEPDFT
from deepdft.errors import ConfigurationError

_PLUGIN = Path(__file__).parents[1] / "examples" / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package, and the environment of a process that sees it."""
    folder = tmp_path_factory.mktemp("plugin")
    # A copy, because building leaves files in the sources.
    shutil.copytree(_PLUGIN, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    target = folder / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--no-build-isolation", "--target", str(target), str(folder / "source")],
        check=True,
    )  # fmt: skip
    paths = [str(target), *filter(None, [os.environ.get("PYTHONPATH")])]
    return folder, {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def test_its_own_tests_pass(installed):
    folder, environment = installed
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests"],
        cwd=folder / "source", env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    assert " passed" in result.stdout
    assert "skipped" not in result.stdout


def test_its_forms_agree_and_it_is_named_where_architectures_are(installed):
    folder, environment = installed
    code = """
import numpy as np, torch
from ase.build import molecule
from deepdft.architectures import architectures, parse_options
from deepdft.errors import ConfigurationError
from deepdft.prediction.engine import ProbeEngine
from deepdft.testing.networks import small_network
assert "additive" in architectures()
try:
    parse_options("additive", {"channel": 3})
except ConfigurationError as error:
    assert "Did you mean 'channels'?" in str(error), error
single, double = (small_network("additive", kind) for kind in (torch.float32, torch.float64))
atoms = molecule("CH3OH")
points = atoms.positions + 0.3
without_torch = ProbeEngine(single, None, atoms, 1)
assert without_torch.is_compiled
for order in (0, 1, 2):
    found = without_torch.at(points, order)
    exact = ProbeEngine(double, None, atoms, 1).at(points, order)
    for one, other in zip(found, exact, strict=True):
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())
"""
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=True)


class _EntryPoint:
    """What a package claims."""

    name, value = "mine", "mine:MINE"
    dist = None

    def __init__(self, content):
        self._content = content

    def load(self):
        if isinstance(self._content, Exception):
            raise self._content
        return self._content


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (ImportError("no torch here"), "'mine' of the package .* cannot be imported: no torch"),
        (3, "not the description of one by that name"),
        (DEEPDFT, "not the description of one by that name"),
    ],
)
def test_packages_that_cannot_be_used_are_named(monkeypatch, content, sentence):
    monkeypatch.setattr(registry, "_plug_ins", lambda: {"mine": _EntryPoint(content)})
    assert "mine" in registry.architectures()
    with pytest.raises(ConfigurationError, match=sentence):
        registry.architecture("mine")
