"""Live progress: one poll of the store feeds every open page by server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from ..services import work
from ..workbench import Workbench

POLL_S = 0.5
PING_S = 15.0
BACKLOG = 200


class Changes:
    """Tells subscribers which jobs changed; polls only while somebody listens."""

    def __init__(self, bench: Workbench):
        self.bench = bench
        self.subscribers: set[asyncio.Queue[dict]] = set()
        self._poller: asyncio.Task | None = None

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events for one page, until it goes away."""
        queue: asyncio.Queue[dict] = asyncio.Queue(BACKLOG)
        self.subscribers.add(queue)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            yield "retry: 2000\n\n"
            while True:
                try:
                    change = await asyncio.wait_for(queue.get(), PING_S)
                except TimeoutError:
                    yield ": ping\n\n"
                else:
                    yield f"event: job\ndata: {json.dumps(change)}\n\n"
        finally:
            self.subscribers.discard(queue)

    async def _poll(self) -> None:
        seen: dict[int, dict] | None = None
        while self.subscribers:
            jobs = {job.id: work.as_dict(job) for job in await asyncio.to_thread(work.jobs, self.bench, limit=50)}
            if seen is not None:
                for id, job in jobs.items():
                    if seen.get(id) != job:
                        self._tell(job)
            seen = jobs
            await asyncio.sleep(POLL_S)

    def _tell(self, change: dict) -> None:
        for queue in self.subscribers:
            if queue.full():
                with contextlib.suppress(asyncio.QueueEmpty):
                    queue.get_nowait()
            queue.put_nowait(change)
