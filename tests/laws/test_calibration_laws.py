"""What calibration must do whatever the data: find known laws, cover what it promises, ignore names and units."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from isoline.errors import InvalidInput
from isoline.statistics import calibration, reliability
from isoline.statistics.calibration import LEVELS, Calibration, calibrate, conformal
from isoline.statistics.error_law import RAW, ErrorLaw, fit_law


def drawn(law: ErrorLaw, structures: int, atoms: int, components: int = 3, seed: int = 0):
    """Spreads of one component, errors that follow the law, and the structure of every value."""
    random = np.random.default_rng(seed)
    spread = np.exp(random.normal(-3, 1, structures * atoms))
    shape = (len(spread), components)
    if law.tail is None:
        unit = random.normal(size=shape)
    else:
        unit = random.standard_t(law.tail, size=shape) * math.sqrt((law.tail - 2) / law.tail)
    return spread, law.deviation(spread)[:, None] * unit, np.repeat(np.arange(structures), atoms)


@pytest.mark.parametrize(
    "law",
    [
        ErrorLaw(3.0),
        ErrorLaw(3.0, 0.1),
        ErrorLaw(0.5, tail=4.0),
        ErrorLaw(2.0, 0.05, tail=5.0),
        ErrorLaw(2.0, power=0.6),
    ],
    ids=str,
)
def test_a_law_is_found_again_from_what_it_drew(law):
    found = fit_law(*drawn(law, 60, 80))
    # 14 400 values: scales and floors to about 1/√(2·14 400) ≈ 0.6 %, tripled for their correlation with the tail
    some = np.array([0.003, 0.03, 0.3])
    np.testing.assert_allclose(found.deviation(some), law.deviation(some), rtol=0.04)
    assert found.power == pytest.approx(law.power, abs=0.02)
    assert (found.tail or math.inf) == pytest.approx(law.tail, rel=0.25) if law.tail else (found.tail or 99) > 30


@pytest.mark.parametrize("law", [ErrorLaw(3.0, 0.1), ErrorLaw(2.0, tail=4.0)], ids=str)
def test_calibrated_deviations_are_honest_on_structures_not_seen(law):
    spread, error, structure = drawn(law, 60, 80)
    seen = structure < 30
    one = calibrate(math.sqrt(3) * spread[seen], error[seen], structure[seen])
    after = reliability.assess(one.law, one.deviation(math.sqrt(3) * spread[~seen]), error[~seen])
    before = reliability.assess(RAW, spread[~seen], error[~seen])
    assert after.miscalibration_area < 0.015 < 0.1 < before.miscalibration_area
    assert after.ence < 0.12  # of errors of 720 values a bin, heavy-tailed
    assert after.nll < before.nll
    # a few large spreads carry the mean of squares
    assert after.rmse == pytest.approx(after.sharpness, rel=0.15)


def test_twenty_values_are_not_explained_by_more_than_they_say():
    found = [fit_law(*drawn(ErrorLaw(4.0), 21, 1, components=1, seed=seed)) for seed in range(10)]
    scales = np.log([law.deviation(np.array([0.05]))[0] / 0.2 for law in found])
    # one number fitted to 21 values has a standard error of 1/√42 = 0.15 in its logarithm
    assert np.sqrt(np.mean(scales**2)) < 0.3


def test_units_change_the_unit_of_the_answer_and_nothing_else():
    spread, error, structure = drawn(ErrorLaw(3.0, 0.05, tail=6.0), 30, 40)
    one, other = calibrate(spread, error, structure), calibrate(1000 * spread, 1000 * error, structure)
    assert other.law.scale == pytest.approx(one.law.scale, rel=1e-3)
    assert other.law.floor == pytest.approx(1000 * one.law.floor, rel=1e-2)
    np.testing.assert_allclose(other.conformal.factors, one.conformal.factors, rtol=5e-3)


def test_neither_the_order_of_values_nor_the_signs_of_errors_matter():
    spread, error, structure = drawn(ErrorLaw(3.0), 20, 30)
    order = np.random.default_rng(5).permutation(len(spread))
    one, other = calibrate(spread, error, structure), calibrate(spread[order], -error[order], structure[order])
    assert other.law.scale == pytest.approx(one.law.scale, rel=1e-3)
    np.testing.assert_allclose(other.conformal.factors, one.conformal.factors, rtol=1e-3)


def test_a_rotated_structure_keeps_its_conformal_scores():
    spread, error, structure = drawn(ErrorLaw(3.0), 20, 30)
    turn = stats.special_ortho_group.rvs(3, random_state=0)
    one, other = calibrate(spread, error, structure), calibrate(spread, error @ turn.T, structure)
    # Gaussian components keep Σ ΔF² and with it the scale
    assert other.law.scale == pytest.approx(one.law.scale, rel=0.02)


@pytest.mark.parametrize("n", [19, 40, 99])
def test_conformal_factors_cover_at_least_their_level_and_hardly_more(n):
    random = np.random.default_rng(n)
    repeats = 4000
    covered = {level: [] for level in LEVELS}
    for _ in range(repeats):
        scores = random.lognormal(size=n + 1)  # no distribution is assumed
        found = conformal(scores[:n])
        for level in LEVELS:
            factor = found.factor(level)
            covered[level].append(factor is None or scores[n] <= factor)
    for level in LEVELS:
        # level ≤ coverage ≤ level + 1/(n + 1), or 1 where nothing can be promised; 4 standard errors
        noise = 4 * math.sqrt(level * (1 - level) / repeats)
        coverage = np.mean(covered[level])
        assert coverage >= level - noise
        assert coverage <= level + 1 / (n + 1) + noise or found.factor(level) is None


def test_too_few_values_promise_nothing():
    found = conformal(np.arange(18.0))
    assert found.factor(0.95) is None
    assert conformal(np.arange(19.0)).factor(0.95) == 18.0
    with pytest.raises(InvalidInput):
        found.factor(0.42)


def test_elements_have_factors_of_their_own_where_there_are_enough_atoms():
    spread, error, structure = drawn(ErrorLaw(1.0), 40, 50)
    numbers = np.where(np.arange(len(spread)) % 50 < 25, 1, 8)
    numbers[::400] = 92
    error *= np.where(numbers == 8, 5.0, 2.0)[:, None]
    one = calibrate(math.sqrt(3) * spread, error, structure, numbers)
    assert sorted(one.by_element) == [1, 8]
    assert one.by_element[8] / one.by_element[1] == pytest.approx(2.5, rel=0.05)
    calibrated = one.deviation(np.full(3, 0.1 * math.sqrt(3)), np.array([1, 8, 92]))
    assert calibrated[0] == pytest.approx(0.2, rel=0.05)
    assert calibrated[1] / calibrated[0] == pytest.approx(2.5, rel=0.1)
    assert calibrated[2] == one.deviation(np.array([0.1 * math.sqrt(3)]))[0]
    assert one.law.tail is None  # together the elements look heavy-tailed, each by itself does not


def test_forces_that_symmetry_fixes_are_left_out():
    spread, error, structure = drawn(ErrorLaw(3.0), 40, 50)
    fixed = np.arange(len(spread)) % 2 == 0
    one = calibrate(spread[~fixed], error[~fixed], structure[~fixed])
    other = calibrate(np.where(fixed, 1e-7, spread), np.where(fixed[:, None], 0.0, error), structure)
    assert other.law == one.law
    assert not other.open(np.array([1e-7, np.nan])).any()
    assert other.open(spread).all()


def test_what_is_missing_is_left_out_and_too_little_gives_no_calibration():
    spread, error, structure = drawn(ErrorLaw(3.0), 20, 30)
    lost = np.arange(len(spread)) % 3 == 0
    one = calibrate(spread[~lost], error[~lost], structure[~lost])
    other = calibrate(np.where(lost, np.nan, spread), error, structure)
    assert other == one
    assert calibrate(np.full(30, np.nan), error[:30], structure[:30]) is None
    assert calibrate(spread[structure < 4], error[structure < 4], structure[structure < 4]) is None
    assert calibrate(np.empty(0), np.empty((0, 3)), np.empty(0)) is None
    assert calibrate(spread, np.zeros_like(error), structure) is None


def test_a_calibration_survives_json_and_refuses_nonsense():
    spread, error, structure = drawn(ErrorLaw(3.0, 0.02, tail=5.0), 40, 50)
    numbers = np.where(np.arange(len(spread)) % 2, 1, 8)
    whole = Calibration(
        calibrate(spread[:20], error[:20, :1], np.arange(20)), calibrate(spread, error, structure, numbers)
    )
    assert Calibration.from_dict(json.loads(json.dumps(whole.as_dict(), allow_nan=False))) == whole
    assert Calibration.from_dict({}) == Calibration()
    for nonsense in (
        {"energy": {}},
        {"energy": 3},
        {"forces": whole.as_dict()["forces"] | {"law": whole.as_dict()["forces"]["law"] | {"scale": -1}}},
        {"forces": whole.as_dict()["forces"] | {"components": 2}},
        {"forces": whole.as_dict()["forces"] | {"conformal": {"levels": [0.5], "factors": [1.0], "n": 3}}},
    ):
        with pytest.raises(InvalidInput):
            Calibration.from_dict(nonsense)


def test_shares_and_reaches_are_inverse_for_every_tail():
    for law in (RAW, ErrorLaw(tail=3.0), ErrorLaw(tail=50.0)):
        for level in LEVELS:
            assert law.share(np.array([law.reach(level)]))[0] == pytest.approx(level, abs=1e-9)
    assert RAW.reach(0.95) == pytest.approx(1.959964, abs=1e-6)


def test_a_density_sums_to_one_and_a_light_tail_is_a_gaussian():
    grid = np.linspace(-400, 400, 800_001)
    for law in (RAW, ErrorLaw(tail=3.5)):
        density = np.exp(-law.surprise(np.array(2.0), grid))
        assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-5)
    assert ErrorLaw(tail=1e6).surprise(np.array(2.0), grid[::1000]) == pytest.approx(
        RAW.surprise(np.array(2.0), grid[::1000]), rel=0.05
    )


def test_one_wild_structure_does_not_decide_for_fifty():
    random = np.random.default_rng(3)
    spread = np.exp(random.normal(-7, 0.3, 50))
    error = 3 * spread * random.normal(size=50)
    spread[7], error[7] = 0.6, 8.0
    one = calibrate(spread, error, np.arange(50))
    assert one.open(spread).all()
    typical = np.array([math.exp(-7)])
    assert one.deviation(typical)[0] / typical[0] == pytest.approx(3.0, rel=0.35)
    wild = error.copy()
    wild[7] = 80.0
    again = calibrate(spread, wild, np.arange(50))
    # a Gaussian would make it twelve times as large
    assert again.deviation(typical)[0] / typical[0] < 6


def test_levels_ascend():
    assert list(calibration.LEVELS) == sorted(calibration.LEVELS)
