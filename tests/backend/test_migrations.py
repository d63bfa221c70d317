"""The migrations make exactly the tables that the program uses, however they are started."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from isoline.errors import Unavailable
from isoline.store import engines
from isoline.store.tables import metadata
from isoline.workbench import Settings, Workbench

OPEN = "import sys; from isoline.store import engines; engines.migrate(engines.connect(sys.argv[1]))"


def test_migrating_makes_the_tables_of_the_program(bench):
    with bench.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_migrating_names_every_constraint(bench):
    inspector = inspect(bench.engine)
    for table in metadata.sorted_tables:
        assert inspector.get_pk_constraint(table.name)["name"] == table.primary_key.name
        found = {key["name"] for key in inspector.get_foreign_keys(table.name)}
        assert found == {key.name for key in table.foreign_key_constraints}


def test_processes_that_start_at_once_migrate_once(store_url, tmp_path):
    (tmp_path / "home").mkdir()
    started = [subprocess.Popen([sys.executable, "-c", OPEN, store_url], stderr=subprocess.PIPE) for _ in range(4)]
    for process in started:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    Workbench.open(Settings.at(tmp_path / "home", store_url)).close()


def test_downgrading_takes_every_table_away(bench):
    with engines.writing(bench.engine) as connection:
        command.downgrade(engines.migrations(connection), "base")
    assert set(inspect(bench.engine).get_table_names()) <= {"alembic_version"}
    engines.migrate(bench.engine)
    assert set(metadata.tables) <= set(inspect(bench.engine).get_table_names())


def test_a_store_of_a_newer_version_is_refused_and_left_alone(bench):
    with bench.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unavailable, match="9999") as refusal:
        engines.migrate(bench.engine)
    assert "newer" in refusal.value.hint


def test_postgresql_does_not_try_to_compress_raw_numbers(postgresql):
    engine = engines.connect(postgresql(with_tables=True))
    query = "SELECT attstorage FROM pg_attribute WHERE attrelid = 'structure_array'::regclass AND attname = 'positions'"
    with engines.reading(engine) as connection:
        assert connection.execute(text(query)).scalar() in ("e", b"e")
    engine.dispose()
