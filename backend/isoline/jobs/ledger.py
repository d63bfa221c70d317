"""The job rows: how each change of state is written, inside the transaction of whoever makes it.

The row is the truth that people see. The lock beside it names the one process whose results count:
a process that lost the lock can write nothing, however long it was asleep.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection, Row, Select, case, delete, func, insert, null, select, update

from ..domain.actor import Actor
from ..domain.job import ENDED, Job, JobState
from ..domain.recipe import AnyRecipe
from ..errors import Conflict, NotFound
from ..store import events
from ..store.tables import job, job_checkpoint, job_log, job_metric, run_lock, worker
from . import queues

MOST_STARTS = 3  # processes that may die one after the other without a checkpoint between them
LONGEST_LINE = 4000
ACTIVE = (JobState.QUEUED, JobState.RUNNING)


class Standing(StrEnum):
    """What a process that wants to run a job is told."""

    HOLDS = "holds"  # it may run
    BUSY = "busy"  # another process still holds the job; ask again
    OVER = "over"  # there is nothing to run any more


def _record(row) -> Job:
    return Job(
        id=row.id,
        kind=row.kind,
        title=row.title,
        state=JobState(row.state),
        progress=row.progress,
        message=row.message,
        recipe=row.recipe,
        result=row.result,
        error=row.error,
        created_by=row.created_by,
        created=row.created,
        started=row.started,
        finished=row.finished,
        attempt=row.attempt,
        after=row.after_id,
    )


def get(connection: Connection, id: int) -> Job:
    """One job. Raises NotFound."""
    row = connection.execute(select(job).where(job.c.id == id)).first()
    if row is None:
        raise NotFound(f"there is no job {id}", hint="`isoline jobs` lists them.")
    return _record(row)


def listing(
    connection: Connection, *, limit: int = 100, state: JobState | None = None, version: int | None = None
) -> list[Job]:
    """Jobs, newest first."""
    query = select(job).order_by(job.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(job.c.state == state)
    if version is not None:
        query = query.where(job.c.version_id == version)
    return [_record(row) for row in connection.execute(query)]


def add(
    connection: Connection,
    actor: Actor,
    recipe: AnyRecipe,
    *,
    title: str,
    queue: str | None = None,
    version_id: int | None = None,
    after: int | None = None,
) -> int:
    """Note a new job, waiting for its turn and for the job `after`; a worker finds it there. Returns its id."""
    if queue is not None:
        queues.check([queue])
    if after is not None:
        before = get(connection, after)
        if before.state in (JobState.FAILED, JobState.CANCELLED):
            raise Conflict(
                f"job {after}, which this one would wait for, is {before.state}", hint=f"Retry job {after} first."
            )
    id = connection.execute(
        insert(job).values(
            kind=recipe.kind,
            title=title,
            queue=queue or queues.usual(recipe.kind),
            state=JobState.QUEUED,
            attempt=1,
            starts=0,
            progress=0.0,
            message="",
            recipe=recipe.model_dump(mode="json"),
            result=null(),
            error=null(),
            after_id=after,
            version_id=version_id,
            created_by=actor.name,
            created=datetime.now(UTC),
        )
    ).inserted_primary_key[0]
    events.record(connection, actor.name, "submit", f"job {id}", {"kind": recipe.kind, "title": title})
    return id


# A run ----------------------------------------------------------------------------------------------------------


def begin(connection: Connection, id: int, attempt: int, executor: str, token: str) -> Standing:
    """Take the job's lock for the process `token` of the worker `executor`, unless a living worker holds it.

    A job whose processes died MOST_STARTS times without a checkpoint between them fails here.
    """
    row = connection.execute(select(job).where(job.c.id == id).with_for_update()).first()
    if row is None or row.attempt != attempt or row.state not in ACTIVE:
        return Standing.OVER
    alive = select(worker.c.executor_id).where(worker.c.state == "alive")
    held = connection.execute(select(run_lock).where(run_lock.c.job_id == id).with_for_update()).first()
    # A worker that was declared dead while it slept is about to end itself; it must not begin anything.
    asked = {executor} | ({held.executor_id} if held else set())
    living = set(connection.execute(alive.where(worker.c.executor_id.in_(asked))).scalars())
    if executor not in living or (held and held.executor_id in living):
        return Standing.BUSY
    connection.execute(delete(run_lock).where(run_lock.c.job_id == id))
    if row.starts >= MOST_STARTS:
        fail(connection, id, _died("the worker that ran it went away", row.starts))
        return Standing.OVER
    connection.execute(insert(run_lock).values(job_id=id, executor_id=executor, token=token))
    connection.execute(
        update(job)
        .where(job.c.id == id)
        .values(
            state=JobState.RUNNING,
            starts=row.starts + 1,
            started=func.coalesce(job.c.started, datetime.now(UTC)),
            message="",
        )
    )
    return Standing.HOLDS


def wanted(connection: Connection, id: int, attempt: int) -> bool:
    """Whether this attempt shall go on: neither ended, nor cancelled, nor followed by another."""
    query = select(job.c.id).where(job.c.id == id, job.c.attempt == attempt, job.c.state.in_(ACTIVE))
    return connection.execute(query).first() is not None


def holds(connection: Connection, id: int, token: str) -> bool:
    """Whether the process `token` may write for the job; nobody can take the lock before this transaction ends."""
    query = (
        select(run_lock.c.job_id)
        .join(job, job.c.id == run_lock.c.job_id)
        .where(run_lock.c.job_id == id, run_lock.c.token == token, job.c.state == JobState.RUNNING)
        .with_for_update(read=True, of=run_lock)
    )
    return connection.execute(query).first() is not None


def release(connection: Connection, id: int, token: str) -> None:
    """Give the lock back."""
    connection.execute(delete(run_lock).where(run_lock.c.job_id == id, run_lock.c.token == token))


def held_by(connection: Connection, executor: str) -> list[tuple[int, str]]:
    """The locks that a worker holds: (job, token)."""
    query = select(run_lock.c.job_id, run_lock.c.token).where(run_lock.c.executor_id == executor)
    return [(row.job_id, row.token) for row in connection.execute(query)]


def finish(connection: Connection, id: int, result: dict) -> bool:
    """The running job is done. False when somebody cancelled it first."""
    return _end(connection, id, JobState.DONE, result=result, progress=1.0, message="")


def fail(connection: Connection, id: int, error: dict) -> bool:
    """The job failed, and those that wait for it are cancelled. False when it had ended already."""
    ended = _end(connection, id, JobState.FAILED, error=error, message=error["message"])
    cancel_followers(connection)
    return ended


def died(connection: Connection, id: int, attempt: int, reason: str) -> bool:
    """A process of the job died of `reason`: True when it shall be started again, else the job has failed."""
    row = connection.execute(select(job).where(job.c.id == id).with_for_update()).first()
    if row is None or row.attempt != attempt or row.state != JobState.RUNNING:
        return False
    write_log(
        connection, id, f"The process was {reason}; start {row.starts} of {MOST_STARTS} since the last checkpoint."
    )
    if row.starts < MOST_STARTS:
        return True
    fail(connection, id, _died(f"its process was {reason}", row.starts))
    return False


def put_back(connection: Connection, id: int, token: str) -> bool:
    """Its worker slept or stops: this start is no death, and the lock is free. False when the job was not held."""
    if not holds(connection, id, token):
        return False
    connection.execute(update(job).where(job.c.id == id).values(starts=job.c.starts - 1))
    release(connection, id, token)
    return True


def _died(what: str, starts: int) -> dict:
    return {
        "kind": "failure",
        "message": f"{what} {starts} times without reaching a checkpoint",
        "hint": "The log may tell why. With too little memory, use fewer or smaller structures at once; then retry.",
    }


def _end(connection: Connection, id: int, state: JobState, **values) -> bool:
    done = connection.execute(
        update(job)
        .where(job.c.id == id, job.c.state.in_(ACTIVE))
        .values(state=state, finished=datetime.now(UTC), **values)
        .returning(job.c.id)
    ).first()
    if done and state == JobState.DONE:
        connection.execute(delete(job_checkpoint).where(job_checkpoint.c.job_id == id))
    return done is not None


def write_log(connection: Connection, id: int, text: str) -> None:
    """Add lines to the job's log."""
    now = datetime.now(UTC)
    lines = [{"job_id": id, "at": now, "line": line[:LONGEST_LINE]} for line in text.splitlines() if line.strip()]
    if lines:
        connection.execute(insert(job_log), lines)


