"""Structures that stand twice: in two sets, or more than once in one.

Candidates are found by fingerprints in a search tree, so that the work grows with the number of structures and not of
pairs; each is then proved by laying one structure onto the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg import qr
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..domain.alignment import SAME, Scene, align_scenes
from ..domain.fingerprint import Fingerprints
from ..domain.structure import Label, Structure

KINDS = ("exact", "symmetry", "near")
NEAR = 0.01
"""Å; structures closer than this are one to a potential: no interatomic distance differs by more than 0.02 Å."""

SEARCHED = 20  # entries of a fingerprint in the search tree
FIRST_ASKED = 64  # neighbours in the search tree, more where they are not enough
SAMPLED = 2000  # fingerprints from which they are chosen
CANDIDATES = 64  # of one structure, nearest fingerprints first
SCENES = 1024  # structures kept ready while they are compared
SAME_ENERGY = 1e-6  # eV/atom
SAME_FORCE = 0.01  # eV/Å; two runs of one reference program on two copies differ by this much


@dataclass(frozen=True)
class Twin:
    """Two structures that are one.

    first, second  rows in their sets
    kind           exact (bit for bit), symmetry (rotated, moved, reordered, in another cell), near (within `near`)
    distance       Å, see `isoline.domain.alignment.Alignment`; 0 for exact ones
    mirrored       whether only a mirror image fits
    """

    first: int
    second: int
    kind: str
    distance: float
    mirrored: bool = False


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs whose fingerprints agree, by `second` and then nearest first.

    first, second  (pairs,)
    """

    first: np.ndarray
    second: np.ndarray


def candidates(
    first: Fingerprints, second: Fingerprints, tolerance: float = NEAR, most: int = CANDIDATES
) -> Candidates:
    """Pairs between two sets that may lie within `tolerance` (Å); of each in `second` the `most` nearest."""
    found = [
        _nearest(first.groups[key], group, tolerance, most)
        for key, group in second.groups.items()
        if key in first.groups
    ]
    if not found:
        return Candidates(np.empty(0, np.int64), np.empty(0, np.int64))
    one, two, gap = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((one, gap, two))
    return Candidates(one[order], two[order])


def candidates_within(set: Fingerprints, tolerance: float = NEAR, most: int = CANDIDATES) -> Candidates:
    """Pairs of one set that may lie within `tolerance` (Å), each once, with first < second."""
    found = candidates(set, set, tolerance, most + 1)
    pairs = np.sort(np.stack([found.first, found.second], axis=1), axis=1)
    pairs = np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)
    order = np.lexsort((pairs[:, 0], pairs[:, 1]))
    return Candidates(*pairs[order].T)


def proved(
    pairs: Candidates,
    first: Mapping[int, Structure] | Sequence[Structure],
    second: Mapping[int, Structure] | Sequence[Structure],
    tolerance: float = NEAR,
    most: int = CANDIDATES,
) -> Iterator[Twin]:
    """The candidates that are twins indeed; of each in `second` the first `most` that are found."""
    counts: dict[int, int] = {}
    scene = lru_cache(maxsize=SCENES)(Scene.of)
    for one, two in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        if counts.get(two, 0) >= most:
            continue
        if first[one].identity == second[two].identity:
            twin = Twin(one, two, "exact", 0.0)
        else:
            found = align_scenes(scene(first[one]), scene(second[two]), max(tolerance, SAME))
            if found is None:
                continue
            twin = Twin(one, two, "symmetry" if found.distance <= SAME else "near", found.distance, found.mirrored)
        counts[two] = counts.get(two, 0) + 1
        yield twin


def kin(n: int, pairs: np.ndarray) -> np.ndarray:
    """(n,) numbers of families: structures that are twins, or twins of twins, have the same.

    pairs  (pairs, 2) rows of one set of n structures
    """
    links = coo_matrix((np.ones(len(pairs), dtype=bool), tuple(pairs.T)), shape=(n, n))
    return connected_components(links, directed=False)[1]


