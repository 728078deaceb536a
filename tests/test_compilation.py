"""Compiled code on disk: whole, or compiled again."""

from __future__ import annotations

import errno
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from numba.core.caching import IndexDataCacheFile

from deepdft.failures import sentence_of

SOURCE = """
from deepdft.compilation import compiled

@compiled
def times(x):
    return {factor} * x
"""


def module(path: Path) -> ModuleType:
    """Import a file as a new process would."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = found
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("numba.core.config.CACHE_DIR", "")
    path = tmp_path / "some_module.py"
    path.write_text(SOURCE.format(factor=2))
    yield path
    sys.modules.pop("some_module", None)


def kept(place: Path, suffix: str) -> list[Path]:
    return list((place.parent / "__pycache__").glob(f"*{suffix}"))


def test_code_is_kept_and_found(place) -> None:
    assert module(place).times(3) == 6
    assert len(kept(place, ".nbc")) == len(kept(place, ".nbi")) == 1
    again = module(place).times
    assert again(3) == 6
    assert sum(again.stats.cache_hits.values()) == 1


@pytest.mark.parametrize("suffix", [".nbc", ".nbi"])
@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"no code at all", None])
def test_damaged_code_is_compiled_again(suffix, content, place) -> None:
    module(place).times(3)
    [file] = kept(place, suffix)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert module(place).times(3) == 6
    again = module(place).times
    assert again(3) == 6
    assert sum(again.stats.cache_hits.values()) == 1


def test_code_that_gets_no_memory_is_a_sentence_and_stays(place, monkeypatch) -> None:
    module(place).times(2.0)
    kept = sorted((place.parent / "__pycache__").glob("*.nb?"))

    def refused(*arguments: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("mmap.mmap", refused)
    with pytest.raises(MemoryError) as raised:
        module(place).times(2.0)
    assert "not enough memory" in sentence_of(raised.value)
    assert kept == sorted((place.parent / "__pycache__").glob("*.nb?"))


def test_a_full_disk_keeps_no_code(place, monkeypatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(IndexDataCacheFile, "_save_data", full)
    assert module(place).times(3) == 6
    assert kept(place, ".nbc") == []


def test_code_of_an_earlier_version_is_never_taken(place, monkeypatch) -> None:
    """Whoever is killed while code is written leaves an index that does not know of it."""
    module(place).times(3)

    class Killed(BaseException):
        pass

    def killed(*arguments: object) -> None:
        raise Killed

    place.write_text(SOURCE.format(factor=2000))
    with monkeypatch.context() as patch:
        patch.setattr(IndexDataCacheFile, "_save_data", killed)
        with pytest.raises(Killed):
            module(place).times(3)
    assert module(place).times(3) == 6000
