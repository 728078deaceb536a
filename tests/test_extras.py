"""One sentence where a package of an extra is missing."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from deepdft import extras
from deepdft.errors import MissingDependencyError
from deepdft.extras import import_extra, missing_extra, require_extra


def test_what_is_there_is_imported():
    assert import_extra("json.decoder", "This") is sys.modules["json.decoder"]


@pytest.mark.parametrize("module", ["lz4", "lz4.frame"])
def test_a_missing_package_is_named_with_the_command(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    sentence = "Reading this needs lz4, which is not installed: pip install 'deepdft-density[io]'."
    with pytest.raises(MissingDependencyError, match=f"^{re.escape(sentence)}$"):
        import_extra(module, "Reading this")


def test_a_package_is_looked_for_without_an_import(monkeypatch):
    require_extra("pytest", "This")
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(
        MissingDependencyError, match=r"^This needs rdkit.*deepdft-density\[rdkit\]"
    ):
        require_extra("rdkit", "This")


def test_other_modules_are_defects():
    assert missing_extra(ModuleNotFoundError("", name="deepdft.nothing")) is None
    with pytest.raises(ModuleNotFoundError):
        import_extra("deepdft.nothing", "This")


def test_the_extras_exist():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    for package, extra in extras._EXTRA.items():
        wanted = " ".join(project["optional-dependencies"][extra]).replace("-", "_")
        distribution = {"skimage": "scikit_image"}.get(package, package)
        assert distribution in wanted, (package, extra)
