"""The small inputs of the torture, made once."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule

from deepdft.architectures import create_model
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import save_checkpoint

LEVEL = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")

_TRAINING = """\
run_directory: run
seed: 3
model: {{architecture: deepdft, options: {{steps: 1, channels: 8}}, baseline: none}}
data: {{paths: ["{data}"], validation_count: 2}}
sampling: {{structures: 2, probes: 30}}
optimizer: {{learning_rate: 0.01, warmup_steps: 2}}
trainer:
  max_steps: 24
  validation_interval: 4
  validation_probes: 60
  threads: 1
  accelerator: cpu
"""


def make_inputs(folder: Path) -> None:
    """Write model, structures, densities and a configuration."""
    torch.manual_seed(3)
    network = create_model("deepdft", {"steps": 2, "channels": 8}, [1, 6, 8])
    card = {"electrons": {"H": 1, "C": 4, "O": 6}}
    save_checkpoint(Checkpoint.of_network(network, LEVEL, "pbe-gth-dzvp", card), folder / "model")
    ase.io.write(folder / "molecule.xyz", molecule("CH3CH2OH"))
    ase.io.write(folder / "crystal.extxyz", bulk("C", "diamond", a=3.57))
    hydrogen = []
    for number in range(4):
        atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.7 + 0.02 * number)])
        atoms.info["name"] = f"h2_{number}"
        hydrogen.append(atoms)
    ase.io.write(folder / "hydrogen.extxyz", hydrogen)
    _write_densities(folder / "densities")
    (folder / "train.yaml").write_text(_TRAINING.format(data=folder / "densities"))


def _write_densities(folder: Path) -> None:
    """Write densities of Gaussians on the atoms."""
    from deepdft.density import Density, Grid
    from deepdft.formats import write

    folder.mkdir()
    for number, name in enumerate(("CH4", "H2O", "CH3OH", "H2CO", "CO2", "C2H6") * 2):
        atoms = molecule(name)
        atoms.rattle(0.05, seed=number)
        atoms.center(2.5)
        grid = Grid(np.diag(atoms.cell.lengths()), (24, 24, 24))
        points = grid.points()
        values = sum(
            4 * np.exp(-((points - position) ** 2).sum(axis=-1) / 0.3)
            for position in atoms.positions
        )
        density = Density(atoms, grid, np.asarray(values).reshape(grid.shape), level=LEVEL)
        write(folder / f"{number:02d}_{name}.npz", density)
