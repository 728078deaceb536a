"""Which part of a periodic box is shown."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule

from deepdft.plotting.png import png_of
from deepdft.plotting.windows import whole_window


def window_of(atoms):
    return whole_window(atoms.positions, atoms.cell.complete(), atoms.pbc.tolist())


def boxed(shift):
    atoms = molecule("CH3CH2OH")
    atoms.set_cell([12.0, 11.0, 10.0])
    atoms.pbc = True
    atoms.center()
    atoms.positions += shift
    atoms.wrap()
    return atoms


@pytest.mark.parametrize("shift", [(0, 0, 0), (6, 0, 0), (6, 5.5, 5), (-5.5, 4.8, -4.9)])
def test_a_molecule_in_a_large_cell_is_whole(shift):
    atoms = boxed(shift)
    window = window_of(atoms)
    low = np.array([first for first, _ in window])
    assert [last - first for first, last in window] == pytest.approx([1, 1, 1])
    places = atoms.get_scaled_positions()
    shown = (places - low) % 1.0 + low
    moved = shown @ atoms.cell.array
    reference = molecule("CH3CH2OH").get_all_distances()
    distances = np.linalg.norm(moved[:, None] - moved[None], axis=2)
    assert distances == pytest.approx(reference, abs=1e-9)
    # A surface around them is not cut either.
    clear = np.minimum(shown - low, low + 1 - shown).min(axis=0) * atoms.cell.lengths()
    assert clear.min() > 2.0


def test_a_molecule_in_the_middle_stays_where_it_is():
    assert window_of(boxed((0, 0, 0))) == ((0, 1), (0, 1), (0, 1))


def test_crystals_are_shown_cell_by_cell():
    assert window_of(bulk("NaCl", "rocksalt", a=5.6, cubic=True)) == ((0, 1), (0, 1), (0, 1))


def test_a_slab_that_the_cell_cuts_is_whole():
    slab = fcc111("Al", (1, 1, 3), vacuum=6.0)
    slab.pbc = True
    slab.positions[:, 2] -= slab.positions[:, 2].mean()
    slab.wrap()
    first, second, third = window_of(slab)
    assert (first, second) == ((0, 1), (0, 1))
    shown = (slab.get_scaled_positions()[:, 2] - third[0]) % 1.0
    assert np.ptp(shown) * slab.cell.lengths()[2] < 5.0


def test_molecules_without_a_cell_have_no_window():
    atoms = molecule("H2O")
    assert window_of(atoms) == ((0, 1), (0, 1), (0, 1))


def test_a_png_holds_the_pixels():
    image = np.zeros((2, 3, 3))
    image[0, 2] = (1.0, 0.5, 2.0)
    content = png_of(image)
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    pillow = pytest.importorskip("PIL.Image")
    import io

    found = np.asarray(pillow.open(io.BytesIO(content)))
    assert found.shape == (2, 3, 3)
    assert found[0, 2].tolist() == [255, 128, 255]
    assert found[1].max() == 0
    assert zlib.crc32(b"IEND") == int.from_bytes(content[-4:], "big")
