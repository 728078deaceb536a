"""pw.x begun from a density that is there, and its bands."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule

import deepdft
from deepdft.density import Density, Grid
from deepdft.dft.pseudopotentials import pseudopotentials_for
from deepdft.dft.quantum_espresso import (
    SAVE,
    converge,
    iterations,
    processor_seconds,
    saved_density,
    total_energy,
)
from deepdft.dft.quantum_espresso_bands import Bands, compare_bands, read_bands
from deepdft.dft.quantum_espresso_input import QuantumEspressoSettings
from deepdft.dft.quantum_espresso_start import bands_of_density, prepare_start, require_startable
from deepdft.errors import CalculationError, ConfigurationError, UnsupportedStructureError
from deepdft.levels import LevelOfTheory
from tests.commands import Outcome, run

__all__ = ["run"]

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "pseudodojo_pbe_sr_04"
needs_program = pytest.mark.skipif(
    shutil.which("pw.x") is None or not SHARED.exists(),
    reason="pw.x or its pseudopotentials are not here",
)
SETTINGS = QuantumEspressoSettings(
    pseudopotentials=str(SHARED), cutoff=16, kpoints=(2, 2, 2), convergence=1e-8
)
SILICON = bulk("Si", a=5.43)


@pytest.fixture(scope="module")
def converged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Density]:
    folder = tmp_path_factory.mktemp("converged")
    files = pseudopotentials_for([SILICON], SHARED)
    text, _ = converge(SILICON, SETTINGS, files, folder)
    return folder, text, saved_density(folder / SAVE, SILICON, LevelOfTheory("PBE"))


@needs_program
def test_from_the_converged_density_nothing_is_left_to_do(
    converged: tuple[Path, str, Density], tmp_path: Path
) -> None:
    usual, before, density = converged
    shapes: list[tuple[int, int, int]] = []

    def on_grid(grid: Grid) -> Density:
        shapes.append(grid.shape)
        # Half a per cent of the electrons too many, as a prediction may have it.
        return replace(density, values=1.005 * density.values)

    start = prepare_start(SILICON, on_grid, SETTINGS, tmp_path)
    assert shapes == [density.grid.shape]
    assert start.electrons == pytest.approx(8.04, abs=1e-3)
    ours = bands_of_density(SILICON, SETTINGS, start.files, tmp_path)
    after, tried = converge(SILICON, SETTINGS, start.files, tmp_path, density_from_file=True)
    assert tried == 1
    assert iterations(after) < iterations(before) / 2
    assert total_energy(after) == pytest.approx(total_energy(before), abs=1e-5)
    assert processor_seconds(after) > 0
    theirs = bands_of_density(SILICON, SETTINGS, start.files, usual)
    assert theirs.gap == pytest.approx(0.75, abs=0.3)  # of a coarse mesh
    difference = compare_bands(ours, theirs)
    assert abs(difference.gap) < 2e-3
    assert difference.near < 2e-3
    assert difference.count > 10


@needs_program
def test_the_command_begins_from_the_model(run: Callable[..., Outcome]) -> None:
    SILICON.write("Si.cif")
    settings = [f"pseudopotentials={SHARED}", "cutoff=16", "kpoints=[2,2,2]"]
    outcome = run("dft", "start", "Si.cif", "-o", "out", *settings, "--json", "said.json")
    assert outcome.code == 0, outcome.error
    assert "begins with the density of the model crystals, the bundled one for" in outcome.output
    assert "startingpot = 'file'" in Path("out/scf.in").read_text()
    written = deepdft.read(f"out/{SAVE}/charge-density.dat")
    # The file's cell is turned.
    expected = deepdft.predict(written.atoms, "crystals", grid=written.grid)
    # The waves of the calculation do not hold all of the prediction.
    assert written.n_electrons == pytest.approx(8.0, abs=1e-6)
    off = np.abs(written.values - expected.values).sum() / expected.values.sum()
    assert off < 0.02


def test_what_cannot_be_begun_from_a_total_density() -> None:
    iron = bulk("Fe")
    iron.set_initial_magnetic_moments([2.0])
    with pytest.raises(UnsupportedStructureError, match=r"Fe has magnetic moments.*only their sum"):
        require_startable(iron, QuantumEspressoSettings())
    require_startable(iron, QuantumEspressoSettings(spin_polarised=False))
    with pytest.raises(UnsupportedStructureError, match="H2O is not periodic"):
        require_startable(molecule("H2O"), QuantumEspressoSettings())


@needs_program
def test_too_few_electrons_are_no_start(
    converged: tuple[Path, str, Density], tmp_path: Path
) -> None:
    density = converged[2]
    with pytest.raises(ConfigurationError, match=r"7\.2000 electrons, and the calculation has 8"):
        prepare_start(
            SILICON, lambda grid: replace(density, values=0.9 * density.values), SETTINGS, tmp_path
        )


def bands(energies: list[list[float]], electrons: float = 4.0, fermi: float | None = None) -> Bands:
    table = np.array(energies)
    return Bands(table, np.full(len(table), 1 / len(table)), electrons, fermi)


def test_gaps() -> None:
    insulator = bands([[-5.0, 0.0, 2.0, 9.0], [-4.0, -1.0, 3.0, 9.0]])
    assert insulator.edges == (0.0, 2.0)
    assert insulator.gap == 2.0
    assert insulator.middle == 1.0
    overlapping = bands([[-5.0, 0.0, 2.0, 9.0], [-4.0, -3.0, -1.0, 9.0]], fermi=-0.4)
    assert overlapping.gap == 0.0
    assert overlapping.middle == -0.4
    assert bands([[0.0, 1.0, 2.0]], electrons=3.0).gap == 0.0


def test_an_energy_that_all_bands_share_does_not_count() -> None:
    reference = bands([[-9.0, 0.0, 2.0, 9.0], [-9.0, -1.0, 3.0, 9.0]])
    found = bands([[-9.0, 0.7, 2.7, 9.0], [-9.0, -0.3, 3.9, 9.0]])
    difference = compare_bands(found, reference)
    assert difference.count == 4  # within 3 eV of 0 to 2
    assert difference.gap == pytest.approx(0.0)
    assert difference.shift == pytest.approx((0.7 * 3 + 0.9) / 4)
    assert difference.near == pytest.approx(0.075)
    with pytest.raises(CalculationError, match="at 1 and at 2 k-points"):
        compare_bands(bands([[0.0, 1.0, 2.0]]), reference)


def test_missing_bands_are_said(tmp_path: Path) -> None:
    with pytest.raises(CalculationError, match="cannot be used"):
        read_bands(tmp_path)
    (tmp_path / "data-file-schema.xml").write_text("<a><output><band_structure/></output></a>")
    with pytest.raises(CalculationError, match="not complete"):
        read_bands(tmp_path)


def test_times_are_read() -> None:
    assert processor_seconds("     PWSCF        :      3.25s CPU      4.10s WALL") == 3.25
    assert processor_seconds("     PWSCF        :   1m12.50s CPU   1m20.00s WALL") == 72.5
    assert processor_seconds("     PWSCF        :   2h 3m CPU   2h 4m WALL") == 7380.0
    with pytest.raises(CalculationError, match="what time"):
        processor_seconds("")
