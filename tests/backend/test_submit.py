"""Jobs as rows: submitted, taken by one process only, ended, followed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select, update

from isoline.domain.actor import OWNER, Actor
from isoline.domain.job import JobState
from isoline.domain.recipe import RECIPE, Sample, Train
from isoline.errors import Conflict, InvalidInput, NotFound
from isoline.jobs import ledger
from isoline.jobs.ledger import MOST_STARTS, Standing
from isoline.jobs.process import Processes
from isoline.jobs.submit import submit
from isoline.jobs.workers import database_now
from isoline.services import work
from isoline.store import events
from isoline.store.tables import run_lock, worker


@pytest.fixture
def hire(bench):
    """Write the row of a living worker."""

    def make(name: str, queues=("cpu",), state: str = "alive") -> str:
        with bench.write() as connection:
            connection.execute(
                insert(worker).values(
                    executor_id=name,
                    host="elsewhere",
                    pid=1,
                    queues=list(queues),
                    device="",
                    state=state,
                    started=datetime.now(UTC),
                    beat=database_now(connection),
                )
            )
        return name

    return make


@pytest.fixture
def begin(bench):
    """Ask for a job's lock in a transaction of its own."""

    def ask(job, executor: str, token: str) -> Standing:
        with bench.write() as connection:
            return ledger.begin(connection, job.id, job.attempt, executor, token)

    return ask


def queue(bench, title: str = "a sample", **options):
    return submit(bench, OWNER, Sample(name="silicon"), title=title, **options)


def ready(bench) -> list[int]:
    with bench.read() as connection:
        return [id for id, _, _ in ledger.ready(connection)]


def end(bench, job, state: str):
    with bench.write() as connection:
        if state == "done":
            assert ledger.finish(connection, job.id, {"made": 1})
        else:
            assert ledger.fail(connection, job.id, {"kind": "failure", "message": "it broke", "hint": ""})


def test_a_job_keeps_what_was_asked_for_and_by_whom(bench):
    recipe = Sample(name="ethanol")
    job = submit(bench, Actor("ada", "owner"), recipe, title="Ethanol")
    assert (job.state, job.progress, job.attempt, job.created_by) == (JobState.QUEUED, 0.0, 1, "ada")
    assert (job.result, job.error, job.started, job.finished) == (None, None, None, None)
    assert RECIPE.validate_python(job.recipe) == recipe
    with bench.read() as connection:
        [event] = events.recent(connection, subject=f"job {job.id}")
    assert (event.actor, event.verb) == ("ada", "submit")


def test_what_cannot_run_is_refused(bench):
    with pytest.raises(InvalidInput, match="no queue 'kitchen'"):
        queue(bench, queue="kitchen")
    with pytest.raises(NotFound):
        queue(bench, after=99)
    failed = queue(bench)
    end(bench, failed, "failed")
    with pytest.raises(Conflict, match="failed"):
        queue(bench, after=failed.id)
    assert [job.id for job in work.jobs(bench)] == [failed.id]


def test_a_follower_waits_until_the_job_before_it_is_done(bench):
    first = queue(bench)
    second = queue(bench, after=first.id)
    assert ready(bench) == [first.id]
    end(bench, first, "done")
    assert ready(bench) == [second.id]


def test_when_a_job_fails_all_that_wait_for_it_are_cancelled_and_come_back_with_it(bench):
    first = queue(bench)
    second = queue(bench, after=first.id)
    third = queue(bench, after=second.id)
    mine = queue(bench, after=first.id)
    work.cancel(bench, OWNER, mine.id)
    end(bench, first, "failed")
    for job in (second, third):
        told = work.job(bench, job.id)
        assert told.state == JobState.CANCELLED
        assert told.error["message"] == f"job {job.after}, which it waited for, " + (
            "failed" if job == second else "was cancelled"
        )
    with pytest.raises(Conflict, match=f"job {first.id}"):
        work.retry(bench, OWNER, second.id)
    work.retry(bench, OWNER, first.id)
    states = [work.job(bench, job.id).state for job in (first, second, third, mine)]
    assert states == [JobState.QUEUED] * 3 + [JobState.CANCELLED], "what a person cancelled stays so"
    assert ready(bench) == [first.id]


