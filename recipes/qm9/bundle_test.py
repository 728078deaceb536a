"""Put the test molecules of QM9 into the package, with what must be known of the training part.

    python recipes/qm9/bundle_test.py DATA

DATA is a folder of orbital archives with its split.json (`make.py` beside this script makes one).
Written are `molecules.npz`, the occupied orbitals of the test part; `split.json`, QM9's numbers of
all three parts; and `training_environments.json`, in how many training molecules each atom's
environment (`deepdft_paper.reproduce.environments`) occurs. What storing changes is printed:
eps_mae between the densities before and after, at random points. With `--coefficients int16` the
file has half the size, but its largest error is above the 0.005 % that bundled densities are
allowed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from deepdft.data import DensityDataset, open_dataset, split_part
from deepdft.data.orbital_dataset import OrbitalDataset
from deepdft.dft.manifest import write_json
from deepdft.fields.orbitals import OrbitalArchive, write_orbital_archive
from deepdft_paper.reproduce.environments import count_environments

TARGET = Path(__file__).parents[2] / "src" / "deepdft" / "bundled" / "densities" / "qm9_test"
PARTS = ("train", "validation", "test")
POINTS = 20_000
"""Random points a molecule at which the rounding is measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of orbital archives with split.json")
    parser.add_argument("--target", type=Path, default=TARGET, help="folder to write")
    parser.add_argument("--coefficients", choices=("float32", "int16"), default="float32")
    arguments = parser.parse_args()
    target: Path = arguments.target
    target.mkdir(parents=True, exist_ok=True)

    split = json.loads((arguments.data / "split.json").read_text(encoding="utf-8"))
    write_json(target / "split.json", {part: sorted(split[part]) for part in PARTS})
    archive = OrbitalArchive(arguments.data)
    molecules = [archive[archive.position_of(index)] for index in sorted(split["test"])]
    path = target / "molecules.npz"
    write_orbital_archive(path, molecules, coefficients=arguments.coefficients)

    dataset = open_dataset(arguments.data)
    training = split_part(arguments.data / "split.json", "train", dataset)
    counts = count_environments(training.atoms(i) for i in range(len(training)))
    write_json(
        target / "training_environments.json",
        {"molecules": len(training), "environments": counts},
    )

    test = split_part(arguments.data / "split.json", "test", dataset)
    errors = rounding(test, OrbitalDataset(path))
    size = sum(file.stat().st_size for file in target.iterdir())
    print(
        f"{len(errors)} test molecules, {len(counts)} environments in {len(training)} training "
        f"molecules, {size / 1e6:.2f} MB; eps_mae of storing: mean "
        f"{100 * errors.mean():.5f} %, largest {100 * errors.max():.5f} % "
        f"({POINTS:,} random points each)"
    )


def rounding(before: DensityDataset, after: OrbitalDataset) -> np.ndarray:
    """Return eps_mae, a fraction, between the same structures of two datasets, at random points."""
    places = {name: place for place, name in enumerate(after.names)}
    errors = []
    for place, name in enumerate(before.names):
        generator = np.random.default_rng(place)
        probes = before.draw(place, POINTS, generator, cutoff=5.0, importance=0.5)
        rounded = after.density(places[name]).at(probes.points)
        change = (probes.weights * np.abs(rounded - probes.values)).sum()
        errors.append(float(change / (probes.weights * probes.values).sum()))
    return np.array(errors)


if __name__ == "__main__":
    main()
