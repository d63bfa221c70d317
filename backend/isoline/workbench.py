"""The workbench: settings, the store's engine, and the two kinds of transaction.

This is the only module that reads the environment.
"""

from __future__ import annotations

import ipaddress
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, Engine

from .errors import InvalidInput
from .store import engines

REMEMBERED = 48  # immutable results kept in memory per process

T = TypeVar("T")


def is_loopback(host: str) -> bool:
    """Whether an address or host name reaches this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Settings(BaseModel):
    """Where things are; `from_environment` fills it from the variables named below.

    home        ISOLINE_HOME       data folder, default ~/.isoline
    store_url   ISOLINE_STORE_DB   default: store.sqlite in home
    jobs_url    ISOLINE_JOBS_DB    default: jobs.sqlite in home, or the store's database when that is PostgreSQL
    lease_s     ISOLINE_LEASE      seconds after which a silent worker counts as dead
    host, port  ISOLINE_HOST, ISOLINE_PORT   where the web server listens
    proxy       ISOLINE_PROXY      addresses or networks, by commas, of reverse proxies whose X-Forwarded-… is believed
    """

    model_config = ConfigDict(frozen=True)

    home: Path
    store_url: str
    jobs_url: str
    lease_s: float = Field(20.0, gt=0.5)
    host: str = "127.0.0.1"
    port: int = Field(8050, ge=1, le=65535)
    proxy: str = ""

    @classmethod
    def at(
        cls,
        home: Path,
        store_url: str = "",
        jobs_url: str = "",
        lease_s: float = 20.0,
        host: str = "127.0.0.1",
        port: int = 8050,
        proxy: str = "",
    ) -> Settings:
        """Settings for one data folder."""
        home = Path(home).expanduser().resolve()
        store_url = store_url or f"sqlite:///{home / 'store.sqlite'}"
        if not jobs_url:
            jobs_url = f"sqlite:///{home / 'jobs.sqlite'}" if store_url.startswith("sqlite") else store_url
        return cls(
            home=home, store_url=store_url, jobs_url=jobs_url, lease_s=lease_s, host=host, port=port, proxy=proxy
        )

    @classmethod
    def from_environment(cls) -> Settings:
        """Settings as the environment has them. Raises InvalidInput, naming the variable that cannot be used."""
        try:
            return cls.at(
                Path(os.environ.get("ISOLINE_HOME", "~/.isoline")),
                os.environ.get("ISOLINE_STORE_DB", ""),
                os.environ.get("ISOLINE_JOBS_DB", ""),
                _number("ISOLINE_LEASE", float, "20"),
                os.environ.get("ISOLINE_HOST", "127.0.0.1"),
                _number("ISOLINE_PORT", int, "8050"),
                os.environ.get("ISOLINE_PROXY", ""),
            )
        except ValidationError as error:
            variables = {"lease_s": "ISOLINE_LEASE", "port": "ISOLINE_PORT"}
            wrong = error.errors()[0]
            variable = variables.get(str(wrong["loc"][0]), "a setting")
            raise InvalidInput(f"{variable} is {wrong['input']}: {wrong['msg']}", hint="Correct or unset it.") from None

    def environment(self) -> dict[str, str]:
        """The variables that make a child process see the same settings."""
        return {
            "ISOLINE_HOME": str(self.home),
            "ISOLINE_STORE_DB": self.store_url,
            "ISOLINE_JOBS_DB": self.jobs_url,
            "ISOLINE_LEASE": str(self.lease_s),
            "ISOLINE_HOST": self.host,
            "ISOLINE_PORT": str(self.port),
            "ISOLINE_PROXY": self.proxy,
        }

    @property
    def sign_in_required(self) -> bool:
        """Whether people must sign in: everywhere but on this machine's own loopback address."""
        return not is_loopback(self.host)

    @property
    def uploads(self) -> Path:
        return self.home / "uploads"

    @property
    def runs(self) -> Path:
        """Locks and logs of worker processes on this host."""
        return self.home / "runs"


def _number(variable: str, kind: Callable[[str], T], default: str) -> T:
    text = os.environ.get(variable, default)
    try:
        return kind(text)
    except ValueError:
        raise InvalidInput(f"{variable} is '{text}', which is no number", hint=f"Try {default}, or unset it.") from None


class Workbench:
    """An open data folder: pass it, never keep it in a module."""

    def __init__(self, settings: Settings, engine: Engine):
        self.settings = settings
        self.engine = engine
        self._memory: OrderedDict[tuple, object] = OrderedDict()
        self._memory_lock = threading.Lock()

    @classmethod
    def open(cls, settings: Settings) -> Workbench:
        """Open the store, creating folders and bringing the schema up to date.

        Raises Unavailable when the database cannot be reached or lies on a network file system (SQLite).
        """
        for folder in (settings.home, settings.uploads, settings.runs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = engines.connect(settings.store_url)
        engines.migrate(engine)
        return cls(settings, engine)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that cannot write."""
        with engines.reading(self.engine) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits when the block ends well, and leaves nothing when it does not."""
        with engines.writing(self.engine) as connection:
            yield connection

    def remember(self, key: tuple, make: Callable[[], T]) -> T:
        """An immutable result by its key: made once, then kept while it is among the last used."""
        with self._memory_lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key]
        value = make()
        with self._memory_lock:
            self._memory[key] = value
            self._memory.move_to_end(key)
            while len(self._memory) > REMEMBERED:
                self._memory.popitem(last=False)
        return value

    def close(self) -> None:
        self.engine.dispose()
