"""How large an error is when its spread is known, and the fit of that law to errors that came.

A committee ranks its errors well and gets their size wrong: members share data, features and blind spots. The standard
deviation of an error is taken as

    σ² = (scale · typical · (spread / typical)^power)² + floor²                                  (1)

scale  what multiplies the typical spread, that of the calibration set, by maximum likelihood; power 1 is the
       usual single factor (Imbalzano et al., J. Chem. Phys. 154, 074102, 2021), another power lets the factor vary
       with the spread (Musil et al., J. Chem. Theory Comput. 15, 906, 2019): where members agree best they are
       often wrong by the largest factor
floor  noise of the labels and what all members miss alike: a committee cannot fall below it, however well it agrees
tail   errors in units of σ follow Student's t of unit variance, since a standard deviation of few members is itself
       uncertain; None is a Gaussian, its limit

Whether a floor, a power or a tail is taken is decided by likelihood on structures that the fit did not see
(cross-validation by structure within the calibration set); among few values no tail is looked for, since extremes
decide on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats
from threadpoolctl import threadpool_limits

FEWEST_FOR_TAIL = 30

LEAST_POWER, GREATEST_POWER = 0.3, 1.5

# Of Student's t. Below three, a variance is hardly defined by any sample; above the other, it is a Gaussian.
HEAVIEST_TAIL, LIGHTEST_TAIL = 3.0, 200.0

# Of the typical spread: a member's numerical noise, never a divisor of zero.
SMALLEST = 1e-6
REACH = math.log(1e4)  # how far a fit may go from where it starts

# With or without (floor, power): one or the other explains why small spreads are wrong by larger factors.
SHAPES = ((False, False), (True, False), (False, True))

FOLDS, FOLDS_OF_FEW, FEW = 5, 25, 100
MOST_VALUES = 5000  # a fit of three numbers needs no more


@dataclass(frozen=True)
class ErrorLaw:
    """The distribution of an error whose spread is known: centred, of standard deviation (1).

    scale    > 0, without unit
    floor    ≥ 0, in the unit of the spread
    power    > 0, without unit
    typical  > 0, in the unit of the spread; matters for another power than 1 only
    tail     degrees of freedom of Student's t, > 2; None is a Gaussian
    n        values it was fitted on
    """

    scale: float = 1.0
    floor: float = 0.0
    power: float = 1.0
    typical: float = 1.0
    tail: float | None = None
    n: int = 0

    def deviation(self, spread: np.ndarray) -> np.ndarray:
        """Standard deviation of the error, shaped and in the unit of `spread` (1)."""
        return np.hypot(self.signal(spread), self.floor)

    def signal(self, spread: np.ndarray) -> np.ndarray:
        """The part of the deviation that grows with the spread."""
        relative = np.asarray(spread, dtype=np.float64) / self.typical
        return self.scale * self.typical * (relative if self.power == 1 else relative**self.power)

    def share(self, standardised: np.ndarray) -> np.ndarray:
        """Probability that an error is smaller than this many deviations, either sign: 0…1."""
        z = np.abs(standardised)
        if self.tail is None:
            return special.erf(z / math.sqrt(2))
        return 1 - 2 * special.stdtr(self.tail, -z * _stretch(self.tail))

    def reach(self, level: float) -> float:
        """How many deviations hold a share `level` of errors: the inverse of `share`."""
        if self.tail is None:
            return float(stats.norm.ppf((1 + level) / 2))
        return float(stats.t.ppf((1 + level) / 2, self.tail)) / _stretch(self.tail)

    def surprise(self, deviation: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Negative logarithm of the density of errors (1/unit), of the broadcast shape."""
        z = np.square(error / deviation)
        if self.tail is None:
            return 0.5 * (z + math.log(2 * math.pi)) + np.log(deviation)
        nu = self.tail
        norm = special.gammaln(nu / 2) - special.gammaln((nu + 1) / 2) + 0.5 * math.log((nu - 2) * math.pi)
        return norm + 0.5 * (nu + 1) * np.log1p(z / (nu - 2)) + np.log(deviation)


RAW = ErrorLaw()
"""What a spread says if it is taken at its word."""


