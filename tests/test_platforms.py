"""What is different on Windows, by substitution: nothing here was run on Windows itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import write

import deepdft
from deepdft.dft import create_calculation, run_campaign
from deepdft.errors import ConfigurationError
from deepdft.storage import replace
from deepdft.storage.replace import replacing
from deepdft.storage.whole_files import replace_file
from deepdft.structures import Structure, file_name
from deepdft.threads import available_threads
from tests.commands import run, small_model

__all__ = ["run", "small_model"]

_PRELUDE = """
# Other packages have been told that this is Linux: they are imported before anything is taken away.
import ase.io, numba, numpy, scipy, torch, zarr
import asyncio, getpass, multiprocessing.pool, os, select, signal, socket, subprocess, sys, uuid
import multiprocessing.popen_fork, concurrent.futures.process

ABSENT = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "syslog", "posix_ipc"}

class NotOnWindows:
    def find_spec(self, name, path=None, target=None):
        if name in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in list(sys.modules):
    if name in ABSENT or name.partition(".")[0] == "filelock":
        del sys.modules[name]
sys.meta_path.insert(0, NotOnWindows())
for name in ("fork", "forkpty", "killpg", "getpgid", "setsid", "setpgid", "getuid", "geteuid",
             "getgid", "getegid", "sched_getaffinity", "sched_setaffinity", "mkfifo",
             "mknod", "chown", "fchown", "fchmod", "pread", "pwrite", "preadv", "pwritev", "sync",
             "posix_fadvise", "posix_fallocate", "sendfile", "statvfs", "getloadavg", "wait3",
             "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "register_at_fork", "nice"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGQUIT",
             "SIGPIPE", "SIGXCPU", "SIGXFSZ", "SIGTSTP", "alarm", "setitimer", "pthread_sigmask",
             "sigwait", "pause"):
    if hasattr(signal, name):
        delattr(signal, name)
from deepdft.cli import main

def deepdft(*arguments):
    sys.argv = ["deepdft", *map(str, arguments)]
    try:
        main()
    except SystemExit as left:
        return left.code or 0
    return 0
"""


def without_posix(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process without the modules and functions that Windows does not have."""
    return subprocess.run(
        [sys.executable, "-c", _PRELUDE + code], cwd=folder, capture_output=True, text=True,
        check=False, timeout=900,
    )  # fmt: skip


def test_the_core_s_commands_need_nothing_that_windows_lacks(small_model, run, tmp_path):
    write(tmp_path / "water.xyz", molecule("H2O"))
    done = without_posix(
        f"""
assert deepdft("predict", "water.xyz", "-m", {str(small_model)!r}, "--spacing", "0.4") == 0
assert deepdft("predict", "water.xyz", "-m", {str(small_model)!r}, "--spacing", "0.4",
               "-o", "water.zarr") == 0
assert deepdft("convert", "water.cube", "CHGCAR") == 0
assert deepdft("convert", "water.zarr", "again.cube") == 0
assert deepdft("inspect", "water.cube") == 0
assert deepdft("compare", "water.cube", "again.cube") == 0
assert deepdft("combine", "water.cube", "-", "again.cube", "-o", "zero.npz") == 0
assert deepdft("convert", "water.cube", "water.store") == 0
assert deepdft("models") == 0
assert deepdft("--version", "--verbose") == 0
import os
assert not hasattr(os, "fork") and "fcntl" not in sys.modules
""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    here = run("predict", "water.xyz", "-m", small_model, "--spacing", 0.4, "-o", "here.cube")
    assert here.code == 0, here.error
    assert (tmp_path / "here.cube").read_bytes() == (tmp_path / "water.cube").read_bytes()
    left = [path.name for path in tmp_path.rglob("*.part")]
    assert left == []


def test_one_writer_at_a_time_without_fcntl(tmp_path):
    # filelock then falls back to a file whose presence is the lock.
    done = without_posix(
        """
from deepdft.errors import ConfigurationError
from deepdft.storage.locks import sole_writer

def enter():
    with sole_writer("lock", "it is taken"):
        pass

with sole_writer("lock", "it is taken"):
    try:
        enter()
    except ConfigurationError as error:
        print(error)
enter()
""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("\n") == 1
    assert "Another process is at work here" in done.stdout or "it is taken" in done.stdout


def test_a_file_that_another_program_holds_open_stays_as_it_was(tmp_path, monkeypatch):
    target = tmp_path / "rho.cube"
    replace_file(target, b"old")

    def denied(*paths):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(replace.os, "replace", denied)
    with pytest.raises(
        ConfigurationError, match=r"rho\.cube cannot be written: permission is denied"
    ):
        replace_file(target, b"new")
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["rho.cube"]


def test_folders_that_cannot_be_opened_are_replaced_by_two_renames(tmp_path, monkeypatch):
    opened = os.open

    def files_alone(path, *options, **more):
        if os.path.isdir(path):
            raise PermissionError(13, "Access is denied")
        return opened(path, *options, **more)

    monkeypatch.setattr(replace.os, "open", files_alone)
    # Where folders cannot be opened, they are removed by name.
    monkeypatch.setattr(replace.shutil, "_use_fd_functions", False)
    monkeypatch.setattr(replace, "_exchanging_call", lambda: None)
    for content in ("old", "new"):
        with replacing(tmp_path / "model") as place:
            place.mkdir()
            (place / "weights").write_text(content)
    assert (tmp_path / "model" / "weights").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["CON", "nul", "Aux.1", "COM1", "lpt9", "ends.", "a:b", "a\\b"])
def test_names_that_windows_cannot_have_are_changed(name):
    changed = file_name(name)
    assert changed != name
    assert not set(changed) & set('<>:"/\\|?*')
    assert changed == file_name(name)


def test_names_that_differ_in_case_alone_get_files_of_their_own(run, small_model, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    write(tmp_path / "a" / "water.xyz", molecule("H2O"))
    write(tmp_path / "b" / "WATER.xyz", molecule("NH3"))
    result = run("predict", "a/water.xyz", "b/WATER.xyz", "-m", small_model, "-o", "out",
                 "--spacing", 0.5)  # fmt: skip
    assert result.code == 0, result.error
    names = sorted(path.name for path in (tmp_path / "out").glob("*.cube"))
    assert len({name.casefold() for name in names}) == 2, names
    found = {str(deepdft.read(tmp_path / "out" / name).atoms.symbols) for name in names}
    assert found == {"OH2", "NH3"}


def test_reference_calculations_are_refused_in_a_sentence(tmp_path, monkeypatch):
    pytest.importorskip("pyscf")
    monkeypatch.delattr(os, "killpg")
    structure = Structure("h2", Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]))
    with pytest.raises(ConfigurationError, match="Linux and macOS alone; on Windows, use WSL"):
        run_campaign([structure], create_calculation("pyscf"), tmp_path / "store")


def test_threads_without_affinity(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert available_threads() == os.cpu_count()
