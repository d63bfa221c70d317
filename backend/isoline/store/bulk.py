"""Many rows at once: COPY on PostgreSQL, one prepared statement on SQLite."""

from __future__ import annotations

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


def among(connection: Connection, column: Column, values: Sequence[int] | Sequence[bytes]) -> ColumnElement[bool]:
    """The condition that a column's value is one of many."""
    if connection.dialect.name == "postgresql":
        return column == any_(cast(literal(list(values), ARRAY(column.type)), ARRAY(column.type)))
    if isinstance(column.type, LargeBinary):
        return column.in_(values)
    listed = func.json_each(str(list(values))).table_valued("value")
    return column.in_(select(listed.c.value))


def _copy_type(column: Column) -> str:
    return next(name for kind, name in COPY_TYPES if isinstance(column.type, kind))