def repeated(n: int, twins: Sequence[Twin]) -> int:
    """How many of n structures of one set are left out when one of each family of twins is kept."""
    pairs = np.array([(one.first, one.second) for one in twins], dtype=np.int64).reshape(-1, 2)
    return n - len(np.unique(kin(n, pairs)))


def same_labels(
    first: Sequence[tuple[Structure, Label]],
    second: Sequence[tuple[Structure, Label]],
    energy: float = SAME_ENERGY,
    force: float = SAME_FORCE,
) -> list[tuple[int, int]]:
    """Pairs with the same atoms, the same energy and the same sorted lengths of forces; geometry is not asked.

    energy  eV/atom, force  eV/Å: how far twins may differ
    """
    known = _by_atoms(first)
    pairs = []
    for key, (rows, energies, forces) in _by_atoms(second).items():
        if key not in known:
            continue
        others, other_energies, other_forces = known[key]
        near = cKDTree(other_energies[:, None]).query_ball_point(energies[:, None], energy)
        for row, lengths, found in zip(rows, forces, near, strict=True):
            same = [k for k in sorted(found) if np.abs(other_forces[k] - lengths).max(initial=0.0) <= force]
            pairs += [(others[k], row) for k in same]
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]))


def _nearest(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], tolerance: float, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and largest difference of entries, of fingerprints that differ by no more than twice the tolerance."""
    rows, entries = first
    others, other_entries = second
    within, telling = 2 * tolerance + SAME, _telling(entries)
    met, asked = _close(entries[:, telling], other_entries[:, telling], within)
    gap = np.zeros(len(met))
    for one, other in zip(entries.T, other_entries.T, strict=True):
        np.maximum(gap, np.abs(one[met] - other[asked]), out=gap)
    order = np.lexsort((gap, asked))
    order = order[gap[order] <= within]
    met, asked, gap = met[order], asked[order], gap[order]
    rank = np.arange(len(asked)) - np.searchsorted(asked, asked)
    return rows[met[rank < most]], others[asked[rank < most]], gap[rank < most]


def _close(points: np.ndarray, asked: np.ndarray, within: float) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of rows of two sets that differ by no more than `within` in every column."""
    tree, left, ranks = cKDTree(points), np.arange(len(asked)), min(FIRST_ASKED, len(points))
    pairs = []
    while len(left):
        gaps, found = tree.query(asked[left], k=[*range(1, ranks + 1)], p=np.inf, distance_upper_bound=within)
        # A row whose every place is taken may have more: it is asked again for more.
        full = np.isfinite(gaps[:, -1]) if ranks < len(points) else np.zeros(len(left), dtype=bool)
        place, rank = np.nonzero(np.isfinite(gaps) & ~full[:, None])
        pairs.append((found[place, rank], left[place]))
        left, ranks = left[full], min(4 * ranks, len(points))
    return tuple(np.concatenate(parts) for parts in zip(*pairs, strict=True))


def _telling(entries: np.ndarray) -> np.ndarray:
    """The columns that tell most structures apart, a search tree being slow in many dimensions.

    A pair that is near in all entries is near in some: none is lost.
    """
    some = entries[:: 1 + len(entries) // SAMPLED]
    return qr(some - some.mean(axis=0), mode="r", pivoting=True)[1][:SEARCHED]


def _by_atoms(labelled: Sequence[tuple[Structure, Label]]) -> dict[bytes, tuple[list[int], np.ndarray, list]]:
    """Rows, energies per atom and sorted lengths of forces of what has both, by its atoms."""
    groups: dict[bytes, tuple[list, list, list]] = {}
    for row, (structure, label) in enumerate(labelled):
        if label.energy is None or label.forces is None:
            continue
        rows, energies, forces = groups.setdefault(np.sort(structure.numbers).tobytes(), ([], [], []))
        rows.append(row)
        energies.append(label.energy / len(structure))
        forces.append(np.sort(np.linalg.norm(label.forces, axis=1)))
    return {key: (rows, np.array(energies), forces) for key, (rows, energies, forces) in groups.items()}