# What people do -------------------------------------------------------------------------------------------------


def cancel(connection: Connection, id: int, message: str = "") -> Job:
    """Cancel a job and those that wait for it; its process ends within a second or two.

    Raises NotFound, and Conflict for a job that is done or failed.
    """
    known = get(connection, id)
    if not _end(connection, id, JobState.CANCELLED, message=message):
        known = get(connection, id)
        if known.state != JobState.CANCELLED:
            raise Conflict(f"job {id} is {known.state} already", hint="Only waiting or running jobs can be cancelled.")
    cancel_followers(connection)
    return get(connection, id)


def bereft(connection: Connection) -> Sequence[Row]:
    """Jobs that wait for one that failed or was cancelled: (id, before, why)."""
    before = job.alias()
    query = (
        select(job.c.id, before.c.id.label("before"), before.c.state.label("why"))
        .join(before, before.c.id == job.c.after_id)
        .where(job.c.state == JobState.QUEUED, before.c.state.in_((JobState.FAILED, JobState.CANCELLED)))
    )
    return connection.execute(query).all()


def cancel_followers(connection: Connection) -> None:
    """Cancel what waits for a job that failed or was cancelled, and what waits for that in turn."""
    while waiting := bereft(connection):
        for row in waiting:
            message = (
                f"job {row.before}, which it waited for, {'failed' if row.why == JobState.FAILED else 'was cancelled'}"
            )
            error = {"kind": "cancelled", "message": message, "hint": f"Retry job {row.before}: this one then follows."}
            _end(connection, row.id, JobState.CANCELLED, message=message, error=error)


