"""A job's pen: progress, numbers, log lines and checkpoints, written only while its process holds the job.

Each write looks in its own transaction whether the job is still this process's to run. So a cancelled job stops at
its next word, and a process that slept while another took over can spoil nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from isoline.domain.job import Job
from isoline.errors import Cancelled
from isoline.jobs import ledger
from isoline.store.tables import job, job_checkpoint, job_metric
from isoline.workbench import Workbench

EVERY_S = 0.3  # at most one write of numbers in this time


class Journal:
    """The pen of one process. Every method raises Cancelled once the job is not this process's any more."""

    def __init__(self, bench: Workbench, record: Job, token: str):
        self.job = record
        self._bench = bench
        self._token = token
        self._written = -math.inf
        self._fraction = 0.0
        self._message = ""
        self._numbers: dict[tuple[int, str], float] = {}

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits only while this process holds the job: for results that exist once."""
        with self._bench.write() as connection:
            if not ledger.holds(connection, self.job.id, self._token):
                raise Cancelled(f"job {self.job.id} is not this process's to run any more")
            yield connection

    def progress(self, fraction: float, message: str = "") -> None:
        """How much is done, 0…1, and what is being done now. A new message is shown at once."""
        self._fraction = min(max(float(fraction), 0.0), 1.0)
        news = bool(message) and message != self._message
        self._message = message or self._message
        self._flush(at_once=news)

    def record(self, step: int, **numbers: float) -> None:
        """Numbers of one step, for curves; what is not finite leaves a gap. Steps count as checkpoints do."""
        for name, value in numbers.items():
            if math.isfinite(value):
                self._numbers[int(step), name] = float(value)
        self._flush()

    def log(self, line: str) -> None:
        """A line for the job's log."""
        with self.write() as connection:
            ledger.write_log(connection, self.job.id, line)

    def checkpoint(self, step: int, data: bytes) -> None:
        """Keep what is needed to go on after `step`; it replaces the checkpoint before."""
        with self.write() as connection:
            before = connection.execute(
                select(job_checkpoint.c.step).where(job_checkpoint.c.job_id == self.job.id)
            ).scalar()
            if before is None:
                connection.execute(insert(job_checkpoint).values(job_id=self.job.id, step=step, data=data))
            else:
                connection.execute(
                    update(job_checkpoint).where(job_checkpoint.c.job_id == self.job.id).values(step=step, data=data)
                )
            if before is None or step > before:
                # It got on: deaths before this point are forgiven.
                connection.execute(update(job).where(job.c.id == self.job.id).values(starts=1))
            self._write_numbers(connection)

    def last_checkpoint(self) -> bytes | None:
        """The last checkpoint of this job, whichever process wrote it; None before the first."""
        query = select(job_checkpoint.c.data).where(job_checkpoint.c.job_id == self.job.id)
        with self._bench.read() as connection:
            return connection.execute(query).scalar()

    def begin(self) -> None:
        """Drop what earlier processes recorded after their last checkpoint."""
        with self.write() as connection:
            ledger.forget_metrics(connection, self.job.id)

    def finish(self, result: dict) -> None:
        """The job is done."""
        with self.write() as connection:
            self._write_numbers(connection)
            ledger.finish(connection, self.job.id, result)

    def fail(self, error: dict, trace: str = "") -> None:
        """The job failed."""
        with self.write() as connection:
            self._write_numbers(connection)
            ledger.write_log(connection, self.job.id, trace)
            ledger.fail(connection, self.job.id, error)

    def _flush(self, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._written > EVERY_S:
            with self.write() as connection:
                self._write_numbers(connection)

    def _write_numbers(self, connection: Connection) -> None:
        connection.execute(
            update(job).where(job.c.id == self.job.id).values(progress=self._fraction, message=self._message)
        )
        if self._numbers:
            dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
            put = dialect.insert(job_metric)
            rows = [
                {"job_id": self.job.id, "step": step, "name": name, "value": value}
                for (step, name), value in self._numbers.items()
            ]
            connection.execute(
                put.on_conflict_do_update(
                    index_elements=["job_id", "step", "name"], set_={"value": put.excluded.value}
                ),
                rows,
            )
            self._numbers.clear()
        self._written = time.monotonic()
