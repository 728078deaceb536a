"""Writing Quantum ESPRESSO's charge-density.dat, from which ``startingpot = 'file'`` begins.

pw.x reads the coefficients in the order of its own plane waves. That order is taken from the
charge-density.dat that a run with the same cell and cutoff has left in the save folder (a run of
one step does: ``electron_maxstep = 1``), and cell, atoms and electrons from the
data-file-schema.xml beside it. Files of PAW calculations go with the ``paw.txt`` that is there.
"""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.formats.fortran_records import record
from deepdft.formats.plane_waves import coefficients_of
from deepdft.formats.quantum_espresso_save import read_plane_waves
from deepdft.formats.quantum_espresso_schema import NAME, Calculation, read_calculation
from deepdft.formats.slab_writer import SLAB_POINTS, FileSlabWriter, take_layers
from deepdft.formats.source import find_source
from deepdft.geometry.displacement import SAME_CELL, SAME_PLACE, largest_displacement
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR, PER_CUBIC_BOHR

_ELECTRONS = 0.02
"""Largest relative difference of the electrons; pw.x scales the density by what is left."""


class SaveFolderWriter(FileSlabWriter):
    """Takes a density slab by slab, holds all of it, and writes its plane waves."""

    axis = 0

    def __init__(
        self,
        path: str | Path,
        atoms: Atoms,
        grid: Grid,
        *,
        level: LevelOfTheory | None = None,
        comment: str = "",
        template: str | None = None,
        components: int = 1,
    ) -> None:
        """See `deepdft.formats.open_writer`.

        Args:
            path: the file in the save folder.
            atoms: the structure.
            grid: the points, over the whole cell.
            level: compared with that of the calculation; not stored.
            comment: not stored.
            template: a charge-density.dat of the calculation, instead of that at `path`.
            components: 1, 2 with the spin density, or 4 with the magnetisation.

        Raises:
            ConfigurationError: if the density is of another structure, or the calculation has
                another count of components.
            LevelOfTheoryError: if the density is of another functional, or of other cores.
            FileFormatError: if a file of the save folder is damaged.
        """
        super().__init__(path, grid)
        if str(path).lower().endswith(".hdf5"):
            raise ConfigurationError(
                f"{path}: densities of pw.x are written as .dat, not as .hdf5."
            )
        given = os.fspath(path) if template is None else template
        schema = os.path.join(os.path.dirname(given), NAME)
        for needed in (given, schema):
            if not os.path.exists(needed):
                raise ConfigurationError(
                    f"{path} is written for a calculation of pw.x that is there, but there is no "
                    f"{needed}; a run with electron_maxstep = 1 makes the save folder."
                )
        self._stored = read_plane_waves(find_source(given))
        self._calculation = read_calculation(schema)
        self._components = components
        self._check(atoms)
        _check_level(self.path, level or LevelOfTheory(), self._calculation)
        self._values: list[NDArray[np.floating[Any]]] = []
        self._spin: list[NDArray[np.floating[Any]]] = []

    def _check(self, atoms: Atoms) -> None:
        wanted = len(self._stored.waves.coefficients)
        if wanted != self._components:
            kinds = {1: "no spin density", 2: "a spin density", 4: "a magnetisation density"}
            raise ConfigurationError(
                f"{self.path}: the calculation has {kinds[wanted]}, but what is to be written has "
                f"{kinds[self._components]}."
            )
        cell = np.asarray(self._calculation.atoms.cell)
        if not np.allclose(self.grid.cell, cell, rtol=0, atol=SAME_CELL):
            raise ConfigurationError(
                f"{self.path}: the density is of the cell {_vectors(self.grid.cell)}, the "
                f"calculation of {_vectors(cell)} (Å)."
            )
        _check_atoms(self.path, atoms, self._calculation)

    def _write_header(self, file: BinaryIO) -> None:
        waves = self._stored.waves
        counts = struct.pack("<3i", int(waves.half), len(waves.indices), self._components)
        reciprocal = 2 * np.pi * np.linalg.inv(np.asarray(self._calculation.atoms.cell) / BOHR).T
        file.write(record(counts) + record(reciprocal.astype("<f8").tobytes()))
        file.write(record(waves.indices.astype("<i4").tobytes()))

    def _write_layers(self, values: NDArray[np.floating[Any]]) -> None:
        self._values.append(np.array(values, dtype=np.float64))

    def write_spin(self, spin: NDArray[np.floating[Any]]) -> None:
        """Add the spin density, (nx, ny, nz) or (3, nx, ny, nz)."""
        self._spin = list(spin.reshape(-1, *self.grid.shape))

    def _write_footer(self, file: BinaryIO) -> None:
        values = np.concatenate(self._values)
        electrons = float(values.sum()) * self.grid.voxel_volume
        expected = self._calculation.electrons
        if abs(electrons - expected) > _ELECTRONS * expected:
            raise ConfigurationError(
                f"{self.path} is not written: the density integrates to {electrons:.4f} electrons, "
                f"the calculation has {expected:g}."
            )
        for component in (values, *self._spin):
            found = coefficients_of(component, self.grid, self._stored.waves.indices)
            file.write(record((found / PER_CUBIC_BOHR).astype("<c16").tobytes()))


