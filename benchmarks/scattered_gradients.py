"""Density with gradient at scattered points: its cost as a multiple of the density's.

    OMP_NUM_THREADS=1 python benchmarks/scattered_gradients.py --model qm9

A bundled model at the points of an atom-centred grid, those at which functionals are integrated.
Density alone and density with gradient take turns; the best of several repeats counts, in seconds
of processor time of one thread.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from ase import Atoms

import deepdft
from deepdft.dft.pyscf import PySCFSettings, grids_of, molecule_of
from deepdft.structures import read_structures
from deepdft.units import BOHR
from reporting import add_output_option, write_result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("structure", nargs="?", default="CC(=O)NCC1CCCO1", help="SMILES or file")
    parser.add_argument("--model", default="qm9")
    parser.add_argument("--repeat", type=int, default=10)
    add_output_option(parser)
    options = parser.parse_args()
    (structure,) = read_structures(options.structure)
    atoms = structure.atoms
    points = points_around(atoms)
    model = deepdft.load_model(options.model, device="cpu")
    model.threads = 1
    engine = model.engine(atoms).uncounted()
    best = [float("inf")] * 2
    for repeat in range(options.repeat + 1):
        for order in (0, 1):
            started = time.process_time()
            engine.at(points, order) if order else engine.at(points)
            if repeat:  # the first round compiles, or loads what was compiled
                best[order] = min(best[order], time.process_time() - started)
    rows = [
        (f"density alone, {options.model}", f"{len(points) / best[0]:,.0f} probes/s a core"),
        ("with gradient", f"{best[1] / best[0]:.2f} times the density's time"),
    ]
    print(f"{len(atoms)} atoms, {len(points)} points")
    for what, value in rows:
        print(f"{what}: {value}")
    figures = {"points": len(points), "seconds": best}
    write_result(options, "scattered_gradients", rows, figures)


def points_around(atoms: Atoms):
    """Return the grid of the bundled models' data, Å."""
    settings = PySCFSettings()
    return grids_of(molecule_of(atoms, settings, Path(os.devnull)), settings).coords * BOHR


if __name__ == "__main__":
    main()
