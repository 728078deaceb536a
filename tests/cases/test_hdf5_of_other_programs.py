"""HDF5 files: read where they hold a density, else told whose they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from deepdft.errors import FileFormatError
from deepdft.formats import read

HERE = Path(__file__).parent


def test_quantum_espresso_without_its_folder(tmp_path: Path) -> None:
    for name in ("charge-density.hdf5", "renamed.h5"):
        shutil.copy(HERE / "charge-density.hdf5", tmp_path / name)
        with pytest.raises(FileFormatError, match=r"Quantum ESPRESSO.*data-file-schema\.xml"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("places", "program"),
    [
        (["results/positions", "input/incar"], "VASP without a density.*LCHARGH5"),
        (["primitive_vectors", "reduced_atom_positions"], "ABINIT"),
        (["mf_header/kpoints"], "BerkeleyGW"),
        (["nucleus/charge", "metadata/code"], "TREXIO"),
        (["MillerIndices", "evc"], "Quantum ESPRESSO.*charge-density"),
        (["GRID/Rho", "BASIS/x"], "SIESTA.*Rho.grid.nc"),
        (["weights", "layers"], r"no program known here \(it holds: layers, weights\)"),
    ],
)
@pytest.mark.parametrize("name", ["x.h5", "vaspout.h5"])
def test_files_without_a_density(
    places: list[str], program: str, name: str, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / name, "w") as file:
        for place in places:
            file[place] = np.zeros(3)
    with pytest.raises(FileFormatError, match=program) as refused:
        read(tmp_path / name)
    assert ("VASP" in str(refused.value)) == ("VASP" in program or "no program" in program)
