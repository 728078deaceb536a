"""One writer at a time, and what is said where there cannot be one."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from deepdft.errors import ConfigurationError
from deepdft.storage.locks import sole_writer

_HOLD = (
    "import sys, time\nfrom deepdft.storage.locks import sole_writer\n"
    "with sole_writer(sys.argv[1], 'taken'):\n    print('locked', flush=True); time.sleep(60)\n"
)


def test_another_process_keeps_writers_out_until_it_is_killed(tmp_path):
    path = tmp_path / "lock"
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, path], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(ConfigurationError, match=r"^It is being written\.$"):
            sole_writer(path, "It is being written").__enter__()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with sole_writer(path, "It is being written"):
        pass


def test_within_one_process(tmp_path):
    path = tmp_path / "lock"
    with sole_writer(path, "taken"), pytest.raises(ConfigurationError, match="taken"):
        sole_writer(path, "taken").__enter__()
    with sole_writer(path, "taken"):
        pass


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
def test_an_error_of_the_disk_is_not_another_process(tmp_path, monkeypatch, number):
    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", fail)
    with pytest.raises(ConfigurationError, match=f"cannot be locked: {os.strerror(number)}"):
        sole_writer(tmp_path / "lock", "Another process").__enter__()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path, monkeypatch, number):
    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", fail)
    path = tmp_path / "lock"
    with (
        sole_writer(path, "taken"),
        pytest.raises(ConfigurationError, match=r"The file system has no locks.* delete it"),
    ):
        sole_writer(path, "taken").__enter__()
    with sole_writer(path, "taken"):
        pass
