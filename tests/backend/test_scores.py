"""Scores, limits and polygons: known numbers and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isoline.errors import InvalidInput
from isoline.statistics import ranges
from isoline.statistics.polygon import inside
from isoline.statistics.scores import rank_correlation, score, score_groups, summarise

finite = st.integers(-(10**9), 10**9).map(lambda i: i / 1000)
columns = st.integers(1, 40).flatmap(
    lambda n: st.tuples(arrays(float, n, elements=finite), arrays(float, n, elements=finite))
)


def test_four_pairs_give_the_figures_worked_out_by_hand():
    found = score(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 6.0]))
    assert (found.n, found.mae, found.rmse) == (4, 0.5, 1.0)
    assert found.r2 == pytest.approx(1 - 4 / 5)


def test_missing_labels_are_not_counted_as_zero():
    reference = np.array([1.0, np.nan, 3.0])
    predicted = np.array([1.5, 100.0, np.nan])
    assert score(reference, predicted) == score(reference[:1], predicted[:1])
    assert score(reference, predicted).n == 1


def test_nothing_to_compare_gives_no_figures():
    nothing = score(np.full(3, np.nan), np.zeros(3))
    assert (nothing.n, nothing.mae, nothing.rmse, nothing.r2) == (0, None, None, None)


def test_equal_references_have_no_r2():
    assert score(np.full(5, -7891.1), np.arange(5.0)).r2 is None
    assert score(np.full(100_001, 0.1), np.zeros(100_001)).r2 is None


def test_r2_survives_energies_of_all_electron_codes():
    offset = np.linspace(0, 1e-3, 101)
    # ulp(8e3) ≈ 9e-13 against deviations of 3e-4: a relative error below 1e-8
    assert score(-7891.0 + offset, -7891.0 + 1.1 * offset).r2 == pytest.approx(score(offset, 1.1 * offset).r2, abs=1e-7)


@given(columns, st.data())
def test_the_groups_together_are_the_whole(pair, data):
    reference, predicted = pair
    codes = data.draw(arrays(int, len(reference), elements=st.integers(0, 3)))
    groups = score_groups(reference, predicted, codes, 4)
    whole = score(reference, predicted)
    assert sum(g.n for g in groups) == whole.n
    assert sum(g.n * g.mae for g in groups if g.n) == pytest.approx(whole.n * whole.mae, rel=1e-9, abs=1e-9)
    assert sum(g.n * g.rmse**2 for g in groups if g.n) == pytest.approx(whole.n * whole.rmse**2, rel=1e-9, abs=1e-9)
    for g, found in enumerate(groups):
        assert found == score(reference[codes == g], predicted[codes == g])


@given(columns)
def test_mae_never_exceeds_rmse(pair):
    found = score(*pair)
    assert found.mae <= found.rmse * (1 + 1e-12)


def test_vectors_count_by_component_and_rows_outside_every_group_not_at_all():
    reference = np.zeros((3, 3), dtype=np.float32)
    predicted = np.array([[1, 1, 1], [2, 2, 2], [9, 9, 9]], dtype=np.float32)
    first, second = score_groups(reference, predicted, np.array([0, 1, -1]), 2)
    assert (first.n, first.rmse, second.n, second.rmse) == (3, 1.0, 3, 2.0)


def test_many_passes_give_what_one_gives(monkeypatch):
    random = np.random.default_rng(0)
    reference, predicted = random.normal(size=(2, 1000, 3))
    codes = random.integers(0, 5, 1000)
    once = score_groups(reference, predicted, codes, 5)
    monkeypatch.setattr("isoline.statistics.scores.ROWS_PER_PASS", 7)
    for a, b in zip(once, score_groups(reference, predicted, codes, 5), strict=True):
        assert (a.n, a.mae, a.rmse, a.r2) == pytest.approx((b.n, b.mae, b.rmse, b.r2), rel=1e-12)


def test_unequal_shapes_are_refused():
    with pytest.raises(InvalidInput):
        score(np.zeros(3), np.zeros(2))
    with pytest.raises(InvalidInput):
        score_groups(np.zeros(3), np.zeros(3), np.zeros(2), 1)


def test_a_summary_names_every_figure_and_keeps_missing_ones_none():
    found = summarise(
        (np.ones(2), np.zeros(2)), (np.zeros((4, 3)), np.ones((4, 3))), (np.full((2, 6), np.nan), np.zeros((2, 6)))
    )
    assert found["energy_mae"] == 1.0
    assert found["force_n"] == 12
    assert found["stress_n"] == 0
    assert found["stress_rmse"] is None
    assert set(found) == {f"{q}_{f}" for q in ("energy", "force", "stress") for f in ("n", "mae", "rmse", "r2")}


def test_rank_correlation_knows_order_only():
    x = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1.0)
    assert rank_correlation(x, -(x**3)) == pytest.approx(-1.0)
    assert rank_correlation(x, np.ones(5)) is None
    # Ties share the mean rank: 1, 2.5, 2.5, 4 against 1, 2, 3, 4 gives 4.5/√22.5.
    assert rank_correlation(np.array([1.0, 2, 2, 3]), np.array([1.0, 2, 3, 4])) == pytest.approx(4.5 / np.sqrt(22.5))


def even_odd(x: float, y: float, polygon: np.ndarray) -> bool:
    """The rule as a sentence, one point and one edge at a time."""
    odd = False
    for (xi, yi), (xj, yj) in zip(polygon, np.roll(polygon, 1, axis=0), strict=True):
        if (yi > y) != (yj > y) and x < (xj - xi) * (y - yi) / (yj - yi) + xi:
            odd = not odd
    return odd


small = st.integers(-8, 8).map(lambda i: i / 2)
points = st.lists(st.tuples(small, small), min_size=1, max_size=30).map(np.array)
polygons = st.lists(st.tuples(small, small), min_size=3, max_size=12).map(np.array)


@settings(max_examples=300)
@given(points, polygons)
def test_inside_is_the_even_odd_rule_also_on_edges_and_corners(points, polygon):
    assert inside(points, polygon).tolist() == [even_odd(x, y, polygon) for x, y in points]


@given(points, st.floats(-4, 4))
def test_two_halves_share_no_point_and_lose_none(points, cut):
    left = np.array([(-9, -9), (cut, -9), (cut, 9), (-9, 9)])
    right = np.array([(cut, -9), (9, -9), (9, 9), (cut, 9)])
    assert (inside(points, left) ^ inside(points, right)).all()


def test_a_point_without_a_place_is_outside():
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    assert inside(np.array([(0, 0), (np.nan, 0), (0, np.inf)]), square).tolist() == [True, False, False]


def test_a_million_points_in_a_long_lasso_take_a_second():
    from time import perf_counter

    random = np.random.default_rng(1)
    angle = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    lasso = (1 + 0.2 * np.sin(9 * angle))[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    cloud = random.normal(size=(1_000_000, 2)).astype(np.float32)
    start = perf_counter()
    found = inside(cloud, lasso)
    assert perf_counter() - start < 3  # 0.4 s when alone on the machine
    radius, phi = np.hypot(*cloud.T), np.arctan2(cloud[:, 1], cloud[:, 0])
    clear = np.abs(radius - (1 + 0.2 * np.sin(9 * phi))) > 1e-3  # a chord of the polygon bends in by less
    assert (found == (radius < 1 + 0.2 * np.sin(9 * phi)))[clear].all()


def test_outliers_do_not_stretch_the_ramp_and_missing_values_have_their_own_code():
    values = np.concatenate([np.linspace(0, 1, 999), [1e7, np.nan]])
    low, high = ranges.limits(values)
    assert 0 <= low < 0.01
    assert 0.99 < high < 1.01
    codes = ranges.quantise(values, low, high)
    assert codes[0] == 0
    assert codes[-2] == 254
    assert codes[-1] == 255
    assert (np.diff(codes[:999].astype(int)) >= 0).all()


def test_signed_quantities_are_centred_on_zero():
    low, high = ranges.limits(np.linspace(-1, 3, 1000), centred=True)
    assert low == -high
    assert ranges.quantise(np.array([0.0]), low, high)[0] == 127


def test_a_constant_takes_the_middle_and_nothing_has_no_limits():
    assert ranges.quantise(np.array([2.0, np.nan]), 2.0, 2.0).tolist() == [127, 255]
    assert ranges.limits(np.array([np.nan])) is None


@given(arrays(float, st.integers(0, 60), elements=st.floats(-1e300, 1e300) | st.just(np.nan)), st.integers(1, 40))
def test_every_value_that_is_there_falls_into_one_bin(values, bins):
    there = values[np.isfinite(values)]
    low, high = ranges.limits(values) or (0.0, 1.0)
    counts = ranges.count(values, ranges.edges(low, high, bins))
    assert len(counts) == bins
    assert counts.sum() == len(there)
