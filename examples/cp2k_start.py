"""Begin a calculation of CP2K with orbitals from a predicted density, and without.

    python examples/cp2k_start.py FOLDER

Needs cp2k and PySCF. Inputs and outputs of both calculations of methanol stay in the folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from ase.build import molecule

import deepdft
from deepdft.electronic import from_density
from deepdft.electronic.start_folders import start_folder

OURS = "SCF_GUESS RESTART"


def run(folder: Path, guess: str) -> str:
    """Return the iterations that CP2K takes from a guess."""
    name = guess.lower()
    text = (folder / "molecule.inp").read_text()
    assert OURS in text
    (folder / f"{name}.inp").write_text(text.replace(OURS, f"SCF_GUESS {guess}"))
    environment = {"CP2K_DATA_DIR": "/usr/share/cp2k", "OMP_NUM_THREADS": "1", **os.environ}
    subprocess.run(
        ["cp2k.psmp", "-i", f"{name}.inp", "-o", f"{name}.out"],
        cwd=folder,
        env=environment,
        check=True,
    )
    found = re.findall(r"converged in\s+(\d+) steps", (folder / f"{name}.out").read_text())
    return found[0] if found else "more than 40"


def main() -> None:
    folder = Path(sys.argv[1])
    found = from_density(deepdft.load_model("default").engine(molecule("CH3OH")))
    start_folder(found, "cp2k", folder)
    for guess in ("ATOMIC", "RESTART"):
        print(f"SCF_GUESS {guess}: {run(folder, guess)} iterations")


if __name__ == "__main__":
    main()
