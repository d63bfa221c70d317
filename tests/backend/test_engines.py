"""Both databases keep the same promises about reading, writing and being away."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError

from isoline.errors import InvalidInput, Unavailable
from isoline.store import engines, events
from isoline.store.tables import event
from isoline.workbench import Settings, Workbench

MOUNTS = """\
22 28 0:21 / /proc rw - proc proc rw
28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 28 0:40 / /home rw - nfs4 server:/home rw
41 40 8:1 / /home/anna/local\\040disk rw - xfs /dev/sdb rw
"""


def count(bench: Workbench) -> int:
    with bench.read() as connection:
        return connection.execute(select(func.count()).select_from(event)).scalar()


def test_a_reader_cannot_write(bench):
    with pytest.raises((DBAPIError, Unavailable), match=r"read-?\s?only"), bench.read() as connection:
        events.record(connection, "owner", "write", "nothing", {})
    assert count(bench) == 0


def test_a_writer_that_fails_leaves_nothing(bench):
    def write_half() -> None:
        with bench.write() as connection:
            events.record(connection, "owner", "write", "half", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert count(bench) == 0


def test_a_reader_sees_one_moment(bench):
    with bench.read() as reading:
        before = reading.execute(select(func.count()).select_from(event)).scalar()
        with bench.write() as writing:
            events.record(writing, "owner", "write", "meanwhile", {})
        assert reading.execute(select(func.count()).select_from(event)).scalar() == before
    assert count(bench) == before + 1


def test_writers_wait_for_their_turn(bench):
    def write_ten() -> None:
        for turn in range(10):
            with bench.write() as connection:
                engines.lock_bulk(connection)
                n = connection.execute(select(func.count()).select_from(event)).scalar()
                connection.execute(
                    insert(event).values(id=n + 1, at=func.now(), actor="a", verb="count", subject=str(turn), detail={})
                )

    writers = [threading.Thread(target=write_ten) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    # Each number was read and used under the lock: a lost turn would break the primary key.
    assert count(bench) == 40


def test_events_are_found_by_subject_newest_first(bench):
    with bench.write() as connection:
        for verb in ("import", "freeze"):
            events.record(connection, "owner", verb, "version 1", {"n": 2})
        events.record(connection, "owner", "import", "version 2", {})
    with bench.read() as connection:
        assert [one.verb for one in events.recent(connection, subject="version 1")] == ["freeze", "import"]
        assert events.recent(connection, limit=1)[0].subject == "version 2"


def test_a_misspelt_column_is_a_bug_and_not_an_outage(bench):
    with pytest.raises(DBAPIError), bench.read() as connection:
        connection.execute(text("SELECT colour FROM event"))


def test_sqlite_is_opened_with_the_settings_that_were_measured(bench_sqlite):
    with bench_sqlite.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("page_size", "journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {
        "page_size": 16384,
        "journal_mode": "wal",
        "synchronous": 1,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/home/anna/isoline", "nfs4"), ("/home/anna/local disk/isoline", "xfs"), ("/homes", "ext4"), ("/proc/1", "proc")],
)
def test_the_file_system_is_that_of_the_nearest_mount(path, kind):
    assert engines.file_system(Path(path), MOUNTS) == kind


@pytest.mark.parametrize("url", ["mysql://lab@host/isoline", "sqlite://", "sqlite:///:memory:", "store.sqlite"])
def test_other_addresses_are_refused_with_a_hint(url):
    with pytest.raises(InvalidInput) as refusal:
        engines.connect(url)
    assert "sqlite:///" in refusal.value.hint


def test_a_server_that_is_away_is_named_without_its_password(tmp_path):
    with pytest.raises(Unavailable) as failure:
        Workbench.open(Settings.at(tmp_path, "postgresql://lab:secret@127.0.0.1:1/isoline"))
    assert "127.0.0.1" in failure.value.message
    assert "secret" not in failure.value.message + failure.value.hint


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "store.sqlite").write_bytes(b"These are holiday pictures. " * 1000)
    with pytest.raises(Unavailable, match="not a database"):
        Workbench.open(Settings.at(tmp_path))
