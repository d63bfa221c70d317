"""Many rows at once: COPY on PostgreSQL, one prepared statement on SQLite."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    any_,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

SQLITE_VALUES = 30_000  # its limit on parameters of one statement is 32 766

# Subclasses first: SmallInteger and BigInteger are Integers too.
COPY_TYPES = (
    (SmallInteger, "int2"),
    (BigInteger, "int8"),
    (Integer, "int4"),
    (Float, "float8"),
    (Boolean, "bool"),
    (LargeBinary, "bytea"),
    (String, "text"),
)


def insert(connection: Connection, table: Table, rows: Iterable[Sequence]) -> None:
    """Insert rows whose values stand in the order of the table's columns."""
    names = ", ".join(connection.dialect.identifier_preparer.format_column(column) for column in table.c)
    if connection.dialect.name == "postgresql":
        with (
            connection.connection.driver_connection.cursor() as cursor,
            cursor.copy(f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types([_copy_type(column) for column in table.c])
            for row in rows:
                copy.write_row(row)
        return
    rows = rows if isinstance(rows, list) else list(rows)
    if rows:
        marks = ", ".join("?" * len(table.c))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", rows)


def find(connection: Connection, wanted: Sequence[Column], column: Column, values: Sequence) -> list[tuple]:
    """The wanted columns of every row whose `column` is one of many values, in any order."""
    named = connection.dialect.identifier_preparer.format_column
    query = f"SELECT {', '.join(map(named, wanted))} FROM {column.table.name} WHERE {named(column)}"
    # Written out, because SQLAlchemy's own IN makes a name for each of the values: 40 ms for 5000.
    if connection.dialect.name == "postgresql":
        return connection.exec_driver_sql(f"{query} = ANY(%b)", (list(values),)).all()
    rows = []
    for start in range(0, len(values), SQLITE_VALUES):
        some = tuple(values[start : start + SQLITE_VALUES])
        rows += connection.exec_driver_sql(f"{query} IN ({', '.join('?' * len(some))})", some).all()
    return rows


def among(connection: Connection, column: Column, values: Sequence[int]) -> ColumnElement[bool]:
    """The condition that a column's value is one of many whole numbers, as one parameter."""
    if connection.dialect.name == "postgresql":
        return column == any_(cast(literal(list(values), ARRAY(column.type)), ARRAY(column.type)))
    listed = func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(select(listed.c.value))


def _copy_type(column: Column) -> str:
    return next(name for kind, name in COPY_TYPES if isinstance(column.type, kind))
