"""A worker's name is its own, whoever shares the host, the folder or the database."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, update

from isoline.errors import Conflict, InvalidInput
from isoline.jobs.workers import database_now
from isoline.store.tables import worker
from isoline_lab.worker import claim_name, run_worker

HOST = socket.gethostname()


def write_row(bench, name: str, host: str, pid: int) -> None:
    with bench.write() as connection:
        connection.execute(
            insert(worker).values(
                executor_id=name,
                host=host,
                pid=pid,
                queues=["cpu"],
                device="",
                state="alive",
                started=datetime.now(UTC),
                beat=database_now(connection),
            )
        )


def test_workers_of_one_host_take_the_first_free_number(bench):
    first, lock = claim_name(bench)
    second, other = claim_name(bench)
    assert (first, second) == (f"{HOST}-0", f"{HOST}-1")
    lock.close()
    again, lock = claim_name(bench)
    assert again == first
    with pytest.raises(Conflict, match=f"{HOST}-1"):
        claim_name(bench, second)
    lock.close()
    other.close()


def test_a_name_that_lives_in_another_data_folder_is_left_alone_until_it_falls_silent(bench):
    write_row(bench, f"{HOST}-0", HOST, os.getppid())
    write_row(bench, "named", "elsewhere", 1)
    name, lock = claim_name(bench)
    assert name == f"{HOST}-1"
    lock.close()
    with pytest.raises(Conflict):
        claim_name(bench, "named")
    with bench.write() as connection:
        connection.execute(update(worker).values(beat=worker.c.beat - bench.settings.lease_s))
    for wanted, given in (("", f"{HOST}-0"), ("named", "named")):
        name, lock = claim_name(bench, wanted)
        assert name == given
        lock.close()


def test_names_and_queues_that_cannot_be_are_refused(bench_sqlite):
    with pytest.raises(InvalidInput):
        claim_name(bench_sqlite, "../elsewhere")
    with pytest.raises(InvalidInput, match="no queue 'kitchen'"):
        run_worker(bench_sqlite.settings, ["kitchen"])
