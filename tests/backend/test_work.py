"""Jobs as people see them."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime

import pytest
from sqlalchemy import insert

from isoline.domain.actor import OWNER, Actor
from isoline.domain.job import JobState
from isoline.domain.recipe import Sample
from isoline.errors import Conflict, NotAllowed, NotFound, NotSignedIn
from isoline.jobs import ledger
from isoline.jobs.submit import submit
from isoline.services import work
from isoline.store import events
from isoline.store.tables import job_checkpoint, job_metric


@pytest.fixture
def job(bench):
    return submit(bench, OWNER, Sample(name="silicon"), title="Silicon")


def fail(bench, job) -> None:
    with bench.write() as connection:
        ledger.fail(connection, job.id, {"kind": "diverged", "message": "the loss is not finite", "hint": "Lower it."})


def test_jobs_come_newest_first_and_can_be_asked_for_by_state(bench, job):
    second = submit(bench, OWNER, Sample(name="ethanol"), title="Ethanol")
    fail(bench, job)
    assert [found.id for found in work.jobs(bench)] == [second.id, job.id]
    assert [found.id for found in work.jobs(bench, limit=1)] == [second.id]
    assert [found.id for found in work.jobs(bench, state=JobState.FAILED)] == [job.id]


def test_what_is_not_there_is_not_found(bench):
    for ask in (work.job, work.log, work.metrics):
        with pytest.raises(NotFound):
            ask(bench, 99)
    for act in (work.cancel, work.retry):
        with pytest.raises(NotFound):
            act(bench, OWNER, 99)


def test_a_job_is_plain_json(bench, job):
    body = json.loads(json.dumps(work.as_dict(job)))
    assert (body["state"], body["kind"], body["finished"]) == ("queued", "sample", None)
    assert datetime.fromisoformat(body["created"]).tzinfo is not None, (
        "a moment without its zone means another hour elsewhere"
    )
    fail(bench, job)
    body = json.loads(json.dumps(work.as_dict(work.job(bench, job.id))))
    assert (body["state"], body["error"]["kind"], body["message"]) == ("failed", "diverged", "the loss is not finite")


def test_the_log_continues_where_it_was_left(bench, job):
    with bench.write() as connection:
        ledger.write_log(connection, job.id, "first\nsecond\n\n")
    lines = work.log(bench, job.id)
    assert [line["line"] for line in lines] == ["first", "second"]
    with bench.write() as connection:
        ledger.write_log(connection, job.id, "third")
    assert [line["line"] for line in work.log(bench, job.id, lines[-1]["id"])] == ["third"]


def test_metrics_come_as_columns_with_gaps_where_nothing_was_recorded(bench, job):
    rows = [(1, "loss", 3.0), (2, "loss", 2.0), (2, "rmse", 0.5), (4, "rmse", 0.25)]
    with bench.write() as connection:
        connection.execute(
            insert(job_metric), [{"job_id": job.id, "step": s, "name": n, "value": v} for s, n, v in rows]
        )
    assert work.metrics(bench, job.id) == {"step": [1, 2, 4], "loss": [3.0, 2.0, None], "rmse": [None, 0.5, 0.25]}
    assert work.metrics(bench, job.id, 2) == {"step": [4], "rmse": [0.25]}


def test_cancelling_twice_is_cancelling_once_and_what_is_done_stays_done(bench, job):
    assert work.cancel(bench, OWNER, job.id).state == JobState.CANCELLED
    cancelled = work.cancel(bench, Actor("second", "owner"), job.id)
    assert (cancelled.state, cancelled.message) == (JobState.CANCELLED, "Cancelled by owner.")
    done = submit(bench, OWNER, Sample(name="silicon"), title="done")
    with bench.write() as connection:
        ledger.finish(connection, done.id, {"version": 1})
    for act in (work.cancel, work.retry):
        with pytest.raises(Conflict, match="done"):
            act(bench, OWNER, done.id)


def test_retrying_begins_a_new_attempt_from_the_checkpoint_unless_asked_for_a_fresh_one(bench, job):
    with pytest.raises(Conflict, match="queued"):
        work.retry(bench, OWNER, job.id)
    with bench.write() as connection:
        connection.execute(insert(job_checkpoint).values(job_id=job.id, step=5, data=b"weights"))
    for fresh, kept in ((False, 1), (True, 0)):
        fail(bench, job)
        again = work.retry(bench, OWNER, job.id, fresh=fresh)
        assert (again.state, again.error, again.message, again.finished) == (JobState.QUEUED, None, "", None)
        with bench.read() as connection:
            assert len(connection.execute(job_checkpoint.select()).all()) == kept
    assert again.attempt == 3


def test_every_change_names_who_made_it(bench, job):
    work.cancel(bench, Actor("ada", "owner"), job.id)
    work.retry(bench, Actor("grace", "owner"), job.id)
    with bench.read() as connection:
        told = [(event.actor, event.verb) for event in events.recent(connection, subject=f"job {job.id}")]
    assert told == [("grace", "retry"), ("ada", "cancel"), ("owner", "submit")]


def test_nobody_and_guests_may_neither_cancel_nor_retry(bench, job):
    for act in (work.cancel, work.retry):
        with pytest.raises(NotSignedIn):
            act(bench, None, job.id)
        with pytest.raises(NotAllowed):
            act(bench, Actor("somebody", role="guest"), job.id)


def test_waiting_tells_each_change_and_ends_with_the_job(bench, job):
    def carry_out() -> None:
        time.sleep(0.3)
        with bench.write() as connection:
            ledger.finish(connection, job.id, {"version": 7})

    thread = threading.Thread(target=carry_out)
    thread.start()
    seen = list(work.wait(bench, job.id, every_s=0.02))
    thread.join()
    assert [now.state for now in seen] == [JobState.QUEUED, JobState.DONE]
    assert seen[-1].result == {"version": 7}
    assert len(list(work.wait(bench, job.id))) == 1
