"""Workers killed, frozen and stopped for real: nothing is lost, and nothing runs twice at once."""

from __future__ import annotations

import os
import signal
import time

import pytest

from isoline.domain.actor import OWNER
from isoline.domain.job import JobState
from isoline.jobs.worker_process import ensure_worker
from isoline.services import work


def begun(job) -> list[int]:
    return [step for _, what, step in job.lines() if what == "begin"]


def test_a_job_survives_every_worker_that_runs_it(count, start_workers):
    job = count("40 steps")  # nobody is there to run it yet
    workers = start_workers("one", "two")
    job.until_step(3)
    first = job.holder()
    workers[first].kill()
    # The other takes over when the lease has run out.
    job.until_step(15)
    second = job.holder()
    assert second != first
    workers[second].kill()
    workers[second].wait()
    # Nobody is left. A worker that comes back under its name goes on with what it left.
    start_workers(second)
    job.check_done(40)
    assert len(job.processes()) == 3
    assert begun(job).count(0) == 1, "it began anew instead of going on from its checkpoint"


def test_a_frozen_worker_finds_its_job_taken_over_and_ends(count, start_workers):
    job = count("60 steps")
    workers = start_workers("one", "two")
    job.until_step(3)
    frozen = job.holder()
    os.kill(workers[frozen].pid, signal.SIGSTOP)
    [pid] = job.processes()
    while job.processes() == [pid]:
        time.sleep(0.1)
    os.kill(workers[frozen].pid, signal.SIGCONT)
    assert workers[frozen].wait(timeout=30) == 75
    job.check_done(60)


def test_a_stopped_worker_leaves_within_seconds_and_its_job_goes_on_at_once(count, start_workers):
    job = count("30 steps")
    workers = start_workers("one", "two")
    job.until_step(3)
    leaving = workers[job.holder()]
    asked = time.monotonic()
    leaving.terminate()
    assert leaving.wait(timeout=30) == 0
    assert time.monotonic() - asked < 5
    job.check_done(30)


def test_a_cancelled_job_ends_at_once_and_may_be_retried_at_once(count, start_workers):
    job = count("30 steps")
    start_workers("only")
    job.until_step(3)
    [pid] = job.processes()
    asked = time.monotonic()
    assert work.cancel(job.bench, OWNER, job.job.id).state == JobState.CANCELLED
    assert work.retry(job.bench, OWNER, job.job.id).state == JobState.QUEUED
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() - asked < 10, "the cancelled process still runs"
        time.sleep(0.02)
    job.check_done(30)
    assert len(job.processes()) == 2
    assert begun(job).count(0) == 1


def test_a_job_that_kills_its_process_fails_after_three_starts(count, start_workers):
    job = count("poison")
    follower = count("3 steps", after=job.job.id)
    start_workers("patient")
    ended = job.until_ended()
    assert ended.state == JobState.FAILED
    assert "killed by signal 9 (out of memory?)" in ended.error["message"]
    assert len(job.processes()) == 3
    assert follower.until_ended().state == JobState.CANCELLED
    assert f"job {job.job.id}" in follower.until_ended().message


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_command_that_waits_starts_its_worker_again_when_that_is_killed(count, variables, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", variables["PYTHONPATH"])
    job = count("20 steps")
    with ensure_worker(job.bench, "--functions", "counting:RUN"):
        job.until_step(3)
        [card] = work.workers(job.bench)
        os.kill(card.pid, signal.SIGKILL)
        job.check_done(20)
    assert len(job.processes()) == 2
    assert work.workers(job.bench) == [], "it left a worker behind"
