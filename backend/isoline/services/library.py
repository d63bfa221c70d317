"""The library: datasets, their versions, the frames in them; adding, freezing and exporting."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from ..domain.actor import Actor
from ..domain.dataset import (
    SPLITS,
    AddOutcome,
    AddProgress,
    Columns,
    ExportOutcome,
    Names,
    Origin,
    SourceRecord,
    VersionCard,
)
from ..domain.structure import Frame
from ..errors import InvalidInput, NotFound
from ..formats import writer
from ..store import datasets as stored
from ..store import events, structures
from ..workbench import Workbench
from .accounts import permit

BATCH = 5000  # frames per transaction of an import

Write = Callable[[], AbstractContextManager[Connection]]  # opens a transaction that may write


def datasets(bench: Workbench) -> list[VersionCard]:
    """The newest version of every dataset."""
    with bench.read() as connection:
        return stored.newest(connection)


def versions(bench: Workbench, name: str) -> list[VersionCard]:
    """All versions of a dataset, newest first. Raises NotFound."""
    with bench.read() as connection:
        cards = stored.versions(connection, name)
        known = [] if cards else stored.names(connection)
    if not cards:
        raise NotFound(f"there is no dataset '{name}'", hint=_hint(name, known))
    return cards


def version(bench: Workbench, id: int) -> VersionCard:
    """One version by its id. Raises NotFound."""

    def look() -> VersionCard:
        with bench.read() as connection:
            return stored.version(connection, id)

    return bench.remember(("version", id), look)


def find_version(bench: Workbench, text: str) -> VersionCard:
    """The version a person means by "name" (the newest) or "name@2". Raises NotFound, with names that are close."""
    name, at, number = text.rpartition("@")
    if not at or not number.isdigit():
        return versions(bench, text)[0]
    cards = versions(bench, name)
    for card in cards:
        if card.version == int(number):
            return card
    raise NotFound(f"dataset '{name}' has no version {number}", hint=f"Its newest version is {cards[0].version}.")


def columns(bench: Workbench, version_id: int) -> Columns:
    """What is asked about every member of a version, aligned with its positions. Raises NotFound."""

    def look() -> Columns:
        with bench.read() as connection:
            return stored.columns(connection, version_id)

    return bench.remember(("columns", version_id), look)


def frames(
    bench: Workbench, version_id: int, positions: np.ndarray | None = None, batch: int = 1000
) -> Iterator[Frame]:
    """The members of a version in ascending order of position, streamed; `Frame.id` is the structure's id.

    Raises NotFound for an unknown version or position.
    """
    n = version(bench, version_id).n_structures
    rows = np.arange(n) if positions is None else _checked(positions, n)
    for start in range(0, len(rows), batch):
        # A version never changes, so each batch may be a transaction of its own and hold nothing up.
        with bench.read() as connection:
            members = structures.frames(connection, version_id, rows[start : start + batch])
        yield from members


def frame(bench: Workbench, version_id: int, position: int) -> Frame:
    """One member. Raises NotFound."""
    return next(frames(bench, version_id, np.array([position])))


def provenance(bench: Workbench, version_id: int, position: int) -> list[Origin]:
    """Where every label of a member's structure came from, oldest first. Raises NotFound."""
    structure_id = frame(bench, version_id, position).id
    with bench.read() as connection:
        return structures.origins(connection, structure_id)


def add(
    bench: Workbench,
    actor: Actor,
    dataset_name: str,
    frames: Iterable[Frame],
    source: SourceRecord,
    split: str = "",
    write: Write | None = None,
) -> Iterator[AddProgress | AddOutcome]:
    """Add frames of one source to a dataset as its next version; see `add_all`."""
    yield from add_all(bench, actor, dataset_name, [(source, frames)], split, write)


def add_all(
    bench: Workbench,
    actor: Actor,
    dataset_name: str,
    sources: Iterable[tuple[SourceRecord, Iterable[Frame]]],
    split: str = "",
    write: Write | None = None,
) -> Iterator[AddProgress | AddOutcome]:
    """Add frames of several sources to a dataset as its next version; yields progress, and the outcome at last.

    Structures are written in batches that nobody sees; the version that makes them members comes whole, at the end.
    An import that stops or fails before leaves no version, and the next one finds its structures again.
    Frames without a split of their own get `split`.

    write  transactions to write in, the workbench's own by default; a job gives its journal's, which refuse once
           the job is cancelled or another process has it

    Raises InvalidInput for a source without frames, or a split that is none.
    """
    permit(actor, "import")
    name = _dataset_name(dataset_name)
    _check_split(split)
    write = write or bench.write
    parts: list[Columns] = []
    source_ids: list[int] = []
    taken = fresh = 0
    for source, frames in sources:
        waiting = iter(frames)
        source_id = 0
        while batch := list(islice(waiting, BATCH)):
            for own in {frame.split for frame in batch}:
                _check_split(own)
            with write() as connection:
                source_id = source_id or stored.add_source(connection, source, actor.name)
                part, new = structures.add(connection, batch, source_id)
            parts.append(part)
            taken += len(batch)
            fresh += new
            yield AddProgress(taken, fresh)
        if not source_id:
            raise InvalidInput(f"{source.name} holds no frames", hint="Nothing was added.")
        source_ids.append(source_id)
    if not parts:
        raise InvalidInput("there are no frames to add", hint="Nothing was added.")
    arriving = Columns.joined(parts)
    if split:
        arriving = _with_split(arriving, [own or split for own in arriving.split.values()])
    yield _published(write, actor, name, arriving, source_ids)


