"""Trainer states are written whole and read without running code."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from deepdft.errors import FileFormatError
from deepdft.failures import RefusedBySystemError
from deepdft.training.callbacks import RenamedCheckpointIO


def test_a_state_is_written_and_read(tmp_path):
    path = tmp_path / "a" / "state.ckpt"
    plugin = RenamedCheckpointIO()
    plugin.save_checkpoint({"step": 3, "weights": torch.arange(3.0)}, path)
    assert [p.name for p in path.parent.iterdir()] == ["state.ckpt"]
    state = plugin.load_checkpoint(path)
    assert state["step"] == 3
    assert torch.equal(state["weights"], torch.arange(3.0))


def test_a_failure_leaves_the_old_state_alone(tmp_path, monkeypatch):
    path = tmp_path / "state.ckpt"
    plugin = RenamedCheckpointIO()
    plugin.save_checkpoint({"step": 3}, path)

    write = Path.write_bytes

    def fail(target, content):
        write(target, b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(RefusedBySystemError, match=r"state\.ckpt cannot be written: no space"):
        plugin.save_checkpoint({"step": 6}, path)
    monkeypatch.undo()
    assert plugin.load_checkpoint(path) == {"step": 3}
    assert [p.name for p in tmp_path.iterdir()] == ["state.ckpt"]


class Attack:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_state_cannot_run_code(tmp_path):
    path, victim = tmp_path / "state.ckpt", tmp_path / "was_here"
    torch.save({"step": Attack(victim)}, path)
    with pytest.raises(FileFormatError, match="more than tensors"):
        # Even where the caller asks for it.
        RenamedCheckpointIO().load_checkpoint(path, weights_only=False)
    assert not victim.exists()
