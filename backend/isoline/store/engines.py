"""The store's engine: how SQLite and PostgreSQL are opened, brought up to date, read from and written to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from ..errors import InvalidInput, Unavailable

ADDRESSES = "Use sqlite:///FILE or postgresql://USER@HOST/NAME."
BUSY_S = 30.0  # how long a writer waits for another
BULK_LOCK, MIGRATION_LOCK = 7_461_001, 7_461_002  # PostgreSQL advisory locks of the store

# File systems of other hosts: SQLite's write-ahead log needs memory that all its users share.
# 9p is not among them: sandboxes use it for local disks, and where it cannot share memory SQLite says so itself.
NETWORK_FILE_SYSTEMS = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"}
    | {"glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "panfs", "smb3", "smbfs"}
)

# Page size comes first: it holds only in a file that has no page yet. Measured: 16 KiB stores a structure
# in 2.9 kB where the default 4 KiB needs 3.7 kB.
PRAGMAS = (
    f"busy_timeout = {int(BUSY_S * 1000)}",
    "page_size = 16384",
    "synchronous = NORMAL",
    "foreign_keys = ON",
    "mmap_size = 2147418112",
    "cache_size = -65536",
)


def connect(url: str) -> Engine:
    """An engine for a `sqlite:///file` or `postgresql://…` address.

    Raises InvalidInput for any other address, Unavailable for SQLite on a network file system.
    """
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise InvalidInput("the store's address cannot be read", hint=ADDRESSES) from error
    backend = address.get_backend_name()
    if backend == "sqlite" and address.database not in (None, "", ":memory:"):
        _refuse_network(Path(address.database))
        engine = create_engine(address, connect_args={"timeout": BUSY_S})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if backend in ("postgresql", "postgres"):
        try:
            return create_engine(address.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        except NoSuchModuleError as error:
            raise Unavailable("the PostgreSQL driver is missing", hint="Install psycopg.") from error
    raise InvalidInput(
        f"the store cannot live in '{address.render_as_string(hide_password=True)}'",
        hint=ADDRESSES,
    )


def migrate(engine: Engine) -> None:
    """Bring the schema up to date, however many processes ask for it at once.

    Raises Unavailable when the database cannot be reached, or was made by a newer version of the program.
    """
    newest = ScriptDirectory.from_config(migrations()).get_current_head()
    with reading(engine) as connection:
        if MigrationContext.configure(connection).get_current_revision() == newest:
            return
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        try:
            command.upgrade(migrations(connection), "head")
        except CommandError as error:
            raise Unavailable(
                f"the store has a schema that this version does not know ({error})",
                hint="It was made by a newer Isoline: install that version, or use another data folder.",
            ) from error


def migrations(connection: Connection | None = None) -> Config:
    """Alembic's view of the migrations in this package; they run on `connection`, in its transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one moment of the store and cannot write."""
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    if engine.dialect.name == "sqlite":
        options = {}
    with _reached(engine), engine.connect() as connection:
        connection = connection.execution_options(store_writes=False, **options)
        with connection.begin():
            yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that commits when the block ends well; on SQLite it waits for its turn before it begins."""
    with _reached(engine), engine.connect() as connection:
        connection = connection.execution_options(store_writes=True)
        with connection.begin():
            yield connection


def lock_bulk(connection: Connection) -> None:
    """Let one writer at a time add structures or versions, as SQLite does anyway; held until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({BULK_LOCK})"))


def file_system(path: Path, mounts: str) -> str:
    """The type of file system that holds `path`, from the text of /proc/self/mountinfo; "" where that is unknown."""
    found, depth = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        mount = Path(fields[4].replace("\\040", " "))
        if len(mount.parts) >= depth and path.is_relative_to(mount):
            found, depth = after.split()[0], len(mount.parts)
    return found


def _refuse_network(path: Path) -> None:
    mounts = Path("/proc/self/mountinfo")
    kind = file_system(path.resolve(), mounts.read_text()) if mounts.exists() else ""
    if kind in NETWORK_FILE_SYSTEMS:
        raise Unavailable(
            f"{path} lies on a network file system ({kind}), where SQLite can lose data",
            hint="Set ISOLINE_HOME to a folder on a local disk, or ISOLINE_STORE_DB to a PostgreSQL database.",
        )


@contextmanager
def _reached(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        # SQLite says OperationalError for a misspelt column too: that is a bug, and stays one.
        code = getattr(error.orig, "sqlite_errorname", "")
        outage = isinstance(error, OperationalError) or code in ("SQLITE_NOTADB", "SQLITE_CORRUPT")
        if not outage or code == "SQLITE_ERROR":
            raise
        raise Unavailable(
            f"the store {engine.url.render_as_string(hide_password=True)} does not answer: {str(error.orig).strip()}",
            hint="Is the database running, the disk writable and not full? A busy store answers again within a minute.",
        ) from error


def _prepare_sqlite(connection, _record) -> None:
    # SQLAlchemy then leaves BEGIN to `_begin_sqlite`.
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except connection.OperationalError:
            # Changing the journal does not wait by itself for others who open the new file at this moment.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("store_writes", True)
    connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if writes else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
