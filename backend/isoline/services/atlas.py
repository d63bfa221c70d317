"""The atlas of a dataset version: its maps and channels, selections on them, histograms, and the table behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..domain.actor import Actor
from ..errors import InvalidInput
from ..statistics import ranges
from ..store import selections
from ..store.selections import Selection
from ..workbench import Workbench
from . import channels, library, members, review, rules
from .accounts import permit
from .channels import CHANNELS, Channel, channel, values
from .maps import MapCard, maps, points

__all__ = [
    "CHANNELS",
    "SORTS",
    "Channel",
    "Histogram",
    "MapCard",
    "Selection",
    "TablePage",
    "channel",
    "histogram",
    "maps",
    "mask",
    "points",
    "positions",
    "select",
    "selection",
    "table",
    "values",
]

MOST_BINS, LONGEST_PAGE = 1000, 1000
NUMBERS = ("energy_per_atom", "max_force", "energy_error", "force_error", "force_spread", "energy_spread")
NAMES = ("group", "split", "decision")
SORTS = ("position", "structure_id", "formula", "n_atoms", "volume_per_atom", *NUMBERS, *NAMES)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Structures by the value of a channel.

    edges            (bins + 1,) float64; beyond the ends lies nothing that is not counted in the end bins
    counts           (bins,) int64, all structures
    selected_counts  (bins,) int64, those of the selection; the same as `counts` without one
    labels           names of the bars for a channel of names, else empty
    """

    channel: str
    title: str
    unit: str
    edges: np.ndarray
    counts: np.ndarray
    selected_counts: np.ndarray
    low: float | None
    high: float | None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class TablePage:
    """Rows start…stop of a sorted, filtered table of `total` rows; what is missing is None."""

    total: int
    rows: list[dict]


def select(bench: Workbench, actor: Actor, version_id: int, rule: dict) -> Selection:
    """Keep the rows that satisfy a rule, see `isoline.services.rules`.

    Raises InvalidInput for what is no rule, NotFound for a map or an evaluation that is not there.
    """
    permit(actor, "select")
    rows = np.flatnonzero(rules.satisfying(bench, version_id, rule))
    with bench.write() as connection:
        return selections.keep(connection, version_id, rule, rows, actor.name)


def selection(bench: Workbench, id: str) -> Selection:
    """A selection with its rule and rows. Raises NotFound."""
    with bench.read() as connection:
        return selections.get(connection, id)


def positions(bench: Workbench, id: str, version_id: int) -> np.ndarray:
    """(selected,) uint32 rows of a selection, ascending.

    Raises NotFound, and InvalidInput for a selection of other members than those of the version.
    """
    return np.flatnonzero(members.selected(bench, version_id, id)).astype(np.uint32)


def mask(bench: Workbench, id: str) -> np.ndarray:
    """(n,) uint8, 1 for the rows of a selection. Raises NotFound."""
    found = selection(bench, id)
    return members.mask(bench, found.version, found.positions).view(np.uint8)


def histogram(
    bench: Workbench,
    version_id: int,
    name: str,
    *,
    selection: str | None = None,
    evaluation: int | None = None,
    bins: int = 60,
) -> Histogram:
    """How the values of a channel are distributed, in all structures and in a selection."""
    if not 1 <= bins <= MOST_BINS:
        raise InvalidInput(f"a histogram has 1 to {MOST_BINS} bins, not {bins}")
    title, unit, signed = channels.describe(name)
    chosen = members.selected(bench, version_id, selection)
    if channels.is_categorical(name):
        return _bars(name, channel(bench, version_id, name), chosen)
    numbers = values(bench, version_id, name, evaluation)
    low, high = ranges.limits(numbers, centred=signed) or (None, None)
    edges = ranges.edges(low or 0.0, high or 0.0, bins)
    counts = ranges.count(numbers, edges)
    selected = counts if chosen is None else ranges.count(numbers[chosen], edges)
    return Histogram(name, title, unit, edges, counts, selected, low, high)


