"""Queues: what a worker is able to do, and which of them a piece of work waits on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from ..errors import InvalidInput
from ..store.tables import worker
from .workers import database_now

# Jobs of each queue that one worker runs side by side. Two on the processor, so that an import need not
# wait for a training; one on a graphics card; oracles and campaigns mostly wait for others.
CONCURRENCY = {"cpu": 2, "gpu": 1, "oracle": 50, "campaign": 200}

GAINS_FROM_A_CARD = frozenset({"train", "evaluate"})

POLL_S = 0.5
ABSENT_S = 300.0  # what wants a graphics card runs on the processor when no such worker was heard of for so long


def check(names: Sequence[str]) -> tuple[str, ...]:
    """The queue names, each once. Raises InvalidInput for an unknown one, or none at all."""
    unknown = [name for name in names if name not in CONCURRENCY]
    if unknown or not names:
        raise InvalidInput(
            f"there is no queue '{unknown[0]}'" if unknown else "a worker must serve at least one queue",
            hint=f"Queues are {', '.join(CONCURRENCY)}.",
        )
    return tuple(dict.fromkeys(names))


def usual(kind: str) -> str:
    """The queue for work of a kind, where nobody asks for another."""
    return "gpu" if kind in GAINS_FROM_A_CARD else "cpu"


def gpu_served(connection: Connection) -> bool:
    """Whether a worker with a graphics card is there, or was until a moment ago."""
    recent = select(worker.c.queues).where(database_now(connection) - worker.c.beat < ABSENT_S)
    return any("gpu" in names for names in connection.execute(recent).scalars())
