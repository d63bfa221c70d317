"""Servers that the journeys start, and a browser that may speak to this machine only."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_addoption(parser):
    parser.addoption("--screens", type=Path, default=None, help="Folder to keep the journey's screenshots in.")


@pytest.fixture
def free_port() -> int:
    return a_free_port()


def a_free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture(scope="module")
def workbench_url(tmp_path_factory):
    """`isoline up` on a clean data folder, as the README starts it."""
    home, port = tmp_path_factory.mktemp("home"), a_free_port()
    environment = os.environ | {"ISOLINE_HOME": str(home), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-m", "isoline", "up", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{url}/api/health", timeout=5)
            break
        except OSError:
            assert process.poll() is None, "isoline up ended by itself"
            assert time.monotonic() < deadline, "isoline up did not answer"
            time.sleep(0.3)
    yield url
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    return {
        **browser_type_launch_args,
        "executable_path": CHROMIUM,
        "args": [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ],
    }


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {**browser_context_args, "viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}
