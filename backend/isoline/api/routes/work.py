"""Jobs: list, follow, cancel, retry."""

from __future__ import annotations

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from ...services import work
from ..dependencies import Acting, Bench, Id

router = APIRouter(tags=["jobs"])


@router.get("/jobs")
def jobs(bench: Bench, _: Acting, limit: int = Query(100, ge=1, le=1000)) -> list[dict]:
    """Jobs, newest first."""
    return [work.as_dict(job) for job in work.jobs(bench, limit=limit)]


@router.get("/jobs/{id}")
def job(id: Id, bench: Bench, _: Acting) -> dict:
    return work.as_dict(work.job(bench, id))


@router.get("/jobs/{id}/metrics")
def metrics(id: Id, bench: Bench, _: Acting, since: int = Query(-1, ge=-1, le=2**63 - 1)) -> dict[str, list]:
    """Recorded numbers with step > since: {"step": […], name: [… or null]}."""
    return work.metrics(bench, id, since)


@router.get("/jobs/{id}/log")
def log(id: Id, bench: Bench, _: Acting, since: int = Query(0, ge=0, le=2**63 - 1)) -> list[dict]:
    return work.log(bench, id, since)


@router.post("/jobs/{id}/cancel")
def cancel(id: Id, bench: Bench, actor: Acting) -> dict:
    return work.as_dict(work.cancel(bench, actor, id))


@router.post("/jobs/{id}/retry")
def retry(id: Id, bench: Bench, actor: Acting) -> dict:
    return work.as_dict(work.retry(bench, actor, id))


@router.get("/events")
async def events(request: Request, _: Acting) -> StreamingResponse:
    """Server-sent events: one `job` event per job that changed; they end with the session."""
    return StreamingResponse(
        request.app.state.changes.stream(request.headers.get("cookie", "")),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )
