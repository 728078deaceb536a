"""What keeps the first picture quick: models that are ready, few points, answers at once."""

from __future__ import annotations

import threading
import time

import pytest

from deepdft.web.examples import examples
from deepdft.web.grids import first_points, grid_within
from deepdft.web.models import Models
from deepdft.web.service import Service
from deepdft.web.warm_up import warm_up
from tests.web.conftest import LIMITS, finished


@pytest.mark.parametrize(
    ("rate", "points"), [(None, 40_000), (1e6, 40_000), (80_000.0, 20_000), (10.0, 12_000)]
)
def test_a_slow_machine_computes_fewer_points(rate, points):
    assert first_points(rate, 40_000) == points


def test_a_molecule_of_twenty_atoms_fits_into_the_fewest_points():
    aspirin = examples()["aspirin"].atoms
    assert len(aspirin) == 21
    grid = grid_within(aspirin, first_points(1.0, 40_000), 0.25)
    assert grid.n_points <= 12_000
    assert max((grid.voxel**2).sum(axis=1)) ** 0.5 < 0.55


def test_a_server_that_has_warmed_up_knows_how_fast_it_is(models):
    service = Service(LIMITS, models)
    warm_up(service)
    service.queue.close()
    for name in ("default", "crystals"):
        assert models.rate(name) > 0


def test_a_machine_that_refuses_to_warm_up_is_heard_of_and_serves_on(models, monkeypatch, caplog):
    def refuse(*arguments):
        raise MemoryError

    monkeypatch.setattr("deepdft.web.warm_up.predict", refuse)
    service = Service(LIMITS, models)
    warm_up(service)
    service.queue.close()
    assert "the model default could not be tried: There is not enough memory" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_model_that_is_there_does_not_wait_for_one_that_is_loaded(monkeypatch):
    import deepdft.web.models as module

    held, begun = threading.Event(), threading.Event()

    class Loaded:
        def warm_up(self):
            pass

    def load(name, device):
        if name == "crystals":
            begun.set()
            assert held.wait(60)
        return Loaded()

    monkeypatch.setattr(module, "load_model", load)
    models = Models()
    slow = threading.Thread(target=models.get, args=("crystals",))
    slow.start()
    assert begun.wait(60)
    assert isinstance(models.get("default"), Loaded)
    held.set()
    slow.join()


def test_whoever_waits_is_told_as_soon_as_there_is_more(visitor, water):
    job = visitor.get(f"/api/jobs/{water}").json()
    begin = time.monotonic()
    # It is over: nothing more will come, so nobody waits.
    known = {"revision": job["revision"], "wait": 2}
    assert visitor.get(f"/api/jobs/{water}", params=known).json() == job
    assert time.monotonic() - begin < 2
    answer = visitor.post("/api/jobs", json={"example": "water"})
    key, first = answer.json()["key"], answer.json()["revision"]
    told = visitor.get(f"/api/jobs/{key}", params={"revision": first, "wait": 2}).json()
    assert told["revision"] > first or told["state"] in ("waiting", "running")
    assert finished(visitor, answer)["state"] == "done"
    assert visitor.get(f"/api/jobs/{key}", params={"wait": 99}).status_code == 422
