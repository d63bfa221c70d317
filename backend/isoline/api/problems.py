"""One error body for every endpoint: problem+json (RFC 9457), made from the tree of failures."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from ..errors import IsolineError

STATUS = {
    "invalid_input": 422,
    "not_found": 404,
    "conflict": 409,
    "not_allowed": 403,
    "not_signed_in": 401,
    "unavailable": 503,
    "diverged": 500,
    "cancelled": 409,
}

log = logging.getLogger("isoline")


class Problem(BaseModel):
    """What every failed request answers with."""

    title: str
    status: int
    detail: str
    kind: str
    hint: str = ""
    details: list[dict] = []


def problem(status: int, kind: str, detail: str, hint: str = "", details: list[dict] | None = None) -> JSONResponse:
    body = Problem(
        title=kind.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        kind=kind,
        hint=hint,
        details=details or [],
    )
    return JSONResponse(body.model_dump(), status, media_type="application/problem+json")


def register(server: FastAPI) -> None:
    """Answer every failure of `server` with a problem."""

    @server.exception_handler(IsolineError)
    async def known(_: Request, error: IsolineError) -> JSONResponse:
        return problem(STATUS.get(error.kind, 500), error.kind, error.message, error.hint, error.details)

    @server.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [{"field": ".".join(map(str, e["loc"])), "message": e["msg"]} for e in error.errors()]
        summary = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults[:5])
        return problem(422, "invalid_input", summary, "See /api/openapi.json for what is expected.", faults)

    @server.exception_handler(HTTPException)
    async def plain(_: Request, error: HTTPException) -> JSONResponse:
        kind = {404: "not_found", 401: "not_signed_in", 403: "not_allowed"}.get(error.status_code, "invalid_input")
        return problem(error.status_code, kind, str(error.detail))

    @server.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        log.exception("unhandled error in %s %s", request.method, request.url.path, exc_info=error)
        return problem(500, "bug", "This is a bug in Isoline.", "The server's log has the traceback; please report it.")
