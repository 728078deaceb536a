"""Densities of every kind for training stores, and what has to come back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule

from deepdft.density import Density, Grid
from tests.small_data import gaussian_density


def some_densities() -> dict[str, Density]:
    """Densities of every kind: molecule, crystal, slab; no, one and three spin components."""
    water = molecule("H2O")
    carbon = bulk("C", "diamond", a=3.57)
    slab = Atoms("NO", [[0, 0, 4.0], [1.0, 1, 5.1]], cell=np.diag([3.0, 3, 9]), pbc=(1, 1, 0))
    made = {
        "water.cube": gaussian_density(water, Grid.around(water, 0.31, 2.5)),
        "diamond": gaussian_density(carbon, Grid.of_cell(carbon, 0.17)),
        "slab.CHGCAR.zz": gaussian_density(slab, Grid.of_cell(slab, 0.4)),
        "ein Ångström": gaussian_density(water, Grid(np.eye(3), (1, 2, 3))),
    }
    generator = np.random.default_rng(0)
    for name, components in (("diamond", ()), ("water.cube", (3,))):
        spin = generator.standard_normal((*components, *made[name].grid.shape))
        made[name] = replace(made[name], spin=spin)
    noted = {"comment": "made up", "notes": ["pbc assumed"], "augmentation": ["lots of text"]}
    made["diamond"] = replace(made["diamond"], metadata=noted)
    return made


def assert_same(found: Density, expected: Density) -> None:
    assert np.array_equal(found.values, expected.values.astype(np.float32))
    assert found.values.dtype == np.float32
    assert found.atoms == expected.atoms
    assert np.array_equal(found.atoms.pbc, expected.atoms.pbc)
    assert np.array_equal(found.grid.cell, expected.grid.cell)
    assert np.array_equal(found.grid.origin, expected.grid.origin)
    assert found.level == expected.level
    assert (found.spin is None) == (expected.spin is None)
    if found.spin is not None and expected.spin is not None:
        assert np.array_equal(found.spin, expected.spin.astype(np.float32))
