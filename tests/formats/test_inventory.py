"""Every file of the collection of other programs' files is read as it should be, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from deepdft.errors import FileFormatError
from deepdft.formats import read_with_notes
from deepdft.formats.points import read_points
from tests.formats.samples import SHARED

DENSITIES = {
    "AlN_openmx.cube.gz": (16.000, "16 to 36"),
    "Be2_qe.npy": (4.000, "taken as e/angstrom"),
    "Fe3O4_spin.CHGCAR.gz": (96.000, "96 to 160"),
    "Fe6O8_AECCAR_sum.CHGCAR.gz": (395.336, "too coarse for the cores"),
    "GaAs_dftpy.xsf.gz": (40.000, "taken as e/bohr"),
    "H2.CHGCAR.gz": (2.000, "as many as expected"),
    "Li_bcc.CHGCAR.gz": (1.000, "1 to 3"),
    "MgO_siesta.RHO": (8.000, "no MgO_siesta.XV"),
    "NaMgF3.CHG.gz": (96.000, "96 to 184"),
    "Ni_noncollinear.CHGCAR.gz": (10.000, "10 to 18"),
    "Ni_spin.CHGCAR.gz": (10.000, "10 to 18"),
    "Si2.CHGCAR.gz": (8.000, "8 to 24"),
    # Its values agree with the valence orbitals of RHF/6-31G* to 0.15 %, so the cores are frozen,
    # not missed by the grid.
    "acrolein_allelectron.cube.gz": (22.026, "22 to 30"),
}
"""Electrons, and part of a note."""

OTHERS = {
    "CH4_homo_origin.cube.gz": ("orbital", 0.997),
    "Li_LOCPOT.gz": ("potential", None),
    "benzene_homo_negative_natoms.cube.gz": ("orbital", 1.0001),
}
"""What else is in the files, and the integral of its square."""

POINTS = {f"water_vasp_points/{number}.h5" for number in range(4)}

pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="the collection of files is not here")


def test_nothing_is_left_out() -> None:
    present = {str(path.relative_to(SHARED)) for path in SHARED.rglob("*") if path.is_file()}
    known = {*DENSITIES, *OTHERS, *POINTS, "INVENTORY.md", "Be2_qe.info.json"}
    assert present == known


@pytest.mark.parametrize("name", DENSITIES)
def test_densities(name: str) -> None:
    electrons, words = DENSITIES[name]
    density, notes = read_with_notes(SHARED / name)
    assert density.n_electrons == pytest.approx(electrons, abs=2e-3)
    assert any(words in note for note in notes), notes


@pytest.mark.parametrize("name", OTHERS)
def test_other_quantities(name: str) -> None:
    quantity, norm = OTHERS[name]
    with pytest.raises(FileFormatError, match=f"quantity='{quantity}'"):
        read_with_notes(SHARED / name)
    values, _ = read_with_notes(SHARED / name, quantity=quantity)
    assert values.metadata["quantity"] == quantity
    if norm is not None:
        found = (values.values**2).sum() * values.grid.voxel_volume
        assert found == pytest.approx(norm, abs=1e-3)


@pytest.mark.parametrize("name", sorted(POINTS))
def test_points(name: str) -> None:
    known = read_points(SHARED / name)
    electrons, error = known.n_electrons
    assert abs(electrons - 128) < 3 * error < 30
    assert len(known.points) == 5000
    assert np.asarray(known.atoms.cell).max() == pytest.approx(known.points.max() * 140 / 139)
    with pytest.raises(FileFormatError, match="scattered points"):
        read_with_notes(SHARED / name)
