"""Pages, REST, events and sockets stand behind one guard."""

from __future__ import annotations

import pytest
from fastapi import WebSocket
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from isoline import supervisor
from isoline.api.app import create_api
from isoline.api.session import guard
from isoline.domain.actor import OWNER
from isoline.services import accounts
from isoline.workbench import Settings, Workbench

PASSWORD = "correct horse battery"


def served(bench: Workbench, host: str) -> TestClient:
    """The API as if it listened on `host`, with one page, one Dash route and one socket beside it."""
    opened = Workbench(bench.settings.model_copy(update={"host": host}), bench.engine)
    server = create_api(opened)

    @server.get("/map/1")
    async def page() -> str:
        return "a page"

    @server.post("/_dash-update-component")
    async def dash() -> str:
        return "an update"

    @server.websocket("/_dash-ws-callback")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("open")

    guard(server, opened)
    port_host = "127.0.0.1:8050" if host == "127.0.0.1" else f"{host}:8050"
    return TestClient(
        server, base_url=f"http://{port_host}", client=("127.0.0.1", 50_000), raise_server_exceptions=False
    )


@pytest.fixture
def loopback(bench_sqlite):
    return served(bench_sqlite, "127.0.0.1")


@pytest.fixture
def network(bench_sqlite):
    accounts.set_owner_password(bench_sqlite, OWNER, PASSWORD)
    return served(bench_sqlite, "192.0.2.7")


def test_on_loopback_the_owner_is_signed_in_at_once(loopback):
    assert loopback.get("/api/session").json() == {"name": "owner", "role": "owner"}
    assert loopback.get("/map/1").status_code == 200


def test_on_the_network_everything_asks_for_a_session(network):
    page = network.get("/map/1", follow_redirects=False)
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=/map/1")
    page = network.get("/map/1?evaluation=2&by=tag", follow_redirects=False)
    assert page.headers["location"] == "/login?next=/map/1%3Fevaluation%3D2%26by%3Dtag"
    for method, path in (("GET", "/api/datasets"), ("GET", "/api/events"), ("POST", "/_dash-update-component")):
        answer = network.request(method, path)
        assert answer.status_code == 401
        assert answer.json()["kind"] == "not_signed_in"
        assert answer.headers["content-type"] == "application/problem+json"
    with pytest.raises(WebSocketDisconnect) as closed, network.websocket_connect("/_dash-ws-callback"):
        pass
    assert closed.value.code == 4401


def test_a_session_opens_everything_and_signing_out_closes_it(network):
    assert network.post("/api/session", json={"name": "owner", "password": "wrong one"}).status_code == 401
    signed = network.post("/api/session", json={"name": "owner", "password": PASSWORD})
    assert signed.status_code == 201
    cookie = signed.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert network.get("/api/datasets").json() == []
    # The test client sends cookies to the host it is told here, by default to another.
    with network.websocket_connect("ws://192.0.2.7:8050/_dash-ws-callback") as socket:
        assert socket.receive_text() == "open"
    token = network.cookies["isoline_session"]
    assert network.delete("/api/session").status_code == 204
    network.cookies.set("isoline_session", token)
    assert network.get("/api/datasets").status_code == 401


@pytest.mark.parametrize(("client", "secure"), [("198.51.100.7", True), ("203.0.113.7", False)])
def test_only_a_trusted_proxy_tells_that_the_browser_came_by_tls(network, monkeypatch, client, secure):
    monkeypatch.setenv("ISOLINE_PROXY", "198.51.100.0/24,10.0.0.1")
    settings = Settings.from_environment()
    assert settings.environment()["ISOLINE_PROXY"] == settings.proxy
    command = supervisor.web_command(settings)
    trusted = command[command.index("--forwarded-allow-ips") + 1]
    behind = TestClient(
        ProxyHeadersMiddleware(network.app, trusted), base_url="http://192.0.2.7:8050", client=(client, 50_000)
    )
    told = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.99"}
    signed = behind.post("/api/session", json={"name": "owner", "password": PASSWORD}, headers=told)
    assert ("secure" in signed.headers["set-cookie"].lower()) == secure


def test_health_needs_no_session(network):
    assert network.get("/api/health").json() == {"ok": True}


def test_another_sites_page_may_not_change_anything(loopback):
    evil = {"origin": "http://evil.example"}
    assert loopback.post("/_dash-update-component", headers=evil).status_code == 403
    assert loopback.post("/api/undo", json={"batch": "x"}, headers=evil).status_code == 403
    assert loopback.post("/_dash-update-component", headers={"origin": "http://127.0.0.1:8050"}).status_code == 200


def test_a_name_that_resolves_to_loopback_is_not_loopback(loopback):
    assert loopback.get("/api/datasets", headers={"host": "rebound.example:8050"}).status_code == 403
    assert loopback.get("/api/datasets", headers={"host": "localhost:8050"}).status_code == 200


@pytest.mark.parametrize("host", ["[::1", "//["])
def test_a_host_that_is_no_address_is_refused(loopback, host):
    assert loopback.get("/api/datasets", headers={"host": host}).status_code == 403


