"""What the store says shall run, handed to the engine; and any difference between the two mended.

A job is submitted by writing its row and nothing else. Every worker hands ready rows on; the engine takes each
attempt once, whoever names it, and however often.
"""

from __future__ import annotations

from ..workbench import Workbench
from . import ledger
from .engine import LOST, Engine


class Relay:
    """One worker's share of handing on; it remembers what it did only to save time."""

    def __init__(self, bench: Workbench, engine: Engine):
        self._bench = bench
        self._engine = engine
        self._known: set[tuple[int, int]] = set()

    def dispatch(self) -> None:
        """Queue every job whose turn has come."""
        with self._bench.read() as connection:
            ready = ledger.ready(connection)
        for id, attempt, queue in ready:
            if (id, attempt) not in self._known:
                self._engine.enqueue(id, attempt, queue)
        self._known = {(id, attempt) for id, attempt, _ in ready}

    def repair(self) -> None:
        """Find jobs that the engine has lost, ended or cancelled behind our back, and put them right."""
        with self._bench.read() as connection:
            rows = ledger.ready(connection) + ledger.active(connection)
            bereft = ledger.bereft(connection)
        statuses = self._engine.statuses([(id, attempt) for id, attempt, _ in rows])
        # The state is asked for after the row was read: an attempt that ended well has changed its row before.
        lost = [attempt for attempt, (status, _) in statuses.items() if status in LOST]
        cancelled = [attempt for attempt, (status, _) in statuses.items() if status == "CANCELLED"]
        for id, attempt, queue in rows:
            if (id, attempt) not in statuses:
                self._engine.enqueue(id, attempt, queue)
            elif statuses[id, attempt] == ("ENQUEUED", "gpu") and queue == "cpu":
                self._engine.move(id, attempt, queue)
        if not (lost or cancelled or bereft):
            return
        with self._bench.write() as connection:
            for id, attempt in lost:
                ledger.requeue(connection, id, attempt)
            for id, attempt in cancelled:
                if ledger.wanted(connection, id, attempt):
                    ledger.cancel(connection, id, "Cancelled in the job queue.")
            ledger.cancel_followers(connection)
