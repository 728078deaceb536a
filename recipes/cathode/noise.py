"""How far a cathode density is from tighter settings: the noise of the labels.

    python recipes/cathode/noise.py cathode_00 kpoints convergence smearing

Calculates one structure of `densities.zip` again with one setting made tighter at a time and prints
eps_mae of the packed total density and the same ratio of the spin density, both in percent.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from calculate import PACKED

from deepdft.data.compact import CompactFile
from deepdft.density import Density
from deepdft.dft.gpaw import GPAWCalculation, GPAWSettings

TIGHTER: dict[str, dict[str, Any]] = {
    "convergence": {"density_convergence": 1e-5, "eigenstate_convergence": 1e-8},
    "kpoints": {"kpoints": (5, 5, 2)},  # for the 12-site stacked cells, 3 x 3 x 1 by default
    "smearing": {"smearing": 0.1},
}


def main() -> None:
    """Print one row for each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="structure")
    parser.add_argument("settings", nargs="+", choices=sorted(TIGHTER))
    arguments = parser.parse_args()
    density = CompactFile(str(PACKED)).density(arguments.name)
    record = density.metadata["calculation"]
    print(f"{arguments.name}: {record['formula']}, moment {record['total_moment']:.3f}")
    for name in arguments.settings:
        with tempfile.TemporaryDirectory() as folder:
            settings = GPAWSettings.model_validate(TIGHTER[name])
            result = GPAWCalculation(settings).run(density.atoms, Path(folder))
        tighter = result.density
        assert isinstance(tighter, Density)
        print(
            f"{name:12s} eps_mae {100 * tighter.compare(density).eps_mae:.4f} %, "
            f"spin {100 * _spin_error(density, tighter):.3f} %, "
            f"moment {result.total_moment:.3f}, energy {result.energy - record['energy']:+.4f}"
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
