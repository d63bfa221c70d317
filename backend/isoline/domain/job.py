"""What a job can be, and the record of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class JobState(StrEnum):
    """queued → running → done | failed | cancelled."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Job:
    """One piece of queued work, as a person sees it.

    recipe    the recipe's JSON, see `domain.recipe`
    progress  0…1
    error     None or {"kind", "message", "hint"}
    result    what the job made, e.g. {"model": 3}
    """

    id: int
    kind: str
    title: str
    state: JobState
    progress: float
    message: str
    recipe: dict
    result: dict | None
    error: dict | None
    created_by: str
    created: datetime
    started: datetime | None
    finished: datetime | None
    attempt: int
    after: int | None
