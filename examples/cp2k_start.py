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

from ase import Atoms
from ase.build import molecule

import deepdft
from deepdft.electronic import cp2k_start, from_density

INPUT = """\
&GLOBAL
  PROJECT {name}
  RUN_TYPE ENERGY
&END GLOBAL
&FORCE_EVAL
  METHOD QS
  &DFT
    BASIS_SET_FILE_NAME GTH_BASIS_SETS
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    WFN_RESTART_FILE_NAME start.wfn
    &MGRID
      CUTOFF 280
    &END MGRID
    &POISSON
      PERIODIC NONE
      POISSON_SOLVER MT
    &END POISSON
    &SCF
      SCF_GUESS {guess}
      EPS_SCF 1e-6
      MAX_SCF 40
      &DIAGONALIZATION
      &END DIAGONALIZATION
      &MIXING
        METHOD BROYDEN_MIXING
        ALPHA 0.4
      &END MIXING
    &END SCF
    &XC
      &XC_FUNCTIONAL PBE
      &END XC_FUNCTIONAL
    &END XC
  &END DFT
  &SUBSYS
    &CELL
      ABC 10 10 10
      PERIODIC NONE
    &END CELL
    &COORD
{positions}
    &END COORD
{kinds}
  &END SUBSYS
&END FORCE_EVAL
"""
KIND = "    &KIND {}\n      BASIS_SET DZVP-GTH\n      POTENTIAL GTH-PBE\n    &END KIND"


def run(folder: Path, atoms: Atoms, guess: str) -> str:
    """Return the iterations that CP2K takes from a guess."""
    symbols = atoms.get_chemical_symbols()
    lines = (
        f"      {symbol} {x:.8f} {y:.8f} {z:.8f}"
        for symbol, (x, y, z) in zip(symbols, atoms.positions, strict=True)
    )
    kinds = "\n".join(KIND.format(symbol) for symbol in sorted(set(symbols)))
    name = guess.lower()
    text = INPUT.format(name=name, guess=guess, positions="\n".join(lines), kinds=kinds)
    (folder / f"{name}.inp").write_text(text)
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
    folder.mkdir(parents=True, exist_ok=True)
    atoms = molecule("CH3OH")
    cp2k_start(from_density(deepdft.load_model("default").engine(atoms)), folder / "start.wfn")
    atoms.set_cell([10.0, 10.0, 10.0])
    atoms.center()
    for guess in ("ATOMIC", "RESTART"):
        print(f"SCF_GUESS {guess}: {run(folder, atoms, guess)} iterations")


if __name__ == "__main__":
    main()
