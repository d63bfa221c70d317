"""A job asked for: its row is written, and every worker finds it there."""

from __future__ import annotations

from ..domain.actor import Actor
from ..domain.job import Job
from ..domain.recipe import AnyRecipe
from ..workbench import Workbench
from . import ledger


def submit(
    bench: Workbench,
    actor: Actor,
    recipe: AnyRecipe,
    *,
    title: str,
    queue: str | None = None,
    version_id: int | None = None,
    after: int | None = None,
) -> Job:
    """Queue a piece of work; it starts within a second of a worker being free.

    queue       what a worker must be able to do; chosen by the kind of work where it is not given
    version_id  the dataset version that it is about, for lists
    after       a job that must be done first; should that one fail or be cancelled, so is this one

    Raises InvalidInput for an unknown queue, NotFound for an unknown job `after`, Conflict where that cannot come.
    """
    with bench.write() as connection:
        id = ledger.add(connection, actor, recipe, title=title, queue=queue, version_id=version_id, after=after)
        return ledger.get(connection, id)
