"""Calculate one configuration again with other settings: how far the density moves.

python recipes/ethylene_carbonate/noise.py packing_01_0 accuracy=1e-12 convergence=1e-7
python recipes/ethylene_carbonate/noise.py packing_01_0 cutoff=600
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from collect import TARGET

from deepdft.dft.programs import create_calculation
from deepdft.fields.orbitals import OrbitalArchive

POINTS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a name of split.json")
    parser.add_argument("settings", nargs="+", help="KEY=VALUE of the program cp2k")
    arguments = parser.parse_args()
    archive = OrbitalArchive(TARGET / "configurations.npz")
    atoms = archive[archive.names.index(arguments.name)].atoms
    points = np.random.default_rng(0).random((POINTS, 3)) @ atoms.cell.array
    values = []
    for settings in ([], arguments.settings):
        with tempfile.TemporaryDirectory() as folder:
            result = create_calculation("cp2k", settings).run(atoms, Path(folder))
        values.append(result.density.at(points))
        print(f"{' '.join(settings) or 'as shipped'}: {result.iterations} iterations, "
              f"{result.seconds:.0f} s, {result.energy:.6f} eV")  # fmt: skip
    difference = np.abs(values[0] - values[1]).sum() / values[1].sum()
    print(f"eps_mae between them, from {POINTS} random points: {100 * difference:.5f} %")


if __name__ == "__main__":
    main()