def table(
    bench: Workbench,
    version_id: int,
    *,
    selection: str | None = None,
    evaluation: int | None = None,
    sort: str = "position",
    descending: bool = False,
    start: int = 0,
    stop: int = 100,
    search: str = "",
) -> TablePage:
    """A page of the table: sorted by a column (what is missing comes last), then by position.

    search  part of a formula, group or tag; "#7" is the structure with id 7

    Raises InvalidInput for a column that cannot be sorted by, and for a page that is too long.
    """
    if sort not in SORTS:
        raise InvalidInput(f"the table cannot be sorted by '{sort}'", hint=f"Use one of: {', '.join(SORTS)}.")
    if not 0 <= start <= stop <= start + LONGEST_PAGE:
        raise InvalidInput(f"rows {start} to {stop} are no page", hint=f"Ask for at most {LONGEST_PAGE} rows at once.")
    marks = review.marks(bench, version_id)
    wanted = members.selected(bench, version_id, selection)
    if search.strip():
        found = _matching(bench, version_id, search.strip(), marks)
        wanted = found if wanted is None else wanted & found
    order = _order(bench, version_id, sort, descending, evaluation, wanted, marks)
    return TablePage(len(order), _rows(bench, version_id, order[start:stop], evaluation, marks))


def _bars(name: str, shown: Channel, chosen: np.ndarray | None) -> Histogram:
    k = len(shown.labels)
    codes = shown.codes if chosen is None else shown.codes[chosen]
    selected = np.bincount(codes[codes != ranges.MISSING], minlength=k)
    return Histogram(name, shown.title, "", np.arange(k + 1) - 0.5, shown.histogram, selected, None, None, shown.labels)


def _matching(bench: Workbench, version_id: int, search: str, marks: review.MarkColumns) -> np.ndarray:
    columns = library.columns(bench, version_id)
    if search.startswith("#") and search[1:].isdigit():
        return columns.structure_id == int(search[1:])
    text = search.casefold()
    found = np.zeros(len(columns), dtype=bool)
    for column in (columns.composition, columns.group):
        hits = np.array([text in name.casefold() for name in column.names], dtype=bool)
        found |= hits[column.codes]
    for name, has in marks.tags.items():
        if text in name.casefold():
            found |= has
    return found


def _order(bench, version_id: int, sort: str, descending: bool, evaluation, wanted, marks) -> np.ndarray:
    """Positions in the order of the table."""
    columns = library.columns(bench, version_id)
    rows = np.arange(len(columns)) if wanted is None else np.flatnonzero(wanted)
    if sort == "position":
        return rows[::-1] if descending else rows
    if sort == "structure_id":
        keys = columns.structure_id
    elif sort == "formula":
        keys = _alphabetical(columns.composition.codes, columns.composition.names)
    elif sort == "decision":
        keys = np.where(marks.decision > 0, marks.decision, np.nan)
    elif sort in NAMES:
        keys = _alphabetical(*channels.categories(bench, version_id, sort))
    else:
        keys = values(bench, version_id, sort, evaluation)
    keys = np.asarray(keys, dtype=np.float64)[rows]
    # Stable, and nan sorts last either way.
    return rows[np.argsort(-keys if descending else keys, kind="stable")]


def _alphabetical(codes: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    ranks = np.empty(len(names))
    ranks[sorted(range(len(names)), key=lambda code: names[code])] = range(len(names))
    ranks[[code for code, name in enumerate(names) if not name]] = np.nan
    return ranks[codes]


def _rows(bench, version_id: int, page: np.ndarray, evaluation: int | None, marks) -> list[dict]:
    columns = library.columns(bench, version_id)
    found = {
        "position": page.tolist(),
        "structure_id": columns.structure_id[page].tolist(),
        "formula": [columns.composition.names[code] for code in columns.composition.codes[page]],
        "n_atoms": columns.n_atoms[page].tolist(),
        "volume_per_atom": _numbers(values(bench, version_id, "volume_per_atom")[page]),
    }
    for name in NUMBERS:
        there = name in channels.MEASURES or evaluation is not None
        found[name] = _numbers(values(bench, version_id, name, evaluation)[page]) if there else [None] * len(page)
    for name in ("group", "split"):
        codes, names = channels.categories(bench, version_id, name)
        found[name] = [names[code] for code in codes[page]]
    found["decision"] = [review.DECISIONS[code] for code in marks.decision[page]]
    tags = sorted(marks.tags)
    has = np.stack([marks.tags[tag][page] for tag in tags], axis=1) if tags else np.zeros((len(page), 0), dtype=bool)
    found["tags"] = [[tag for tag, there in zip(tags, row, strict=True) if there] for row in has]
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def _numbers(values: np.ndarray) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]
