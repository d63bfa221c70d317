"""Live progress: one poll of the store feeds every open page by server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator

from sqlalchemy.exc import SQLAlchemyError

from ..domain.job import ENDED, JobState
from ..errors import IsolineError, NotFound
from ..services import work
from ..workbench import Workbench
from .session import socket_alive

POLL_S = 0.5
PING_S = 15.0
SESSION_CHECK_S = 1.0  # how long an answer about a session holds
FAULT_PAUSE_S = 2.0  # before the store is asked again after a failure
BACKLOG = 200
NEWEST, MOST_OPEN = 50, 1000

log = logging.getLogger("isoline")


class Changes:
    """Tells subscribers which jobs changed; polls only while somebody listens."""

    def __init__(self, bench: Workbench):
        self.bench = bench
        self.subscribers: set[asyncio.Queue[dict]] = set()
        self._poller: asyncio.Task | None = None

    async def stream(self, cookie_header: str = "") -> AsyncIterator[str]:
        """Server-sent events for one page, until it goes away or the session of its cookie ends."""
        queue: asyncio.Queue[dict] = asyncio.Queue(BACKLOG)
        self.subscribers.add(queue)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            checked = time.monotonic()
            yield "retry: 2000\n\n"
            while True:
                try:
                    change = await asyncio.wait_for(queue.get(), PING_S)
                except TimeoutError:
                    change = None
                if time.monotonic() - checked >= SESSION_CHECK_S:
                    if not await self._alive(cookie_header):
                        return
                    checked = time.monotonic()
                yield ": ping\n\n" if change is None else f"event: job\ndata: {json.dumps(change)}\n\n"
        finally:
            self.subscribers.discard(queue)

    async def _alive(self, cookie_header: str) -> bool:
        """Whether the session still holds; waits while the store cannot tell."""
        while True:
            try:
                return await asyncio.to_thread(socket_alive, self.bench, cookie_header)
            except (SQLAlchemyError, IsolineError) as error:
                log.warning("live events cannot ask for their session: %s", error)
                await asyncio.sleep(FAULT_PAUSE_S)

    async def _poll(self) -> None:
        seen: dict[int, dict] | None = None
        while self.subscribers:
            try:
                jobs = await asyncio.to_thread(self._now, seen or {})
            except (SQLAlchemyError, IsolineError) as error:
                log.warning("live events cannot read the jobs: %s", error)
                await asyncio.sleep(FAULT_PAUSE_S)
                continue
            if seen is not None:
                for id, job in jobs.items():
                    if seen.get(id) != job:
                        self._tell(job)
            seen = jobs
            await asyncio.sleep(POLL_S)

    def _now(self, seen: dict[int, dict]) -> dict[int, dict]:
        """Jobs by id: the newest, all that have not ended, and those of `seen` that ended since."""
        found = [
            *work.jobs(self.bench, limit=MOST_OPEN, state=JobState.RUNNING),
            *work.jobs(self.bench, limit=MOST_OPEN, state=JobState.QUEUED),
            *work.jobs(self.bench, limit=NEWEST),
        ]
        jobs = {job.id: work.as_dict(job) for job in found}
        for id, before in seen.items():
            if id not in jobs and before["state"] not in ENDED:
                with contextlib.suppress(NotFound):
                    jobs[id] = work.as_dict(work.job(self.bench, id))
        return jobs

    def _tell(self, change: dict) -> None:
        for queue in self.subscribers:
            if queue.full():
                with contextlib.suppress(asyncio.QueueEmpty):
                    queue.get_nowait()
            queue.put_nowait(change)
