"""GPAW: settings and k-points, and a small spin-polarised calculation where GPAW is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from deepdft.dft.gpaw import GPAWCalculation, GPAWSettings, kpoints, parameters
from deepdft.errors import CalculationError, UnsupportedStructureError


def test_kpoints_follow_the_cell() -> None:
    settings = GPAWSettings(kpoint_spacing=0.9)
    cubic = Atoms("Li", cell=[2.0, 4.0, 40.0], pbc=True)
    # 2 pi / 2 = 3.14, 2 pi / 4 = 1.57, 2 pi / 40 = 0.16 per Å.
    assert kpoints(cubic, settings) == (4, 2, 1)
    assert kpoints(cubic, GPAWSettings(kpoints=(5, 3, 1))) == (5, 3, 1)
    # Distances between k-points count reciprocal vectors, not edges: a sheared cell has longer.
    sheared = Atoms("Li", cell=[[2.0, 0, 0], [1.9, 4.0, 0], [0, 0, 40.0]], pbc=True)
    reciprocal = 2 * np.pi * sheared.cell.reciprocal().array
    divisions = np.array(kpoints(sheared, settings))
    assert (np.linalg.norm(reciprocal, axis=1) / divisions <= 0.9 + 1e-6).all()


def test_parameters_name_every_setting() -> None:
    settings = GPAWSettings(cutoff=300, smearing=0.05, mixing=0.2, symmetry=False)
    given = parameters(Atoms("Li", cell=[3, 3, 3], pbc=True), settings)
    assert given["mode"] == {"name": "pw", "ecut": 300.0}
    assert given["occupations"]["width"] == 0.05
    assert given["mixer"]["beta"] == 0.2
    assert given["symmetry"] == {"point_group": False, "time_reversal": False}
    assert given["convergence"]["density"] == settings.density_convergence
    level = GPAWCalculation(settings).level
    assert (level.functional, level.core, level.basis) == (
        "PBE",
        "PAW pseudo-density (GPAW)",
        "300 eV",
    )


def test_molecules_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedStructureError, match="periodic in three directions"):
        GPAWCalculation().run(Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]]), tmp_path)


def _iron() -> Atoms:
    atoms = bulk("Fe", a=2.85)
    atoms.set_initial_magnetic_moments([2.5])
    return atoms


def test_spins_and_electrons_are_those_of_the_calculation(tmp_path: Path) -> None:
    pytest.importorskip("gpaw", reason="GPAW is not installed (pip install gpaw gpaw-data)")
    settings = GPAWSettings(cutoff=250, kpoints=(2, 2, 2), density_convergence=1e-3)
    result = GPAWCalculation(settings).run(_iron(), tmp_path)
    density = result.density
    # Fe's PAW data set has eight valence electrons; compensation charges make the integral exact.
    assert density.n_electrons == pytest.approx(8, abs=1e-5)
    assert result.total_moment is not None
    assert result.total_moment > 1
    assert density.total_spin == pytest.approx(result.total_moment, abs=1e-4)
    assert result.moments is not None
    assert result.moments.shape == (1,)
    assert result.initial_moments == pytest.approx([2.5])
    assert result.details["kpoints"] == [2, 2, 2]
    assert result.iterations > 1
    assert (tmp_path / "gpaw.txt").exists()
    assert set(GPAWCalculation().versions()) == {"gpaw", "gpaw-data", "ase"}


def test_not_converging_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("gpaw", reason="GPAW is not installed (pip install gpaw gpaw-data)")
    settings = GPAWSettings(cutoff=200, kpoints=(1, 1, 1), max_iterations=3)
    with pytest.raises(CalculationError, match="did not converge in 3 iterations"):
        GPAWCalculation(settings).run(_iron(), tmp_path)
