"""Who may act: people, passwords, sessions, and the one place where permissions are decided."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error
from sqlalchemy import delete, func, insert, select, update

from ..domain.actor import OWNER, Actor
from ..errors import InvalidInput, NotAllowed, NotSignedIn, Unavailable
from ..store import events
from ..store.tables import person, session
from ..workbench import Workbench

SESSION_DAYS = 30
SHORTEST_PASSWORD = 10

# A hash takes 64 MiB and a core, and may be asked for before anybody is signed in: only so many at a time.
HASHING = threading.BoundedSemaphore(2)
LONGEST_WAIT_S = 5.0

ACTIONS = frozenset(
    {
        "import",
        "freeze",
        "mark",
        "select",
        "train",
        "evaluate",
        "describe",
        "cancel",
        "retry",
        "export",
        "upload",
        "administer",
    }
)
ALLOWED: dict[str, frozenset[str]] = {"owner": ACTIONS}


def permit(actor: Actor | None, action: str) -> None:
    """Let `actor` do `action`, or raise NotSignedIn or NotAllowed: every permission is decided here."""
    if actor is None:
        raise NotSignedIn("nobody is signed in", hint="Sign in first.")
    if action not in ACTIONS:
        raise ValueError(f"unknown action '{action}'")
    if action not in ALLOWED.get(actor.role, frozenset()):
        raise NotAllowed(
            f"{actor.name} ({actor.role}) may not {action}",
            hint="Ask an owner of this workbench for the role that may.",
        )


def has_owner_password(bench: Workbench) -> bool:
    """Whether the owner has a password, and so whether the program may listen beyond this machine."""
    with bench.read() as connection:
        return bool(connection.execute(select(func.count()).select_from(person)).scalar())


def set_owner_password(bench: Workbench, actor: Actor, password: str, name: str = OWNER.name) -> Actor:
    """Give the owner a password; every session opened with an older one ends."""
    permit(actor, "administer")
    if len(password) < SHORTEST_PASSWORD:
        raise InvalidInput(
            f"the password has {len(password)} characters",
            hint=f"Use at least {SHORTEST_PASSWORD}; a sentence is easiest.",
        )
    hashed = PasswordHasher().hash(password)
    with bench.write() as connection:
        known = connection.execute(select(person.c.id).where(person.c.name == name)).scalar()
        if known is None:
            connection.execute(
                insert(person).values(name=name, password_hash=hashed, role="owner", created=datetime.now(UTC))
            )
        else:
            connection.execute(update(person).where(person.c.id == known).values(password_hash=hashed))
            connection.execute(delete(session).where(session.c.person_id == known))
        events.record(connection, actor.name, "set password", f"person {name}", {})
    return Actor(name, "owner")


def sign_in(bench: Workbench, name: str, password: str) -> str:
    """A new session's token for the right name and password.

    Raises NotSignedIn, without saying which was wrong; Unavailable when too many try at once.
    """
    with _turn():
        stand_in = _nobodys_hash()
    with bench.read() as connection:
        row = connection.execute(select(person).where(person.c.name == name)).first()
    try:
        with _turn():
            # An unknown name costs as much time as a wrong password, so that names cannot be guessed by timing.
            PasswordHasher().verify(row.password_hash if row else stand_in, password)
    except Argon2Error:
        row = None
    if row is None:
        raise NotSignedIn(
            "name or password is wrong", hint="`isoline password` on the server's terminal sets a new one."
        )
    token = secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    with bench.write() as connection:
        connection.execute(delete(session).where(session.c.expires < now))
        connection.execute(
            insert(session).values(
                token_hash=_hash(token), person_id=row.id, created=now, expires=now + timedelta(days=SESSION_DAYS)
            )
        )
        events.record(connection, name, "sign in", f"person {name}", {})
    return token


def session_actor(bench: Workbench, token: str | None) -> Actor | None:
    """Who holds this session; None when it is unknown, ended or expired."""
    if not token:
        return None
    query = (
        select(person.c.name, person.c.role)
        .join(session, session.c.person_id == person.c.id)
        .where(session.c.token_hash == _hash(token), session.c.expires > datetime.now(UTC))
    )
    with bench.read() as connection:
        row = connection.execute(query).first()
    return Actor(row.name, row.role) if row else None


def acting_for(bench: Workbench, name: str) -> Actor:
    """Who a job acts for: the person who asked for it, in the role they have now.

    On a workbench without people the owner is whoever sits at the machine; anybody else who is not known has no role.
    """
    with bench.read() as connection:
        role = connection.execute(select(person.c.role).where(person.c.name == name)).scalar()
    if role is None:
        return OWNER if name == OWNER.name else Actor(name, "")
    return Actor(name, role)


def sign_out(bench: Workbench, token: str | None) -> None:
    """End a session; nothing happens when it has ended already."""
    if token:
        with bench.write() as connection:
            connection.execute(delete(session).where(session.c.token_hash == _hash(token)))


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    if not HASHING.acquire(timeout=LONGEST_WAIT_S):
        raise Unavailable("too many people are signing in at once", hint="Try again in a moment.")
    try:
        yield
    finally:
        HASHING.release()


@cache
def _nobodys_hash() -> str:
    return PasswordHasher().hash(secrets.token_hex(16))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
