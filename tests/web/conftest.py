"""A server in this process, with models that are loaded once."""

from __future__ import annotations

import time
import warnings

import pytest

pytest.importorskip("fastapi", reason="the extra web is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

from deepdft.web.application import application
from deepdft.web.limits import Limits
from deepdft.web.models import Models

TOKEN = "open-sesame"
LIMITS = Limits(
    upload_bytes=600_000,
    atoms=60,
    drawn_atoms=20,
    coarse_points=2_000,
    points=30_000,
    file_points=40_000,
    waiting=2,
    kept=6,
)


@pytest.fixture(scope="session")
def models():
    return Models(threads=1)


@pytest.fixture
def served(models):
    """An application that is running, before anybody has the token."""
    with TestClient(guarded(models), base_url="http://127.0.0.1:8642") as client:
        yield client


@pytest.fixture(scope="session")
def visitor(models):
    """A client that has the token."""
    with TestClient(guarded(models), base_url="http://127.0.0.1:8642") as client:
        client.headers["authorization"] = f"Bearer {TOKEN}"
        yield client


def guarded(models):
    return application(TOKEN, limits=LIMITS, models=models, warmed_up=False)


def finished(client, answer):
    """Return where a job stands when it is over."""
    assert answer.status_code == 202, answer.text
    end = time.monotonic() + 300
    while time.monotonic() < end:
        job = client.get(f"/api/jobs/{answer.json()['key']}").json()
        if job["state"] in ("done", "failed", "stopped"):
            return job
        time.sleep(0.05)
    raise AssertionError(f"not over: {job}")


@pytest.fixture(scope="session")
def water_kept():
    """What the fixture `water` remembers."""
    return {}


@pytest.fixture
def water(visitor, water_kept):
    """The key of a finished prediction; made again where the server has forgotten it."""
    if not water_kept or visitor.get(f"/api/jobs/{water_kept['key']}").status_code != 200:
        job = finished(visitor, visitor.post("/api/jobs", json={"example": "water"}))
        assert job["state"] == "done", job
        water_kept["key"] = job["key"]
    return water_kept["key"]
