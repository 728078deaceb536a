"""Packages that bring something: the sample one works, and broken ones break nothing else."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from deepdft import plug_ins
from deepdft.architectures import registry
from deepdft.architectures.deepdft import DEEPDFT
from deepdft.cli.commands import CommandPlace
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats import read
from deepdft.formats import registry as formats
from tests.commands import run

__all__ = ["run"]

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


@pytest.fixture
def brought(monkeypatch):
    """Make a package bring something under the name `mine`, in every group."""

    def bring(content, name="mine"):
        monkeypatch.setattr(plug_ins, "plug_ins", lambda group: {name: _EntryPoint(content)})
        for module in (registry, formats):
            monkeypatch.setattr(module, "plug_ins", plug_ins.plug_ins)

    return bring


NO_DESCRIPTION = "not the description of one by that name"
BROKEN = [
    (ImportError("no torch here"), "'mine' of the package .* cannot be imported: no torch"),
    (SyntaxError("two\nlines."), "cannot be imported: two lines"),
    (3, NO_DESCRIPTION),
    (DEEPDFT, NO_DESCRIPTION),
]


@pytest.mark.parametrize(("content", "sentence"), BROKEN)
def test_packages_that_cannot_be_used_are_named(brought, content, sentence):
    brought(content)
    assert "mine" in registry.architectures()
    with pytest.raises(ConfigurationError, match=sentence):
        registry.architecture("mine")


@pytest.mark.parametrize(("content", "sentence"), BROKEN)
def test_a_broken_format_spoils_no_other(brought, tmp_path, content, sentence):
    brought(content)
    density = Density(Atoms("H"), Grid(np.eye(3), (2, 2, 2)), np.ones((2, 2, 2)))
    density.write(tmp_path / "rho.cube")
    assert read(tmp_path / "rho.cube").grid.shape == (2, 2, 2)
    (tmp_path / "rho.mine").write_text("content of mine")
    with pytest.raises(FileFormatError, match=f"in no known format.*{sentence}"):
        read(tmp_path / "rho.mine")
    with pytest.raises(ConfigurationError, match=sentence):
        read(tmp_path / "rho.cube", format="mine")


@pytest.mark.parametrize(("content", "sentence"), BROKEN)
def test_a_broken_command_spoils_no_other(brought, run, content, sentence):
    brought(content)
    result = run("--help")
    assert result.code == 0
    assert re.search(r"^  predict ", result.output, re.M)
    unusable = " ".join(result.output.partition("Commands that cannot be used")[2].split())
    assert re.search(sentence, unusable)
    assert run("models").code == 0
    result = run("mine")
    assert (result.code, result.error.count("\n")) == (2, 1)
    assert re.search(sentence, result.error)


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("nothing_of_this_name:run", "No module named 'nothing_of_this_name'"),
        ("deepdft.errors:absent", "has no attribute 'absent'"),
    ],
)
def test_a_command_that_is_not_where_its_package_says(brought, run, where, sentence):
    brought(CommandPlace(where, "What it does."))
    assert re.search(r"^  mine +What it does", run("--help").output, re.M)
    result = run("mine")
    assert (result.code, result.error.count("\n")) == (2, 1)
    assert sentence in result.error


def test_our_own_commands_and_formats_are_not_replaced(brought, run):
    brought(CommandPlace("nothing:run", "Something else."), "predict")
    result = run("--help")
    assert "Something else" not in result.output
    assert run("predict", "--help").code == 0
    brought(dataclasses.replace(formats.find_format("npz"), name="cube"), "cube")
    assert formats.find_format("cube").title == "Gaussian cube"
    assert len(formats.formats()) == len(formats.FORMATS)
