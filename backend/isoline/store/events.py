"""The audit trail: who did what to what, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select

from .tables import event


@dataclass(frozen=True)
class Event:
    """One change, as it was recorded with the change itself."""

    id: int
    at: datetime
    actor: str
    verb: str
    subject: str
    detail: dict


def record(connection: Connection, actor: str, verb: str, subject: str, detail: dict) -> None:
    """Note a change in the transaction that makes it."""
    connection.execute(
        insert(event).values(at=datetime.now(UTC), actor=actor, verb=verb, subject=subject, detail=detail)
    )


def recent(connection: Connection, *, subject: str = "", limit: int = 100) -> list[Event]:
    """The newest events first; only those about `subject` where one is given."""
    query = select(event).order_by(event.c.id.desc()).limit(limit)
    if subject:
        query = query.where(event.c.subject == subject)
    return [Event(**row._mapping) for row in connection.execute(query)]