def _vectors(cell: NDArray[np.float64]) -> str:
    return "; ".join(" ".join(f"{x:.4f}" for x in vector) for vector in cell)


def _check_atoms(path: Path, atoms: Atoms, calculation: Calculation) -> None:
    """Raise if an atom of the calculation is not there, or there are others."""
    theirs = calculation.atoms
    moved = largest_displacement(theirs, atoms)
    if moved is None:
        raise ConfigurationError(
            f"{path}: the density is of {atoms.symbols.formula.format('hill')}, the calculation of "
            f"{theirs.symbols.formula.format('hill')}."
        )
    if moved > SAME_PLACE:
        raise ConfigurationError(
            f"{path}: the atoms of the density and of the calculation are up to {moved:.3g} Å "
            "apart."
        )


_CORES = {"gth": "GTH", "hgh": "GTH", "paw": "PAW", "all-electron": "none", "pseudodojo": "other"}
"""Kinds of cores, by how levels of theory name them."""
_FILES = {"gth": "GTH", "hgh": "GTH", "paw": "PAW", "rrkjus": "ultrasoft", "uspp": "ultrasoft"}
"""Kinds of cores, by what names of pseudopotential files hold."""


def _check_level(path: Path, level: LevelOfTheory, calculation: Calculation) -> None:
    """Raise if a density cannot be that of the calculation's functional and pseudopotentials."""
    names = calculation.pseudopotentials
    cores = level.core.casefold()
    ours = next((kind for word, kind in _CORES.items() if cores.startswith(word)), None)
    kinds = {
        next((kind for word, kind in _FILES.items() if word in name.casefold()), "other")
        for name in names
    }
    conflicts = level.conflicts_with(replace(calculation.level, basis=""))
    if conflicts or (names and ours is not None and kinds != {ours}):
        raise LevelOfTheoryError(
            f"{path} is not written: the density is of {level}, the calculation is one of "
            f"{calculation.level} with the pseudopotentials {', '.join(names) or '(not named)'}."
        )


def open_writer(path: str | Path, atoms: Atoms, grid: Grid, **options: Any) -> SaveFolderWriter:
    """Return a writer of a charge-density.dat; see `SaveFolderWriter` for the options."""
    return SaveFolderWriter(path, atoms, grid, **options)


def write(path: str | Path, density: Density, *, template: str | None = None) -> None:
    """Write a density, with its spin density, as the charge-density.dat of a calculation."""
    kind = density.metadata.get("quantity", "density")
    if kind != "density":
        raise ConfigurationError(
            f"{path}: pw.x begins from an electron density, not from a {kind}."
        )
    components = 1 if density.spin is None else density.spin.size // density.values.size + 1
    writer = SaveFolderWriter(
        path, density.atoms, density.grid, level=density.level, template=template,
        components=components,
    )  # fmt: skip
    with writer:
        for start, stop in density.grid.slabs(0, SLAB_POINTS):
            writer.write_slab(take_layers(density.values, 0, start, stop))
        if density.spin is not None:
            writer.write_spin(density.spin)
