"""Which points lie inside a polygon drawn by hand."""

from __future__ import annotations

import numpy as np


def inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """True for points enclosed an odd number of times; a point that is not finite is outside.

    points   (points, 2)
    polygon  (vertices, 2)  closed by itself
    returns  (points,) bool

    A point on a lower or left edge is inside, on an upper or right edge outside, so polygons that
    share an edge share no point. The browser highlights with the same rule.
    """
    points = np.asarray(points, dtype=np.float64)
    start = np.asarray(polygon, dtype=np.float64)
    found = np.zeros(len(points), dtype=bool)
    if len(start) < 3:
        return found
    low, high = start.min(axis=0), start.max(axis=0)
    with np.errstate(invalid="ignore"):
        near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    # Sorted by y, the points that an edge can be crossed by are one slice: the work is a few passes over
    # the points, however many vertices a slow hand has left.
    order = near[np.argsort(points[near, 1], kind="stable")]
    x, y = points[order, 0], points[order, 1]
    end = np.roll(start, 1, axis=0)
    first = np.searchsorted(y, np.minimum(start[:, 1], end[:, 1]), side="left")
    last = np.searchsorted(y, np.maximum(start[:, 1], end[:, 1]), side="left")
    odd = np.zeros(len(order), dtype=bool)
    for edge in np.flatnonzero(first < last):
        (xi, yi), (xj, yj) = start[edge], end[edge]
        part = slice(first[edge], last[edge])
        odd[part] ^= x[part] < (xj - xi) * (y[part] - yi) / (yj - yi) + xi
    found[order] = odd
    return found
