"""A round through what works without extras, in a folder that goes again; prints what it used.

`matrix.py` runs it in environments that have the core alone.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

CORE = (
    "numpy", "scipy", "ase", "vesin", "gemmi", "numba", "safetensors", "zarr", "pydantic",
    "PyYAML", "typer", "rich", "filelock",
)  # fmt: skip


def command(*words: str) -> None:
    """Run a command of deepdft in this process."""
    from deepdft.cli import main

    before, sys.argv = sys.argv, ["deepdft", *words]
    try:
        main()
    except SystemExit as left:
        if left.code:
            sys.exit(f"deepdft {' '.join(words)} ended with {left.code}.")
    finally:
        sys.argv = before


def main() -> None:
    """Predict, convert, read again, and compare."""
    import numpy as np
    from ase import Atoms
    from ase.build import bulk
    from ase.neighborlist import neighbor_list

    import deepdft
    from deepdft.geometry.neighbours import atom_edges

    print(sys.version.split()[0], *(f"{name}=={version(name)}" for name in CORE))
    command("demo", "demo")
    bulk("NaCl", "rocksalt", a=5.64, cubic=True).write("NaCl.cif")
    command("predict", "NaCl.cif", "--spacing", "0.3", "-o", "NaCl.CHGCAR", "--uncertainty")
    command("predict", "NaCl.cif", "--spacing", "0.3", "-o", "NaCl.zarr")
    for target in ("NaCl.cube.gz", "NaCl.npz", "NaCl.xsf", "again.zarr"):
        command("convert", "NaCl.zarr", target)
    first = deepdft.read("NaCl.CHGCAR")
    for name in ("NaCl.cube.gz", "NaCl.npz", "NaCl.xsf", "again.zarr"):
        found = deepdft.read(name)
        np.testing.assert_allclose(found.values, first.values, rtol=2e-5, atol=2e-5)
    command("compare", "NaCl.CHGCAR", "NaCl.zarr")
    command("models")
    # A turned cell, periodic along one axis: earlier versions of vesin lose edges.
    atoms = Atoms("H2", [[0, 0, 0], [2.9, 0.1, 0]], cell=np.eye(3) * 3.0, pbc=[True, False, False])
    atoms.rotate(33.0, (1, 2, 3), rotate_cell=True)
    found = atom_edges(atoms, 4.0)
    expected = np.sort(neighbor_list("d", atoms, 4.0))
    np.testing.assert_allclose(np.sort(found.distances), expected, rtol=1e-10)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(folder, "numba")))
        main()