def freeze(
    bench: Workbench,
    actor: Actor,
    version_id: int,
    positions: np.ndarray,
    *,
    dataset: str | None = None,
    note: str = "",
    split_fractions: dict[str, float] | None = None,
    seed: int = 0,
) -> VersionCard:
    """A new version of the same or of another dataset, with these members in ascending order.

    split_fractions  {"train": 0.8, "validation": 0.1, "test": 0.1}: splits drawn anew, at random by `seed`

    Raises InvalidInput for no positions or fractions that do not sum to 1, NotFound for unknown positions.
    """
    permit(actor, "freeze")
    parent = version(bench, version_id)
    rows = _checked(positions, parent.n_structures)
    if not len(rows):
        raise InvalidInput("a dataset version needs at least one structure", hint="Select some structures first.")
    name = parent.dataset if dataset is None else _dataset_name(dataset)
    members = columns(bench, version_id).take(rows)
    if split_fractions is not None:
        members = _with_split(members, _drawn_splits(len(rows), split_fractions, seed))
    with bench.write() as connection:
        dataset_id = stored.lock(connection, name, actor.name)
        card = stored.publish(connection, dataset_id, members, actor.name, parent=version_id, note=note)
        detail = {"from": version_id, "n_structures": len(rows), "splits": split_fractions, "seed": seed}
        events.record(connection, actor.name, "freeze", f"version {card.id}", detail)
    return card


def export(
    bench: Workbench, actor: Actor, version_id: int, path: Path, positions: np.ndarray | None = None
) -> ExportOutcome:
    """Write a version, or the members at some positions, to a file whose suffix names the format.

    Extended XYZ (.extxyz, .xyz, also .gz and .xz) reads back bit for bit; .db and .traj are ASE's.

    Raises InvalidInput for another suffix, Unavailable when the file cannot be written.
    """
    permit(actor, "export")
    path = Path(path).expanduser().absolute()
    n, digest = writer.write(path, frames(bench, version_id, positions))
    with bench.write() as connection:
        detail = {"file": path.name, "n_structures": n, "sha256": digest}
        events.record(connection, actor.name, "export", f"version {version_id}", detail)
    return ExportOutcome(n, path, digest)


def _published(write: Write, actor: Actor, name: str, arriving: Columns, source_ids: list[int]) -> AddOutcome:
    """The next version of a dataset: the members of its newest, then those arriving that are no exact duplicates."""
    with write() as connection:
        dataset_id = stored.lock(connection, name, actor.name)
        before = next(iter(stored.versions(connection, name)), None)
        joined = Columns.joined([stored.columns(connection, before.id), arriving]) if before else arriving
        # A label belongs to one structure, so its id alone tells exact duplicates.
        _, first = np.unique(joined.label_id, return_index=True)
        members = joined.take(np.sort(first))
        n_before = before.n_structures if before else 0
        card = stored.publish(connection, dataset_id, members, actor.name, parent=before and before.id)
        outcome = AddOutcome(
            version=card,
            added=len(members) - n_before,
            duplicates=len(joined) - len(members),
            conflicts=_conflicts(members) - _conflicts(members.take(np.arange(n_before))),
        )
        detail = {name: getattr(outcome, name) for name in ("added", "duplicates", "conflicts")}
        events.record(connection, actor.name, "import", f"version {card.id}", detail | {"sources": source_ids})
    return outcome


def _checked(positions: np.ndarray, n: int) -> np.ndarray:
    rows = np.unique(np.asarray(positions, dtype=np.int64))
    if len(rows) and (rows[0] < 0 or rows[-1] >= n):
        wrong = rows[0] if rows[0] < 0 else rows[-1]
        raise NotFound(f"there is no structure at position {wrong}", hint=f"This version has positions 0 to {n - 1}.")
    return rows


def _dataset_name(text: str) -> str:
    name = text.strip()
    # A browser takes "." and ".." in an address for a folder, even when they are escaped.
    if not name or len(name) > 80 or set("@/") & set(name) or name in {".", ".."} or not name.isprintable():
        raise InvalidInput(
            f"'{text}' cannot name a dataset", hint="Use 1 to 80 printable characters without @ and /, not only dots."
        )
    return name


def _check_split(split: str) -> None:
    if split and split not in SPLITS:
        raise InvalidInput(f"'{split}' is no split", hint=f"Use one of: {', '.join(SPLITS)}.")


def _with_split(members: Columns, splits: Iterable[str]) -> Columns:
    return replace(members, split=Names.of(splits))


def _drawn_splits(n: int, fractions: dict[str, float], seed: int) -> np.ndarray:
    """(n,) names, as many of each as the fractions say, in random order."""
    for name in fractions:
        _check_split(name)
    shares = np.array(list(fractions.values()), dtype=float)
    if not len(shares) or (shares < 0).any() or not abs(shares.sum() - 1.0) <= 1e-6:
        raise InvalidInput(f"split fractions sum to {shares.sum():g}", hint="They must be positive and sum to 1.")
    ends = np.round(np.cumsum(shares) * n).astype(int)
    names = np.repeat(np.array(list(fractions), dtype=object), np.diff(ends, prepend=0))
    return np.random.default_rng(seed).permutation(names)


def _conflicts(members: Columns) -> int:
    """Members whose structure stands there already with another label of the same level of theory."""
    labelled = members.labelled
    pairs = np.stack([members.structure_id, members.level_of_theory.codes.astype(np.int64)], axis=1)[labelled]
    return len(pairs) - len(np.unique(pairs, axis=0))


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"There are: {', '.join(known[:8])}." if known else "No dataset has been imported yet."
