"""Leaks: structures that a model is tested on and has learned from, also where they are turned, reordered or moved.

Structures are compared, not labels: a copy that was computed once more is a copy. Three kinds, strongest first:
exact (bit for bit), symmetry (the same up to rotation, reflection, translation, order of equal atoms and choice of the
cell), near (closer than `near` Å); see `isoline.statistics.twins`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from ..domain.artifact import ArtifactKind
from ..domain.dataset import Columns
from ..domain.fingerprint import fingerprints
from ..domain.structure import Structure
from ..errors import InvalidInput, NotFound
from ..statistics.twins import KINDS, NEAR, Candidates, Twin, candidates, candidates_within, kin, proved
from ..store import artifacts
from ..store.geometries import geometries
from ..workbench import Workbench
from . import library, predictions

LEAKS = ("not in training", *KINDS)
"""What the numbers of the column `leak` mean."""

RECORDED = ("leak", "leak_twin", "leak_distance")  # columns of an evaluation
MOST_TWINS = 16  # pairs told of one test structure
MOST_TRIED = 8  # twins among which the nearest is looked for
MOST_TOLD = 50  # pairs kept in a model's summary
BATCH = 1000
ATOMS_AT_ONCE = 400_000
"""Atoms up to which the check is made while a page waits, a few seconds; larger ones are for a job."""

TRAINING, VALIDATION, TEST = 1, 2, 3


@dataclass(frozen=True)
class Leak:
    """A structure of a test version and its twin in a training version.

    train, test  rows of the versions
    distance     Å: no interatomic distance differs by more than twice this
    mirrored     whether only the mirror image fits
    """

    train: int
    test: int
    kind: str
    distance: float
    mirrored: bool


@dataclass(frozen=True)
class Report:
    """All twins between two versions, or inside one when they are the same.

    near     Å
    n_train, n_test  structures compared
    n_leaked         structures of the test version with a twin, by the strongest kind
    """

    near: float
    n_train: int
    n_test: int
    n_leaked: dict[str, int]
    pairs: tuple[Leak, ...]


@dataclass(frozen=True, eq=False)
class Strongest:
    """For each of some structures the strongest leak it is part of.

    kind      (n,)  uint8    place in LEAKS, 0 for none
    twin      (n,)  int64    id of the structure it repeats, 0 for none
    distance  (n,)  float32  Å, nan for none
    """

    kind: np.ndarray
    twin: np.ndarray
    distance: np.ndarray

    def counts(self) -> dict[str, int]:
        """How many structures leak, by kind."""
        return {name: int((self.kind == code).sum()) for code, name in enumerate(LEAKS) if code}

    def listed(self) -> list[dict]:
        """Rows that leak, with the kind, the id of the twin and the distance."""
        return [
            {
                "test": row,
                "kind": LEAKS[self.kind[row]],
                "twin": int(self.twin[row]),
                "distance": round(float(self.distance[row]), 6),
            }
            for row in np.flatnonzero(self.kind).tolist()
        ]

    def columns(self) -> dict[str, np.ndarray]:
        """As kept with an evaluation."""
        return dict(zip(RECORDED, (self.kind, self.twin, self.distance), strict=True))


@dataclass(frozen=True)
class TrainingLeaks:
    """What a training would learn from and be judged by at once.

    near              Å
    n_validation      structures compared with those trained on, and how many leak, by kind
    n_test            structures compared with those trained on and validated with, likewise
    validation, test  leaks by kind
    pairs             {"learned": id, "judged": id, "kind": …, "distance": Å} of structures, at most MOST_TOLD
    """

    near: float
    n_validation: int
    n_test: int
    validation: dict[str, int]
    test: dict[str, int]
    pairs: tuple[dict, ...]

    def summary(self) -> dict:
        """Plain values for a model's summary."""
        return asdict(self) | {"pairs": list(self.pairs)}

    def warnings(self) -> tuple[str, ...]:
        """One sentence for each set that leaks."""
        sets = (
            ("validation structures stand in training", self.n_validation, self.validation),
            ("test structures stand in training or validation", self.n_test, self.test),
        )
        return tuple(
            f"{sum(leaks.values())} of {n} {what} too: {in_words(leaks)}"
            for what, n, leaks in sets
            if any(leaks.values())
        )


