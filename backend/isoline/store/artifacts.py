"""What jobs made: records, columns of numbers in chunks, small files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection, select

from ..domain.artifact import Artifact, ArtifactKind
from ..errors import NotFound
from .tables import artifact, artifact_column, artifact_file

ROWS_PER_CHUNK = 65_536


def _record(row) -> Artifact:
    return Artifact(
        id=row.id,
        kind=ArtifactKind(row.kind),
        key=row.key,
        name=row.name,
        recipe=row.recipe,
        summary=row.summary,
        version=row.version_id,
        parent=row.parent_id,
        job=row.job_id,
        created_by=row.created_by,
        created=row.created,
    )


def find(connection: Connection, key: str) -> Artifact | None:
    """The artifact made by this recipe from these inputs, if there is one."""
    row = connection.execute(select(artifact).where(artifact.c.key == key)).first()
    return _record(row) if row else None


def get(connection: Connection, id: int, kind: ArtifactKind | None = None) -> Artifact:
    """One artifact. Raises NotFound, also when it is of another kind than asked for."""
    row = connection.execute(select(artifact).where(artifact.c.id == id)).first()
    if row is None or (kind is not None and row.kind != kind):
        wanted = kind or "artifact"
        raise NotFound(f"there is no {wanted} {id}", hint="It may belong to another data folder; look in the lists.")
    return _record(row)


def listing(
    connection: Connection,
    kind: ArtifactKind,
    *,
    version: int | None = None,
    parent: int | None = None,
) -> list[Artifact]:
    """All artifacts of a kind, newest first."""
    query = select(artifact).where(artifact.c.kind == kind).order_by(artifact.c.id.desc())
    if version is not None:
        query = query.where(artifact.c.version_id == version)
    if parent is not None:
        query = query.where(artifact.c.parent_id == parent)
    return [_record(row) for row in connection.execute(query)]


def add(
    connection: Connection,
    kind: ArtifactKind,
    key: str,
    name: str,
    recipe: dict,
    summary: dict,
    version: int,
    by: str,
    *,
    parent: int | None = None,
    job: int | None = None,
    columns: Mapping[str, np.ndarray] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> int:
    """Keep a result with its columns (rows, …) and files; one with the same key is returned as it is.

    Columns are aligned with the members of `version` unless their name says otherwise.
    """
    known = find(connection, key)
    if known is not None:
        return known.id
    id = connection.execute(
        artifact.insert().values(
            kind=kind,
            key=key,
            name=name,
            recipe=recipe,
            summary=summary,
            version_id=version,
            parent_id=parent,
            job_id=job,
            created_by=by,
            created=datetime.now(UTC),
        )
    ).inserted_primary_key[0]
    for column, values in (columns or {}).items():
        _write_column(connection, id, column, np.asarray(values))
    for file, data in (files or {}).items():
        connection.execute(artifact_file.insert().values(artifact_id=id, name=file, data=data))
    return id


def _write_column(connection: Connection, id: int, name: str, values: np.ndarray) -> None:
    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    width = int(np.prod(values.shape[1:], dtype=int))
    rows = [
        {
            "artifact_id": id,
            "name": name,
            "chunk": chunk,
            "dtype": values.dtype.str,
            "width": width,
            "rows": len(part),
            "data": part.tobytes(),
        }
        for chunk, start in enumerate(range(0, max(len(values), 1), ROWS_PER_CHUNK))
        for part in (values[start : start + ROWS_PER_CHUNK],)
    ]
    connection.execute(artifact_column.insert(), rows)


def column(connection: Connection, id: int, name: str) -> np.ndarray:
    """One column of an artifact: (rows,) or (rows, width). Raises NotFound."""
    rows = connection.execute(
        select(artifact_column)
        .where(artifact_column.c.artifact_id == id, artifact_column.c.name == name)
        .order_by(artifact_column.c.chunk)
    ).all()
    if not rows:
        raise NotFound(
            f"artifact {id} has no column '{name}'", hint="It may have been made by an older version; make it again."
        )
    parts = [np.frombuffer(row.data, dtype=row.dtype) for row in rows]
    values = np.concatenate(parts) if len(parts) > 1 else parts[0]
    return values if rows[0].width == 1 else values.reshape(-1, rows[0].width)


def file(connection: Connection, id: int, name: str) -> bytes:
    """One file of an artifact. Raises NotFound."""
    data = connection.execute(
        select(artifact_file.c.data).where(artifact_file.c.artifact_id == id, artifact_file.c.name == name)
    ).scalar()
    if data is None:
        raise NotFound(f"artifact {id} has no file '{name}'")
    return data


def files(connection: Connection, id: int) -> dict[str, bytes]:
    """All files of an artifact by name."""
    query = select(artifact_file.c.name, artifact_file.c.data).where(artifact_file.c.artifact_id == id)
    return {row.name: row.data for row in connection.execute(query)}
