"""What all tests share: workbenches on SQLite and on a real PostgreSQL, and the reference data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import postgresql_server
import pytest

from isoline.domain.actor import OWNER
from isoline.domain.dataset import AddOutcome, SourceRecord
from isoline.domain.structure import Frame, Label, Structure
from isoline.services import library
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
def postgresql() -> Iterator[postgresql_server.Server]:
    """Makes fresh databases on a PostgreSQL server that lives as long as the tests."""
    programs = postgresql_server.binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with postgresql_server.running(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, tmp_path) -> Iterator[str]:
    """The address of an empty store, on either database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'home' / 'store.sqlite'}"
        return
    server = request.getfixturevalue("postgresql")
    url = server()
    yield url
    server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request, tmp_path) -> Iterator[Workbench]:
    """A workbench without any data, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield from _opened(Settings.at(tmp_path / "home"))
        return
    server = request.getfixturevalue("postgresql")
    url = server(with_tables=True)
    yield from _opened(Settings.at(tmp_path / "home", url))
    server.drop(url)


@pytest.fixture
def bench_sqlite(tmp_path) -> Iterator[Workbench]:
    """A workbench without any data on SQLite."""
    yield from _opened(Settings.at(tmp_path / "home"))


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


def _opened(settings: Settings) -> Iterator[Workbench]:
    workbench = Workbench.open(settings)
    yield workbench
    workbench.close()
