"""Jobs as people see them: listed, followed, cancelled, retried."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict

from sqlalchemy import select

from ..domain.actor import Actor
from ..domain.job import ENDED, Job, JobState
from ..jobs import ledger
from ..jobs.workers import WorkerCard, cards
from ..store import events
from ..store.tables import job_log, job_metric
from ..workbench import Workbench
from . import accounts

LONGEST_LOG = 5000


def jobs(bench: Workbench, *, limit: int = 100, state: JobState | None = None, version: int | None = None) -> list[Job]:
    """Jobs, newest first: all, or those in one state or about one dataset version."""
    with bench.read() as connection:
        return ledger.listing(connection, limit=limit, state=state, version=version)


def job(bench: Workbench, id: int) -> Job:
    """One job. Raises NotFound."""
    with bench.read() as connection:
        return ledger.get(connection, id)


def as_dict(record: Job) -> dict:
    """A job as JSON."""
    body = asdict(record)
    body |= {name: body[name].isoformat() if body[name] else None for name in ("created", "started", "finished")}
    return body | {"state": str(record.state)}


def log(bench: Workbench, id: int, since: int = 0) -> list[dict]:
    """Lines of a job's log after the line `since`, oldest first: {"id", "at", "line"}.

    Of very many lines these are the newest. Raises NotFound.
    """
    query = (
        select(job_log.c.id, job_log.c.at, job_log.c.line)
        .where(job_log.c.job_id == id, job_log.c.id > since)
        .order_by(job_log.c.id.desc())
        .limit(LONGEST_LOG)
    )
    with bench.read() as connection:
        ledger.get(connection, id)
        rows = connection.execute(query).all()
    return [{"id": row.id, "at": row.at.isoformat(), "line": row.line} for row in reversed(rows)]


def metrics(bench: Workbench, id: int, since: int = -1) -> dict[str, list]:
    """Numbers that a job recorded at steps after `since`, as columns: {"step": […], name: [number or None, …]}.

    Raises NotFound.
    """
    query = (
        select(job_metric.c.step, job_metric.c.name, job_metric.c.value)
        .where(job_metric.c.job_id == id, job_metric.c.step > since)
        .order_by(job_metric.c.step, job_metric.c.name)
    )
    with bench.read() as connection:
        ledger.get(connection, id)
        rows = connection.execute(query).all()
    steps = list(dict.fromkeys(row.step for row in rows))
    place = {step: k for k, step in enumerate(steps)}
    columns: dict[str, list] = {name: [None] * len(steps) for name in dict.fromkeys(row.name for row in rows)}
    for row in rows:
        columns[row.name][place[row.step]] = row.value
    return {"step": steps, **columns}


def cancel(bench: Workbench, actor: Actor, id: int) -> Job:
    """Cancel a job and those that wait for it; its process ends within a second or two.

    Raises NotFound, NotAllowed, and Conflict for a job that is done or failed.
    """
    accounts.permit(actor, "cancel")
    with bench.write() as connection:
        cancelled = ledger.cancel(connection, id, f"Cancelled by {actor.name}.")
        events.record(connection, actor.name, "cancel", f"job {id}", {})
        return cancelled


def retry(bench: Workbench, actor: Actor, id: int, *, fresh: bool = False) -> Job:
    """Queue a failed or cancelled job again; it goes on from its last checkpoint, or from the start with `fresh`.

    Raises NotFound, NotAllowed, and Conflict for a job that has not ended or is done.
    """
    accounts.permit(actor, "retry")
    with bench.write() as connection:
        queued = ledger.retry(connection, id, fresh=fresh)
        events.record(connection, actor.name, "retry", f"job {id}", {"attempt": queued.attempt})
        return queued


def workers(bench: Workbench, *, all: bool = False) -> list[WorkerCard]:
    """The living workers; with `all` also those that stopped or died within a week."""
    with bench.read() as connection:
        found = cards(connection, bench.settings.lease_s)
    return found if all else [card for card in found if card.alive]


def wait(bench: Workbench, id: int, *, every_s: float = 0.2) -> Iterator[Job]:
    """The job each time something about it changed, the last time when it has ended. Raises NotFound."""
    before = None
    while before is None or before.state not in ENDED:
        now = job(bench, id)
        if now != before:
            yield now
            before = now
        else:
            time.sleep(every_s)
