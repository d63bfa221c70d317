"""What people decide about structures and how they tag them, with undo."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import numpy as np

from ..domain.actor import Actor
from ..errors import Conflict, InvalidInput, NotFound
from ..store import events
from ..store import marks as store
from ..workbench import Workbench
from . import library, members
from .accounts import permit

DECISIONS = ("", "accepted", "rejected")
LONGEST_TAG = 80
# Marks up to a multiple of these are folded once and remembered, so that a key press costs the few after them.
FOLDED_EVERY = (65_536, 2_048)


@dataclass(frozen=True)
class Batch:
    """One click on n structures: what undo takes back."""

    id: str
    n: int


@dataclass(frozen=True, eq=False)
class MarkColumns:
    """What holds for the members of a version.

    decision  (n,) uint8   0 none, 1 accepted, 2 rejected
    tags      name → (n,) bool, for every tag that at least one member has
    counts    members by decision: "accepted", "rejected", "undecided"
    """

    decision: np.ndarray
    tags: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        undecided, accepted, rejected = np.bincount(self.decision, minlength=3).tolist()
        return {"accepted": accepted, "rejected": rejected, "undecided": undecided}

    @property
    def tag_counts(self) -> dict[str, int]:
        return {name: int(has.sum()) for name, has in self.tags.items()}


def decide(bench: Workbench, actor: Actor, version_id: int, positions: np.ndarray, decision: str) -> Batch:
    """Accept or reject members of a version, in every version of its dataset; "" takes a decision back.

    Raises InvalidInput for another decision and for rows that the version does not have.
    """
    permit(actor, "mark")
    if decision not in DECISIONS:
        raise InvalidInput(f"'{decision}' is no decision", hint='Use "accepted", "rejected" or "".')
    return _add(bench, actor, version_id, positions, store.DECISION, decision, bool(decision))


def tag(
    bench: Workbench, actor: Actor, version_id: int, positions: np.ndarray, name: str, present: bool = True
) -> Batch:
    """Give a tag to members of a version, or take it away.

    Raises InvalidInput for an unusable name and for rows that the version does not have.
    """
    permit(actor, "mark")
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_TAG or not name.isprintable():
        raise InvalidInput(
            f"'{name[:LONGEST_TAG]}' cannot be a tag", hint=f"Use 1 to {LONGEST_TAG} printable characters."
        )
    return _add(bench, actor, version_id, positions, store.TAG, name, present)


def undo(bench: Workbench, actor: Actor, batch_id: str) -> Batch:
    """Restore what held before a batch; undoing that does the batch again.

    Structures that somebody has marked since keep what was said last.
    Raises NotFound for an unknown batch, Conflict when nothing of it holds any more.
    """
    permit(actor, "mark")
    batch = store.undo_of(batch_id)
    with bench.write() as connection:
        dataset_id = store.dataset_of(connection, batch_id)
        if dataset_id is None:
            raise NotFound(f"there is nothing to undo under '{batch_id}'")
        store.lock(connection, dataset_id)
        restored = store.reversal(connection, dataset_id, batch_id)
        if not len(restored):
            raise Conflict(
                "this was taken back or decided anew since", hint="The newest decision holds; nothing was changed."
            )
        store.add(connection, dataset_id, restored, batch, actor.name)
        detail = {"batch": batch, "undone": batch_id, "n": len(restored)}
        events.record(connection, actor.name, "undo", f"dataset {dataset_id}", detail)
    return Batch(batch, len(restored))


def marks(bench: Workbench, version_id: int) -> MarkColumns:
    """Decisions and tags that hold now, aligned with the members of a version."""
    dataset_id = library.version(bench, version_id).dataset_id
    structures, place = _index(bench, version_id)
    with bench.read() as connection:
        newest = store.newest(connection, dataset_id)
        state, folded = MarkColumns(np.zeros(len(structures), dtype=np.uint8)), 0
        for step in FOLDED_EVERY:
            sealed = newest // step * step
            if sealed > folded:
                known, since = state, folded

                def fold(known=known, since=since, sealed=sealed) -> MarkColumns:
                    return _fold(known, structures, store.between(connection, dataset_id, since, sealed))

                state, folded = bench.remember(("marks", version_id, sealed), fold), sealed
        state = _fold(state, structures, store.between(connection, dataset_id, folded, newest))
    return MarkColumns(state.decision[place], {name: has[place] for name, has in state.tags.items() if has.any()})


def _add(bench, actor: Actor, version_id: int, positions, kind: str, value: str, present: bool) -> Batch:
    rows = members.rows(bench, version_id, positions)
    if not len(rows):
        raise InvalidInput("nothing is selected", hint="Select at least one structure.")
    structures = np.unique(library.columns(bench, version_id).structure_id[rows])
    n = len(structures)
    added = store.Marks(structures, np.full(n, kind, object), np.full(n, value, object), np.full(n, present))
    dataset_id = library.version(bench, version_id).dataset_id
    batch = secrets.token_hex(16)
    with bench.write() as connection:
        store.lock(connection, dataset_id)
        store.add(connection, dataset_id, added, batch, actor.name)
        detail = {"batch": batch, "kind": kind, "value": value, "present": present, "n": n}
        events.record(connection, actor.name, "mark", f"version {version_id}", detail)
    return Batch(batch, n)


def _index(bench: Workbench, version_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct structure ids of a version, ascending, and the place of each member among them."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        return np.unique(library.columns(bench, version_id).structure_id, return_inverse=True)

    return bench.remember(("structures", version_id), make)


def _fold(state: MarkColumns, structures: np.ndarray, new: store.Marks) -> MarkColumns:
    """What holds after some more events; structures that are not asked about are passed over."""
    if not len(new) or not len(structures):
        return state
    place = np.minimum(np.searchsorted(structures, new.structure), len(structures) - 1)
    known = structures[place] == new.structure
    decision, tags = state.decision.copy(), dict(state.tags)
    decides = known & (new.kind == store.DECISION)
    # Of several assignments to one place numpy keeps the last: the newest event holds.
    codes = np.select([new.value == name for name in DECISIONS], range(len(DECISIONS))) * new.present
    decision[place[decides]] = codes[decides]
    for name in set(new.value[known & ~decides].tolist()):
        named = known & (new.kind == store.TAG) & (new.value == name)
        has = tags[name].copy() if name in tags else np.zeros(len(structures), dtype=bool)
        has[place[named]] = new.present[named]
        tags[name] = has
    return MarkColumns(decision, tags)
