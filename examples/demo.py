"""Predict the density of a molecule with the bundled model and compare it with DFT.

The molecule belongs to the test part of the split: the model has never seen it. Writes the
predicted density as a cube file (for VMD, VESTA, Avogadro, ASE) and, with the extra `plot`, a
picture.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import ase.io

import deepdft
from deepdft.data.orbital_dataset import OrbitalDataset
from deepdft.errors import MissingDependencyError
from deepdft.plotting.pictures import density_picture

folder = Path("demo")
folder.mkdir(exist_ok=True)
molecules = Path(str(files("deepdft") / "bundled" / "molecules"))

# The whole of the main job: a structure in, a density out.
atoms = ase.io.read(molecules / "C6H9NO.xyz")
predicted = deepdft.predict(atoms)
predicted.write(folder / "C6H9NO.cube")

# What DFT says on the same grid.
reference = OrbitalDataset(molecules / "C6H9NO.npz").density(0).on_grid(predicted.grid)
comparison = reference.compare(predicted)

print(f"molecule      {atoms.get_chemical_formula()}, {len(atoms)} atoms")
print(f"grid          {' x '.join(map(str, predicted.grid.shape))} points")
print(f"electrons     {predicted.n_electrons:.3f} predicted, {reference.n_electrons:.3f} DFT")
print(f"eps_mae       {100 * comparison.eps_mae:.3f} % against {reference.level}")
print(f"written       {folder}/C6H9NO.cube")
try:
    (folder / "C6H9NO.png").write_bytes(density_picture(predicted, reference))
    print(f"              {folder}/C6H9NO.png")
except MissingDependencyError as sentence:
    print(f"no picture    {sentence}")
