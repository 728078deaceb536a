"""Crystals' densities as plane waves: written, read, and expanded by symmetry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from deepdft.data import open_dataset
from deepdft.data.plane_waves import PlaneWaveArchive, write_plane_waves
from deepdft.data.reading import read_density
from deepdft.data.symmetric_waves import Symmetry, expand
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.levels import LevelOfTheory
from deepdft.structures import charge_and_multiplicity
from deepdft.structures.coverage import require_closed_shell

spglib = pytest.importorskip("spglib")
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "crystals_pbe_nc"
LEVEL = LevelOfTheory("PBE", "test", "12 Ry")


def crystal(atoms: Atoms, name: str, spin: bool = False) -> tuple[Density, Symmetry]:
    """A sum of periodic Gaussians, wider on heavier atoms, and the operations of its group."""
    dataset = spglib.get_symmetry(
        (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=1e-6
    )
    grid = Grid(atoms.cell.array, (24, 24, 24))
    points = grid.points((0, 0, 0), grid.shape).reshape(-1, 3)
    values = np.zeros(len(points))
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), axis=-1).reshape(-1, 3)
    for number, position in zip(atoms.numbers, atoms.positions, strict=True):
        for centre in position + shifts @ atoms.cell.array:
            square = ((points - centre) ** 2).sum(axis=1)
            values += number**0.5 * np.exp(-square / (0.6 + 0.02 * number))
    atoms = atoms.copy()
    atoms.info["name"] = name
    values = values.reshape(grid.shape)
    density = Density(
        atoms, grid, values, spin=0.1 * values if spin else None, level=LEVEL,
        metadata={"calculation": {"key": name, "energy": -1.5}},
    )  # fmt: skip
    return density, Symmetry(dataset["rotations"], dataset["translations"])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Diamond's group has translations, wurtzite's is hexagonal, iron has a spin density."""
    path = tmp_path_factory.mktemp("waves") / "crystals.npz"
    made = [
        crystal(bulk("Si"), "Si"),
        crystal(bulk("Fe"), "Fe", spin=True),
        crystal(bulk("ZnO", "wurtzite", a=3.25, c=5.2), "ZnO"),
    ]
    write_plane_waves(path, [d for d, _ in made], [s for _, s in made], cutoff=18.0)
    return path


def test_values_come_back(archive: Path) -> None:
    opened = PlaneWaveArchive(archive)
    assert opened.names == ["Si", "Fe", "ZnO"]
    assert opened.level == LEVEL
    for name, original in (
        ("Si", crystal(bulk("Si"), "Si")[0]),
        ("ZnO", crystal(bulk("ZnO", "wurtzite", a=3.25, c=5.2), "ZnO")[0]),
    ):
        found = opened.density(name)
        assert found.spin is None
        assert found.grid.is_close(original.grid)
        np.testing.assert_allclose(found.values, original.values, atol=2e-5)
        assert found.n_electrons == pytest.approx(original.n_electrons, rel=1e-6)
        assert found.metadata["calculation"]["energy"] == -1.5
        assert found.atoms.info["key"] == name


def test_spin_densities_belong_to_their_crystals(archive: Path) -> None:
    found = PlaneWaveArchive(archive).density("Fe")
    assert found.spin is not None
    np.testing.assert_allclose(found.spin, 0.1 * found.values, atol=2e-5)


def test_one_wave_a_star_is_kept(archive: Path) -> None:
    with np.load(archive) as data:
        waves = data["nwaves"]
        operations = data["noperations"]
    # The sphere holds V |G|^3 / 6 pi^2 waves; a general star has 48 of them.
    whole = bulk("Si").get_volume() * 18.0**3 / (6 * np.pi**2)
    assert operations[0] == 48
    assert waves[0] < whole / 16


def test_waves_that_are_named_as_they_are_read_the_same(archive: Path, tmp_path: Path) -> None:
    with np.load(archive) as file:
        arrays = dict(file)
    arrays["hkl"] = arrays.pop("hkl_steps").cumsum(axis=1, dtype=np.int16).T
    assert (np.abs(arrays["hkl"]) <= 12).all()
    np.savez(tmp_path / "plain.npz", **arrays)
    plain, steps = PlaneWaveArchive(tmp_path / "plain.npz"), PlaneWaveArchive(archive)
    for name in steps.names:
        np.testing.assert_array_equal(plain.density(name).values, steps.density(name).values)
    assert len(open_dataset(tmp_path / "plain.npz")) == 3