def test_an_origin_that_is_no_address_is_refused(loopback):
    assert loopback.post("/_dash-update-component", headers={"origin": "http://[::1"}).status_code == 403


def test_a_large_body_is_refused_before_anybody_signed_in(network):
    body = b'{"password": "' + b"x" * (5 * 2**20) + b'"}'
    pieces = (body[start : start + 2**20] for start in range(0, len(body), 2**20))  # announces no length
    for content in (body, pieces):
        answer = network.post("/api/session", content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["status"]) == (413, 413)


def test_a_file_may_be_larger_than_any_other_body(loopback):
    assert loopback.put("/api/uploads/large.xyz", content=b"x" * (5 * 2**20)).json()["size"] == 5 * 2**20


@pytest.mark.parametrize("path", ["/api/health", "/map/1", "/api/datasets", "/api/nothing"])
def test_no_answer_may_be_framed_or_taken_for_another_type(network, path):
    headers = network.get(path, follow_redirects=False).headers
    assert headers["content-security-policy"] == "frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_an_unknown_api_path_is_a_problem_not_a_page(loopback):
    answer = loopback.get("/api/nothing")
    assert answer.status_code == 404
    assert answer.json()["kind"] == "not_found"


def test_every_route_is_described(loopback):
    paths = loopback.get("/api/openapi.json").json()["paths"]
    for path in ("/api/datasets", "/api/train", "/api/jobs/{id}/cancel", "/api/evaluations/{id}/parity/{quantity}"):
        assert path in paths


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/versions/999", None),
        ("GET", "/api/jobs/999", None),
        ("GET", "/api/models/999", None),
        ("GET", "/api/evaluations/999/metrics", None),
        ("POST", "/api/undo", {"batch": "unknown"}),
    ],
)
def test_what_does_not_exist_is_not_found(loopback, method, path, body):
    answer = loopback.request(method, path, json=body)
    assert answer.status_code == 404, answer.text
    assert answer.json()["kind"] == "not_found"


@pytest.mark.parametrize("number", [2**31, 2**70, -1])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/versions/{}", None),
        ("GET", "/api/versions/{}/maps", None),
        ("GET", "/api/versions/1/structures/{}", None),
        ("GET", "/api/maps/{}/points", None),
        ("GET", "/api/jobs/{}", None),
        ("POST", "/api/jobs/{}/cancel", None),
        ("GET", "/api/models/{}", None),
        ("GET", "/api/evaluations/{}/metrics", None),
        ("GET", "/api/evaluations/compare?id={}", None),
        ("POST", "/api/versions/{}/retrain", {}),
    ],
)
def test_a_number_that_nothing_can_have_is_a_wrong_request(loopback, method, path, body, number):
    answer = loopback.request(method, path.format(number), json=body)
    assert (answer.status_code, answer.json()["kind"]) == (422, "invalid_input")


@pytest.mark.parametrize("number", [10**400, 2**70, 2**40])
def test_rules_of_huge_numbers_are_wrong_requests(loopback, bench_sqlite, put, salt, number):
    version = put(bench_sqlite, [salt(1)]).version.id
    for rule in (
        {"positions": [number]},
        {"polygon": [[0, 0], [1, 0], [1, 1]], "map": number},
        {"range": {"channel": "error", "evaluation": number}},
        {"range": {"channel": "energy", "low": 10**400}},
        {"polygon": [[0, 0], [1, 0], [1, 10**400]], "map": 1},
    ):
        answer = loopback.post(f"/api/versions/{version}/selections", json=rule)
        assert (answer.status_code, answer.json()["kind"]) == (422, "invalid_input"), rule


@pytest.mark.parametrize("number", [2**70, 2**40, 2**31 - 1, -1])
def test_decisions_about_rows_that_no_version_has_are_wrong_requests(loopback, bench_sqlite, put, salt, number):
    version = put(bench_sqlite, [salt(1)]).version.id
    for path, said in (("decisions", {"decision": "accepted"}), ("tags", {"name": "odd"})):
        answer = loopback.post(f"/api/versions/{version}/{path}", json={"positions": [number], **said})
        assert (answer.status_code, answer.json()["kind"]) == (422, "invalid_input")


def test_a_wrong_body_names_every_fault(loopback):
    answer = loopback.post("/api/train", json={"recipe": {"members": 0, "nonsense": 1}})
    assert answer.status_code == 422
    fields = " ".join(fault["field"] for fault in answer.json()["details"])
    assert all(name in fields for name in ("version", "members", "nonsense"))


def test_a_rule_names_only_so_many_rows_one_by_one(loopback, bench_sqlite, put, salt):
    version = put(bench_sqlite, [salt(1)]).version.id
    answers = [
        loopback.post(f"/api/versions/{version}/selections", json={"positions": [0] * n}) for n in (100_000, 100_001)
    ]
    assert [answer.status_code for answer in answers] == [201, 422]
