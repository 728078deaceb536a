"""Time of PySCF calculations with our integration of the functional against PySCF's own.

    OMP_NUM_THREADS=1 python benchmarks/pyscf_speed.py DATA [--molecules 3]

DATA is an archive of occupied orbitals, or a folder of them; the first molecules of more than ten
atoms are calculated again, both ways in turn, and processor time without PySCF's import is
compared.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from pyscf.dft.numint import NumInt

from deepdft.dft.pyscf import MeanField, PySCFSettings
from deepdft.fields.orbitals import OrbitalArchive
from deepdft.units import HARTREE


def seconds_and_energy(atoms, integration, log):
    started = time.process_time()
    field = MeanField(atoms, PySCFSettings(), log)
    if integration is not None:
        field._field._numint = integration
    result = field.converge("PBE")
    return time.process_time() - started, result.energy


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--molecules", type=int, default=3)
    arguments = parser.parse_args()
    archive = OrbitalArchive(arguments.data)
    large = (density for density in archive if len(density.atoms) > 10)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "pyscf.log"
        for number, density in zip(range(arguments.molecules + 1), large, strict=False):
            old, exact = seconds_and_energy(density.atoms, NumInt(), log)
            new, energy = seconds_and_energy(density.atoms, None, log)
            if number == 0:  # what is imported and compiled is not counted
                continue
            ratios.append(old / new)
            print(
                f"{density.atoms.symbols!s:14} {old:6.2f} s with PySCF's, {new:6.2f} s with ours, "
                f"energies differ by {abs(energy - exact) / HARTREE:.0e} Ha"
            )
    print(f"median ratio {np.median(ratios):.2f}")


if __name__ == "__main__":
    main()
