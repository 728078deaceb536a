"""What importing the package does, and does not."""

from __future__ import annotations

import subprocess
import sys

import deepdft


def test_importing_loads_nothing_heavy_and_touches_no_file(tmp_path):
    code = (
        "import sys, deepdft; "
        "heavy = {'torch', 'numba', 'pytorch_lightning', 'matplotlib', 'ase'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_commands_help_loads_nothing_heavy():
    code = (
        "import sys, deepdft.cli; "
        "heavy = {'numpy', 'ase', 'scipy', 'numba', 'pydantic', 'yaml', 'torch'} "
        "& set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_exists():
    for name in deepdft.__all__:
        assert getattr(deepdft, name) is not None
    assert set(deepdft.__all__) <= set(dir(deepdft))


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(deepdft, "predikt")