def test_what_was_calculated_without_spin_is_a_closed_shell(tmp_path: Path) -> None:
    oxygen = Atoms("O2", positions=[[2, 2, 1.4], [2, 2, 2.6]], cell=[4.0, 4.0, 4.0], pbc=True)
    made = [crystal(oxygen, "O2"), crystal(bulk("Fe"), "Fe", spin=True), crystal(bulk("Al"), "Al")]
    write_plane_waves(tmp_path / "c.npz", [d for d, _ in made], [s for _, s in made], cutoff=18.0)
    archive = PlaneWaveArchive(tmp_path / "c.npz")
    stated = {name: archive.atoms(name).info.get("multiplicity") for name in archive.names}
    # The cell of aluminium has an odd number of electrons.
    assert stated == {"O2": 1, "Fe": None, "Al": None}
    require_closed_shell(archive.atoms("O2"), *charge_and_multiplicity(archive.atoms("O2")), "")


def test_a_series_equals_its_sum_at_points() -> None:
    generator = np.random.default_rng(3)
    hkl = np.array([[0, 0, 0], [1, 0, -2], [2, 1, 1]])
    waves = generator.normal(size=3) + 1j * generator.normal(size=3)
    waves[0] = 2.0
    turn = Symmetry(np.stack([np.eye(3, dtype=int), np.diag([-1, -1, 1])]),
                    np.array([[0.0, 0, 0], [0, 0, 0.5]]))  # fmt: skip
    # The screw axis makes one more wave of each that it moves.
    found = expand((5, 6, 8), turn, hkl, waves)
    expected = np.zeros((5, 6, 8))
    grid = np.stack(np.meshgrid(*[np.arange(n) / n for n in (5, 6, 8)], indexing="ij"), axis=-1)
    terms = {(0, 0, 0): waves[0]}
    for h, c in zip(hkl[1:], waves[1:], strict=True):
        terms[tuple(h)] = c
        terms[tuple(h @ np.diag([-1, -1, 1]))] = c * np.exp(2j * np.pi * h[2] * 0.5)
    for h, c in list(terms.items())[1:]:
        terms[tuple(-np.array(h))] = np.conj(c)
    for h, c in terms.items():
        expected += (c * np.exp(2j * np.pi * (grid @ np.array(h)))).real
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_an_archive_is_a_dataset(archive: Path) -> None:
    data = open_dataset(archive)
    assert data.names == ["Si", "Fe", "ZnO"]
    assert data.level == LEVEL
    probes = data.draw(2, 50, np.random.default_rng(0), cutoff=3.0)
    assert len(probes.values) == 50
    assert read_density(f"{archive}::Fe").n_electrons > 0
    with pytest.raises(ConfigurationError, match="Did you mean 'ZnO'"):
        read_density(f"{archive}::Zn0")


def test_damaged_files_are_refused(archive: Path, tmp_path: Path) -> None:
    with np.load(archive) as data:
        arrays = {name: data[name] for name in data.files}
    short = tmp_path / "short.npz"
    np.savez(short, **{**arrays, "waves": arrays["waves"][:-1]})
    with pytest.raises(FileFormatError, match="damaged"):
        PlaneWaveArchive(short)
    del arrays["cell"]
    np.savez(short, **arrays)
    with pytest.raises(FileFormatError, match="lacks cell"):
        PlaneWaveArchive(short)
    with pytest.raises(FileFormatError, match="There is no archive"):
        PlaneWaveArchive(tmp_path / "nothing.npz")


def test_names_are_needed(tmp_path: Path) -> None:
    density, symmetry = crystal(bulk("Si"), "")
    with pytest.raises(ConfigurationError, match="need names"):
        write_plane_waves(tmp_path / "x.npz", [density], [symmetry], cutoff=10.0)


@pytest.mark.skipif(not SHARED.exists(), reason="no reference data beside the project")
def test_reference_crystals_hold_their_electrons() -> None:
    with np.load(SHARED / "part_000.npz") as data:
        wanted = dict(zip(data["name"].tolist(), data["electrons"].tolist(), strict=True))
    archive = PlaneWaveArchive(SHARED / "part_000.npz")
    for name in archive.names[::12]:
        assert archive.density(name).n_electrons == pytest.approx(wanted[name], abs=1e-3)