def test_of_many_workers_that_ask_at_once_one_holds_the_job(bench, hire, begin):
    job = queue(bench)
    names = [hire(f"worker {k}") for k in range(8)]
    answers, together = [], threading.Barrier(len(names))

    def ask(name: str) -> None:
        together.wait()
        answers.append(begin(job, name, f"token of {name}"))

    threads = [threading.Thread(target=ask, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [Standing.BUSY] * 7 + [Standing.HOLDS]


def test_a_dead_workers_job_may_be_taken_and_a_dead_worker_takes_nothing(bench, hire, begin):
    job = queue(bench)
    hire("dead")
    hire("living")
    assert begin(job, "dead", "first") == Standing.HOLDS
    assert begin(job, "living", "second") == Standing.BUSY
    with bench.write() as connection:
        connection.execute(update(worker).where(worker.c.executor_id == "dead").values(state="dead"))
    assert begin(job, "living", "second") == Standing.HOLDS
    assert begin(job, "dead", "third") == Standing.BUSY
    with bench.write() as connection:
        assert not ledger.holds(connection, job.id, "first")
        assert ledger.holds(connection, job.id, "second")


def test_a_lock_whose_process_is_no_more_is_given_back_by_its_own_worker(bench, hire, begin):
    job = queue(bench)
    assert begin(job, hire("worker"), "forgotten") == Standing.HOLDS
    assert begin(job, hire("another"), "token") == Standing.BUSY
    Processes(bench, "another", "").free_left_behind()
    assert begin(job, "another", "token") == Standing.BUSY
    Processes(bench, "worker", "").free_left_behind()
    assert begin(job, "another", "token") == Standing.HOLDS


def test_nothing_is_begun_for_a_job_that_ended_or_an_attempt_that_is_past(bench, hire, begin):
    hire("worker")
    job = queue(bench)
    work.cancel(bench, OWNER, job.id)
    assert begin(job, "worker", "token") == Standing.OVER
    again = work.retry(bench, OWNER, job.id)
    assert begin(job, "worker", "token") == Standing.OVER
    assert begin(again, "worker", "token") == Standing.HOLDS


def test_a_job_whose_worker_dies_again_and_again_fails(bench, hire, begin):
    job = queue(bench)
    for k in range(MOST_STARTS):
        hire(f"worker {k}")
        assert begin(job, f"worker {k}", f"token {k}") == Standing.HOLDS
        with bench.write() as connection:
            connection.execute(update(worker).values(state="dead"))
    hire("survivor")
    assert begin(job, "survivor", "token") == Standing.OVER
    failed = work.job(bench, job.id)
    assert failed.state == JobState.FAILED
    assert f"{MOST_STARTS} times" in failed.error["message"]


def test_a_worker_that_stops_in_good_order_leaves_no_mark_on_the_job(bench, hire, begin):
    hire("worker")
    job = queue(bench)
    for k in range(2 * MOST_STARTS):
        assert begin(job, "worker", f"token {k}") == Standing.HOLDS
        with bench.write() as connection:
            assert ledger.put_back(connection, job.id, f"token {k}")
    with bench.read() as connection:
        assert connection.execute(select(run_lock)).all() == []


def test_training_goes_to_a_graphics_card_where_there_is_one_and_to_the_processor_where_not(bench, hire):
    submit(bench, OWNER, Train(version=1), title="train")
    with bench.read() as connection:
        assert [queue for _, _, queue in ledger.ready(connection)] == ["cpu"]
    hire("with a card", queues=("gpu",))
    with bench.read() as connection:
        assert [queue for _, _, queue in ledger.ready(connection)] == ["gpu"]
