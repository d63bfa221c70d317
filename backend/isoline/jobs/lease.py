"""A worker's sign of life: who falls silent for longer than the lease is dead, and others take over its jobs."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from ..errors import IsolineError
from ..store.tables import run_lock, worker
from ..workbench import Workbench
from .workers import database_now

UNREACHABLE = 0.7  # of the lease: a worker that cannot be heard ends itself before others call it dead
FORGOTTEN_S = 7 * 86_400


class Lease:
    """Keeps the worker's row alive, and ends the process at once when it has been declared dead.

    `reap(executor)` hands on the jobs of a dead worker.
    """

    def __init__(self, bench: Workbench, executor: str, end: Callable[[str], None]):
        self._bench = bench
        self._executor = executor
        self._end = end
        self._lease_s = bench.settings.lease_s
        self._heard = time.monotonic()
        self._passive_until = 0.0
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def start(self, serves: tuple[str, ...], device: str) -> None:
        """Write the worker's row and keep it alive. What an earlier process of this name held is free."""
        with self._bench.write() as connection:
            connection.execute(delete(worker).where(worker.c.executor_id == self._executor))
            connection.execute(delete(run_lock).where(run_lock.c.executor_id == self._executor))
            connection.execute(
                insert(worker).values(
                    executor_id=self._executor,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    queues=list(serves),
                    device=device,
                    state="alive",
                    started=datetime.now(UTC),
                    beat=database_now(connection),
                )
            )
        self._heard = time.monotonic()
        self._thread.start()

    def _keep(self) -> None:
        while True:
            time.sleep(self._lease_s / 6)
            try:
                self._beat()
            except (SQLAlchemyError, IsolineError) as error:
                # SQLite is silent to all workers alike while one writes much: nobody can take over meanwhile.
                shared = self._bench.engine.dialect.name != "sqlite"
                if shared and time.monotonic() - self._heard > UNREACHABLE * self._lease_s:
                    self._end(f"the store has not answered for {UNREACHABLE * self._lease_s:.0f} s: {error}")

    def _beat(self) -> None:
        with self._bench.write() as connection:
            silent = connection.execute(select(database_now(connection) - worker.c.beat).where(self._mine())).scalar()
            if silent is not None:
                connection.execute(update(worker).where(self._mine()).values(beat=database_now(connection)))
        if silent is None:
            self._end("it was silent for so long that others took over its jobs")
        self._heard = time.monotonic()
        if silent > self._lease_s / 2:
            # The whole machine may have slept: let the others be heard before any is called dead.
            self._passive_until = self._heard + self._lease_s

    def reap(self, hand_on: Callable[[str], int]) -> int:
        """Call silent workers dead and hand on their jobs, and those of workers that stopped. Returns how many jobs."""
        if time.monotonic() < self._passive_until:
            return 0
        with self._bench.read() as connection:
            if not self._silent(connection):
                return 0
        jobs = 0
        with self._bench.write() as connection:
            # Handed on before the row says so: if this process dies in between, another does it again.
            for executor in self._silent(connection, take=True):
                jobs += hand_on(executor)
                connection.execute(update(worker).where(worker.c.executor_id == executor).values(state="dead"))
                connection.execute(delete(run_lock).where(run_lock.c.executor_id == executor))
        return jobs

    def _mine(self) -> ColumnElement[bool]:
        return and_(worker.c.executor_id == self._executor, worker.c.pid == os.getpid(), worker.c.state == "alive")

    def _silent(self, connection: Connection, take: bool = False) -> Sequence[str]:
        silent = database_now(connection) - worker.c.beat
        # Who has not been heard itself cannot tell whether the others are dead or the store was away.
        if not connection.execute(select(silent < self._lease_s / 3).where(self._mine())).scalar():
            return []
        query = select(worker.c.executor_id).where(
            worker.c.executor_id != self._executor,
            or_((worker.c.state == "alive") & (silent > self._lease_s), worker.c.state == "stopped"),
        )
        if take:
            query = query.with_for_update(skip_locked=True)
        return connection.execute(query).scalars().all()

    def stop(self) -> None:
        """Say that this worker stopped in good order: its jobs are free at once."""
        with self._bench.write() as connection:
            connection.execute(
                update(worker)
                .where(worker.c.executor_id == self._executor, worker.c.pid == os.getpid())
                .values(state="stopped")
            )

    def forget(self) -> None:
        """Drop the rows of workers dead for a week."""
        with self._bench.write() as connection:
            old = database_now(connection) - worker.c.beat > FORGOTTEN_S
            connection.execute(delete(worker).where(worker.c.state == "dead", old))