def in_words(counts: dict[str, int]) -> str:
    """ "2 exact, 1 by symmetry"; kinds that do not occur are left out."""
    return ", ".join(f"{n} {'by ' * (kind == 'symmetry')}{kind}" for kind, n in counts.items() if n)


def between(bench: Workbench, train: int, test: int, near: float = NEAR) -> Report:
    """Twins between two dataset versions; inside one, each pair once, when both are the same.

    Raises NotFound, and InvalidInput for a distance that is none.
    """
    if not 0 < near <= 0.5:
        raise InvalidInput(f"structures cannot count as near within {near:g} Å", hint="Use 0.001 to 0.5, e.g. 0.01.")
    library.version(bench, train), library.version(bench, test)
    return bench.remember(("leaks", train, test, near), lambda: _between(bench, train, test, near))


def strongest(bench: Workbench, learned: np.ndarray, judged: np.ndarray, near: float = NEAR) -> Strongest:
    """The strongest leak of each judged structure among those learned from, both given by ids (n,)."""
    kind = np.isin(judged, learned).astype(np.uint8)
    twin = np.where(kind == 1, judged, 0).astype("<i8")
    distance = np.where(kind == 1, 0.0, np.nan).astype("<f4")
    first, second = np.unique(learned), np.unique(judged[kind == 0])
    best: dict[int, Twin] = {}
    for found in _twins(bench, first, second, near, MOST_TRIED):
        if found.second not in best or found.distance < best[found.second].distance:
            best[found.second] = found
    for row in np.flatnonzero(kind == 0):
        if (found := best.get(int(judged[row]))) is not None:
            kind[row], twin[row], distance[row] = LEAKS.index(found.kind), found.first, found.distance
    return Strongest(kind, twin, distance)


def of_model(bench: Workbench, model: int, version: int, near: float = NEAR) -> Strongest:
    """Leaks of a version's structures, in order, into what a model was trained on or validated with.

    Raises NotFound for a model or version that is not there.
    """
    with bench.read() as connection:
        artifacts.get(connection, model, ArtifactKind.MODEL)
        ids, roles = (artifacts.column(connection, model, name) for name in ("structure_id", "role"))
    learned = ids[np.isin(roles, (TRAINING, VALIDATION))]
    return strongest(bench, learned, library.columns(bench, version).structure_id, near)


def of_evaluation(bench: Workbench, evaluation: int) -> Strongest | None:
    """Leaks as an evaluation recorded them; looked for now where it is older than the leak check.

    None where that would take long, or where the evaluation is of no known model.
    """
    found = predictions.evaluation(bench, evaluation)
    try:
        return Strongest(*(predictions.column(bench, evaluation, name) for name in RECORDED))
    except NotFound:
        if found.parent is None:
            return None
    with bench.read() as connection:
        trained_on = artifacts.get(connection, found.parent).version
    if sum(library.version(bench, version).n_atoms for version in {trained_on, found.version}) > ATOMS_AT_ONCE:
        return None
    return bench.remember(("leaks of", evaluation), lambda: of_model(bench, found.parent, found.version))


def families(bench: Workbench, structures: np.ndarray, near: float = NEAR) -> np.ndarray:
    """(n,) the smallest id among the twins of each structure: what a split should not tear apart.

    structures  (n,) ids
    """
    ids, rows = np.unique(structures, return_inverse=True)
    twins = list(_twins(bench, ids, ids, near, MOST_TRIED, within=True))
    pairs = np.searchsorted(ids, np.array([(twin.first, twin.second) for twin in twins], dtype=np.int64).reshape(-1, 2))
    family = kin(len(ids), pairs)
    smallest = np.full(len(ids), ids.max(initial=0))
    np.minimum.at(smallest, family, ids)
    return smallest[family][rows]


