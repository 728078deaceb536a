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


def test_the_commands_help_loads_neither_commands_nor_anything_heavy():
    code = (
        "import sys, atexit; from deepdft.cli import main; "
        "heavy = {'numpy', 'ase', 'scipy', 'numba', 'pydantic', 'yaml', 'torch', 'rich.console', "
        "'deepdft.cli.predict', 'deepdft.cli.models'}; "
        "atexit.register(lambda: print(heavy & set(sys.modules))); "
        "sys.argv = ['deepdft', '--help']; main()"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "predict" in found.stdout
    assert found.stdout.splitlines()[-1] == "set()"


def test_every_public_name_exists():
    for name in deepdft.__all__:
        assert getattr(deepdft, name) is not None
    assert set(deepdft.__all__) <= set(dir(deepdft))


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(deepdft, "predikt")
