"""How far predictions are from references: MAE, RMSE and R², always with the number of values they rest on.

A value that is missing on either side (NaN) is left out and not counted; it is never taken as zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InvalidInput

ROWS_PER_PASS = 1 << 20
"""Rows worked on at once, so that a hundred million force components need no second copy."""


@dataclass(frozen=True)
class Score:
    """Agreement of n pairs of values; None where too few values define a figure.

    mae, rmse  in the unit of the values; None for n = 0
    r2         1 − Σ(p − r)² / Σ(r − r̄)²; None for n < 2 and where all references are the same
    """

    n: int
    mae: float | None = None
    rmse: float | None = None
    r2: float | None = None


def score(reference: np.ndarray, predicted: np.ndarray) -> Score:
    """The score of all values, whatever their shape.

    Raises InvalidInput when the shapes differ.
    """
    reference, predicted = np.asarray(reference), np.asarray(predicted)
    _same_shape(reference, predicted)
    everything = np.zeros(reference.size, dtype=np.uint8)
    return score_groups(reference.reshape(-1), predicted.reshape(-1), everything, 1)[0]


def score_groups(reference: np.ndarray, predicted: np.ndarray, codes: np.ndarray, n_groups: int) -> list[Score]:
    """One score for each group of rows.

    reference  (rows,) or (rows, components)
    predicted  like reference
    codes      (rows,)  0…n_groups − 1; rows with another code belong to no group

    Raises InvalidInput when the shapes differ.
    """
    reference, predicted, codes = np.asarray(reference), np.asarray(predicted), np.asarray(codes)
    _same_shape(reference, predicted)
    if len(codes) != len(reference):
        raise InvalidInput(f"every row needs a group: {len(reference)} rows, {len(codes)} codes")
    n, total, absolute, squared, size = np.zeros((5, n_groups))
    for code, r, p in _passes(reference, predicted, codes, n_groups):
        error = p - r
        n += np.bincount(code, minlength=n_groups)
        total += np.bincount(code, r, n_groups)
        absolute += np.bincount(code, np.abs(error), n_groups)
        squared += np.bincount(code, error**2, n_groups)
        size += np.bincount(code, r**2, n_groups)
    mean = total / np.maximum(n, 1)
    # A second pass about the mean: Σr² − (Σr)²/n has no correct digit left for total energies.
    variation, shift = np.zeros((2, n_groups))
    for code, r, _ in _passes(reference, predicted, codes, n_groups):
        deviation = r - mean[code]
        variation += np.bincount(code, deviation**2, n_groups)
        shift += np.bincount(code, deviation, n_groups)
    variation -= shift**2 / np.maximum(n, 1)  # the mean of many values is itself rounded
    rounding = (8 * np.finfo(float).eps) ** 2 * size
    return [
        Score(
            n=int(n[g]),
            mae=float(absolute[g] / n[g]) if n[g] else None,
            rmse=float(np.sqrt(squared[g] / n[g])) if n[g] else None,
            r2=float(1 - squared[g] / variation[g]) if n[g] > 1 and variation[g] > rounding[g] else None,
        )
        for g in range(n_groups)
    ]


def _passes(reference, predicted, codes, n_groups):
    """Blocks of rows as flat float64 columns (code, reference, predicted) without missing values."""
    for start in range(0, len(reference), ROWS_PER_PASS):
        block = slice(start, start + ROWS_PER_PASS)
        r = np.asarray(reference[block], dtype=np.float64)
        p = np.asarray(predicted[block], dtype=np.float64)
        code = np.asarray(codes[block], dtype=np.int64)
        if r.ndim > 1:
            code = np.repeat(code, int(np.prod(r.shape[1:])))
            r, p = r.reshape(-1), p.reshape(-1)
        there = np.isfinite(r) & np.isfinite(p) & (code >= 0) & (code < n_groups)
        yield (code, r, p) if there.all() else (code[there], r[there], p[there])


def summarise(
    energy: tuple[np.ndarray, np.ndarray],
    force: tuple[np.ndarray, np.ndarray],
    stress: tuple[np.ndarray, np.ndarray],
) -> dict[str, float | int | None]:
    """The overall figures of an evaluation, as kept in its summary.

    energy  reference and predicted (structures,) eV/atom
    force   reference and predicted (atoms, 3) eV/Å
    stress  reference and predicted (structures, 6) eV/Å³
    returns `energy_n, energy_mae, energy_rmse, energy_r2`, the same for `force` and `stress`
    """
    return {
        f"{quantity}_{figure}": value
        for quantity, pair in (("energy", energy), ("force", force), ("stress", stress))
        for figure, value in vars(score(*pair)).items()
    }


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's ρ: 1 when a larger value of one always means a larger value of the other; None if undefined.

    Equal values share their mean rank.
    """
    first, second = np.asarray(first, dtype=np.float64).reshape(-1), np.asarray(second, dtype=np.float64).reshape(-1)
    _same_shape(first, second)
    there = np.isfinite(first) & np.isfinite(second)
    if there.sum() < 2:
        return None
    a, b = _ranks(first[there]), _ranks(second[there])
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else None


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _same_shape(reference: np.ndarray, predicted: np.ndarray) -> None:
    if reference.shape != predicted.shape:
        raise InvalidInput(f"references and predictions must pair up: {reference.shape} against {predicted.shape}")
