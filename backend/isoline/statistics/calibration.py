"""Spreads that mean what they say: how far members disagree, turned into how far their mean is wrong.

A committee ranks its errors well and gets their size wrong: members share data, features and blind spots. On
structures kept from training, the standard deviation of an error is fitted as

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

Conformal factors (Angelopoulos and Bates, arXiv:2107.07511, 2021, section 2) need no distribution: in at least a
share `level` of new cases the error is below factor · calibrated spread, as long as new cases are drawn like those of
the calibration set. The atoms of a structure are not drawn one by one: for forces the guarantee is about atoms of
structures like these, on average.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

from ..errors import InvalidInput

LEVELS = (0.5, 0.68, 0.8, 0.9, 0.95, 0.99)
QUANTITIES = ("energy", "forces")

# Fewer values or structures do not tell one number from another.
FEWEST_STRUCTURES = 5
FEWEST_ATOMS_OF_ELEMENT = 200

FEWEST_FOR_TAIL = 100

LEAST_POWER, GREATEST_POWER = 0.3, 1.5

# Of Student's t. Below three, a variance is hardly defined by any sample; above the other, it is a Gaussian.
HEAVIEST_TAIL, LIGHTEST_TAIL = 3.0, 200.0

# Of the typical spread or error: a member's numerical noise, never a divisor of zero.
SMALLEST = 1e-6
REACH = math.log(1e4)  # how far a fit may go from where it starts

# Of the typical spread: what lies below is no doubt but rounding. Forces that symmetry makes zero are exactly right
# under every member; counting them would make any committee look too cautious.
SETTLED = 1e-3

# With or without (floor, power): one or the other explains why small spreads are wrong by larger factors.
SHAPES = ((False, False), (True, False), (False, True))

FOLDS, FOLDS_OF_FEW = 5, 25
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


@dataclass(frozen=True)
class Conformal:
    """Factors of the calibrated spread below which a share of errors lies, at each of LEVELS; see the module.

    factors  one a level; None where the calibration set is too small to say
    n        values it rests on
    """

    factors: tuple[float | None, ...]
    n: int

    def factor(self, level: float) -> float | None:
        """The factor at one of LEVELS. Raises InvalidInput for another level."""
        if level not in LEVELS:
            raise InvalidInput(
                f"there is no conformal factor at {level}", hint=f"Levels: {', '.join(map(str, LEVELS))}."
            )
        return self.factors[LEVELS.index(level)]


@dataclass(frozen=True)
class QuantityCalibration:
    """How spreads of one quantity become standard deviations of errors.

    components    1 for energies, 3 for forces: the spread is of all components together, σ of one is spread/√components
    law           of one component, for every element
    settled       raw spreads up to this are of values that symmetry fixes: left out of the fit and of every figure
    by_element    atomic number → law, for elements with enough atoms
    conformal     for the length of the error over all components, in units of the calibrated spread
    n_structures  in the calibration set
    """

    components: int
    law: ErrorLaw
    settled: float = 0.0
    by_element: dict[int, ErrorLaw] = field(default_factory=dict)
    conformal: Conformal = field(default_factory=lambda: Conformal((None,) * len(LEVELS), 0))
    n_structures: int = 0

    def spread(self, raw: np.ndarray, numbers: np.ndarray | None = None) -> np.ndarray:
        """Calibrated spread of the same kind as the raw one: for forces the expected root mean square of |ΔF|.

        raw      (values,)  as the committee gives it
        numbers  (values,)  atomic numbers, where the law may depend on the element
        """
        return math.sqrt(self.components) * self.deviation(raw, numbers)

    def deviation(self, raw: np.ndarray, numbers: np.ndarray | None = None) -> np.ndarray:
        """(values,) standard deviation of the error of one component."""
        share = np.asarray(raw, dtype=np.float64) / math.sqrt(self.components)
        found = self.law.deviation(share)
        for z, law in self.by_element.items() if numbers is not None else ():
            found = np.where(numbers == z, law.deviation(share), found)
        return found

    def open(self, raw: np.ndarray) -> np.ndarray:
        """(values,) bool: spreads that are there and say something."""
        return np.isfinite(raw) & (np.asarray(raw) > self.settled)


@dataclass(frozen=True)
class Calibration:
    """Calibrations of energies per atom (eV/atom) and forces (eV/Å); None where labels or spreads were missing."""

    energy: QuantityCalibration | None = None
    forces: QuantityCalibration | None = None

    def as_dict(self) -> dict:
        """JSON."""
        return {quantity: _plain(one) for quantity in QUANTITIES if (one := getattr(self, quantity)) is not None}

    @classmethod
    def from_dict(cls, about: dict) -> Calibration:
        """The inverse of `as_dict`. Raises InvalidInput for anything else."""
        try:
            return cls(**{quantity: _restored(about[quantity]) for quantity in QUANTITIES if quantity in about})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"this is not a calibration: {error}", hint="Calibrate the model again.") from error


def calibrate(
    spread: np.ndarray,
    error: np.ndarray,
    structure: np.ndarray,
    numbers: np.ndarray | None = None,
) -> QuantityCalibration | None:
    """The calibration of one quantity; None for spreads and errors of fewer than FEWEST_STRUCTURES structures.

    spread     (values,)              over all components together: root of summed variances
    error      (values, components)   predicted − reference, in the same unit
    structure  (values,)              which structure a value is of: values of one structure are not independent
    numbers    (values,)              atomic numbers; elements with enough atoms get a law of their own

    Values that are not finite are left out.
    """
    spread, structure = np.asarray(spread, dtype=np.float64), np.asarray(structure)
    error = np.asarray(error, dtype=np.float64)
    error = error[:, None] if error.ndim == 1 else error
    there = np.isfinite(spread) & np.isfinite(error).all(1)
    settled = SETTLED * float(np.sqrt(np.square(spread[there]).mean())) if there.any() else 0.0
    there &= spread > settled
    numbers = np.zeros(len(spread), dtype=np.uint8) if numbers is None else np.asarray(numbers)
    spread, error, structure, numbers = spread[there], error[there], structure[there], numbers[there]
    n_structures, components = len(np.unique(structure)), error.shape[1]
    if n_structures < FEWEST_STRUCTURES or not error.any():
        return None
    share = spread / math.sqrt(components)
    law = fit_law(share, error, structure)
    by_element = {}
    for z in kinds.tolist() if len(kinds := np.unique(numbers)) > 1 else ():
        of = numbers == z
        if of.sum() >= FEWEST_ATOMS_OF_ELEMENT and len(np.unique(structure[of])) >= FEWEST_STRUCTURES:
            by_element[z] = _fitted(share[of], error[of], _Freedom(law.floor > 0, law.power != 1, law.tail is not None))
    found = QuantityCalibration(components, law, settled, by_element, n_structures=n_structures)
    factors = conformal(np.linalg.norm(error, axis=1) / found.spread(spread, numbers))
    return replace(found, conformal=factors)


def fit_law(spread: np.ndarray, error: np.ndarray, structure: np.ndarray) -> ErrorLaw:
    """The law that predicts unseen structures best, of those with or without a floor, a power and a tail.

    spread     (values,)             of one component
    error      (values, components)
    structure  (values,)
    """
    some = np.random.default_rng(0).permutation(len(spread))[:MOST_VALUES]
    spread, error, structure = spread[some], error[some], structure[some]
    _, place = np.unique(structure, return_inverse=True)
    few = len(spread) < FEWEST_FOR_TAIL
    fold = np.random.default_rng(0).permutation(place.max() + 1)[place] % (FOLDS_OF_FEW if few else FOLDS)
    tails = (False,) if few else (False, True)
    best, least = _Freedom(), math.inf
    for freedom in (_Freedom(*shape, tail) for shape in SHAPES for tail in tails):
        surprise = 0.0
        for out in range(fold.max() + 1):
            law = _fitted(spread[fold != out], error[fold != out], freedom)
            deviation = law.deviation(spread[fold == out])[:, None]
            surprise += law.surprise(deviation, error[fold == out]).sum()
        if surprise < least:
            best, least = freedom, surprise
    return _fitted(spread, error, best)


def conformal(scores: np.ndarray) -> Conformal:
    """Factors from errors in units of the calibrated spread: the ⌈(n + 1) level⌉-th smallest score at each level.

    scores  (values,)  ≥ 0
    """
    ordered, n = np.sort(np.asarray(scores, dtype=np.float64)), len(scores)
    # Rounded first: (n + 1) · 0.95 in binary can exceed the whole number that it is.
    ranks = [math.ceil(round((n + 1) * level, 9)) for level in LEVELS]
    return Conformal(tuple(float(ordered[k - 1]) if k <= n else None for k in ranks), n)


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


def _plain(one: QuantityCalibration) -> dict:
    about = asdict(one)
    about["by_element"] = {str(z): law for z, law in about["by_element"].items()}
    about["conformal"] = {"levels": list(LEVELS), "factors": list(one.conformal.factors), "n": one.conformal.n}
    return about


def _restored(about: dict) -> QuantityCalibration:
    conformal = about["conformal"]
    if tuple(conformal["levels"]) != LEVELS or len(conformal["factors"]) != len(LEVELS):
        raise ValueError(f"levels {conformal['levels']} instead of {list(LEVELS)}")
    if about["components"] not in (1, 3):
        raise ValueError(f"{about['components']} components instead of 1 or 3")
    return QuantityCalibration(
        int(about["components"]),
        _law(about["law"]),
        float(about["settled"]),
        {int(z): _law(law) for z, law in about["by_element"].items()},
        Conformal(tuple(None if f is None else float(f) for f in conformal["factors"]), int(conformal["n"])),
        int(about["n_structures"]),
    )


def _law(about: dict) -> ErrorLaw:
    tail = None if about["tail"] is None else float(about["tail"])
    law = ErrorLaw(**{name: float(about[name]) for name in ("scale", "floor", "power", "typical")}, tail=tail)
    positive = all(0 < value < math.inf for value in (law.scale, law.power, law.typical))
    if not (positive and 0 <= law.floor < math.inf and (tail is None or tail > 2)):
        raise ValueError(f"no law is {law}")
    return replace(law, n=int(about["n"]))
