"""Datasets and their frozen versions: cards, columns, and the making of a new version."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import numpy as np
from ase.data import atomic_numbers
from ase.formula import Formula
from sqlalchemy import Connection, func, insert, select

from ..domain.dataset import Columns, Names, SourceRecord, VersionCard
from ..errors import NotFound
from . import bulk, engines
from .tables import (
    composition,
    dataset,
    dataset_member,
    dataset_version,
    label,
    level_of_theory,
    source,
    structure,
)

CARD = select(dataset_version, dataset.c.name.label("dataset")).join(
    dataset, dataset.c.id == dataset_version.c.dataset_id
)


def newest(connection: Connection) -> list[VersionCard]:
    """The newest version of every dataset, by name."""
    last = select(dataset_version.c.dataset_id, func.max(dataset_version.c.version).label("version"))
    last = last.group_by(dataset_version.c.dataset_id).subquery()
    query = CARD.join(
        last, (last.c.dataset_id == dataset_version.c.dataset_id) & (last.c.version == dataset_version.c.version)
    ).order_by(dataset.c.name)
    return [_card(row) for row in connection.execute(query)]


def versions(connection: Connection, name: str) -> list[VersionCard]:
    """All versions of a dataset, newest first; none when there is no such dataset."""
    query = CARD.where(dataset.c.name == name).order_by(dataset_version.c.version.desc())
    return [_card(row) for row in connection.execute(query)]


def version(connection: Connection, id: int) -> VersionCard:
    """One version. Raises NotFound."""
    row = connection.execute(CARD.where(dataset_version.c.id == id)).first()
    if row is None:
        raise NotFound(f"there is no dataset version {id}", hint="It may belong to another data folder; see the list.")
    return _card(row)


def names(connection: Connection) -> list[str]:
    return list(connection.execute(select(dataset.c.name).order_by(dataset.c.name)).scalars())


def columns(connection: Connection, version_id: int) -> Columns:
    """The columns of a version, in the order of its positions."""
    member = dataset_member.c
    query = (
        select(
            member.structure_id,
            member.label_id,
            structure.c.hash,
            label.c.hash,
            structure.c.n_atoms,
            label.c.energy,
            label.c.max_force,
            structure.c.volume,
            label.c.has_stress,
            structure.c.composition_id,
            member.group,
            member.split,
            label.c.level_of_theory_id,
        )
        .select_from(dataset_member)
        .join(structure, structure.c.id == member.structure_id)
        .join(label, label.c.id == member.label_id)
        .where(member.version_id == version_id)
        .order_by(member.position)
    )
    rows = connection.execute(query).all()
    if not rows:
        version(connection, version_id)
    parts = list(zip(*rows, strict=True)) or [()] * 13
    hashes = b"".join(a + b for a, b in zip(parts[2], parts[3], strict=True))
    return Columns(
        structure_id=np.array(parts[0], np.int64),
        label_id=np.array(parts[1], np.int64),
        identity=np.frombuffer(hashes, np.uint8).reshape(-1, 32),
        n_atoms=np.array(parts[4], np.int32),
        energy=np.array(parts[5], np.float64),
        max_force=np.array(parts[6], np.float64),
        volume=np.array(parts[7], np.float64),
        has_stress=np.array(parts[8], bool),
        composition=_named(parts[9], connection, composition.c.id, composition.c.formula),
        group=Names.of(parts[10]),
        split=Names.of(parts[11]),
        level_of_theory=_named(parts[12], connection, level_of_theory.c.id, level_of_theory.c.name),
    )


def add_source(connection: Connection, record: SourceRecord, by: str) -> int:
    """Note where frames come from; the id of the note."""
    values = {
        "kind": record.kind,
        "name": record.name,
        "sha256": record.sha256,
        "size": record.size,
        "contract": record.contract or {},
        "added_by": by,
        "added": datetime.now(UTC),
    }
    return connection.execute(insert(source).values(**values)).inserted_primary_key[0]


def lock(connection: Connection, name: str, by: str) -> int:
    """The id of a dataset, made if there is none; nobody else adds a version to it until the transaction ends."""
    engines.lock_bulk(connection)
    id = connection.execute(select(dataset.c.id).where(dataset.c.name == name)).scalar()
    if id is None:
        id = connection.execute(
            insert(dataset).values(name=name, created_by=by, created=datetime.now(UTC))
        ).inserted_primary_key[0]
    return id


def publish(
    connection: Connection, dataset_id: int, members: Columns, by: str, *, parent: int | None = None, note: str = ""
) -> VersionCard:
    """Freeze members as the next version of a locked dataset; a version with equal members is returned as it is."""
    key = content_key(members)
    mine = dataset_version.c.dataset_id == dataset_id
    equal = connection.execute(select(dataset_version.c.id).where(mine, dataset_version.c.key == key)).scalar()
    if equal is not None:
        return version(connection, equal)
    last = connection.execute(select(func.max(dataset_version.c.version)).where(mine)).scalar() or 0
    symbols = {symbol for name in members.composition.counts() for symbol in Formula(name).count()}
    values = {
        "dataset_id": dataset_id,
        "version": last + 1,
        "parent_id": parent,
        "key": key,
        "n_structures": len(members),
        "n_atoms": int(members.n_atoms.sum()),
        "n_energy": int(np.count_nonzero(~np.isnan(members.energy))),
        "n_forces": int(np.count_nonzero(~np.isnan(members.max_force))),
        "n_stress": int(np.count_nonzero(members.has_stress)),
        "elements": sorted(atomic_numbers[symbol] for symbol in symbols),
        "groups": members.group.counts(),
        "splits": members.split.counts(),
        "levels_of_theory": list(members.level_of_theory.counts()),
        "note": note,
        "created_by": by,
        "created": datetime.now(UTC),
    }
    id = connection.execute(insert(dataset_version).values(**values)).inserted_primary_key[0]
    bulk.insert(
        connection,
        dataset_member,
        [
            (id, *row)
            for row in zip(
                range(len(members)),
                members.structure_id.tolist(),
                members.label_id.tolist(),
                members.group.values().tolist(),
                members.split.values().tolist(),
                strict=True,
            )
        ],
    )
    return version(connection, id)


def content_key(members: Columns) -> str:
    """32 hex digits, equal exactly when structures, labels, groups and splits are equal and in the same order."""
    digest = hashlib.blake2b(members.identity.tobytes(), digest_size=16)
    for column in (members.level_of_theory, members.group, members.split):
        # Names are numbered by their first occurrence, so that equal columns give equal bytes.
        ordered = Names.of(column.values())
        digest.update(repr(ordered.names).encode())
        digest.update(ordered.codes.tobytes())
    return digest.hexdigest()


def _named(ids: tuple[int, ...], connection: Connection, id_column, name_column) -> Names:
    numbers, codes = np.unique(np.array(ids, np.int64), return_inverse=True)
    known = dict(bulk.find(connection, (id_column, name_column), id_column, numbers.tolist()))
    return Names(codes.astype(np.int32), tuple(known[id] for id in numbers.tolist()))


def _card(row) -> VersionCard:
    values = dict(row._mapping)
    values["parent"] = values.pop("parent_id")
    values["elements"] = tuple(values["elements"])
    values["levels_of_theory"] = tuple(values["levels_of_theory"])
    return VersionCard(**values)
