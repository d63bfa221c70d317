"""Dash on the REST application, with its known traps."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import time
from pathlib import Path

import pytest
from awaiting import finish
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import isoline_web
from isoline.domain.actor import OWNER
from isoline.errors import InvalidInput
from isoline.services import accounts
from isoline.workbench import Workbench
from isoline_web import callbacks
from isoline_web.app import create

PACKAGE = Path(isoline_web.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
ASSETS = sorted((PACKAGE / "assets").glob("*.js"))


@pytest.fixture
def served(bench_sqlite):
    """The whole application on loopback, started."""
    with TestClient(create(bench_sqlite), base_url="http://127.0.0.1", client=("127.0.0.1", 50_000)) as client:
        yield client


def test_a_cold_deep_link_comes_with_styles_scripts_and_a_language(served):
    page = served.get("/map/1").text
    assert '<html lang="en"' in page
    assert "/assets/base.css" in page
    assert "/assets/atlas.js" in page
    assert "--accent:#4263eb" in page


def test_the_theme_is_chosen_before_anything_is_painted(served):
    head = served.get("/").text.partition("</head>")[0]
    assert '<script src="/assets/theme.js"></script>' in head


def test_a_socket_ends_with_its_session(bench_sqlite):
    accounts.set_owner_password(bench_sqlite, OWNER, "a long sentence")
    bench = Workbench(bench_sqlite.settings.model_copy(update={"host": "192.0.2.7"}), bench_sqlite.engine)
    with TestClient(create(bench), base_url="http://192.0.2.7") as client:
        client.post("/api/session", json={"password": "a long sentence"})
        address = "ws://192.0.2.7/_dash-ws-callback"
        with client.websocket_connect(address, headers={"origin": "http://192.0.2.7"}) as socket:
            client.delete("/api/session")
            socket.send_json({"type": "heartbeat"})
            with pytest.raises(WebSocketDisconnect) as ended:
                socket.receive_json()
    assert ended.value.code == 4401


def test_the_page_names_no_other_host(served):
    addresses = re.findall(r"""(?:src|href)=["'](\w+:)?//[^"']+""", served.get("/").text)
    assert addresses == []


def test_an_unknown_address_under_api_is_no_page(served):
    answer = served.get("/api/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_large_answers_are_compressed(served):
    answer = served.get("/_dash-dependencies", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"


def test_every_callback_is_asynchronous(bench_sqlite):
    app = create(bench_sqlite).state.dash
    registered = {**app.callback_map}
    assert len(registered) > 15
    for name, entry in registered.items():
        if "callback" in entry:
            assert inspect.iscoroutinefunction(entry["callback"]), name


def test_callbacks_are_registered_in_one_place_only():
    found = [
        f"{path.name}:{node.lineno}"
        for path in SOURCES
        if path.name != "callbacks.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr == "callback")
        or (isinstance(node, ast.Name) and node.id == "callback")
    ]
    assert found == []


def test_a_slow_callback_does_not_hold_up_the_server():
    async def both() -> float:
        slow = asyncio.create_task(callbacks.in_thread(time.sleep, 0.5))
        started = time.monotonic()
        await asyncio.sleep(0.01)
        waited = time.monotonic() - started
        await slow
        return waited

    assert finish(both()) < 0.4


def test_a_failure_becomes_a_notice_and_leaves_the_page_as_it_was(monkeypatch):
    shown = []
    monkeypatch.setattr(callbacks, "notify", lambda title, hint="", **_: shown.append((title, hint)))

    def fail():
        raise InvalidInput("the cutoff is negative", hint="Use 5 Å.")

    assert finish(callbacks.in_thread(fail)) is callbacks.no_update
    assert shown == [("the cutoff is negative", "Use 5 Å.")]


def test_every_function_that_python_calls_in_the_browser_exists():
    """`ClientsideFunction("atlas", "start")` is an object `atlas` with a method `start` in an asset file."""
    wanted = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
                "runs",
                "ClientsideFunction",
            ):
                parts = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
                if len(parts) == 2:
                    wanted.add(tuple(parts))
    assert len(wanted) > 8
    scripts = "\n".join(path.read_text() for path in ASSETS)
    for namespace, function in wanted:
        assert re.search(rf"\b{namespace}: \{{", scripts), namespace
        assert re.search(rf"\b{function}(\(|: )", scripts), function


def test_no_script_is_written_in_python():
    for path in SOURCES:
        assert not re.search(r"function\s*\(|=>\s*\{", path.read_text()), path.name


def test_on_the_network_pages_callbacks_and_sockets_ask_for_a_session(bench_sqlite):
    accounts.set_owner_password(bench_sqlite, OWNER, "a long sentence")
    bench = Workbench(bench_sqlite.settings.model_copy(update={"host": "192.0.2.7"}), bench_sqlite.engine)
    with TestClient(create(bench), base_url="http://192.0.2.7", follow_redirects=False) as client:
        assert client.get("/map/1").headers["location"] == "/login?next=/map/1"
        assert client.get("/_dash-layout").status_code == 401
        assert client.get("/login").status_code == 200
        assert client.get("/assets/base.css").status_code == 200
        client.post("/api/session", json={"password": "a long sentence"})
        assert client.get("/map/1").status_code == 200
        assert client.get("/_dash-layout").status_code == 200
