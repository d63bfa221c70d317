"""Numbers as colours and bars: limits that outliers do not spoil, one-byte codes, bins."""

from __future__ import annotations

import numpy as np

MISSING = 255
TOP = 254
CLIP_PERCENT = (0.5, 99.5)


def limits(values: np.ndarray, *, centred: bool = False) -> tuple[float, float] | None:
    """Where a colour ramp starts and ends: the 0.5 % and 99.5 % quantiles of what is there; None for nothing.

    centred  the limits lie symmetrically about 0, for signed quantities
    """
    there = values[np.isfinite(values)]
    if not len(there):
        return None
    if centred:
        # Both tails clip half a percent, as for an ordinary ramp: 1 % of the magnitudes.
        reach = float(np.percentile(np.abs(there), 2 * CLIP_PERCENT[1] - 100))
        return -reach, reach
    low, high = np.percentile(there, CLIP_PERCENT)
    return float(low), float(high)


def quantise(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """One byte per value: 0…254 from `low` to `high`, beyond them the end's colour, 255 where missing.

    Where `low` equals `high`, every value there is takes the middle.
    """
    codes = np.full(len(values), MISSING, dtype=np.uint8)
    there = np.isfinite(values)
    if high > low:
        share = (values[there] - low) / (high - low)
        codes[there] = np.rint(np.clip(share, 0, 1) * TOP)
    else:
        codes[there] = TOP // 2
    return codes


def edges(low: float, high: float, bins: int) -> np.ndarray:
    """(bins + 1,) equally spaced; a range without width is opened about its value."""
    if not high > low:
        pad = max(abs(low) * 1e-6, 1e-9)
        low, high = low - pad, high + pad
    return np.linspace(low, high, bins + 1)


def count(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(bins,) values in equally spaced bins; those beyond an end count in its bin, missing ones nowhere."""
    bins = len(edges) - 1
    there = values[np.isfinite(values)]
    place = np.clip((there - edges[0]) / (edges[-1] - edges[0]), 0, 1) * bins
    return np.bincount(np.minimum(place.astype(np.int64), bins - 1), minlength=bins)
