"""The REST side: routes under /api, one error body, live events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from ..workbench import Workbench
from . import problems
from .events import Changes
from .routes import accuracy, atlas, guests, intake, leaks, library, session, training, work

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_api(bench: Workbench, on_start: Callable[[], None] = lambda: None) -> FastAPI:
    """The FastAPI application with every REST route; pages are attached to it by the web package.

    `on_start` is called once before the first request is answered.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        on_start()
        yield
        bench.close()

    server = FastAPI(
        title="Isoline",
        version=version("isoline"),
        summary="Survey, curate and train machine-learned interatomic potentials.",
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,  # FastAPI's page loads its script from another host
        redoc_url=None,
        responses={"4XX": {"model": problems.Problem}, "5XX": {"model": problems.Problem}},
    )
    server.state.bench = bench
    server.state.changes = Changes(bench)
    problems.register(server)
    for module in (session, library, intake, atlas, accuracy, leaks, training, guests, work):
        server.include_router(module.router, prefix="/api")

    # Dash answers every unknown GET with a page; under /api an unknown path must be a 404.
    @server.api_route("/api/{rest:path}", methods=METHODS, include_in_schema=False)
    async def unknown(rest: str) -> None:
        raise HTTPException(404, f"there is no /api/{rest}")

    return server
