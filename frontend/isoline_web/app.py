"""The web application: Dash pages on the REST application, one process, nothing from another host."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from dash import Dash, hooks
from fastapi import FastAPI, WebSocket
from fastapi.responses import HTMLResponse

from isoline.api import session
from isoline.api.app import create_api
from isoline.workbench import Settings, Workbench

from . import shell, tokens
from .callbacks import Desk
from .pages import accuracy, atlas, dataset, intake, jobs, library, model, models

HERE = Path(__file__).parent
PAGES = (library, dataset, intake, atlas, accuracy, models, model, jobs)

INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{%title%}</title>
{%favicon%}
<style>TOKENS</style>
<script src="/assets/theme.js"></script>
{%css%}
</head>
<body>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>"""


def create(bench: Workbench | None = None) -> FastAPI:
    """Pages, REST, events and sockets over one workbench; without one, over the one the environment names."""
    bench = bench or Workbench.open(Settings.from_environment())
    # Left to itself Dash finishes its set-up at the first request for `/`: a deep link to a cold server would come
    # without styles, and a socket that reconnects after a restart would find no callbacks.
    server = create_api(bench, on_start=lambda: finish_set_up(app))
    _add_sign_in_page(server)
    app = Dash(
        "isoline",
        server=server,
        title="Isoline",
        update_title=None,
        assets_folder=str(HERE / "assets"),
        index_string=INDEX.replace("TOKENS", tokens.stylesheet()),
        suppress_callback_exceptions=True,
        serve_locally=True,
        compress=True,
        eager_loading=False,
        add_log_handler=False,
    )
    desk = Desk(app, bench)
    shell.register(desk)
    for page in PAGES:
        page.register(desk)
    app.layout = partial(shell.layout, bench.settings.sign_in_required)
    server.state.dash = app
    session.guard(server, bench)
    return server


def finish_set_up(app: Dash) -> None:
    """Collect assets and callbacks before the first request; `_setup_server` is private to Dash, so only here."""
    app._setup_server()


@hooks.websocket_message()
async def end_with_session(socket: WebSocket, message: dict) -> bool | tuple[int, str]:
    """Close a socket with code 4401 once its session has ended. Dash keeps such hooks for the whole process."""
    alive = await asyncio.to_thread(session.socket_alive, socket.app.state.bench, socket.headers.get("cookie", ""))
    return True if alive else (4401, "session ended")


def _add_sign_in_page(server: FastAPI) -> None:
    """A page of plain HTML: nothing of Dash answers before somebody is signed in."""
    page = (HERE / "sign_in.html").read_text().replace("/*TOKENS*/", tokens.stylesheet())

    @server.get("/login", include_in_schema=False)
    async def sign_in() -> HTMLResponse:
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})
