"""How far a cathode density is from tighter settings: the noise of the labels.

    python recipes/cathode/noise.py runs/cathode cathode_00 convergence kpoints smearing

Calculates one structure of a finished campaign again with one setting made tighter at a time and
prints eps_mae of the total density and the same ratio of the spin density, both in percent.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from deepdft.density import Density
from deepdft.dft.gpaw import GPAWCalculation, GPAWSettings
from deepdft.dft.manifest import read_manifest
from deepdft.io import read

TIGHTER = {
    "convergence": {"density_convergence": 1e-5, "eigenstate_convergence": 1e-8},
    "kpoints": {"kpoints": (5, 5, 2)},  # for the 12-site stacked cells, 3 x 3 x 1 by default
    "smearing": {"smearing": 0.1},
}


def main() -> None:
    """Print one row for each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="folder of the campaign")
    parser.add_argument("name", help="structure")
    parser.add_argument("settings", nargs="+", choices=sorted(TIGHTER))
    arguments = parser.parse_args()
    manifest = read_manifest(arguments.store)
    density = read(arguments.store / f"{arguments.name}.npz")
    record = manifest.structures[arguments.name]
    print(f"{arguments.name}: {record.formula}, moment {record.total_moment:.3f}")
    for name in arguments.settings:
        settings = GPAWSettings.model_validate(manifest.settings | TIGHTER[name])
        with tempfile.TemporaryDirectory() as folder:
            result = GPAWCalculation(settings).run(density.atoms, Path(folder))
        tighter = result.density
        assert isinstance(tighter, Density)
        print(
            f"{name:12s} eps_mae {100 * tighter.compare(density).eps_mae:.4f} %, "
            f"spin {100 * _spin_error(density, tighter):.3f} %, "
            f"moment {result.total_moment:.3f}, energy {result.energy - (record.energy or 0):+.4f}"
            f" eV, {result.iterations} iterations, k-points {result.details['kpoints']}",
            flush=True,
        )


def _spin_error(density: Density, reference: Density) -> float:
    assert density.spin is not None
    assert reference.spin is not None
    difference = np.abs(density.spin.astype(np.float64) - reference.spin).sum()
    return float(difference / np.abs(reference.spin).sum())


if __name__ == "__main__":
    main()
