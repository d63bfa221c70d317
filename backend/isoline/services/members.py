"""Rows of a dataset version: checked, as a mask, and whether two versions have the same ones."""

from __future__ import annotations

import numpy as np

from ..errors import InvalidInput
from ..store import selections
from ..workbench import Workbench
from . import library


def rows(bench: Workbench, version_id: int, positions: object) -> np.ndarray:
    """Positions as ascending uint32 without repeats. Raises InvalidInput for what the version does not have."""
    n = library.version(bench, version_id).n_structures
    try:
        given = np.asarray(positions)
    except ValueError as error:
        raise InvalidInput("rows are given as a list of whole numbers") from error
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise InvalidInput("rows are given as a list of whole numbers")
    wrong = given[(given < 0) | (given >= n)] if given.size else given
    if wrong.size:
        raise InvalidInput(f"there is no row {wrong[0]} in this version", hint=f"It has rows 0 to {n - 1}.")
    return np.unique(given).astype(np.uint32)


def mask(bench: Workbench, version_id: int, positions: np.ndarray) -> np.ndarray:
    """(n,) bool: True at these rows."""
    chosen = np.zeros(library.version(bench, version_id).n_structures, dtype=bool)
    chosen[positions] = True
    return chosen


def selected(bench: Workbench, version_id: int, selection: str | None) -> np.ndarray | None:
    """(n,) bool of a selection; None for no selection, which means everything.

    Raises NotFound, and InvalidInput for a selection of other members.
    """
    if selection is None:
        return None
    with bench.read() as connection:
        found = selections.get(connection, selection)
    check_same(bench, version_id, found.version, f"selection {selection}", "Select in the version that you look at.")
    return mask(bench, version_id, found.positions)


def same(bench: Workbench, version_id: int, other: int) -> bool:
    """Whether two versions have the same members in the same order, so that rows of one are rows of the other."""
    return version_id == other or library.version(bench, version_id).key == library.version(bench, other).key


def check_same(bench: Workbench, version_id: int, other: int, what: str, hint: str) -> None:
    """Raise InvalidInput unless `what`, made for version `other`, has the rows of `version_id`."""
    if not same(bench, version_id, other):
        wanted, has = library.version(bench, version_id), library.version(bench, other)
        raise InvalidInput(
            f"{what} is of {has.dataset} v{has.version}, not of {wanted.dataset} v{wanted.version}", hint=hint
        )
