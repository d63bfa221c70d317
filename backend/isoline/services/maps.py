"""Maps: where every structure of a version lies in a plane made from descriptors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ..domain.artifact import Artifact, ArtifactKind
from ..errors import InvalidInput
from ..store import artifacts
from ..workbench import Workbench
from . import library, members


@dataclass(frozen=True)
class MapCard:
    """A map that a version can be shown on.

    method      pca | umap
    descriptor  what the map was made from, e.g. soap
    n           structures of the version that have a place on it
    stale       made for an earlier version: structures that came later have no place
    """

    id: int
    name: str
    method: str
    descriptor: str
    n: int
    stale: bool
    created: datetime


def maps(bench: Workbench, version_id: int) -> list[MapCard]:
    """Maps of a version, newest first, then those of the versions it came from. Raises NotFound."""
    with bench.read() as connection:
        found = artifacts.listing(connection, ArtifactKind.EMBEDDING)
    own = [one for one in found if members.same(bench, version_id, one.version)]
    ancestors = _ancestors(bench, version_id)
    earlier = sorted(
        (one for one in found if one.version in ancestors and one not in own),
        key=lambda one: (ancestors.index(one.version), -one.id),
    )
    cards = [_card(bench, one, version_id, stale=False) for one in own]
    cards += [_card(bench, one, version_id, stale=True) for one in earlier]
    return [card for card in cards if card.n]


def points(bench: Workbench, embedding_id: int, version_id: int | None = None) -> np.ndarray:
    """(n, 2) float32 places of a version's structures, by default of the version that the map was made for.

    On a map of another version of the dataset, structures are found again by what they are; nan for those it lacks.
    Raises NotFound, and InvalidInput when map and version have nothing in common.
    """

    def read() -> tuple[Artifact, np.ndarray]:
        with bench.read() as connection:
            return (
                artifacts.get(connection, embedding_id, ArtifactKind.EMBEDDING),
                artifacts.column(connection, embedding_id, "xy"),
            )

    made, xy = bench.remember(("map", embedding_id), read)
    if version_id is None or members.same(bench, version_id, made.version):
        return xy
    return bench.remember(("map", embedding_id, version_id), lambda: _carried(bench, made, xy, version_id))


def _carried(bench: Workbench, made: Artifact, xy: np.ndarray, version_id: int) -> np.ndarray:
    known, first = np.unique(library.columns(bench, made.version).structure_id, return_index=True)
    wanted = library.columns(bench, version_id).structure_id
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    there = known[place] == wanted
    if not there.any():
        raise InvalidInput(f"no structure of this version is on map {made.id}", hint="Describe the version to map it.")
    return np.where(there[:, None], xy[first[place]], np.float32(np.nan))


def _card(bench: Workbench, made: Artifact, version_id: int, stale: bool) -> MapCard:
    try:
        n = int(np.isfinite(points(bench, made.id, version_id)).all(axis=1).sum())
    except InvalidInput:
        n = 0
    method, descriptor = made.summary.get("method", ""), made.summary.get("descriptor", "")
    return MapCard(made.id, made.name, method, descriptor, n, stale, made.created)


def _ancestors(bench: Workbench, version_id: int) -> list[int]:
    """The versions that a version came from, nearest first."""
    found, parent = [], library.version(bench, version_id).parent
    while parent is not None:
        found.append(parent)
        parent = library.version(bench, parent).parent
    return found
