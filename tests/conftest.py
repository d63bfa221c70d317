"""What all tests share: workbenches on SQLite and on a real PostgreSQL, and the reference data."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest

from isoline.domain.actor import OWNER
from isoline.domain.dataset import AddOutcome, SourceRecord
from isoline.domain.structure import Frame, Label, Structure
from isoline.services import library
from isoline.store import engines
from isoline.workbench import Settings, Workbench

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of reference data (ISOLINE_DATA, by default ../shared/data)."""
    folder = Path(os.environ.get("ISOLINE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "manifest.json").exists():
        pytest.skip(f"reference data are not at {folder}: set ISOLINE_DATA")
    return folder


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory) -> Iterator[Callable[[], str]]:
    """Makes fresh databases on a PostgreSQL server that lives as long as the tests: empty, or with our tables."""
    binaries = _postgresql_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="isoline-postgresql-"))
    # PostgreSQL refuses to run as root.
    becoming = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        becoming = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    port = _free_port()
    log = (folder / "log").open("wb")
    initdb = [binaries / "initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"]
    subprocess.run([*becoming, *initdb, "-D", folder / "data"], check=True, stdout=log, stderr=log, cwd="/")
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folder,
        "fsync": "off",
        "max_connections": 300,
        "shared_buffers": "64MB",
    }
    # The server goes when the tests go, even when they are killed.
    watched = [*(becoming or ["setpriv"]), "--pdeathsig=QUIT"] if shutil.which("setpriv") else []
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server = subprocess.Popen(
        [*watched, binaries / "postgres", "-D", folder / "data", *options], stdout=log, stderr=log, cwd="/"
    )
    address = f"postgresql://postgres@127.0.0.1:{port}"

    migrated: list[str] = []

    def make(*, with_tables: bool = False) -> str:
        if with_tables and not migrated:
            template = make()
            engine = engines.connect(template)
            engines.migrate(engine)
            engine.dispose()
            migrated.append(template.rpartition("/")[2])
        name = f"isoline_{uuid.uuid4().hex[:12]}"
        source = migrated[0] if with_tables else "template1"
        with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
        return f"{address}/{name}"

    try:
        _wait_for(server, f"{address}/postgres", folder / "log")
        yield make
    finally:
        # At once: nothing in it is worth a checkpoint.
        server.send_signal(signal.SIGQUIT)
        server.wait(timeout=60)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, tmp_path) -> str:
    """The address of an empty store, on either database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'home' / 'store.sqlite'}"
    return request.getfixturevalue("postgresql")()


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request, tmp_path) -> Iterator[Workbench]:
    """A workbench without any data, once on SQLite and once on PostgreSQL."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgresql")(with_tables=True)
    workbench = Workbench.open(Settings.at(tmp_path / "home", url))
    yield workbench
    workbench.close()


@pytest.fixture
def bench_sqlite(tmp_path) -> Iterator[Workbench]:
    """A workbench without any data on SQLite."""
    workbench = Workbench.open(Settings.at(tmp_path / "home"))
    yield workbench
    workbench.close()


@pytest.fixture(scope="session")
def salt() -> Callable[..., Frame]:
    """Makes a rattled box of sodium and chlorine with random labels, one for each seed."""

    def make(
        seed: int, *, n: int = 4, labelled: bool = True, group: str = "", split: str = "", level: str = "PBE"
    ) -> Frame:
        random = np.random.default_rng(seed)
        cell = 5.0 * np.eye(3) + 0.2 * random.normal(size=(3, 3))
        structure = Structure(np.array([11, 17] * n)[:n], random.normal(size=(n, 3)), cell, [True, True, False])
        label = Label(level, float(random.normal()), random.normal(size=(n, 3)), random.normal(size=6))
        return Frame(structure, label if labelled else Label(level), group, index=seed, split=split)

    return make


@pytest.fixture(scope="session")
def put() -> Callable[..., AddOutcome]:
    """Adds frames to a dataset and gives the outcome."""

    def add(bench: Workbench, frames: Iterable[Frame], dataset: str = "salt", **options) -> AddOutcome:
        source = SourceRecord("file", "salt.extxyz", "ab" * 32, 1234, {"energy_key": "energy"})
        return list(library.add(bench, OWNER, dataset, frames, source, **options))[-1]

    return add


def _postgresql_binaries() -> Path | None:
    found = shutil.which("postgres")
    if found:
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def _wait_for(server: subprocess.Popen, url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start:\n{log.read_text()}")
            time.sleep(0.1)
