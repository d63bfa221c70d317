"""Selections: rows of one dataset version, kept under a name made from what they are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection
from sqlalchemy import select as query
from sqlalchemy.dialects import postgresql, sqlite

from ..errors import NotFound
from .tables import selection


@dataclass(frozen=True, eq=False)
class Selection:
    """Rows of one dataset version, and the rule that they satisfied when they were selected.

    positions  (n,) uint32, ascending
    """

    id: str
    version: int
    n: int
    rule: dict
    positions: np.ndarray


def keep(connection: Connection, version_id: int, rule: dict, positions: np.ndarray, by: str) -> Selection:
    """Store a selection; the same rows for the same reason are stored once."""
    positions = np.ascontiguousarray(positions, dtype="<u4")
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([version_id, rule], sort_keys=True).encode())
    digest.update(positions.tobytes())
    id = digest.hexdigest()
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(
        insert(selection)
        .values(
            id=id,
            version_id=version_id,
            rule=rule,
            positions=positions.tobytes(),
            n=len(positions),
            created_by=by,
            created=datetime.now(UTC),
        )
        .on_conflict_do_nothing()
    )
    return Selection(id, version_id, len(positions), rule, positions)


def get(connection: Connection, id: str) -> Selection:
    """A selection with its rows. Raises NotFound."""
    row = connection.execute(query(selection).where(selection.c.id == id)).first()
    if row is None:
        raise NotFound(f"there is no selection '{id}'", hint="Select again; selections belong to one data folder.")
    return Selection(row.id, row.version_id, row.n, row.rule, np.frombuffer(row.positions, dtype="<u4"))