def fit_law(spread: np.ndarray, error: np.ndarray, structure: np.ndarray) -> ErrorLaw:
    """The law that predicts unseen structures best, of those with or without a floor, a power and a tail.

    spread     (values,)             of one component
    error      (values, components)
    structure  (values,)
    """
    some = np.random.default_rng(0).permutation(len(spread))[:MOST_VALUES]
    spread, error, structure = spread[some], error[some], structure[some]
    _, place = np.unique(structure, return_inverse=True)
    folds = FOLDS_OF_FEW if len(spread) < FEW else FOLDS
    fold = np.random.default_rng(0).permutation(place.max() + 1)[place] % folds
    tails = (False, True) if len(spread) >= FEWEST_FOR_TAIL else (False,)
    best, least = _Freedom(), math.inf
    # Threads that wait for each other over three numbers take a hundred times as long where the machine is busy.
    with threadpool_limits(1, "blas"):
        for freedom in (_Freedom(*shape, tail) for shape in SHAPES for tail in tails):
            surprise = 0.0
            for out in range(fold.max() + 1):
                law = _fitted(spread[fold != out], error[fold != out], freedom)
                deviation = law.deviation(spread[fold == out])[:, None]
                surprise += law.surprise(deviation, error[fold == out]).sum()
            if surprise < least:
                best, least = freedom, surprise
        return _fitted(spread, error, best)


class _Freedom(NamedTuple):
    """What a fit may choose beside the scale."""

    floor: bool = False
    power: bool = False
    tail: bool = False


def _fitted(spread: np.ndarray, error: np.ndarray, freedom: _Freedom) -> ErrorLaw:
    """The law of greatest likelihood, by its slopes with respect to ln scale, ln floor, power and 1/tail."""
    typical, size = math.sqrt(np.square(spread).mean()), math.sqrt(np.square(error).mean())
    spread = np.maximum(spread, SMALLEST * typical)[:, None]
    squares, logarithm = np.square(error), np.log(spread / typical)

    def law(x: np.ndarray) -> ErrorLaw:
        return ErrorLaw(
            scale=float(np.exp(x[0])),
            floor=float(np.exp(x[1])) if freedom.floor else 0.0,
            power=float(x[2]) if freedom.power else 1.0,
            typical=typical,
            tail=float(1 / x[3]) if freedom.tail and x[3] > 1 / LIGHTEST_TAIL else None,
            n=error.size,
        )

    def surprise(x: np.ndarray) -> tuple[float, np.ndarray]:
        candidate = law(x)
        signal = np.square(candidate.signal(spread))
        variance = signal + candidate.floor**2
        z, nu = squares / variance, candidate.tail
        by_deviation, by_tail = 1 - z, 0.0
        if nu is not None:
            by_deviation = 1 - (nu + 1) * z / (nu - 2 + z)
            slope = special.digamma(nu / 2) - special.digamma((nu + 1) / 2) + 1 / (nu - 2)
            slope += (np.log1p(z / (nu - 2)) - (nu + 1) * z / ((nu - 2) * (nu - 2 + z))).mean()
            by_tail = -0.5 * nu**2 * slope
        by_scale = by_deviation * signal / variance
        by_floor = (by_deviation * candidate.floor**2 / variance).mean()
        slopes = np.array([by_scale.mean(), by_floor, (by_scale * logarithm).mean(), by_tail])
        return float(candidate.surprise(np.sqrt(variance), error).mean()), np.where([True, *freedom], slopes, 0.0)

    start = np.array([0.5 * math.log((squares / spread**2).mean()), math.log(size) - 1, 1.0, 0.1])
    if freedom.power:
        start[0] = math.log(size / typical)
    bounds = [(start[0] - REACH, start[0] + REACH), (start[1] - REACH, start[1] + REACH)]
    bounds += [(LEAST_POWER, GREATEST_POWER), (0.0, 1 / HEAVIEST_TAIL)]
    return law(optimize.minimize(surprise, start, jac=True, bounds=bounds, method="L-BFGS-B").x)


def _stretch(tail: float) -> float:
    """A variable of unit variance times this is Student's t."""
    return math.sqrt(tail / (tail - 2))
