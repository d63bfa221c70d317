"""`isoline up`: the web server and workers as child processes, started again when they die, ended together."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .errors import Conflict, Unavailable
from .jobs import worker_process
from .workbench import Settings

POLL_S = 0.2
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # before a dead child is started again; doubles with each death
SOUND_S = 60.0  # a child that lived so long starts afresh
MOST_FALSE_STARTS = 5  # of a web server that never answered
DEATH_OF_PARENT = 1  # PR_SET_PDEATHSIG, <linux/prctl.h>


@dataclass
class Child:
    """One child: how it is started, and how it fared."""

    name: str
    command: list[str]
    dies_with_us: bool = False
    process: subprocess.Popen | None = None
    started: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    due: float = field(default_factory=time.monotonic)
    deaths: int = 0


def supervise(settings: Settings, *, workers: int = 1, worker_options: Sequence[str] = ()) -> int:
    """Run the web server and `workers` workers until SIGTERM or SIGINT; prints the address when it answers.

    Should this process be killed, the web server ends with it, and workers see their jobs through before they end.

    Raises Conflict when it runs already in this data folder or the port is taken,
    Unavailable when the web server cannot start.
    """
    stop = threading.Event()
    for which in (signal.SIGTERM, signal.SIGINT):
        signal.signal(which, lambda *_: stop.set())
    with _alone(settings):
        _check_port(settings)
        web = Child("web server", web_command(settings), dies_with_us=True)
        children = [web] + [
            Child(f"worker {number + 1}", worker_process.command("--supervised", *worker_options))
            for number in range(workers)
        ]
        try:
            answered = False
            while not stop.wait(POLL_S):
                for child in children:
                    _keep(child, settings)
                if not answered and _answers(settings):
                    answered = True
                    print(f"Isoline is at {address(settings)}", flush=True)
                if not answered and web.deaths >= MOST_FALSE_STARTS:
                    raise Unavailable("the web server does not start", hint="What it printed above may tell why.")
        finally:
            _end(children)
    return 0


def address(settings: Settings) -> str:
    """Where a browser on this machine finds the web server."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def web_command(settings: Settings) -> list[str]:
    """What starts the web server; it believes only `settings.proxy` about who asks and whether by TLS."""
    return [
        *(sys.executable, "-m", "uvicorn", "--factory", "isoline_web.app:create"),
        *("--host", settings.host, "--port", str(settings.port)),
        *("--log-level", "warning", "--timeout-graceful-shutdown", "3"),
        *(("--forwarded-allow-ips", settings.proxy) if settings.proxy else ()),
    ]


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    settings.runs.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.runs / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise Conflict(
                f"Isoline runs already in {settings.home}, at {lock.read().strip()}",
                hint="Open that address, stop it first, or choose another data folder with ISOLINE_HOME.",
            ) from error
        lock.truncate(0)
        lock.write(address(settings))
        lock.flush()
        yield


def _check_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listening:
        # As the server will: a port that was left a moment ago is free.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((settings.host, settings.port))
        except OSError as error:
            raise Conflict(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror}",
                hint="Another program may use it; choose another with --port.",
            ) from error


def _keep(child: Child, settings: Settings) -> None:
    """Start a child whose time has come; notice its death."""
    now = time.monotonic()
    if child.process is None:
        if now >= child.due:
            child.process = subprocess.Popen(
                child.command,
                env=worker_process.environment(settings),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_end_with_parent if child.dies_with_us and sys.platform == "linux" else None,
            )
            child.started = now
    elif child.process.poll() is not None:
        child.deaths += 1
        child.pause_s = FIRST_PAUSE_S if now - child.started > SOUND_S else min(2 * child.pause_s, LONGEST_PAUSE_S)
        child.due = now + child.pause_s
        print(
            f"the {child.name} ended with status {child.process.returncode}; starting it again",
            file=sys.stderr,
            flush=True,
        )
        child.process = None


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(DEATH_OF_PARENT, signal.SIGTERM)


def _answers(settings: Settings) -> bool:
    try:
        with urllib.request.urlopen(f"{address(settings)}/api/health", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _end(children: list[Child]) -> None:
    running = [child.process for child in children if child.process is not None]
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    for process in running:
        worker_process.stop(process)