def retry(connection: Connection, id: int, *, fresh: bool = False) -> Job:
    """Queue a failed or cancelled job again, with those that were cancelled because of it.

    It goes on from its last checkpoint, or from the start with `fresh`.
    Raises NotFound, and Conflict for a job that has not ended, is done, or waits for one that cannot come.
    """
    row = connection.execute(select(job).where(job.c.id == id).with_for_update()).first()
    known = get(connection, id)
    if known.state not in ENDED or known.state == JobState.DONE:
        raise Conflict(f"job {id} is {known.state}", hint="Only failed or cancelled jobs can be retried.")
    if known.after is not None and get(connection, known.after).state in (JobState.FAILED, JobState.CANCELLED):
        raise Conflict(f"job {id} waits for job {known.after}, which has not run", hint=f"Retry job {known.after}.")
    if fresh:
        connection.execute(delete(job_checkpoint).where(job_checkpoint.c.job_id == id))
    connection.execute(
        update(job)
        .where(job.c.id == id)
        .values(
            state=JobState.QUEUED,
            attempt=row.attempt + 1,
            starts=0,
            progress=0.0,
            message="",
            result=null(),
            error=null(),
            started=null(),
            finished=null(),
        )
    )
    followers = connection.execute(
        select(job.c.id, job.c.error).where(job.c.after_id == id, job.c.state == JobState.CANCELLED)
    )
    for follower in followers.all():
        if follower.error is not None:  # a person's cancelling leaves no error, and holds
            retry(connection, follower.id, fresh=fresh)
    return get(connection, id)


# What workers look for ------------------------------------------------------------------------------------------


def ready(connection: Connection) -> list[tuple[int, int, str]]:
    """Jobs whose turn can come: (id, attempt, queue), oldest first."""
    before = job.alias()
    query = (
        select(job.c.id, job.c.attempt, job.c.queue)
        .outerjoin(before, before.c.id == job.c.after_id)
        .where(job.c.state == JobState.QUEUED, (job.c.after_id.is_(None)) | (before.c.state == JobState.DONE))
        .order_by(job.c.id)
    )
    return _attempts(connection, query)


def active(connection: Connection) -> list[tuple[int, int, str]]:
    """Running jobs: (id, attempt, queue)."""
    return _attempts(connection, select(job.c.id, job.c.attempt, job.c.queue).where(job.c.state == JobState.RUNNING))


def _attempts(connection: Connection, query: Select) -> list[tuple[int, int, str]]:
    rows = connection.execute(query).all()
    # What asks for a graphics card goes to the processor where no worker has one.
    absent = any(row.queue == "gpu" for row in rows) and not queues.gpu_served(connection)
    return [(row.id, row.attempt, "cpu" if absent and row.queue == "gpu" else row.queue) for row in rows]


def requeue(connection: Connection, id: int, attempt: int) -> None:
    """The engine ended this attempt without the job having ended: begin another."""
    connection.execute(
        update(job)
        .where(job.c.id == id, job.c.attempt == attempt, job.c.state.in_(ACTIVE))
        .values(
            state=JobState.QUEUED,
            attempt=attempt + 1,
            starts=job.c.starts + case((job.c.state == JobState.RUNNING, 1), else_=0),
        )
    )


def forget_metrics(connection: Connection, id: int) -> None:
    """Drop what was recorded after the last checkpoint: it is computed again."""
    step = select(job_checkpoint.c.step).where(job_checkpoint.c.job_id == id).scalar_subquery()
    connection.execute(delete(job_metric).where(job_metric.c.job_id == id, job_metric.c.step > func.coalesce(step, -1)))
