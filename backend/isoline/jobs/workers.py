"""Worker processes as the store knows them."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Float, cast, func, literal_column, select

from ..store.tables import worker


@dataclass(frozen=True)
class WorkerCard:
    """One worker process.

    silent_s  seconds since it was heard of
    """

    executor_id: str
    host: str
    pid: int
    queues: tuple[str, ...]
    device: str
    alive: bool
    started: datetime
    silent_s: float


def database_now(connection: Connection):
    """Seconds since 1970 on the database's clock, which all workers share."""
    if connection.dialect.name == "sqlite":
        return literal_column("(julianday('now') - 2440587.5) * 86400.0", Float)
    return cast(func.extract("epoch", func.clock_timestamp()), Float)


def cards(connection: Connection, lease_s: float) -> list[WorkerCard]:
    """All workers that the store remembers; the living first."""
    silent = (database_now(connection) - worker.c.beat).label("silent")
    found = [
        WorkerCard(
            executor_id=row.executor_id,
            host=row.host,
            pid=row.pid,
            queues=tuple(row.queues),
            device=row.device,
            alive=row.state == "alive" and row.silent < lease_s and not _gone(row.host, row.pid),
            started=row.started,
            silent_s=max(0.0, row.silent),
        )
        for row in connection.execute(select(worker, silent).order_by(worker.c.executor_id))
    ]
    return sorted(found, key=lambda card: not card.alive)


def _gone(host: str, pid: int) -> bool:
    if host != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
