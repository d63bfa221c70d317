"""The process of one job: what it writes when the job ends well, ends badly, or is taken away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from isoline.domain.actor import OWNER
from isoline.domain.job import JobState
from isoline.domain.recipe import Sample, Train
from isoline.errors import InvalidInput
from isoline.jobs import ledger
from isoline.jobs.submit import submit
from isoline.jobs.worker_process import environment
from isoline.services import work
from isoline.workbench import Settings, Workbench
from isoline_lab import runner


def good(bench, job, recipe, journal):
    journal.progress(0.5, f"making {recipe.name}")
    return {"version": 4}


def refused(bench, job, recipe, journal):
    raise InvalidInput("3 frames are broken", hint="Mend them.", details=[{"frame": 2}])


def broken(bench, job, recipe, journal):
    return {"version": {}["nowhere"]}


def cancelled_meanwhile(bench, job, recipe, journal):
    work.cancel(bench, OWNER, job.id)
    journal.progress(0.7, "still here")
    return {"version": 5}


GOOD, REFUSED, BROKEN, MEANWHILE = ({"sample": function} for function in (good, refused, broken, cancelled_meanwhile))


@pytest.fixture
def begun(bench, living_worker):
    """A job that a process named "token" holds."""
    job = submit(bench, OWNER, Sample(name="silicon"), title="Silicon")
    take(bench, job, living_worker)
    return job


def take(bench, job, name: str) -> None:
    with bench.write() as connection:
        ledger.begin(connection, job.id, job.attempt, name, "token")


def run(bench, job, table: str) -> int:
    return runner.run(bench, job.id, "token", f"{__name__}:{table}")


def test_what_the_function_returns_is_the_jobs_result(bench, begun):
    assert run(bench, begun, "GOOD") == 0
    job = work.job(bench, begun.id)
    assert (job.state, job.result, job.error, job.progress) == (JobState.DONE, {"version": 4}, None, 1.0)
    assert job.started <= job.finished


def test_a_failure_that_people_understand_is_shown_as_it_is(bench, begun):
    assert run(bench, begun, "REFUSED") == 0
    job = work.job(bench, begun.id)
    assert (job.state, job.result) == (JobState.FAILED, None)
    assert job.error == {
        "kind": "invalid_input",
        "message": "3 frames are broken",
        "hint": "Mend them.",
        "details": [{"frame": 2}],
    }


def test_any_other_failure_is_a_bug_and_its_trace_is_in_the_log(bench, begun):
    assert run(bench, begun, "BROKEN") == 0
    job = work.job(bench, begun.id)
    assert (job.state, job.error["kind"], job.error["message"]) == (JobState.FAILED, "bug", "KeyError: 'nowhere'")
    lines = [line["line"] for line in work.log(bench, begun.id)]
    assert lines[0].startswith("Traceback")
    assert any("in broken" in line for line in lines)


def test_a_job_cancelled_meanwhile_stays_cancelled(bench, begun):
    assert run(bench, begun, "MEANWHILE") == runner.NOT_OURS
    job = work.job(bench, begun.id)
    assert (job.state, job.result) == (JobState.CANCELLED, None)


def test_work_of_an_unknown_kind_fails_with_a_hint(bench, living_worker):
    job = submit(bench, OWNER, Train(version=1), title="train")
    take(bench, job, living_worker)
    run(bench, job, "GOOD")
    assert "cannot do jobs of kind 'train'" in work.job(bench, job.id).error["message"]


SLEEPER = """
import time
def sleep(bench, job, recipe, journal):
    journal.progress(0.1, "asleep")
    time.sleep(600)
RUN = {"sample": sleep}
"""


@pytest.fixture
def sleeping(tmp_path, hire):
    """A job asleep in its process, on a lease of two seconds."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    bench = Workbench.open(Settings.at(tmp_path / "home", lease_s=2.0))
    job = submit(bench, OWNER, Sample(name="silicon"), title="Silicon")
    take(bench, job, hire(bench))
    process = subprocess.Popen(
        [sys.executable, "-m", "isoline_lab.runner", str(job.id), "token", "--functions", "sleeper:RUN"],
        env=environment(bench.settings) | {"PYTHONPATH": str(tmp_path)},
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while work.job(bench, job.id).message != "asleep":
        os.write(process.stdin.fileno(), b".")
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield process
    process.kill()
    process.stdin.close()
    process.wait()
    bench.close()


def test_a_process_ends_when_its_worker_is_dead(sleeping):
    sleeping.stdin.close()
    assert sleeping.wait(timeout=10) == -signal.SIGKILL


def test_a_process_ends_when_its_worker_is_silent_but_not_while_it_is_heard(sleeping):
    for _ in range(8):
        time.sleep(0.3)
        os.write(sleeping.stdin.fileno(), b".")
    assert sleeping.poll() is None
    assert sleeping.wait(timeout=10) == -signal.SIGKILL
