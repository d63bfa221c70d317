"""Figures of calibration against numbers worked out by hand or by another library."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from isoline.statistics import reliability
from isoline.statistics.error_law import RAW, ErrorLaw


def test_the_area_of_one_value_is_that_of_two_triangles():
    # the observed coverage steps from 0 to 1 at u: the areas are u²/2 and (1 − u)²/2
    for u in (0.0, 0.3, 1.0):
        assert reliability.miscalibration_area(np.array([u])) == pytest.approx((u**2 + (1 - u) ** 2) / 2)


def test_the_area_is_the_integral_of_the_curve():
    shares = np.random.default_rng(0).beta(2, 1, 200)
    levels = np.linspace(0, 1, 200_001)
    observed = reliability.observed_coverage(shares, levels)
    numerical = np.trapezoid(np.abs(observed - levels), levels)
    assert reliability.miscalibration_area(shares) == pytest.approx(numerical, abs=1e-5)


def test_certainty_without_right_is_the_worst_area():
    assert reliability.miscalibration_area(np.ones(1000)) == 0.5
    assert reliability.miscalibration_area(np.zeros(1000)) == 0.5


@pytest.mark.parametrize("factor", [0.5, 2.0, 5.0])
def test_the_area_of_deviations_wrong_by_a_factor(factor):
    # Gaussian errors, deviations too small by `factor`: ∫ |2Φ(q/f) − 2Φ(q)| = 2 |arctan f − π/4| / π
    error = np.random.default_rng(1).normal(size=(400_000, 1))
    found = reliability.assess(RAW, np.full(len(error), 1 / factor), error)
    assert found.miscalibration_area == pytest.approx(2 / math.pi * abs(math.atan(factor) - math.pi / 4), abs=3e-3)
    assert np.sign(found.excess_coverage) == np.sign(1 - factor)


@pytest.mark.parametrize("n", [25, 400])
def test_honest_deviations_have_the_area_of_chance(n):
    random = np.random.default_rng(2)
    areas = [reliability.miscalibration_area(random.uniform(size=n)) for _ in range(2000)]
    assert np.mean(areas) == pytest.approx(reliability.area_by_chance(n), rel=0.05)


def test_ence_is_the_mean_relative_gap_of_bins():
    deviation = np.repeat([1.0, 2.0], 50)
    error = np.repeat([1.5, 2.0], 50)  # 50 % too small in the first bin, right in the second
    assert reliability.ence(deviation, error, bins=2) == pytest.approx(0.25)
    assert reliability.ence(deviation[:8], error[:8]) is None


def test_bins_hold_every_value_once_in_order():
    random = np.random.default_rng(3)
    deviation, error = random.lognormal(size=1003), random.normal(size=(1003, 3))
    for bins in (reliability.by_deviation(deviation, error), reliability.by_error(deviation, error)):
        assert sum(one.n for one in bins) == 1003
        assert all(a.high <= b.low for a, b in pairwise(bins))
        assert np.sqrt(sum(one.n * one.rmse**2 for one in bins) / 1003) == pytest.approx(np.sqrt((error**2).mean()))


def test_the_interval_holds_ninety_in_a_hundred():
    law = ErrorLaw(tail=4.0)
    error = np.random.default_rng(4).standard_t(4.0, size=(50_000, 1)) / math.sqrt(2)
    bins = reliability.by_deviation(np.ones(50_000), error, law=law)
    assert [one.inside for one in bins] == pytest.approx([0.9] * 10, abs=0.02)


def test_auroc_is_that_of_scikit_learn_and_halves_ties():
    random = np.random.default_rng(5)
    inside, outside = random.integers(0, 9, 40).astype(float), random.integers(3, 12, 17).astype(float)
    labels = np.repeat([0, 1], [40, 17])
    assert reliability.auroc(inside, outside) == pytest.approx(roc_auc_score(labels, np.concatenate([inside, outside])))
    assert reliability.auroc(np.ones(3), np.ones(4)) == 0.5
    assert reliability.auroc(np.array([1.0, np.nan]), np.array([2.0])) == 1.0
    assert reliability.auroc(np.ones(3), np.empty(0)) is None


def test_what_says_nothing_is_left_out():
    deviation = np.array([1.0, 0.0, np.nan, 2.0])
    found = reliability.assess(RAW, deviation, np.array([[1.0], [1.0], [1.0], [np.nan]]))
    assert found.n == 1
    assert found.nll == pytest.approx(0.5 * (1 + math.log(2 * math.pi)))
    assert reliability.assess(RAW, deviation[1:3], np.zeros((2, 3))) == reliability.Reliability(0)
