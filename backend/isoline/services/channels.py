"""Channels: one number or one name for every structure of a version, as colours, bars and columns show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..domain.dataset import Columns, Names
from ..errors import InvalidInput
from ..statistics import ranges
from ..workbench import Workbench
from . import library, predictions, review

BINS = 32
COLOURS = 12
OTHER = "other"


@dataclass(frozen=True)
class Measure:
    """A channel of numbers: what it is called and how it is read from a version's columns; nan where missing."""

    title: str
    unit: str
    read: Callable[[Columns], np.ndarray]


@dataclass(frozen=True)
class Finding:
    """A channel of numbers that an evaluation adds."""

    title: str
    unit: str
    read: Callable[[Workbench, int, int], np.ndarray]
    signed: bool = False


def _volume_per_atom(columns: Columns) -> np.ndarray:
    return np.where(columns.volume > 0, columns.volume, np.nan) / columns.n_atoms


def _column(name: str) -> Callable[[Workbench, int, int], np.ndarray]:
    return lambda bench, version_id, evaluation: predictions.column(bench, evaluation, name, version_id)


MEASURES = {
    "energy_per_atom": Measure("Energy per atom", "eV/atom", lambda columns: columns.energy / columns.n_atoms),
    "max_force": Measure("Largest force", "eV/Å", lambda columns: columns.max_force),
    "n_atoms": Measure("Atoms", "", lambda columns: columns.n_atoms),
    "volume_per_atom": Measure("Volume per atom", "Å³/atom", _volume_per_atom),
}
FINDINGS = {
    "energy_error": Finding("Energy error", "eV/atom", predictions.energy_error, signed=True),
    "force_error": Finding("Force RMSE", "eV/Å", _column("force_rmse")),
    "energy_spread": Finding("Energy spread", "eV/atom", _column("energy_spread")),
    "force_spread": Finding("Largest force spread", "eV/Å", _column("force_spread")),
}
NAMED = {"composition": "Composition", "group": "Group", "split": "Split"}
FIXED_ORDER = {"split": ("train", "validation", "test"), "decision": review.DECISIONS[1:]}
TAG = "tag:"
CHANNELS = (*MEASURES, *NAMED, "decision", *FINDINGS)


@dataclass(frozen=True, eq=False)
class Channel:
    """What a map, a legend and a colour bar need.

    kind       sequential | diverging (centred on 0) | categorical
    codes      (n,) uint8: 0…254 from low to high, or the place in `labels`; 255 where missing
    low, high  what the codes 0 and 254 stand for; None for categories, and where nothing is there
    labels     categories by number of structures, at most 12: what is more is gathered in the last, "other"
    histogram  structures in 32 bins from low to high (those beyond in the end bins), or in each category
    clipped    whether values lie beyond low and high, the 0.5 % and 99.5 % quantiles
    merged     how many categories "other" stands for; 0 where it is none
    """

    name: str
    title: str
    unit: str
    kind: str
    codes: np.ndarray
    low: float | None
    high: float | None
    labels: tuple[str, ...]
    histogram: np.ndarray
    clipped: bool
    n_missing: int
    merged: int = 0


def channel(bench: Workbench, version_id: int, name: str, evaluation: int | None = None) -> Channel:
    """A channel as colours. Raises InvalidInput for a name that is none, NotFound for an unknown evaluation."""
    if is_categorical(name):
        return _categories(name, *categories(bench, version_id, name))
    title, unit, signed = describe(name)
    numbers = values(bench, version_id, name, evaluation)
    n_missing = int(np.count_nonzero(~np.isfinite(numbers)))
    kind = "diverging" if signed else "sequential"
    found = ranges.limits(numbers, centred=signed)
    if found is None:
        nothing = np.full(len(numbers), ranges.MISSING, dtype=np.uint8)
        return Channel(name, title, unit, kind, nothing, None, None, (), np.zeros(BINS, int), False, n_missing)
    low, high = found
    with np.errstate(invalid="ignore"):
        clipped = bool(((numbers < low) | (numbers > high)).any())
    codes = ranges.quantise(numbers, low, high)
    histogram = ranges.count(numbers, ranges.edges(low, high, BINS))
    return Channel(name, title, unit, kind, codes, low, high, (), histogram, clipped, n_missing)


