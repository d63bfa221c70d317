"""Decisions and tags as events: what people say is added, never changed; the newest of a kind holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import BigInteger, ColumnElement, Connection, Row, Select, cast, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from .tables import dataset, mark

DECISION, TAG = "decision", "tag"


@dataclass(frozen=True, eq=False)
class Marks:
    """Events of one dataset, in the order in which they were made.

    structure  (events,) int64   structure ids
    kind       (events,) object  decision | tag
    value      (events,) object  accepted | rejected | ""; the tag's name
    present    (events,) bool    False where a tag or a decision was taken back
    """

    structure: np.ndarray
    kind: np.ndarray
    value: np.ndarray
    present: np.ndarray

    def __len__(self) -> int:
        return len(self.structure)


def lock(connection: Connection, dataset_id: int) -> None:
    """Let one writer at a time mark a dataset, so that ids grow in the order in which marks become visible."""
    # FOR NO KEY UPDATE lets imports refer to the dataset meanwhile; SQLite has one writer anyway.
    connection.execute(select(dataset.c.id).where(dataset.c.id == dataset_id).with_for_update(key_share=True))


def add(connection: Connection, dataset_id: int, marks: Marks, batch: str, by: str) -> None:
    """Append events as one batch; `lock` comes first."""
    said: dict[tuple[str, str, bool], list[int]] = {}
    for structure, *words in zip(*(column.tolist() for column in vars(marks).values()), strict=True):
        said.setdefault(tuple(words), []).append(structure)
    now = datetime.now(UTC)
    for (kind, value, present), structures in said.items():
        common = {"dataset_id": dataset_id, "kind": kind, "value": value, "present": present, "batch": batch, "by": by}
        columns = {name: literal(one, mark.c[name].type) for name, one in (common | {"at": now}).items()}
        # One statement for all, so that a click on a hundred thousand is not a hundred thousand statements.
        rows = select(_each(connection, structures), *columns.values())
        connection.execute(mark.insert().from_select(["structure_id", *columns], rows))


def newest(connection: Connection, dataset_id: int) -> int:
    """The id of the last event of a dataset; 0 before the first."""
    return connection.execute(select(func.max(mark.c.id)).where(mark.c.dataset_id == dataset_id)).scalar() or 0


def between(connection: Connection, dataset_id: int, after: int, until: int) -> Marks:
    """The events of a dataset with after < id ≤ until."""
    query = _columns().where(mark.c.dataset_id == dataset_id, mark.c.id > after, mark.c.id <= until).order_by(mark.c.id)
    return _gather(connection.execute(query).all())


def dataset_of(connection: Connection, batch: str) -> int | None:
    """The dataset that a batch marked; None for an unknown batch."""
    return connection.execute(select(mark.c.dataset_id).where(mark.c.batch == batch).limit(1)).scalar()


def undo_of(batch: str) -> str:
    """The name of the batch that takes another back: the history tells by it what was undone."""
    return hashlib.blake2b(batch.encode(), digest_size=16, person=b"undo").hexdigest()


def reversal(connection: Connection, dataset_id: int, batch: str) -> Marks:
    """The events that restore what held before a batch, where what it said holds now.

    What an undo restores holds as if it had never been replaced, so that clicks can be taken back one after the other.
    """
    ours = select(mark.c.structure_id).where(mark.c.dataset_id == dataset_id, mark.c.batch == batch)
    history = _columns().add_columns(mark.c.batch).where(mark.c.dataset_id == dataset_id, mark.c.structure_id.in_(ours))
    rows = connection.execute(history.order_by(mark.c.id)).all()
    undone = {undo_of(made_by): made_by for made_by in {row.batch for row in rows}}
    # A state is (number of the event that made it, value, present).
    holds: dict[tuple, tuple[int, str, bool]] = {}
    before: dict[tuple, tuple[int, str, bool]] = {}
    after: dict[tuple, tuple[int, str, bool]] = {}
    for number, (structure, kind, value, present, made_by) in enumerate(rows, start=1):
        # A decision replaces any earlier decision about the structure; a tag only its own earlier self.
        name = "" if kind == DECISION else value
        subject = (structure, kind, name)
        before[subject, made_by] = holds.get(subject, (0, name, False))
        new = before.get((subject, undone.get(made_by)), (number, value, present))
        after[subject, made_by] = holds[subject] = new
    return _gather(
        [
            (structure, kind, *before[(structure, kind, name), batch][1:])
            for (structure, kind, name), state in holds.items()
            if after.get(((structure, kind, name), batch)) == state
        ]
    )


def _each(connection: Connection, values: list[int]) -> ColumnElement[int]:
    """A column of given values."""
    if connection.dialect.name == "postgresql":
        return func.unnest(cast(literal(values, ARRAY(BigInteger)), ARRAY(BigInteger)))
    return func.json_each(str(values)).table_valued("value").c.value


def _columns() -> Select:
    return select(mark.c.structure_id, mark.c.kind, mark.c.value, mark.c.present)


def _gather(rows: Sequence[Row | tuple]) -> Marks:
    structure, kind, value, present = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Marks(
        np.array(structure, dtype=np.int64),
        np.array(kind, dtype=object),
        np.array(value, dtype=object),
        np.array(present, dtype=bool),
    )
