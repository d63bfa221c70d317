"""The durable queue: DBOS behind the few verbs that the rest needs. Nothing else imports it.

One workflow per attempt of a job, named `job-<id>-<attempt>`. It carries no data and decides nothing: the job row
does. So a workflow delivered twice, late, or to a worker that was believed dead does no harm.
"""

from __future__ import annotations

import fcntl
import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dbos import DBOS, DBOSPortableJSONSerializer, SetWorkflowID
from sqlalchemy import make_url

from ..errors import Unavailable
from ..workbench import Settings
from . import queues

VERSION = "jobs-1"  # raise it only when a stored workflow could no longer be continued
KEPT_DAYS = 30
PREFIX = "job-"
LOST = {"SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}


def name(id: int, attempt: int) -> str:
    """The workflow that runs this attempt of a job."""
    return f"{PREFIX}{id}-{attempt}"


class Engine:
    """The queue as one worker sees it. `run(id, attempt)` is called in a thread for each job that it is given."""

    def __init__(self, settings: Settings, executor: str, serves: tuple[str, ...], run: Callable[[int, int], None]):
        url = make_url(settings.jobs_url)
        if url.get_backend_name() == "sqlite":
            _prepare_sqlite(Path(url.database))
        else:
            url = url.set(drivername="postgresql+psycopg")
        logging.getLogger("dbos").addFilter(_without_noise)
        self._settings = settings
        DBOS(
            config={
                "name": "isoline",
                "system_database_url": url.render_as_string(hide_password=False),
                "sys_db_pool_size": 4,
                "executor_id": executor,
                "application_version": VERSION,
                "log_level": "WARNING",
                # The default is pickle: whoever could write to the database could run code here.
                "serializer": DBOSPortableJSONSerializer(),
            }
        )
        DBOS.listen_queues(serves)

        # Poison is counted in the job row, by starts without a checkpoint; hence no limit here.
        @DBOS.workflow(name="run_job", max_recovery_attempts=None)
        def run_job(id: int, attempt: int) -> None:
            run_attempt(id, attempt)

        @DBOS.step(name="run_attempt", retries_allowed=True, max_attempts=5)
        def run_attempt(id: int, attempt: int) -> None:
            run(id, attempt)

        self._run_job = run_job

    def launch(self) -> None:
        """Begin to take jobs, those first that this executor left unfinished."""
        # Several workers that create the queue's tables at the same moment would trip over each other.
        with (self._settings.runs / "launch.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                DBOS.launch()
                for queue, concurrency in queues.CONCURRENCY.items():
                    DBOS.register_queue(queue, worker_concurrency=concurrency, polling_interval_sec=queues.POLL_S)
            except Exception as error:
                raise Unavailable(f"the job queue cannot be opened: {error}", hint="Does its database run?") from error

    def enqueue(self, id: int, attempt: int, queue: str) -> None:
        """Queue an attempt; nothing happens when it is queued already."""
        with SetWorkflowID(name(id, attempt)):
            DBOS.enqueue_workflow(queue, self._run_job, id, attempt)

    def statuses(self, attempts: list[tuple[int, int]]) -> dict[tuple[int, int], tuple[str, str | None]]:
        """Status and queue of these attempts; those that the engine does not know are left out."""
        wanted = {name(*attempt): attempt for attempt in attempts}
        found = DBOS.list_workflows(workflow_ids=list(wanted), load_input=False, load_output=False) if wanted else []
        return {wanted[workflow.workflow_id]: (workflow.status, workflow.queue_name) for workflow in found}

    def move(self, id: int, attempt: int, queue: str) -> None:
        """Let a waiting attempt wait on another queue. Never for one that runs: it would run twice."""
        DBOS.resume_workflow(name(id, attempt), queue_name=queue)

    def hand_on(self, executor: str) -> int:
        """Queue again what a dead worker had taken. Returns how many."""
        left = DBOS.list_workflows(status="PENDING", executor_id=executor, load_input=False, load_output=False)
        for workflow in left:
            # Without the queue's name it would go to one that every worker serves.
            DBOS.resume_workflow(workflow.workflow_id, queue_name=workflow.queue_name)
        return len(left)

    def tidy(self) -> None:
        """Forget workflows that ended long ago; their jobs stay in the store."""
        before = (datetime.now(UTC) - timedelta(days=KEPT_DAYS)).isoformat()
        old = DBOS.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED"], end_time=before, limit=500, load_input=False, load_output=False
        )
        if old:
            DBOS.delete_workflows([workflow.workflow_id for workflow in old])


def _prepare_sqlite(file: Path) -> None:
    # Write-ahead logging lasts once it is set: readers and the writer then do not wait for each other.
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _without_noise(record: logging.LogRecord) -> bool:
    # An attempt that was handed on while its worker slept ends with this; it is what fencing is for.
    return "no longer owned" not in record.getMessage()
