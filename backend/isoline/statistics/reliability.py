"""Whether predicted errors are those that occur: coverage, miscalibration area, ENCE, likelihood, ranks.

Every figure compares `deviation`, the standard deviation that was predicted for an error, with the error that came.
A value that is not finite on either side, or for which no error at all was predicted, is left out; N says what is left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from .error_law import ErrorLaw
from .scores import rank_correlation

BINS = 10
FEWEST_IN_BIN = 5


@dataclass(frozen=True)
class Reliability:
    """How honest predicted deviations are, over n values; None where too few say.

    miscalibration_area  0 is honest, 0.5 the worst: area between expected and observed coverage (Kuleshov et al.,
                         ICML 2018, section 3.3; Tran et al., Mach. Learn.: Sci. Technol. 1, 025006, 2020)
    area_by_chance       the area that honest deviations have on average on so many independent values
    excess_coverage      observed less expected coverage, mean: above 0 deviations are too large, below too small
    ence                 expected normalised calibration error over bins of equal count (Levi et al., Sensors 22, 5540,
                         2022, eq. 7)
    nll                  mean negative log likelihood; the density is per unit of the error
    correlation          Spearman's ρ of spread and |error|
    sharpness            root mean square of the deviations (Tran et al.): of two honest models, the smaller is better
    rmse                 of the errors
    """

    n: int
    miscalibration_area: float | None = None
    area_by_chance: float | None = None
    excess_coverage: float | None = None
    ence: float | None = None
    nll: float | None = None
    correlation: float | None = None
    sharpness: float | None = None
    rmse: float | None = None


@dataclass(frozen=True)
class Bin:
    """Values next to each other in order.

    n          values
    low, high  what they are ordered by, from and to
    deviation  root mean square of what was predicted
    rmse       of the errors
    inside     share of the errors within the 90 % interval
    """

    n: int
    low: float
    high: float
    deviation: float
    rmse: float
    inside: float


def assess(law: ErrorLaw, deviation: np.ndarray, error: np.ndarray) -> Reliability:
    """Every figure for errors of one or several components.

    law        gives the shape of the distribution; its deviations are those given
    deviation  (values,)              > 0, of one component
    error      (values, components)   predicted − reference
    """
    deviation, error = _there(deviation, error)
    if not error.size:
        return Reliability(0)
    shares = law.share(error / deviation[:, None]).ravel()
    return Reliability(
        n=error.size,
        miscalibration_area=miscalibration_area(shares),
        area_by_chance=area_by_chance(error.size),
        excess_coverage=float(0.5 - shares.mean()),
        ence=ence(deviation, error),
        nll=float(law.surprise(deviation[:, None], error).mean()),
        correlation=rank_correlation(deviation, np.linalg.norm(error, axis=1)),
        sharpness=float(np.sqrt(np.square(deviation).mean())),
        rmse=float(np.sqrt(np.square(error).mean())),
    )


def observed_coverage(shares: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(levels,) part of the values that lie within the central interval expected to hold each level of them.

    shares  (values,)  probability, as predicted, of an error smaller than the one that came
    """
    return np.searchsorted(np.sort(shares), levels, side="right") / max(len(shares), 1)


def miscalibration_area(shares: np.ndarray) -> float:
    """∫ |observed − expected coverage| over expected coverage 0…1, exact for the steps of the observed one.

    shares  (values,)  see `observed_coverage`
    """
    ends = np.concatenate([[0.0], np.sort(np.clip(shares, 0, 1)), [1.0]])
    observed = np.arange(len(shares) + 1) / len(shares)
    left, right = ends[:-1] - observed, ends[1:] - observed  # (steps,) expected − observed at both ends of a step
    # The primitive of |x| is x|x|/2.
    return float(0.5 * (right * np.abs(right) - left * np.abs(left)).sum())


def area_by_chance(n: int) -> float:
    """Mean miscalibration area of honest deviations on n independent values: (π/8) √(2/π) / √n.

    The observed coverage is a Brownian bridge about the diagonal, of variance p(1 − p)/n; the mean of |x| is √(2/π) σ
    and ∫ √(p(1 − p)) dp = π/8. For n = 25 it is 0.063: on so few values nothing smaller can be asked for.
    """
    return math.pi / 8 * math.sqrt(2 / math.pi / n)


def ence(deviation: np.ndarray, error: np.ndarray, bins: int = BINS) -> float | None:
    """Mean of |RMSE − root mean variance| / root mean variance over bins of equal count; None for too few values."""
    points = by_deviation(deviation, error, bins)
    return float(np.mean([abs(p.rmse - p.deviation) / p.deviation for p in points])) if points else None


def by_deviation(deviation: np.ndarray, error: np.ndarray, bins: int = BINS, law: ErrorLaw | None = None) -> list[Bin]:
    """Values ordered by their predicted deviation, in bins of equal count: a reliability diagram."""
    deviation, error = _there(deviation, error)
    return _binned(deviation, deviation, error, bins, law or ErrorLaw())


def by_error(deviation: np.ndarray, error: np.ndarray, bins: int = BINS, law: ErrorLaw | None = None) -> list[Bin]:
    """Values ordered by the error that came, in bins of equal count.

    The largest errors were necessarily underestimated and the smallest overestimated: what to look for is whether the
    predicted deviation grows along with them.
    """
    deviation, error = _there(deviation, error)
    return _binned(np.linalg.norm(error, axis=1), deviation, error, bins, law or ErrorLaw())


def auroc(inside: np.ndarray, outside: np.ndarray) -> float | None:
    """Probability that one from outside scores higher than one from inside, ties counting half; None without either.

    The area under the receiver operating characteristic, by Mann and Whitney's count.
    """
    inside, outside = (np.asarray(x, dtype=np.float64)[np.isfinite(x)] for x in (inside, outside))
    if not len(inside) or not len(outside):
        return None
    ranks = rankdata(np.concatenate([inside, outside]))[len(inside) :]
    return float((ranks.sum() - len(outside) * (len(outside) + 1) / 2) / (len(inside) * len(outside)))


def _there(deviation: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    deviation = np.asarray(deviation, dtype=np.float64)
    error = np.asarray(error, dtype=np.float64)
    error = error[:, None] if error.ndim == 1 else error
    there = np.isfinite(deviation) & (deviation > 0) & np.isfinite(error).all(1)
    return deviation[there], error[there]


def _binned(order: np.ndarray, deviation: np.ndarray, error: np.ndarray, bins: int, law: ErrorLaw) -> list[Bin]:
    bins = min(bins, len(order) // FEWEST_IN_BIN)
    if bins < 2:
        return []
    reach = law.reach(0.9)
    found = []
    for part in np.array_split(np.argsort(order, kind="stable"), bins):
        found.append(
            Bin(
                n=len(part),
                low=float(order[part[0]]),
                high=float(order[part[-1]]),
                deviation=float(np.sqrt(np.square(deviation[part]).mean())),
                rmse=float(np.sqrt(np.square(error[part]).mean())),
                inside=float((np.abs(error[part]) <= reach * deviation[part, None]).mean()),
            )
        )
    return found