def values(bench: Workbench, version_id: int, name: str, evaluation: int | None = None) -> np.ndarray:
    """(n,) float64 of a channel of numbers, nan where missing.

    Raises InvalidInput for a channel of names, and for one of an evaluation when none is given.
    """
    if name in MEASURES:
        columns = library.columns(bench, version_id)
        return np.asarray(MEASURES[name].read(columns), dtype=np.float64)
    if name in FINDINGS:
        if evaluation is None:
            raise InvalidInput(
                f"'{name}' needs an evaluation",
                hint="Evaluate a model on this dataset first, or choose another colour.",
            )
        return np.asarray(FINDINGS[name].read(bench, version_id, evaluation), dtype=np.float64)
    if is_categorical(name):
        raise InvalidInput(f"'{name}' is made of names, not of numbers", hint="Select by category instead of by range.")
    raise _unknown(name)


def categories(bench: Workbench, version_id: int, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """(n,) codes into names of a channel of names; the name "" is none. Raises InvalidInput for another channel."""
    if name in NAMED:
        column: Names = getattr(library.columns(bench, version_id), name)
        return column.codes, column.names
    if name == "decision":
        return review.marks(bench, version_id).decision, review.DECISIONS
    if name.startswith(TAG):
        tag = name.removeprefix(TAG)
        has = review.marks(bench, version_id).tags.get(tag)
        n = library.version(bench, version_id).n_structures
        return (np.zeros(n, dtype=np.uint8) if has is None else has.astype(np.uint8)), ("", tag)
    if name in MEASURES or name in FINDINGS:
        raise InvalidInput(f"'{name}' is made of numbers, not of names", hint="Select by range instead of by category.")
    raise _unknown(name)


def is_categorical(name: str) -> bool:
    return name in NAMED or name == "decision" or name.startswith(TAG)


def describe(name: str) -> tuple[str, str, bool]:
    """Title, unit, and whether the values are signed errors."""
    if name in NAMED:
        return NAMED[name], "", False
    if name == "decision" or name.startswith(TAG):
        return name.removeprefix(TAG).capitalize() if name == "decision" else f"Tag {name.removeprefix(TAG)}", "", False
    known = MEASURES.get(name) or FINDINGS.get(name)
    if known is None:
        raise _unknown(name)
    return known.title, known.unit, isinstance(known, Finding) and known.signed


def legend(name: str, names: tuple[str, ...], counts: np.ndarray) -> list[int]:
    """The codes of categories that occur, in the order of their colours; the name "" is not one of them."""
    first = {label: place for place, label in enumerate(FIXED_ORDER.get(name, ()))}
    there = [code for code in range(len(names)) if names[code] and (counts[code] or names[code] in first)]
    return sorted(there, key=lambda code: (first.get(names[code], len(first)), -counts[code], names[code]))


def _categories(name: str, codes: np.ndarray, names: tuple[str, ...]) -> Channel:
    counts = np.bincount(codes, minlength=len(names))
    order = legend(name, names, counts)
    shown, rest = (order, []) if len(order) <= COLOURS else (order[: COLOURS - 1], order[COLOURS - 1 :])
    colour = np.full(max(len(names), 1), ranges.MISSING, dtype=np.uint8)
    colour[shown] = range(len(shown))
    colour[rest] = len(shown)
    labels = (*(names[code] for code in shown), *((OTHER,) if rest else ()))
    histogram = np.array([*counts[shown], *([counts[rest].sum()] if rest else [])], dtype=int)
    n_missing = len(codes) - int(histogram.sum())
    title, unit, _ = describe(name)
    return Channel(
        name, title, unit, "categorical", colour[codes], None, None, labels, histogram, False, n_missing, len(rest)
    )


def _unknown(name: str) -> InvalidInput:
    return InvalidInput(f"there is no channel '{name}'", hint=f"Use one of: {', '.join(CHANNELS)}, tag:NAME.")
