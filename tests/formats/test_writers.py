"""Streaming writers: any slabs, bounded memory, whole files or none."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.formats import open_writer, read, write
from deepdft.formats.slab_writer import SlabWriter
from tests.formats.samples import LEVEL, skewed_density

NAMES = ["x.cube", "x.CHGCAR", "x.CHG", "x.xsf", "x.npz", "x.zarr", "x.cube.gz", "x.CHGCAR.zz"]


def layers(axis: int, start: int, stop: int) -> tuple[slice, ...]:
    index = [slice(None)] * 3
    index[axis] = slice(start, stop)
    return tuple(index)


@pytest.mark.parametrize("thickness", [1, 2, 4, 100])
@pytest.mark.parametrize("name", NAMES)
def test_slabs_make_the_same_file_as_the_whole(name: str, thickness: int, tmp_path: Path) -> None:
    density = skewed_density()
    folder = tmp_path / "whole"
    folder.mkdir()
    write(folder / name, density, comment="words")
    writer = open_writer(tmp_path / name, density.atoms, density.grid, level=LEVEL, comment="words")
    with writer:
        count = density.grid.shape[writer.axis]
        for start in range(0, count, thickness):
            slab = density.values[layers(writer.axis, start, min(start + thickness, count))]
            writer.write_slab(slab)
    if name.endswith(".zarr"):
        assert (read(tmp_path / name).values == density.values).all()
    else:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(("name", "axis"), [("x.cube", 0), ("x.CHGCAR", 2), ("x.npz", 0)])
def test_axes(name: str, axis: int, tmp_path: Path) -> None:
    density = skewed_density()
    assert open_writer(tmp_path / name, density.atoms, density.grid).axis == axis


def write_and_fail(writer: SlabWriter, *slabs: np.ndarray) -> None:
    with writer:
        for slab in slabs:
            writer.write_slab(slab)
        raise ZeroDivisionError


@pytest.mark.parametrize("name", NAMES)
def test_an_exception_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    density = skewed_density()
    write(tmp_path / name, density)
    before = read(tmp_path / name).values
    writer = open_writer(tmp_path / name, density.atoms, density.grid)
    with pytest.raises(ZeroDivisionError):
        write_and_fail(writer, 2 * density.values[layers(writer.axis, 0, 2)])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (read(tmp_path / name).values == before).all()


@pytest.mark.parametrize("name", NAMES)
def test_missing_layers_are_an_error(name: str, tmp_path: Path) -> None:
    density = skewed_density()
    with (
        pytest.raises(ConfigurationError, match=r"layers along axis . are missing"),
        open_writer(tmp_path / name, density.atoms, density.grid) as writer,
    ):
        writer.write_slab(density.values[layers(writer.axis, 0, 2)])
    assert list(tmp_path.iterdir()) == []


def test_slabs_that_do_not_fit(tmp_path: Path) -> None:
    density = skewed_density()
    writer = open_writer(tmp_path / "x.cube", density.atoms, density.grid)
    with pytest.raises(ConfigurationError, match="outside its `with` block"):
        writer.write_slab(density.values)
    with pytest.raises(ConfigurationError, match="does not continue"), writer:
        writer.write_slab(density.values[:, :2])
    writer = open_writer(tmp_path / "x.cube", density.atoms, density.grid)
    with pytest.raises(ConfigurationError, match="does not continue"):
        write_and_fail(writer, density.values, density.values[:1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.cube", "x.CHGCAR", "x.npz", "x.zarr", "x.xsf"])
def test_memory_does_not_grow_with_the_grid(name: str, tmp_path: Path) -> None:
    atoms = Atoms("He", positions=[[1, 1, 1]], cell=np.eye(3) * 9, pbc=True)
    peaks = []
    for count in (40, 400):
        shape = [60, 60, 60]
        shape[open_writer(tmp_path / name, atoms, Grid(np.eye(3) * 9, (2, 2, 2))).axis] = count
        grid = Grid(np.eye(3) * 9, (shape[0], shape[1], shape[2]))
        with open_writer(tmp_path / name, atoms, grid) as writer:
            slab = np.full([1 if i == writer.axis else 60 for i in range(3)], 0.5)
            for layer in range(count):
                writer.write_slab(slab)
                if layer == 2:
                    tracemalloc.start()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + (1 << 20)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    density = skewed_density()
    with pytest.raises(ConfigurationError, match="no folder"):
        write(tmp_path / "absent" / "x.cube", density)
    (tmp_path / "x.cube").mkdir()
    with pytest.raises(ConfigurationError, match="not a regular file"):
        write(tmp_path / "x.cube", density)
    os.mkfifo(tmp_path / "pipe.cube")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        write(tmp_path / "pipe.cube", density)
    with pytest.raises(ConfigurationError, match="does not tell the format"):
        write(tmp_path / "x.dat", density)
    with pytest.raises(ConfigurationError, match=r"no option 'digit'.*Did you mean 'digits'"):
        write(tmp_path / "y.cube", density, digit=4)
    with pytest.raises(ConfigurationError, match="read, but not written"):
        write(tmp_path / "y.RHO", density)


def test_the_format_can_be_named(tmp_path: Path) -> None:
    density = skewed_density()
    write(tmp_path / "x.dat", density, format="cube")
    assert read(tmp_path / "x.dat").grid.shape == density.grid.shape  # by content
    assert read(tmp_path / "x.dat", format="cube").grid.shape == density.grid.shape
    with pytest.raises(ConfigurationError, match=r"no format 'cub'.*Did you mean 'cube'"):
        write(tmp_path / "y.dat", density, format="cub")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "target.cube"
    target.write_text("old")
    (tmp_path / "link.cube").symlink_to(target)
    write(tmp_path / "link.cube", skewed_density())
    assert (tmp_path / "link.cube").is_symlink()
    assert read(target).grid.shape == (5, 7, 6)


@pytest.mark.parametrize("name", ["x.cube", "x.CHGCAR.gz", "x.npz"])
def test_a_full_disk_is_one_sentence(name: str, tmp_path: Path) -> None:
    """The limit on the size of a file stands for the disk."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, before[1]))
    try:
        with pytest.raises(ConfigurationError, match="cannot be written: it would be larger"):
            write(tmp_path / name, skewed_density(shape=(20, 21, 22)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_density_writes_itself(tmp_path: Path) -> None:
    skewed_density().write(tmp_path / "x.cube", comment="words")
    assert (tmp_path / "x.cube").read_text().startswith("words\n")
