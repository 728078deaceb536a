"""Compressed files and archives: bounded, without paths of their own, without code."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import resource
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from deepdft.errors import DeepDFTError, FileFormatError
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.formats import read
from deepdft.storage import compression, expansion
from deepdft.storage.compression import CODECS, DecompressedFile
from deepdft.storage.numpy_archives import read_arrays
from deepdft.storage.range_file import RangeFile
from deepdft.storage.tar_members import members
from deepdft.structures import read_structures

MIB = 1 << 20


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.mark}",)


def compressed(codec: compression.Codec, content: bytes) -> bytes:
    machine = codec.compressor()
    return bytes(machine.compress(content)) + bytes(machine.flush())


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_expanding_takes_a_bounded_piece_at_a_time(codec, tmp_path) -> None:
    """A small file that stands for much is expanded piece by piece, whatever made it."""
    pytest.importorskip("zstandard")
    pytest.importorskip("lz4")
    path = tmp_path / "zeros"
    path.write_bytes(compressed(codec, bytes(8 * MIB)))
    assert path.stat().st_size < MIB
    largest = total = 0
    with DecompressedFile(RangeFile(str(path)), codec, str(path)) as file:
        while count := file.readinto(bytearray(1)):
            largest = max(largest, len(file._ready))
            total += count + len(file._ready)
            file._ready = memoryview(b"")
    assert total == 8 * MIB
    assert largest <= 4 * MIB + 1


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_bombs_are_refused_by_size_and_ratio(codec, tmp_path, monkeypatch) -> None:
    pytest.importorskip("zstandard")
    pytest.importorskip("lz4")
    monkeypatch.setattr(expansion, "EXPANDED", MIB)
    path = tmp_path / "bomb"
    path.write_bytes(compressed(codec, bytes(8 * MIB)))
    with pytest.raises(FileFormatError, match="times its size"):
        read_through(path, codec)


def read_through(path: Path, codec: compression.Codec) -> None:
    with DecompressedFile(RangeFile(str(path)), codec, str(path)) as file:
        while file.read(MIB):
            pass


def test_noise_expands_without_bounds(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(expansion, "EXPANDED", 1000)
    noise = np.random.default_rng(0).bytes(MIB)
    (tmp_path / "noise.gz").write_bytes(gzip.compress(noise))
    path = str(tmp_path / "noise.gz")
    with DecompressedFile(RangeFile(path), CODECS[0], path) as file:
        assert file.read() == noise


@pytest.mark.parametrize("opener", [gzip.compress, bz2.compress, lzma.compress])
def test_structure_files_are_bounded(opener, tmp_path, monkeypatch) -> None:
    from deepdft.structures import text

    monkeypatch.setattr(text, "_EXPANDED", MIB)
    suffix = {gzip.compress: "gz", bz2.compress: "bz2", lzma.compress: "xz"}[opener]
    for name in ("s.xyz", "POSCAR", "s.cif", "s.gen"):
        path = tmp_path / f"{name}.{suffix}"
        path.write_bytes(opener(b"1\n\nH 0 0 0\n" + b" " * (4 * MIB)))
        with pytest.raises(FileFormatError, match="times its size"):
            list(read_structures(path))


def archive_of(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    file = io.BytesIO()
    about = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (header((10**12,)), "claims"),
        (header((10**6, 10**6, 10**6)), "claims"),
        (header((10**30,)), "claims"),
        (header((3,), "|O") + b"x" * 24, "claims"),
        (b"\x93NUMPY", "atomic density tables"),
        (b"", "atomic density tables"),
    ],
)
def test_arrays_that_claim_more_than_there_is(content: bytes, sentence: str, tmp_path) -> None:
    (tmp_path / "t.npz").write_bytes(archive_of(knots=content, description=header((), "<U1")))
    with pytest.raises(FileFormatError, match=sentence):
        AtomicDensityTables.read(tmp_path / "t.npz")


def test_members_that_overlap_or_expand_beyond_measure(tmp_path, monkeypatch) -> None:
    content = bytearray(archive_of(a=header((1000,)) + bytes(8000)))
    # The directory's entry twice: two members share their bytes.
    start = content.index(b"PK\x01\x02")
    stop = content.index(b"PK\x05\x06")
    entry, end = content[start:stop], content[stop:]
    end[8:12] = (500).to_bytes(2, "little") * 2
    end[12:16] = (500 * len(entry)).to_bytes(4, "little")
    with pytest.raises(ValueError, match="overlap"):
        read_arrays(io.BytesIO(bytes(content[:start] + entry * 500 + end)))
    monkeypatch.setattr(expansion, "EXPANDED", MIB)
    with pytest.raises(ValueError, match="over 200 times its size"):
        read_arrays(io.BytesIO(archive_of(a=header((MIB,)) + bytes(8 * MIB))))


def test_objects_in_archives_are_not_unpickled(tmp_path) -> None:
    mark = tmp_path / "mark"
    objects = np.array([Bomb(mark)], dtype=object)
    np.savez(tmp_path / "a.npz", knots=objects, description=objects, allow_pickle=True)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    for use in (AtomicDensityTables.read, read):
        with pytest.raises(DeepDFTError):
            use(tmp_path / "a.npz")
    with pytest.raises(DeepDFTError):
        read(tmp_path / "a.npy")
    assert not mark.exists()


def test_trajectories_of_pickles_are_not_opened(tmp_path) -> None:
    mark = tmp_path / "mark"
    content = b"PickleTrajectory" + pickle.dumps(Bomb(mark))
    for name in ("a.traj", "PickleTrajectory", "a.xyz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DeepDFTError):
            list(read_structures(tmp_path / name))
    assert not mark.exists()


def test_members_of_tar_files_are_never_paths(tmp_path) -> None:
    """Members are read in place: links, devices and what claims too much are no members."""
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE),
                           ("device", tarfile.CHRTYPE), ("pipe", tarfile.FIFOTYPE)):  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            tar.addfile(entry)
        entry = tarfile.TarInfo("../../outside.cube")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"12345"))
    assert members(archive) == [f"{archive}::../../outside.cube"]
    with pytest.raises(FileFormatError):
        read(f"{archive}::../../outside.cube")
    for name in ("link", "../../etc/passwd", "/etc/passwd"):
        with pytest.raises(FileFormatError, match="no member"):
            read(f"{archive}::{name}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "a.tar.index.json"]


def test_hdf5_that_points_to_other_files(tmp_path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret").write_bytes(bytes(8000))
    for kind in ("external", "link", "virtual"):
        path = tmp_path / f"{kind}.h5"
        with h5py.File(path, "w") as file:
            if kind == "external":
                source = [(str(tmp_path / "secret"), 0, 8000)]
                file.create_dataset("charge/charge", (1, 10, 10, 10), "f8", external=source)
            elif kind == "link":
                file["charge/charge"] = h5py.ExternalLink("other.h5", "/x")
            else:
                layout = h5py.VirtualLayout((1, 10, 10, 10), "f8")
                layout[:] = h5py.VirtualSource("other.h5", "x", (1, 10, 10, 10))
                file.create_virtual_dataset("charge/charge", layout)
        with pytest.raises(FileFormatError, match="lies in another file"):
            read(path)


def zarr_density(folder: Path) -> Path:
    from ase.build import molecule

    from deepdft.density import Grid
    from deepdft.formats import write
    from tests.small_data import gaussian_density

    water = molecule("H2O")
    write(folder / "d.zarr", gaussian_density(water, Grid.around(water, 0.6, 1.5)))
    return folder / "d.zarr"


@pytest.mark.parametrize(
    ("array", "change"),
    [
        ("density", {"codecs": [{"name": "bytes"}, {"name": "pickle"}]}),
        ("density", {"codecs": [{"name": "numcodecs.pickle"}]}),
        ("density", {"data_type": "object"}),
        ("density", {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0] * 3}}}),
        ("density", {"shape": [10**6] * 3}),
        ("density", {"shape": [10**30, 1, 1]}),
        ("density", {"shape": ["x", 1, 1]}),
        ("density", {"zarr_format": 2}),
        ("numbers", {"data_type": "string"}),
        ("positions", {"shape": [10**9, 3]}),
    ],
)
def test_zarr_that_is_not_plain(array: str, change: dict[str, object], tmp_path) -> None:
    path = zarr_density(tmp_path)
    place = path / array / "zarr.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | change))
    with pytest.raises(DeepDFTError, match="zarr group"):
        read(path)


@pytest.mark.parametrize(
    "attributes",
    [{"level": []}, {"level": {"functional": [[]]}}, {"metadata": 3}, {"cell": "x"}, {"pbc": {}},
     {"structure_cell": [[float("nan")] * 3] * 3}, {"origin": [1e300, 0, float("nan")]}],
)  # fmt: skip
def test_zarr_of_wrong_types(attributes: dict[str, object], tmp_path) -> None:
    path = zarr_density(tmp_path)
    about = json.loads((path / "zarr.json").read_text())
    about["attributes"] |= attributes
    (path / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(DeepDFTError):
        read(path)


def test_deeply_nested_zarr(tmp_path) -> None:
    path = zarr_density(tmp_path)
    (path / "zarr.json").write_text('{"attributes":' * 100_000)
    with pytest.raises(DeepDFTError, match="nested"):
        read(path)


@pytest.mark.parametrize(
    "attributes", [{"count": 10**12}, {"count": -1}, {"count": "x"}, {"synced": "x"},
                   {"levels": 3}, {"levels": [[]]}]
)  # fmt: skip
def test_stores_of_wrong_content(attributes: dict[str, object], tmp_path) -> None:
    from deepdft.data.training_store import TrainingStore
    from deepdft.data.training_store_writer import TrainingStoreWriter
    from tests.data.small_stores import some_densities

    with TrainingStoreWriter(tmp_path / "s") as writer:
        writer.append("a", some_densities()["ein Ångström"])
    about = json.loads((tmp_path / "s" / "zarr.json").read_text())
    about["attributes"] |= attributes
    (tmp_path / "s" / "zarr.json").write_text(json.dumps(about))
    if "count" not in attributes:  # a writer goes by what was synchronised last
        with pytest.raises(FileFormatError, match="The store"):
            TrainingStoreWriter(tmp_path / "s")
    if "synced" not in attributes:
        with pytest.raises(FileFormatError, match="The store"):
            TrainingStore(tmp_path / "s")


def test_headers_of_many_atoms_in_a_small_file(tmp_path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cube = b"a\nb\n 500000000 0 0 0\n 2 1 0 0\n 2 0 1 0\n 2 0 0 1\n" + b" 1 1 0 0 0\n" * 3
    (tmp_path / "a.cube.gz").write_bytes(gzip.compress(cube))
    (tmp_path / "a.xyz").write_text("100000000000\n\nH 0 0 0\n")
    with pytest.raises(FileFormatError):
        read(tmp_path / "a.cube.gz")
    with pytest.raises(FileFormatError, match="announces 100000000000 atoms, and 1 follow"):
        list(read_structures(tmp_path / "a.xyz"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
