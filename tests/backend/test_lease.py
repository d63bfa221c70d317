"""Who is dead, who says so, and who takes over."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select, update

from isoline.jobs.lease import Lease
from isoline.jobs.workers import database_now
from isoline.services import work
from isoline.store.tables import worker


@pytest.fixture
def appear(bench):
    """Write the row of a worker last heard of some seconds ago, and give its lease."""

    def make(name: str, silent_s: float = 0.0, state: str = "alive") -> Lease:
        with bench.write() as connection:
            connection.execute(
                insert(worker).values(
                    executor_id=name,
                    host="elsewhere",
                    pid=os.getpid(),
                    queues=["cpu"],
                    device="",
                    state=state,
                    started=datetime.now(UTC),
                    beat=database_now(connection) - silent_s,
                )
            )
        return Lease(bench, name, pytest.fail)

    return make


def states(bench) -> dict[str, str]:
    with bench.read() as connection:
        return {row.executor_id: row.state for row in connection.execute(select(worker))}


def test_a_silent_workers_jobs_are_handed_on_once(bench, appear):
    first, second = appear("first"), appear("second")
    appear("silent", silent_s=bench.settings.lease_s + 1)
    appear("heard", silent_s=bench.settings.lease_s / 2)
    handed = []
    for lease in (first, second, first):
        lease.reap(lambda name: handed.append(name) or 2)
    assert handed == ["silent"]
    assert states(bench) == {"first": "alive", "second": "alive", "heard": "alive", "silent": "dead"}
    assert {card.executor_id for card in work.workers(bench)} == {"first", "second", "heard"}
    assert len(work.workers(bench, all=True)) == 4


def test_what_a_worker_left_that_stopped_is_handed_on_at_once(bench, appear):
    lease = appear("staying")
    appear("leaving").stop()
    assert lease.reap(lambda name: 3) == 3
    assert states(bench)["leaving"] == "dead"


def test_if_handing_on_fails_the_worker_is_not_forgotten(bench, appear):
    lease = appear("living")
    appear("silent", silent_s=bench.settings.lease_s + 1)
    with pytest.raises(ZeroDivisionError):
        lease.reap(lambda name: 1 // 0)
    assert lease.reap(lambda name: 1) == 1


def test_who_was_not_heard_itself_calls_nobody_dead(bench, appear):
    # So it is when the whole machine slept, or the store was away: all have been silent alike.
    asleep = [appear(name, silent_s=10 * bench.settings.lease_s) for name in ("one", "two")]
    for lease in asleep:
        assert lease.reap(pytest.fail) == 0
    with bench.write() as connection:
        connection.execute(update(worker).values(beat=database_now(connection)))
    for lease in asleep:
        assert lease.reap(pytest.fail) == 0
    assert set(states(bench).values()) == {"alive"}
