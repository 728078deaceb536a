"""Compressed files: every codec, told by name or content, damaged or not."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import zstandard

import deepdft
from deepdft.errors import FileFormatError, MissingDependencyError
from deepdft.formats import read, write
from deepdft.formats.source import find_source
from deepdft.storage import compression
from deepdft.storage.compression import CODECS, codec_of_content
from tests.formats.samples import boxed_molecule, skewed_density

THEIRS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".lz4": lz4.frame.compress,
    ".zz": zlib.compress,
}
UNPACK = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    ".lz4": lz4.frame.decompress,
    ".zz": zlib.decompress,
}
SUFFIXES = [codec.suffix for codec in CODECS]


@pytest.fixture
def plain(tmp_path: Path) -> bytes:
    write(tmp_path / "plain.CHGCAR", skewed_density(1))
    return (tmp_path / "plain.CHGCAR").read_bytes()


def test_every_codec_is_tested() -> None:
    assert set(SUFFIXES) == set(THEIRS) == set(UNPACK)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_others_compress_is_read(suffix: str, plain: bytes, tmp_path: Path) -> None:
    expected = read(tmp_path / "plain.CHGCAR")
    path = tmp_path / f"x.CHGCAR{suffix}"
    path.write_bytes(THEIRS[suffix](plain))
    for name in (path, path.rename(tmp_path / "CHGCAR")):  # then only the content tells
        density = read(name) if name.exists() else read(tmp_path / "CHGCAR")
        assert (density.values == expected.values).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_others_read_what_is_compressed(suffix: str, plain: bytes, tmp_path: Path) -> None:
    write(tmp_path / f"x.CHGCAR{suffix}", skewed_density(1))
    assert UNPACK[suffix]((tmp_path / f"x.CHGCAR{suffix}").read_bytes()) == plain


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_joined_streams(suffix: str, plain: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"x.CHGCAR{suffix}"
    path.write_bytes(THEIRS[suffix](plain[:700]) + THEIRS[suffix](plain[700:]))
    assert (read(path).values == read(tmp_path / "plain.CHGCAR").values).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_and_damaged_streams(suffix: str, tmp_path: Path) -> None:
    density = skewed_density(shape=(20, 20, 20))
    path = tmp_path / f"x.CHGCAR{suffix}"
    write(path, density)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match=r"damaged or truncated|truncated"):
        read(path)
    path.write_bytes(whole[:400] + bytes(500) + whole[900:])
    with pytest.raises(FileFormatError):
        read(path)


def test_name_and_content_disagree(plain: bytes, tmp_path: Path) -> None:
    """Browsers and mail programs unpack files and leave the name."""
    (tmp_path / "x.CHGCAR.gz").write_bytes(plain)
    assert read(tmp_path / "x.CHGCAR.gz").grid.shape == (5, 7, 6)


def test_text_is_not_taken_for_a_zlib_stream() -> None:
    assert codec_of_content(b"x^2 and more words, which begin like a zlib stream") is None
    assert codec_of_content(zlib.compress(b"words")) is CODECS[-1]
    assert codec_of_content(b"") is None


def test_memory_is_bounded_for_a_stream_that_expands(tmp_path: Path) -> None:
    path = tmp_path / "bomb.cube.gz"
    path.write_bytes(gzip.compress(b"a" * (200 << 20), 1))
    tracemalloc.start()
    with pytest.raises(FileFormatError, match="too long"):
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 << 20


def test_numbers_grow_as_text_arrives(tmp_path: Path) -> None:
    """A header of 10^12 points in a compressed file of 2 kB allocates little."""
    write(tmp_path / "x.cube", boxed_molecule())
    lines = (tmp_path / "x.cube").read_text().split("\n")
    for line in (3, 4, 5):
        lines[line] = "10000" + lines[line][5:]
    (tmp_path / "x.cube.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    tracemalloc.start()
    with pytest.raises(FileFormatError, match="of 1000000000000 values"):
        read(tmp_path / "x.cube.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 << 20


def test_long_compressed_files(tmp_path: Path) -> None:
    """Longer than all buffers, so that numbers are cut by their ends."""
    density = skewed_density(shape=(70, 80, 90))
    write(tmp_path / "x.CHGCAR.lz4", density)
    assert np.allclose(read(tmp_path / "x.CHGCAR.lz4").values, density.values, rtol=1e-10)
    write(tmp_path / "x.CHGCAR", density)
    assert (read(tmp_path / "x.CHGCAR").values == read(tmp_path / "x.CHGCAR.lz4").values).all()


def test_a_missing_library_is_named(monkeypatch, tmp_path: Path) -> None:
    path = tmp_path / "x.cube.lz4"
    path.write_bytes(lz4.frame.compress(b"words"))
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    with pytest.raises(MissingDependencyError, match=r"lz4.*pip install 'deepdft-density\[io\]'"):
        read(path)
    assert compression.codec_of_name("x.tar.bz2").suffix == ".bz2"


def test_empty_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "x.cube").write_bytes(b"")
    with pytest.raises(FileFormatError, match="is empty"):
        read(tmp_path / "x.cube")
    with pytest.raises(FileFormatError, match="no file"):
        read(tmp_path / "y.cube")
    (tmp_path / "CHGCAR").mkdir()
    with pytest.raises(FileFormatError, match="is a directory"):
        read(tmp_path / "CHGCAR")


def test_positions_in_a_plain_file(plain: bytes, tmp_path: Path) -> None:
    with find_source(tmp_path / "plain.CHGCAR").open() as file:
        assert file.read(10) == plain[:10]
        assert file.seek(-5, 2) == len(plain) - 5
        assert file.read() == plain[-5:]
        assert file.seek(3) == file.tell() == 3


SCRIPT = """
import deepdft.formats.text.decimal_parser
print(deepdft.formats.text.decimal_parser.parse_numbers._cache.cache_path)
"""


@pytest.mark.parametrize("home", ["writable", "absent"])
def test_where_kernels_are_cached_if_the_package_is_read_only(home: str, tmp_path: Path) -> None:
    """A file named __pycache__ keeps even root from making the folder of that name."""
    package = tmp_path / "site" / "deepdft"
    ignore = shutil.ignore_patterns("__pycache__", "*.npz", "*.safetensors")
    shutil.copytree(Path(deepdft.__file__).parent, package, ignore=ignore)
    (package / "formats" / "text" / "__pycache__").write_text("")
    folder = tmp_path / "home" if home == "writable" else Path("/dev/null/home")
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"PYTHONPATH": str(package.parent), "HOME": str(folder), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = str(folder) if home == "writable" else "None"
    assert result.stdout.startswith(expected)
