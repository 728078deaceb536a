"""The queue: one after the other, stopped, timed out, forgotten."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from deepdft.errors import DeepDFTError
from deepdft.web.jobs import JobQueue
from deepdft.web.limits import Limits
from deepdft.web.problems import Refusal


@pytest.fixture
def queue():
    made = JobQueue(Limits(waiting=2, kept=2, seconds=0.3))
    yield made
    made.close()


def over(job):
    end = time.monotonic() + 30
    while not job.is_over and time.monotonic() < end:
        time.sleep(0.005)
    return job.state


def test_jobs_wait_for_their_turn(queue):
    gate, order = threading.Event(), []
    first = queue.submit("prediction", lambda job: gate.wait(30))
    while first.state == "waiting":
        time.sleep(0.005)
    others = [queue.submit("prediction", lambda job: order.append(job.key)) for _ in range(2)]
    assert [queue.position(job) for job in (first, *others)] == [0, 1, 2]
    with pytest.raises(Refusal, match="waiting already") as refusal:
        queue.submit("prediction", print)
    assert refusal.value.status == 429
    gate.set()
    assert [over(job) for job in (first, *others)] == ["done"] * 3
    assert order == [job.key for job in others]


def test_progress_has_a_rate(queue):
    def work(job):
        job.begin("counting", 100)
        time.sleep(0.1)
        job.advance(50)

    job = queue.submit("prediction", work)
    assert over(job) == "done"
    assert (job.stage, job.done, job.total) == ("counting", 50, 100)
    assert 0 < job.rate <= 500


def test_a_stage_that_is_over_at_once_has_a_rate_too(queue):
    def work(job):
        job.begin("counting", 100)
        job.advance(50)
        rates.append(job.rate)
        job.advance(50)

    rates = []
    job = queue.submit("prediction", work)
    assert over(job) == "done"
    assert rates == [None]
    assert job.rate > 0


def test_a_job_can_be_stopped(queue):
    begun = threading.Event()

    def work(job):
        while True:
            begun.set()
            job.check()
            time.sleep(0.005)

    job = queue.submit("prediction", work)
    assert begun.wait(30)
    queue.remove(job.key)
    assert over(job) == "stopped"
    with pytest.raises(Refusal) as refusal:
        queue.find(job.key)
    assert refusal.value.status == 404


def test_a_job_that_waits_can_be_stopped(queue):
    gate = threading.Event()
    queue.submit("prediction", lambda job: gate.wait(30))
    done = []
    job = queue.submit("prediction", lambda job: done.append(1))
    queue.remove(job.key)
    gate.set()
    assert job.state == "stopped"
    assert over(queue.submit("prediction", lambda job: None)) == "done"
    assert not done


def test_a_job_that_takes_too_long_ends(queue):
    def work(job):
        while True:
            time.sleep(0.01)
            job.advance(1)

    job = queue.submit("prediction", work)
    assert over(job) == "failed"
    assert job.status == 504
    assert "longer than" in job.error


def test_errors_become_sentences(queue, caplog):
    def refuse(job):
        raise DeepDFTError("So it cannot be done.")

    def fail(job):
        raise ZeroDivisionError("a secret")

    def swell(job):
        raise MemoryError

    jobs = []
    for work in (refuse, fail, swell):
        jobs.append(queue.submit("prediction", work))
        assert over(jobs[-1]) == "failed"
    refused, failed, swollen = jobs
    assert (refused.error, refused.status) == ("So it cannot be done.", 422)
    assert failed.status == 500
    assert "secret" not in failed.error
    assert "a secret" in caplog.text
    assert swollen.status == 413
    assert over(queue.submit("prediction", lambda job: None)) == "done"


def test_only_the_last_ones_are_kept(queue):
    jobs = []
    for _ in range(4):
        jobs.append(queue.submit("prediction", lambda job: None))
        over(jobs[-1])
        time.sleep(0.02)
    for job in jobs[:2]:
        with pytest.raises(Refusal):
            queue.find(job.key)
    assert queue.find(jobs[3].key) is jobs[3]


def test_nothing_is_kept_for_ever():
    queue = JobQueue(replace(Limits(), kept_seconds=0.02))
    job = queue.submit("prediction", lambda job: None)
    over(job)
    time.sleep(0.05)
    with pytest.raises(Refusal):
        queue.find(job.key)
    queue.close()
