"""Signing in and out, and whether the server is well."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from ...services import accounts
from ..dependencies import Acting, Bench
from ..session import COOKIE

router = APIRouter(tags=["session"])


class Credentials(BaseModel):
    name: str = Field("owner", max_length=80)
    password: str = Field(max_length=1000)


class Person(BaseModel):
    name: str
    role: str


@router.get("/health")
def health(bench: Bench) -> dict:
    """Answers when the web server can read its store."""
    with bench.read() as connection:
        connection.exec_driver_sql("SELECT 1")
    return {"ok": True}


@router.post("/session", status_code=201)
def sign_in(credentials: Credentials, request: Request, response: Response, bench: Bench) -> Person:
    """Open a session; the cookie guards pages, REST, events and sockets."""
    token = accounts.sign_in(bench, credentials.name, credentials.password)
    response.set_cookie(
        COOKIE,
        token,
        max_age=accounts.SESSION_DAYS * 86_400,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    actor = accounts.session_actor(bench, token)
    return Person(name=actor.name, role=actor.role)


@router.get("/session")
def who(actor: Acting) -> Person:
    """Who is signed in."""
    return Person(name=actor.name, role=actor.role)


@router.delete("/session", status_code=204)
def sign_out(request: Request, response: Response, bench: Bench) -> None:
    """End this session on the server, wherever its cookie is."""
    accounts.sign_out(bench, request.cookies.get(COOKIE))
    response.delete_cookie(COOKIE)
