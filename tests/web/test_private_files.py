"""The server's own files, and what visitors are told where its machine refuses something."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deepdft.failures import RefusedBySystemError
from deepdft.web import private_files
from deepdft.web.jobs import Job
from deepdft.web.private_files import private_folder, remove_leftovers
from deepdft.web.problems import refusal_of

SCRIPT = """
from pathlib import Path
from deepdft.web.private_files import private_folder
folder = private_folder()
Path(folder.name, "density.cube").write_text("half of it")
print("ready", flush=True)
input()
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    private_files._of_this_server.cache_clear()
    yield tmp_path
    private_files._of_this_server.cache_clear()


def begun(temporary: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], env={**os.environ, "TMPDIR": str(temporary)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def test_what_a_killed_server_leaves_is_removed_by_the_next(temporary) -> None:
    process = begun(temporary)
    try:
        remove_leftovers()
        assert len(list(temporary.rglob("density.cube"))) == 1  # it is in use
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert len(list(temporary.rglob("density.cube"))) == 1
        remove_leftovers()
        assert list(temporary.iterdir()) == []
    finally:
        process.kill()
        process.communicate()


def test_a_server_that_ends_leaves_nothing(temporary) -> None:
    process = begun(temporary)
    process.communicate("\n", timeout=60)
    assert process.returncode == 0
    assert list(temporary.iterdir()) == []


def test_what_is_not_ours_stays(temporary) -> None:
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere" / "kept").write_text("")
    (temporary / "deepdft-page-x").symlink_to(temporary / "elsewhere")
    (temporary / "deepdft-page-y").write_text("")
    before = sorted(temporary.rglob("*"))
    remove_leftovers()
    assert sorted(temporary.rglob("*")) == before


def test_a_folder_that_others_have_cleared_away_is_made_again(temporary) -> None:
    first = private_folder()
    first.cleanup()
    Path(first.name).parent.rmdir()
    with private_folder() as folder:
        assert Path(folder).is_dir()


@pytest.mark.parametrize(
    ("error", "sentence", "status"),
    [
        (OSError(errno.ENOSPC, "", "/secret/place"), "no space is left", 503),
        (OSError(errno.EMFILE, "", "/secret/place"), "too many files open", 503),
        (RefusedBySystemError("/secret/x.cube cannot be written: no space is left."), "space", 503),
        (MemoryError(), "more memory than there is", 413),
        (RuntimeError("can't start new thread"), "not enough memory", 503),
    ],
)
def test_what_the_machine_refuses_is_a_sentence(error, sentence, status) -> None:
    def work(job: Job) -> None:
        raise error

    job = Job("prediction", work, 10.0)
    job.run()
    assert job.status == status
    assert sentence.casefold() in job.error.casefold()
    assert "secret" not in job.error


def test_a_defect_is_none() -> None:
    assert refusal_of(KeyError("x")) is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "", "/secret/place"), "no space is left"),
        (RuntimeError("can't start new thread"), "not enough memory"),
        (ImportError("x.so: failed to map segment from shared object"), "not enough memory"),
    ],
)
def test_a_file_that_cannot_be_made_is_a_sentence(visitor, monkeypatch, error, sentence) -> None:
    def full() -> None:
        raise error

    monkeypatch.setattr("deepdft.web.routes.private_folder", full)
    key = visitor.post("/api/jobs", json={"example": "water"}).json()["key"]
    while visitor.get(f"/api/jobs/{key}?wait=2&revision=0").json()["state"] != "done":
        pass
    answer = visitor.get(f"/api/jobs/{key}/file")
    assert answer.status_code == 503
    assert sentence in answer.json()["error"].casefold()
    assert "secret" not in answer.text
