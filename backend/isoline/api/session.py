"""Who is asking: the session cookie, guarding pages, REST, events and sockets alike."""

from __future__ import annotations

from contextvars import ContextVar
from http.cookies import SimpleCookie
from urllib.parse import quote, urlsplit

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..domain.actor import OWNER, Actor
from ..services import accounts
from ..workbench import Workbench, is_loopback
from .problems import problem

COOKIE = "isoline_session"
OPEN_PATHS = ("/login", "/assets/", "/api/session", "/api/health", "/_dash-component-suites/", "/_favicon.ico")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
LARGEST_BODY = 4 * 2**20  # bytes; such bodies are held in memory, uploads are streamed to disk
TOO_LARGE = f"the body of the request is larger than {LARGEST_BODY} bytes"
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}

# Dash callbacks see no request over a socket, so the person travels with the context instead.
CURRENT_ACTOR: ContextVar[Actor | None] = ContextVar("current_actor", default=None)


class SessionGuard:
    """ASGI middleware that finds the acting person, or turns the request away.

    On loopback the owner is signed in at once. That trusts the browser of this machine, so a request must also name
    a loopback host (no DNS rebinding) and, where it changes something, come from our own pages (no cross-site posts).
    """

    def __init__(self, app: ASGIApp, bench: Workbench):
        self.app = app
        self.bench = bench

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        if scope["type"] == "http":
            send = _with_headers(send)
        connection = HTTPConnection(scope)
        refusal = self._foreign(scope, connection.headers)
        actor = None if refusal else await self._actor(connection)
        path = scope["path"]
        if refusal is None and actor is None and not path.startswith(OPEN_PATHS):
            refusal = "nobody is signed in"
        if refusal is None:
            if scope["type"] == "http" and not (scope["method"] == "PUT" and path.startswith("/api/uploads/")):
                if _announced(connection.headers) > LARGEST_BODY:
                    return await problem(413, "invalid_input", TOO_LARGE)(scope, receive, send)
                receive = _bounded(receive)
            scope.setdefault("state", {})["actor"] = actor
            token = CURRENT_ACTOR.set(actor)
            try:
                return await self.app(scope, receive, send)
            finally:
                CURRENT_ACTOR.reset(token)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 4401, "reason": refusal})
        if refusal != "nobody is signed in":
            response = problem(403, "not_allowed", refusal, "Open Isoline by the address it printed when it started.")
        elif path.startswith(("/api/", "/_dash-")):
            response = problem(401, "not_signed_in", refusal, "Sign in at /login.")
        else:
            wanted = path + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
            response = RedirectResponse("/login?next=" + quote(wanted), 303)
        await response(scope, receive, send)

    async def _actor(self, connection: HTTPConnection) -> Actor | None:
        if not self.bench.settings.sign_in_required:
            client = connection.client
            return OWNER if client is not None and is_loopback(client.host) else None
        return await run_in_threadpool(accounts.session_actor, self.bench, connection.cookies.get(COOKIE))

    def _foreign(self, scope: Scope, headers: Headers) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            name, came_from = urlsplit(f"//{host}").hostname or "", urlsplit(origin or "").netloc
        except ValueError:
            return "the request's Host or Origin is no address"
        if not self.bench.settings.sign_in_required and not is_loopback(name):
            return f"this workbench answers on loopback only, not as '{host}'"
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if changes and origin is not None and came_from != host:
            return f"requests from {origin} may not change anything here"
        return None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length[:18]) if length.isascii() and length.isdigit() else 0


def _bounded(receive: Receive) -> Receive:
    """Refuses with 413 to receive more than LARGEST_BODY, whatever length was announced."""
    received = 0

    async def receiving() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > LARGEST_BODY:
            raise HTTPException(413, TOO_LARGE)
        return message

    return receiving


def guard(server: FastAPI, bench: Workbench) -> None:
    """Put the guard in front of everything that `server` answers; call it last, after Dash is attached."""
    server.add_middleware(SessionGuard, bench=bench)


def socket_alive(bench: Workbench, cookie_header: str) -> bool:
    """Whether an open socket's session still holds: asked again with every message, so that sign-out ends it."""
    if not bench.settings.sign_in_required:
        return True
    morsel = SimpleCookie(cookie_header).get(COOKIE)
    return accounts.session_actor(bench, morsel.value if morsel else None) is not None