def check_training(
    bench: Workbench, structures: np.ndarray, roles: np.ndarray, test: int | None = None, near: float = NEAR
) -> TrainingLeaks:
    """Leaks between what is trained on, validated with and tested on.

    structures, roles  (rows,)  ids; 1 training, 2 validation, 3 test, others are left out
    test               version to be tested on besides the rows with that role
    """
    learned = structures[roles == TRAINING]
    validated = np.unique(structures[roles == VALIDATION])
    tested = structures[roles == TEST]
    if test is not None:
        tested = np.concatenate([tested, library.columns(bench, test).structure_id])
    tested = np.unique(tested)
    found = (
        (validated, strongest(bench, learned, validated, near)),
        (tested, strongest(bench, np.concatenate([learned, validated]), tested, near)),
    )
    pairs = [
        {
            "learned": int(leaks.twin[row]),
            "judged": int(ids[row]),
            "kind": LEAKS[leaks.kind[row]],
            "distance": round(float(leaks.distance[row]), 6),
        }
        for ids, leaks in found
        for row in np.flatnonzero(leaks.kind)
    ]
    counts = [leaks.counts() for _, leaks in found]
    return TrainingLeaks(near, len(validated), len(tested), *counts, tuple(pairs[:MOST_TOLD]))


def _between(bench: Workbench, train: int, test: int, near: float) -> Report:
    one, other = (library.columns(bench, version) for version in (train, test))
    rows, other_rows = _rows(one), _rows(other)
    same = train == test
    first, second = np.unique(one.structure_id), np.unique(other.structure_id)
    twins = list(_twins(bench, first, second, near, MOST_TWINS, within=same))
    twins += [Twin(id, id, "exact", 0.0) for id in np.intersect1d(first, second).tolist()]
    pairs = sorted(
        (
            Leak(row, other_row, twin.kind, twin.distance, twin.mirrored)
            for twin in twins
            for row in rows[twin.first]
            for other_row in other_rows[twin.second]
            if not same or row < other_row
        ),
        key=lambda leak: (leak.test, leak.distance, leak.train),
    )
    kinds: dict[int, str] = {}
    for leak in sorted(pairs, key=lambda leak: KINDS.index(leak.kind)):
        kinds.setdefault(leak.test, leak.kind)
    counts = {kind: sum(own == kind for own in kinds.values()) for kind in KINDS}
    return Report(near, len(one), len(other), counts, tuple(pairs))


def _rows(columns: Columns) -> dict[int, list[int]]:
    """Rows of each structure; one structure stands in several when it has several labels."""
    rows: dict[int, list[int]] = {}
    for row, id in enumerate(columns.structure_id.tolist()):
        rows.setdefault(id, []).append(row)
    return rows


def _twins(
    bench: Workbench, first: np.ndarray, second: np.ndarray, near: float, most: int, within: bool = False
) -> Iterator[Twin]:
    """Twins among structures given by their ids, which they carry; not those of one structure with itself."""
    if not len(first) or not len(second):
        return
    prints = fingerprints(_streamed(bench, first))
    found = (
        candidates_within(prints, near) if within else candidates(prints, fingerprints(_streamed(bench, second)), near)
    )
    pairs = Candidates(first[found.first], second[found.second])
    others = pairs.first != pairs.second
    pairs = Candidates(pairs.first[others], pairs.second[others])
    with bench.read() as connection:
        known = geometries(connection, np.union1d(pairs.first, pairs.second).tolist())
    yield from proved(pairs, known, known, near, most)


def _streamed(bench: Workbench, ids: np.ndarray) -> Iterator[Structure]:
    for start in range(0, len(ids), BATCH):
        some = ids[start : start + BATCH].tolist()
        with bench.read() as connection:
            found = geometries(connection, some)
        yield from (found[id] for id in some)
