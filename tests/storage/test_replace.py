"""What is replaced is there whole or not at all, whenever its writer is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from deepdft.errors import ConfigurationError
from deepdft.storage import replace
from deepdft.storage.replace import replacing
from deepdft.storage.whole_files import AtomicFile, replace_file, replace_locked

FILES = 5


def _write_version(place, version, folder):
    if not folder:
        place.write_bytes(b"%d " % version * 20_000)
        return
    place.mkdir()
    for number in range(FILES):
        (place / f"{number}").write_text(f"{version}")


def _version_of(path):
    """Return which version is at a path; whatever is there must be whole."""
    texts = [path.read_text()] if path.is_file() else [
        (path / f"{number}").read_text() for number in range(FILES)
    ]  # fmt: skip
    words = {word for text in texts for word in text.split()}
    assert len(words) == 1
    if path.is_file():
        assert len(texts[0].split()) == 20_000
    else:
        assert len(list(path.iterdir())) == FILES
    return int(words.pop())


def _replace_for_ever(path, folder, first):
    version = first
    while True:
        with replacing(path) as place:
            _write_version(place, version, folder)
        version += 1


@pytest.mark.parametrize("folder", [False, True])
def test_killed_at_random_moments(tmp_path, folder):
    path = tmp_path / "target"
    with replacing(path) as place:
        _write_version(place, 0, folder)
    generator = np.random.default_rng(int(folder))
    reached = [0]
    for _ in range(12):
        process = multiprocessing.get_context("fork").Process(
            target=_replace_for_ever, args=(path, folder, reached[-1] + 1)
        )
        process.start()
        deadline = time.monotonic() + 20
        while _now(path) <= reached[-1] and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(0.02 * generator.random())
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        reached.append(_version_of(path))  # never missing, never mixed
        assert reached[-1] > reached[-2]
    with replacing(path) as place:
        _write_version(place, 10**6, folder)
    assert [found.name for found in tmp_path.iterdir()] == ["target"]


def _now(path):
    # A folder may be exchanged between two looks at it.
    try:
        return int((path / "0" if path.is_dir() else path).read_text().split()[0])
    except FileNotFoundError:
        return -1


def test_a_reader_never_misses_a_folder_that_is_being_replaced(tmp_path):
    path = tmp_path / "target"
    with replacing(path) as place:
        _write_version(place, 0, True)
    process = multiprocessing.get_context("fork").Process(
        target=_replace_for_ever, args=(path, True, 1)
    )
    process.start()
    try:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            assert path.is_dir()
    finally:
        process.kill()
        process.join()


def test_what_killed_writers_left_is_removed_and_what_living_ones_write_stays(tmp_path):
    path = tmp_path / "a.txt"
    code = (
        "import sys, time\nfrom deepdft.storage.replace import replacing\n"
        "with replacing(sys.argv[1]) as place:\n"
        "    place.write_bytes(b'x' * 1000); print(place, flush=True); time.sleep(60)\n"
    )
    dead, alive = (
        subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    try:
        places = [process.stdout.readline().strip() for process in (dead, alive)]
        dead.kill()
        dead.wait()
        assert all(map(os.path.exists, places))
        replace_file(path, b"new")
        assert not os.path.exists(places[0])
        assert os.path.exists(places[1])
    finally:
        for process in (dead, alive):
            process.kill()
            process.wait()
            process.stdout.close()
    replace_file(path, b"newer")
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_bytes() == b"newer"


@pytest.mark.parametrize("killed_after", [1, 2])
def test_without_an_exchange_the_next_writer_finds_one_of_the_two(
    tmp_path, monkeypatch, killed_after
):
    monkeypatch.setattr(replace, "_exchange", lambda one, other: False)
    path = tmp_path / "target"
    with replacing(path) as place:
        _write_version(place, 1, True)

    def replace_and_die():
        real, calls = os.rename, []

        def rename_or_die(*arguments):
            real(*arguments)
            calls.append(arguments)
            if len(calls) == killed_after:
                os.kill(os.getpid(), signal.SIGKILL)

        os.rename = rename_or_die
        with replacing(path) as place:
            _write_version(place, 2, True)

    process = multiprocessing.get_context("fork").Process(target=replace_and_die)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    replace.remove_leftovers(path)
    assert _version_of(path) == killed_after
    assert [found.name for found in tmp_path.iterdir()] == ["target"]


def test_everything_reaches_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def recorded(*arguments, real=real, name=name):
            events.append((name, os.readlink(f"/proc/self/fd/{arguments[0]}")
                           if name == "fsync" else str(arguments[0])))  # fmt: skip
            return real(*arguments)

        monkeypatch.setattr(os, name, recorded)
    with AtomicFile(tmp_path / "a.txt") as file:
        file.write(b"content")
    (_, written), (kind, renamed), (_, folder) = events
    assert (kind, written, folder) == ("replace", renamed, str(tmp_path))
    events.clear()
    with replacing(tmp_path / "folder") as place:
        _write_version(place, 1, True)
    order = [name for name, _ in events]
    assert order == ["fsync"] * (FILES + 1) + ["replace", "fsync"]


def test_errors_leave_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), AtomicFile(path) as file:
        file.write(b"new" * (1 / 0))
    assert path.read_text() == "old"
    with pytest.raises(ConfigurationError, match="exists and is no folder"), replacing(path) as p:
        p.mkdir()
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(ConfigurationError, match="exists and is a folder"),
        replacing(tmp_path / "folder") as place,
    ):
        place.write_text("new")
    with pytest.raises(ConfigurationError, match="There is no folder"):
        replace_file(tmp_path / "none" / "a", b"")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.txt", "folder"]


@pytest.mark.parametrize("there", ["file", "folder", "empty"])
@pytest.mark.parametrize("folder", [False, True])
def test_what_must_be_new_takes_the_place_of_an_empty_folder_alone(tmp_path, folder, there):
    path = tmp_path / "a"
    if there == "file":
        path.write_text("old")
    else:
        path.mkdir()
    if there == "folder":
        (path / "old").write_text("old")
    if folder and there == "empty":
        with replacing(path, new=True) as place:
            _write_version(place, 1, True)
        assert _version_of(path) == 1
        return
    with (
        pytest.raises(ConfigurationError, match="exists already"),
        replacing(path, new=True) as place,
    ):
        _write_version(place, 1, folder)
    assert [found.name for found in tmp_path.iterdir()] == ["a"]
    assert path.is_dir() == (there != "file")


def test_through_a_link_its_target_is_replaced(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    replace_file(tmp_path / "link.txt", b"new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_the_only_writer_of_a_folder_leaves_nothing_that_stays(tmp_path):
    (tmp_path / ".a.json.new").write_text("of a killed writer")
    replace_locked(tmp_path / "a.json", b"new", durable=True)
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_bytes() == b"new"


def test_what_killed_writers_of_other_names_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("deepdft.storage.replace._looked_through", set())
    ours = tmp_path / ".other.cube.part"
    ours.mkdir()
    (ours / "0123456789ab").write_text("half")
    (ours / "0123456789ab.lock").write_text("")
    foreign = tmp_path / ".download.part"
    foreign.mkdir()
    (foreign / "somebody's").write_text("kept")
    with replacing(tmp_path / "living") as living:
        living.write_text("under way")
        monkeypatch.setattr("deepdft.storage.replace._looked_through", set())
        with replacing(tmp_path / "mine") as place:
            place.write_text("new")
        assert living.exists()
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == [".download.part", "living", "mine"]
