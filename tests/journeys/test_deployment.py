"""The services of docker-compose.yml, run for real without containers: the same commands, the same environment."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2 as httpx
import pytest
import yaml

from isoline_lab.samples.silicon import silicon_path

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())
PASSWORD = "a password for the test"


def command(service: str, port: int) -> list[str]:
    """What the service runs, with this interpreter and a free port."""
    words = shlex.split(COMPOSE["services"][service]["command"])
    assert words[0] == "isoline"
    return [sys.executable, "-m", "isoline", *(str(port) if word == "8050" else word for word in words[1:])]


@pytest.fixture
def environment(postgresql, tmp_path):
    return os.environ | {
        "ISOLINE_HOME": str(tmp_path / "data"),
        "ISOLINE_STORE_DB": postgresql(),
        "ISOLINE_LEASE": "10",
    }


@pytest.fixture
def start(environment):
    """Start services; all are ended with SIGTERM afterwards, and must end by themselves."""
    running: list[subprocess.Popen] = []

    def run(service: str, port: int) -> subprocess.Popen:
        process = subprocess.Popen(command(service, port), env=environment, start_new_session=True)
        running.append(process)
        return process

    yield run
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail("a service did not end on SIGTERM")


def until(question, what: str, seconds: float = 120.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if answer := question():
                return answer
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    pytest.fail(f"waited {seconds:.0f} s for {what}")


def test_the_web_service_refuses_to_start_without_an_owners_password(environment, free_port):
    done = subprocess.run(command("web", free_port), env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "isoline password" in done.stderr


def test_web_and_worker_serve_a_team_on_postgresql(environment, start, free_port):
    set_password = [sys.executable, "-m", "isoline", "password", "--password", PASSWORD]
    subprocess.run(set_password, env=environment, check=True, timeout=120)
    start("web", free_port)
    start("worker", free_port)
    with httpx.Client(base_url=f"http://127.0.0.1:{free_port}", timeout=30) as client:
        until(lambda: client.get("/api/health").status_code == 200, "the web service's health")
        assert client.get("/api/datasets").status_code == 401
        assert client.post("/api/session", json={"name": "owner", "password": PASSWORD}).status_code == 201

        upload = client.put("/api/uploads/silicon.extxyz.xz", content=silicon_path().read_bytes()).json()
        job = client.post("/api/imports", json={"uploads": [upload["id"]], "dataset": "silicon"}).json()
        ended = until(lambda: _ended(client, job["id"]), "the import")
        assert ended["state"] == "done", ended
        assert client.get("/api/datasets").json()[0]["n_structures"] == ended["result"]["n_structures"] >= 160

    health = shlex.split("isoline doctor --worker")
    assert COMPOSE["services"]["worker"]["healthcheck"]["test"][1:] == health
    subprocess.run([sys.executable, "-m", *health], env=environment, check=True, timeout=60)


def test_the_gpu_worker_starts_and_serves_its_queue(environment, start, free_port):
    start("worker-gpu", free_port)
    asked = [sys.executable, "-m", "isoline", "doctor", "--worker"]
    until(lambda: subprocess.run(asked, env=environment, capture_output=True).returncode == 0, "the GPU worker")


def _ended(client: httpx.Client, id: int) -> dict | None:
    job = client.get(f"/api/jobs/{id}").json()
    return job if job["state"] in ("done", "failed", "cancelled") else None
