"""`isoline up` and its web server killed for real: jobs do not notice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from patience import until

from isoline.services import work

UP = """
import sys
from isoline.supervisor import supervise
from isoline.workbench import Settings
sys.exit(supervise(Settings.from_environment(), workers=1, worker_options=("--functions", "counting:RUN")))
"""


def children(pid: int) -> dict[str, int]:
    """Process ids of the web server and the worker, from their command lines."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        found["web" if "uvicorn" in words else "worker"] = int(child)
    return found


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


@pytest.fixture
def port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture
def start(variables, port):
    """Start `isoline up` with one worker; ended afterwards with all that it started."""
    started: list[subprocess.Popen] = []

    def up() -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", UP], env=variables | {"ISOLINE_PORT": str(port)}, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield up
    for process in started:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def test_jobs_do_not_notice_when_the_web_server_or_the_supervisor_is_killed(count, start, port, bench):
    up = start()
    assert up.stdout.readline() == f"Isoline is at http://127.0.0.1:{port}\n"
    job = count("80 steps")
    job.until_step(3)

    family = children(up.pid)
    os.kill(family["web"], signal.SIGKILL)
    until(lambda: children(up.pid).get("web", family["web"]) != family["web"], "a new web server")
    until(lambda: healthy(port), "the new web server's answer")

    family = children(up.pid)
    up.kill()
    up.wait()
    until(lambda: gone(family["web"]), "the web server's end")
    job.check_done(80)
    assert len(job.processes()) == 1, "the job was started again"
    # Nobody looks after the worker any more: it goes home when its work is done.
    until(lambda: gone(family["worker"]), "the worker's end")


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_up_starts_a_dead_worker_again_and_stops_within_seconds(count, start, bench):
    up = start()
    job = count("30 steps")
    job.until_step(3)
    os.kill(children(up.pid)["worker"], signal.SIGKILL)
    job.check_done(30)
    asked = time.monotonic()
    up.send_signal(signal.SIGINT)
    assert up.wait(timeout=30) == 0
    assert time.monotonic() - asked < 8
    assert work.workers(bench) == []
