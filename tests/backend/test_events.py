"""Live events: they end with the session, outlast a failing store and forget no job."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from awaiting import finish
from sqlalchemy import text, update

from isoline.api import events
from isoline.api.events import Changes
from isoline.api.session import COOKIE
from isoline.domain.actor import OWNER
from isoline.domain.job import JobState
from isoline.domain.recipe import Sample
from isoline.jobs.submit import submit
from isoline.services import accounts, work
from isoline.store.tables import job
from isoline.workbench import Workbench

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    for name, seconds in {"POLL_S": 0.02, "PING_S": 0.05, "SESSION_CHECK_S": 0.0, "FAULT_PAUSE_S": 0.02}.items():
        monkeypatch.setattr(events, name, seconds)


def sample(bench: Workbench) -> int:
    return submit(bench, OWNER, Sample(name="silicon"), title="Silicon").id


async def until_ping(stream: AsyncIterator[str]) -> None:
    while await anext(stream) != ": ping\n\n":
        pass


async def told(stream: AsyncIterator[str]) -> dict:
    """The next job that the stream tells."""
    async for event in stream:
        if event.startswith("event: job"):
            return json.loads(event.split("data: ")[1])
    pytest.fail("the stream ended")


def limited(coroutine):
    """What a coroutine gives, within ten seconds."""
    return finish(asyncio.wait_for(coroutine, 10))


def test_signing_out_ends_the_live_events(bench_sqlite):
    accounts.set_owner_password(bench_sqlite, OWNER, PASSWORD)
    token = accounts.sign_in(bench_sqlite, "owner", PASSWORD)
    network = Workbench(bench_sqlite.settings.model_copy(update={"host": "192.0.2.7"}), bench_sqlite.engine)

    async def follow() -> list[str]:
        stream = Changes(network).stream(f"{COOKIE}={token}")
        await until_ping(stream)
        accounts.sign_out(network, token)
        sample(network)
        return [event async for event in stream]

    assert limited(follow()) == []


def test_events_go_on_after_the_store_failed(bench_sqlite):
    id = sample(bench_sqlite)

    async def follow() -> dict:
        changes = Changes(bench_sqlite)
        stream = changes.stream()
        await until_ping(stream)
        await until_ping(stream)
        with bench_sqlite.write() as connection:
            connection.execute(text("ALTER TABLE job RENAME TO away"))
        for _ in range(4):
            await until_ping(stream)
        with bench_sqlite.write() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO job"))
        work.cancel(bench_sqlite, OWNER, id)
        return await told(stream)

    assert limited(follow())["state"] == "cancelled"


def test_a_job_older_than_the_newest_is_followed_to_its_end(bench_sqlite):
    old = sample(bench_sqlite)
    for _ in range(events.NEWEST + 1):
        sample(bench_sqlite)
    with bench_sqlite.write() as connection:
        connection.execute(update(job).where(job.c.id > old).values(state=JobState.DONE))

    async def follow() -> list[dict]:
        stream = Changes(bench_sqlite).stream()
        await until_ping(stream)
        await until_ping(stream)
        with bench_sqlite.write() as connection:
            connection.execute(update(job).where(job.c.id == old).values(state=JobState.RUNNING, message="half"))
        half = await told(stream)
        work.cancel(bench_sqlite, OWNER, old)
        return [half, await told(stream)]

    first, last = limited(follow())
    assert (first["id"], first["message"]) == (old, "half")
    assert (last["id"], last["state"]) == (old, "cancelled")
