"""A job's pen writes only while its process holds the job."""

from __future__ import annotations

import math

import pytest
from sqlalchemy import select, update

from isoline.domain.actor import OWNER
from isoline.domain.job import JobState
from isoline.domain.recipe import Sample
from isoline.errors import Cancelled
from isoline.jobs import ledger
from isoline.jobs.ledger import Standing
from isoline.jobs.submit import submit
from isoline.services import work
from isoline.store.tables import job, job_checkpoint
from isoline_lab.journal import Journal


@pytest.fixture
def hold(bench, living_worker):
    """Take a job for a process of the given token, and give its pen."""

    def take(record, token: str) -> Journal:
        with bench.write() as connection:
            assert ledger.begin(connection, record.id, record.attempt, living_worker, token) == Standing.HOLDS
        return Journal(bench, record, token)

    return take


@pytest.fixture
def pen(bench, hold) -> Journal:
    return hold(submit(bench, OWNER, Sample(name="silicon"), title="Silicon"), "first")


def now(bench, pen):
    return work.job(bench, pen.job.id)


def starts(bench, pen) -> int:
    with bench.read() as connection:
        return connection.execute(select(job.c.starts).where(job.c.id == pen.job.id)).scalar()


def test_a_new_message_shows_at_once_and_numbers_before_long(bench, pen):
    pen.progress(0.1, "reading")
    pen.progress(0.2, "computing")
    assert (now(bench, pen).progress, now(bench, pen).message) == (0.2, "computing")
    for step in range(500):
        pen.record(step, loss=1.0 / (1 + step))
        pen.progress(0.2 + step / 1000)
    pen.finish({})
    assert work.metrics(bench, pen.job.id)["step"] == list(range(500))
    assert now(bench, pen).progress == 1.0


def test_progress_stays_between_0_and_1(bench, pen):
    for given, kept in ((-0.5, 0.0), (1.5, 1.0)):
        pen.progress(given, f"{given}")
        assert now(bench, pen).progress == kept


def test_numbers_that_are_not_finite_leave_a_gap(bench, pen):
    pen.record(1, loss=math.nan, rmse=2.0)
    pen.record(2, loss=1.0, rmse=math.inf)
    pen.finish({})
    assert work.metrics(bench, pen.job.id) == {"step": [1, 2], "rmse": [2.0, None], "loss": [None, 1.0]}


def test_a_step_recorded_again_counts_once(bench, pen):
    pen.record(1, loss=2.0)
    pen.checkpoint(1, b"")
    pen.record(1, loss=3.0)
    pen.finish({})
    assert work.metrics(bench, pen.job.id) == {"step": [1], "loss": [3.0]}


def test_the_newest_checkpoint_is_kept_until_the_job_is_done(bench, pen):
    assert pen.last_checkpoint() is None
    pen.checkpoint(1, b"one")
    pen.checkpoint(2, b"two")
    assert pen.last_checkpoint() == b"two"
    pen.finish({"model": 3})
    assert (now(bench, pen).state, now(bench, pen).result) == (JobState.DONE, {"model": 3})
    with bench.read() as connection:
        assert connection.execute(select(job_checkpoint)).all() == []


def test_getting_on_forgives_earlier_deaths_and_standing_still_does_not(bench, pen):
    pen.checkpoint(5, b"")
    with bench.write() as connection:
        connection.execute(update(job).values(starts=3))
    pen.checkpoint(5, b"")
    assert starts(bench, pen) == 3
    pen.checkpoint(6, b"")
    assert starts(bench, pen) == 1


def test_what_came_after_the_last_checkpoint_is_recorded_anew(bench, pen):
    for step in range(1, 6):
        pen.record(step, loss=1.0)
        if step == 3:
            pen.checkpoint(step, b"")
    pen.log("flushed")
    pen.progress(0.5, "flushed")
    pen.begin()
    assert work.metrics(bench, pen.job.id)["step"] == [1, 2, 3]


@pytest.mark.parametrize("taken", ["cancelled", "retried", "taken over"])
def test_a_process_that_lost_the_job_can_write_nothing(bench, pen, hold, taken):
    if taken == "taken over":
        with bench.write() as connection:
            ledger.release(connection, pen.job.id, "first")
        hold(pen.job, "second")
    else:
        work.cancel(bench, OWNER, pen.job.id)
        if taken == "retried":
            work.retry(bench, OWNER, pen.job.id)
    before = now(bench, pen)
    acts = (
        lambda: pen.progress(0.9, "still here"),
        lambda: pen.record(9, loss=1.0),
        lambda: pen.log("still here"),
        lambda: pen.checkpoint(9, b"spoilt"),
        lambda: pen.finish({"spoilt": True}),
        lambda: pen.fail({"kind": "bug", "message": "spoilt", "hint": ""}),
    )
    for act in acts:
        with pytest.raises(Cancelled):
            act()
    assert now(bench, pen) == before
    assert work.log(bench, pen.job.id) == []
    assert work.metrics(bench, pen.job.id) == {"step": []}
    assert pen.last_checkpoint() is None


def test_a_result_written_under_the_journal_is_kept_only_while_the_job_is_held(bench, pen):
    with pen.write() as connection:
        ledger.write_log(connection, pen.job.id, "made")
    work.cancel(bench, OWNER, pen.job.id)
    with pytest.raises(Cancelled), pen.write():
        pass
    assert [line["line"] for line in work.log(bench, pen.job.id)] == ["made"]
