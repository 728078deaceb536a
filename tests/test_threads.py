"""CPUs counted, and work shared out among threads."""

from __future__ import annotations

import pytest

from deepdft.threads import available_threads, run_in_threads


def test_available_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert available_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "0")
    assert available_threads() >= 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert available_threads() >= 1


def test_every_item_is_done_once():
    done = []
    run_in_threads(done.append, range(1000), 7)
    assert sorted(done) == list(range(1000))


def test_a_failure_stops_the_other_threads():
    done = []

    def work(item):
        if item == 3:
            raise OSError("disk full")
        done.append(item)

    with pytest.raises(OSError, match="disk full"):
        run_in_threads(work, range(1_000_000), 3)
    assert len(done) < 1_000_000
