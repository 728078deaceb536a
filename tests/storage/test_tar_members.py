"""Members of tar files by random access, with an index kept beside the archive."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from deepdft.errors import FileFormatError
from deepdft.formats import read, write
from deepdft.storage import tar_members as archive
from deepdft.storage.tar_members import index_of, members
from tests.formats.samples import skewed_density

NAMES = ["000001.CHGCAR.zz", "sub/000002.cube.lz4", "000003.xsf", "000004.npz", "x" * 150 + ".CHG"]


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """Return an archive of one density in several formats, with a link and a folder."""
    density = skewed_density()
    with tarfile.open(tmp_path / "data.tar", "w", format=tarfile.PAX_FORMAT) as file:
        for name in NAMES:
            path = tmp_path / os.path.basename(name)
            write(path, density)
            file.add(path, name)
        file.add(tmp_path, "folder", recursive=False)
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "000003.xsf"
        file.addfile(link)
    archive._cached_index.cache_clear()
    return tmp_path / "data.tar"


def test_members_are_read_in_place(tar: Path) -> None:
    density = skewed_density()
    found = members(tar)
    assert found == [f"{tar}::{name}" for name in NAMES]
    for path in found:
        again = read(path)
        assert np.allclose(again.values, density.values, rtol=1e-4)
    assert (tar.parent / "data.tar.index.json").exists()
    assert read(f"{tar}::./000003.xsf").grid.shape == density.grid.shape


def test_the_index_is_built_once(tar: Path, monkeypatch) -> None:
    members(tar)
    archive._cached_index.cache_clear()

    def fail(*arguments: object) -> None:
        raise AssertionError("the archive was walked through again")

    monkeypatch.setattr(tarfile, "open", fail)
    assert len(members(tar)) == len(NAMES)
    assert read(f"{tar}::000001.CHGCAR.zz").grid.shape == (5, 7, 6)


def test_a_changed_archive_is_indexed_again(tar: Path) -> None:
    members(tar)
    with tarfile.open(tar, "a") as file:
        file.add(tar.parent / "000003.xsf", "late.xsf")
    assert f"{tar}::late.xsf" in members(tar)


@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", '{"stamp": 5}', "\x00", "hostile"])
def test_a_damaged_index_is_built_again(content: str, tar: Path) -> None:
    members(tar)
    index = tar.parent / "data.tar.index.json"
    if content == "hostile":
        stored = json.loads(index.read_text())
        stored["members"]["000003.xsf"] = [-5, 10**15]
        content = json.dumps(stored)
    index.write_text(content)
    archive._cached_index.cache_clear()
    assert len(members(tar)) == len(NAMES)
    assert read(f"{tar}::000003.xsf").grid.shape == (5, 7, 6)


def test_an_index_that_cannot_be_stored_stays_in_memory(tar: Path) -> None:
    (tar.parent / "data.tar.index.json").mkdir()
    assert len(members(tar)) == len(NAMES)
    assert read(f"{tar}::000003.xsf").grid.shape == (5, 7, 6)
    assert [path for path in tar.parent.iterdir() if path.suffix == ".part"] == []


def test_what_is_no_archive(tar: Path, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no member 'absent'"):
        read(f"{tar}::absent")
    with pytest.raises(FileFormatError, match=r"Did you mean '000003\.xsf'"):
        read(f"{tar}::000003.xs")
    with pytest.raises(FileFormatError, match="no file"):
        read(f"{tmp_path}/absent.tar::x")
    (tmp_path / "packed.tar.gz").write_bytes(gzip.compress(tar.read_bytes()))
    with pytest.raises(FileFormatError, match="compressed as a whole"):
        read(f"{tmp_path}/packed.tar.gz::000003.xsf")
    with pytest.raises(FileFormatError, match="not a tar file"):
        members(tmp_path / "000003.xsf")


def test_truncated_archives(tar: Path) -> None:
    data = tar.read_bytes()
    for cut in (700, 3000, len(data) // 2):
        tar.write_bytes(data[:cut])
        with pytest.raises(FileFormatError, match="damaged"):
            members(tar)


def test_a_file_whose_name_has_the_separator(tmp_path: Path) -> None:
    write(tmp_path / "a::b.cube", skewed_density())
    assert read(tmp_path / "a::b.cube").grid.shape == (5, 7, 6)


def test_many_members_are_indexed_quickly(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "many.tar", "w") as file:
        for number in range(3000):
            info = tarfile.TarInfo(f"{number:06d}.CHGCAR.zz")
            info.size = 100
            file.addfile(info, io.BytesIO(bytes(100)))
    index = index_of(tmp_path / "many.tar")
    assert len(index.members) == 3000
    start, stop = index.range_of("002999.CHGCAR.zz")
    assert stop - start == 100
