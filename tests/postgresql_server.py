"""A real PostgreSQL server of the tests' own, from the machine's binaries."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from isoline.store import engines

ROOM = 4 << 30  # bytes free in /dev/shm that make it worth using: a database takes 8 MB


class Server:
    """A running server; calling it makes a fresh database and gives its address."""

    def __init__(self, port: int):
        self.address = f"postgresql://postgres@127.0.0.1:{port}"
        self._template = ""

    def __call__(self, *, with_tables: bool = False) -> str:
        if with_tables and not self._template:
            url = self()
            engine = engines.connect(url)
            engines.migrate(engine)
            engine.dispose()
            self._template = url.rpartition("/")[2]
        name = f"isoline_{uuid.uuid4().hex[:12]}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template if with_tables else 'template1'}")
        return f"{self.address}/{name}"

    def drop(self, url: str) -> None:
        """Take a database away, whoever is still connected to it."""
        self._execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(f"{self.address}/postgres", autocommit=True) as connection:
            connection.execute(statement)


def binaries() -> Path | None:
    """Where the server's programs are, the newest first; None where PostgreSQL is not installed."""
    found = shutil.which("postgres")
    if found:
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@contextmanager
def running(programs: Path) -> Iterator[Server]:
    """A server that lives as long as the block, and no longer than the process."""
    folder = Path(tempfile.mkdtemp(prefix="isoline-postgresql-", dir=_folder()))
    becoming = []
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        shutil.chown(folder, "postgres")
        becoming = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    log = (folder / "log").open("wb")
    initdb = [programs / "initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"]
    subprocess.run([*becoming, *initdb, "-D", folder / "data"], check=True, stdout=log, stderr=log, cwd="/")
    port = _free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folder,
        "fsync": "off",
        "max_connections": 300,
        "max_wal_size": "256MB",
        "shared_buffers": "64MB",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    watched = [*(becoming or ["setpriv"]), "--pdeathsig=QUIT"] if shutil.which("setpriv") else []
    process = subprocess.Popen(
        [*watched, programs / "postgres", "-D", folder / "data", *options], stdout=log, stderr=log, cwd="/"
    )
    server = Server(port)
    try:
        _wait_for(process, server, folder / "log")
        yield server
    finally:
        # At once: nothing in it is worth a checkpoint.
        process.send_signal(signal.SIGQUIT)
        process.wait(timeout=60)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> str | None:
    """Memory where there is plenty, so that hundreds of databases do not wait for a disk."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > ROOM else None


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def _wait_for(process: subprocess.Popen, server: Server, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(f"{server.address}/postgres", connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.1)
