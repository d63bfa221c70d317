"""Spreads that mean what they say: how far members disagree, turned into how far their mean is wrong.

The law of `isoline.statistics.error_law` is fitted on structures kept from training.

Conformal factors (Angelopoulos and Bates, arXiv:2107.07511, 2021, section 2) need no distribution: in at least a
share `level` of new cases the error is below factor · calibrated spread, as long as new cases are drawn like those of
the calibration set. The atoms of a structure are not drawn one by one: for forces the guarantee is about atoms of
structures like these, on average.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from scipy import optimize

from ..errors import InvalidInput
from .error_law import ErrorLaw, fit_law

LEVELS = (0.5, 0.68, 0.8, 0.9, 0.95, 0.99)
QUANTITIES = ("energy", "forces")

# Fewer values or structures do not tell one number from another.
FEWEST_STRUCTURES = 5
FEWEST_ATOMS_OF_ELEMENT = 200

# Of a large spread: what lies below is no doubt but rounding. Forces that symmetry makes zero are exactly right
# under every member; counting them would make any committee look too cautious.
SETTLED = 1e-3

ROUNDS = 2  # of fitting the law and the factors of elements in turn


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
    law           of one component
    settled       raw spreads up to this are of values that symmetry fixes: left out of the fit and of every figure
    by_element    atomic number → what multiplies its raw spreads before the law, for elements with enough atoms; the
                  others take 1
    conformal     for the length of the error over all components, in units of the calibrated spread
    n_structures  in the calibration set
    """

    components: int
    law: ErrorLaw
    settled: float = 0.0
    by_element: dict[int, float] = field(default_factory=dict)
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
        return self.law.deviation(share if numbers is None else share * _factors(self.by_element, numbers))

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
    # The ninth decile: neither one wild structure nor many perfect crystals move it. Energies no symmetry fixes.
    settled = SETTLED * float(np.quantile(spread[there], 0.9)) if there.any() and error.shape[1] > 1 else 0.0
    there &= spread > settled
    numbers = np.zeros(len(spread), dtype=np.uint8) if numbers is None else np.asarray(numbers)
    spread, error, structure, numbers = spread[there], error[there], structure[there], numbers[there]
    n_structures, components = len(np.unique(structure)), error.shape[1]
    if n_structures < FEWEST_STRUCTURES or not error.any():
        return None
    share = spread / math.sqrt(components)
    by_element = {
        z: 1.0
        for z in np.unique(numbers).tolist()
        if (numbers == z).sum() >= FEWEST_ATOMS_OF_ELEMENT
        and len(np.unique(structure[numbers == z])) >= FEWEST_STRUCTURES
    }
    law = fit_law(share, error, structure)
    # One element is what the law is fitted to already.
    for _ in range(ROUNDS if len(by_element) > 1 else 0):
        by_element = {z: _factor(law, share[numbers == z], error[numbers == z]) for z in by_element}
        law = fit_law(share * _factors(by_element, numbers), error, structure)
    by_element = by_element if len(by_element) > 1 else {}
    found = QuantityCalibration(components, law, settled, by_element, n_structures=n_structures)
    factors = conformal(np.linalg.norm(error, axis=1) / found.spread(spread, numbers))
    return replace(found, conformal=factors)


def conformal(scores: np.ndarray) -> Conformal:
    """Factors from errors in units of the calibrated spread: the ⌈(n + 1) level⌉-th smallest score at each level.

    scores  (values,)  ≥ 0
    """
    ordered, n = np.sort(np.asarray(scores, dtype=np.float64)), len(scores)
    # Rounded first: (n + 1) · 0.95 in binary can exceed the whole number that it is.
    ranks = [math.ceil(round((n + 1) * level, 9)) for level in LEVELS]
    return Conformal(tuple(float(ordered[k - 1]) if k <= n else None for k in ranks), n)


def _factor(law: ErrorLaw, spread: np.ndarray, error: np.ndarray) -> float:
    """What multiplies the spreads of an element so that the law fits them best."""

    def surprise(logarithm: float) -> float:
        return float(law.surprise(law.deviation(math.exp(logarithm) * spread)[:, None], error).mean())

    return math.exp(optimize.minimize_scalar(surprise, bounds=(-3, 3), method="bounded").x)


def _factors(by_element: dict[int, float], numbers: np.ndarray) -> np.ndarray:
    """(values,) the factor of each value's element."""
    factor = np.ones(256)
    factor[list(by_element)] = list(by_element.values())
    return factor[numbers]


def _plain(one: QuantityCalibration) -> dict:
    about = asdict(one)
    about["by_element"] = {str(z): factor for z, factor in one.by_element.items()}
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
        {int(z): float(factor) for z, factor in about["by_element"].items()},
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
