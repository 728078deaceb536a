"""Archives of molecules' orbitals."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.fields.orbitals import OrbitalArchive, OrbitalDensity, write_orbital_archive
from deepdft.levels import LevelOfTheory

SAMPLE = Path(__file__).parents[2] / "data" / "qm9_sample.npz"
PBE = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")


def test_sample():
    archive = OrbitalArchive(SAMPLE)
    assert len(archive) == 3
    assert archive.indices.tolist() == [5223, 21511, 132810]
    assert archive.names == ["qm9_005223", "qm9_021511", "qm9_132810"]
    assert archive.position_of(21511) == 1
    remainders = [
        int(hashlib.sha256(str(i).encode()).hexdigest(), 16) % 20 for i in archive.indices
    ]
    assert [r == 0 for r in remainders] == [False, True, False]
    for density in archive:
        assert density.level == PBE
        assert density.n_electrons == 2 * density.coefficients.shape[1]
        assert density.coefficients.dtype == np.float32
        assert np.isfinite(density.atoms.info["energy"])
    assert archive[-1].atoms.get_chemical_formula() == archive[2].atoms.get_chemical_formula()
    with pytest.raises(IndexError):
        archive[3]
    with pytest.raises(ConfigurationError, match="no molecule 7"):
        archive.position_of(7)


def test_written_archives_are_read_back_sorted_and_once_each(tmp_path):
    archive = OrbitalArchive(SAMPLE)
    write_orbital_archive(tmp_path / "b.npz", [archive[2], archive[0]])
    write_orbital_archive(tmp_path / "a.npz", [archive[0], archive[1]])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]
    again = OrbitalArchive(tmp_path)
    assert again.indices.tolist() == archive.indices.tolist()
    for left, right in zip(archive, again, strict=True):
        assert np.array_equal(left.coefficients, right.coefficients)
        assert np.array_equal(left.atoms.positions, right.atoms.positions)
        assert np.array_equal(left.atoms.numbers, right.atoms.numbers)
        assert left.atoms.info["energy"] == pytest.approx(right.atoms.info["energy"], rel=1e-14)
        np.testing.assert_allclose(left.atoms.info["dipole"], right.atoms.info["dipole"])
        assert left.level == right.level


def test_collections_that_count_alike_are_kept_apart_by_name(tmp_path):
    def written(name, *named):
        found = []
        for index, label in enumerate(named):
            density = OrbitalArchive(SAMPLE)[index]
            density.atoms.info.update(index=index, name=label)
            found.append(density)
        write_orbital_archive(tmp_path / name, found)

    written("a.npz", "one", "two")
    written("b.npz", "one", "three", "four")
    written("c.npz", "three")
    archive = OrbitalArchive(tmp_path)
    assert sorted(archive.names) == ["four", "one", "three", "two"]
    counts = {
        name: len(density.atoms) for name, density in zip(archive.names, archive, strict=True)
    }
    sample = OrbitalArchive(SAMPLE)
    assert [counts[name] for name in ("one", "two", "four")] == [
        len(sample[i].atoms) for i in (0, 1, 2)
    ]


def test_names_without_an_index_take_none_that_another_has(tmp_path):
    density = OrbitalArchive(SAMPLE)[0]
    density.atoms.info.update(index=1_000_000, name="numbered")
    write_orbital_archive(tmp_path / "b.npz", [density])
    other = OrbitalArchive(SAMPLE)[1]
    other.atoms.info.update(index=3, name="plain")
    write_orbital_archive(tmp_path / "a.npz", [other])
    data = dict(np.load(tmp_path / "a.npz"))
    del data["index"]
    np.savez(tmp_path / "a.npz", **data)
    for files in (["a.npz", "b.npz"], ["b.npz", "a.npz"]):
        archive = OrbitalArchive([tmp_path / name for name in files])
        assert archive.names == ["numbered", "plain"]
        assert archive.indices.tolist() == [1_000_000, 1_000_001]


def test_what_does_not_fit_is_not_written(tmp_path):
    density = OrbitalArchive(SAMPLE)[1]
    atoms, coefficients = density.atoms, density.coefficients
    target = tmp_path / "a.npz"
    with pytest.raises(ConfigurationError, match="closed-shell"):
        write_orbital_archive(target, [OrbitalDensity(atoms, "gth-dzvp", coefficients, 1.0, PBE)])
    with pytest.raises(ConfigurationError, match="index of its own"):
        write_orbital_archive(target, [density, density])
    with pytest.raises(ConfigurationError, match="nothing"):
        write_orbital_archive(target, [])
    assert list(tmp_path.iterdir()) == []


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match="holds no orbital archive"):
        OrbitalArchive(tmp_path)
    with pytest.raises(FileFormatError, match="There is no"):
        OrbitalArchive(tmp_path / "absent.npz")
    with pytest.raises(FileFormatError, match="No orbital archive was named"):
        OrbitalArchive([])
    (tmp_path / "a.npz").write_bytes(SAMPLE.read_bytes()[:3000])
    with pytest.raises(FileFormatError, match="cannot be read"):
        OrbitalArchive(tmp_path)
    (tmp_path / "a.npz").write_text("not an archive")
    with pytest.raises(FileFormatError, match="cannot be read"):
        OrbitalArchive(tmp_path)
    np.savez(tmp_path / "a.npz", other=np.zeros(3))
    with pytest.raises(FileFormatError, match="lacks natoms"):
        OrbitalArchive(tmp_path)
    with np.load(SAMPLE) as data:
        arrays = dict(data)
    np.savez(tmp_path / "a.npz", **{**arrays, "coeff": arrays["coeff"][:-1]})
    with pytest.raises(FileFormatError, match="damaged"):
        OrbitalArchive(tmp_path)[0]


def test_periodic_structures_keep_cell_name_and_what_is_known(tmp_path):
    level = LevelOfTheory("PBE", "GTH-PBE", "dzvp-molopt-sr-gth", "CP2K 2023.1")
    generator = np.random.default_rng(3)
    densities = []
    for packing in (0, 1):
        atoms = Atoms("OH", generator.random((2, 3)), cell=[[4, 0, 0], [1, 5, 0], [0, -1, 6]])
        atoms.pbc = True
        atoms.info = {"packing": packing, "temperature": np.float64(900.5), "kind": "liquid"}
        densities.append(
            OrbitalDensity(atoms, level.basis, generator.normal(size=(18, 4)), level=level)
        )
    path = tmp_path / "a.npz"
    write_orbital_archive(path, densities, [7, 3], names=["one", "two"])
    archive = OrbitalArchive(path)
    assert archive.names == archive.labels == ["two", "one"]
    for original, density in zip(densities[::-1], archive, strict=True):
        assert density.atoms.pbc.all()
        assert np.array_equal(density.atoms.cell.array, original.atoms.cell.array)
        assert original.atoms.info.items() <= density.atoms.info.items()
        assert "dipole" not in density.atoms.info
        points = generator.random((20, 3)) * 5
        np.testing.assert_allclose(density.at(points), original.at(points), rtol=1e-4)

    write_orbital_archive(path, densities, [7, 3], coefficients="int16")
    exact, rounded = densities[1].coefficients, OrbitalArchive(path)[0].coefficients
    assert np.abs(exact - rounded).max() < 0.51 * np.abs(exact).max() / 32767
    assert OrbitalArchive(path).names == ["qm9_000003", "qm9_000007"]
    assert OrbitalArchive(path).labels == ["3", "7"]

    with pytest.raises(ConfigurationError, match="needs its own"):
        write_orbital_archive(path, densities, [7, 3], names=["one", "one"])
    densities[0].atoms.pbc = [True, True, False]
    with pytest.raises(ConfigurationError, match="periodic in some"):
        write_orbital_archive(path, densities, [7, 3])
