"""What tests of the worker share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert

from isoline.jobs.workers import database_now
from isoline.store.tables import worker
from isoline.workbench import Workbench


@pytest.fixture
def hire() -> Callable[[Workbench], str]:
    """Adds a worker that was heard of just now, and gives the name under which it holds jobs."""

    def add(bench: Workbench) -> str:
        with bench.write() as connection:
            connection.execute(
                insert(worker).values(
                    executor_id="worker",
                    host="elsewhere",
                    pid=1,
                    queues=["cpu"],
                    device="",
                    state="alive",
                    started=datetime.now(UTC),
                    beat=database_now(connection),
                )
            )
        return "worker"

    return add


@pytest.fixture
def living_worker(bench: Workbench, hire: Callable[[Workbench], str]) -> str:
    """The name of a living worker of the workbench."""
    return hire(bench)
