"""The first compilation is told of, and only that."""

from __future__ import annotations

import os
import subprocess
import sys

import numba

from deepdft.kernels.announcement import told_of_compilation


def test_told_once_and_only_where_something_is_compiled():
    @numba.njit
    def doubled(x):
        return 2 * x

    told: list[str] = []
    with told_of_compilation(lambda: told.append("compiling")):
        assert told == []
        assert doubled(3) == 6
        assert told == ["compiling"]
        assert doubled(1.5) == 3.0
    assert told == ["compiling"]
    with told_of_compilation(lambda: told.append("again")):
        assert doubled(4) == 8
    assert told == ["compiling"]


def test_code_on_disk_is_loaded_without_the_compiler(tmp_path):
    (tmp_path / "kept.py").write_text(
        "from deepdft.compilation import compiled\n\n\n"
        "@compiled\ndef total(values):\n    result = 0.0\n"
        "    for value in values:\n        result += value\n    return result\n"
    )
    code = (
        "import sys, numpy as np; from kept import total; "
        "from deepdft.kernels.announcement import told_of_compilation; told = []\n"
        "with told_of_compilation(lambda: told.append(1)): print(total(np.arange(5.0)))\n"
        "assert len(told) == int(sys.argv[1]), told\n"
        "assert bool(told) == ('numba.np.linalg' in sys.modules)\n"
        "assert total(np.arange(5)) == 10  # of another type: compiled after loading"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    for compilations in ("1", "0"):
        subprocess.run(
            [sys.executable, "-c", code, compilations], check=True, cwd=tmp_path, env=environment
        )
