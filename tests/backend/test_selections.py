"""Rules of selections: what each means, their algebra, and how they are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from population import embed, evaluate, populate

from isoline.domain.actor import OWNER, Actor
from isoline.errors import InvalidInput, NotAllowed, NotFound
from isoline.services import atlas, library, review, rules

N = 60
SQUARE = [[-1, -1], [1, -1], [1, 1], [-1, 1]]


@pytest.fixture
def mapped(bench_sqlite):
    """A version with a map, an evaluation and marks: (bench, version id, map id, evaluation id, population)."""
    population = populate(bench_sqlite, N)
    xy = np.random.default_rng(3).normal(size=(N, 2)).astype("<f4")
    xy[7] = np.nan
    map_id = embed(bench_sqlite, population.version, xy)
    evaluation = evaluate(bench_sqlite, population, unpredicted=(5,))
    review.decide(bench_sqlite, OWNER, population.version.id, [1, 2, 3], "accepted")
    review.tag(bench_sqlite, OWNER, population.version.id, [3, 4], "odd")
    return bench_sqlite, population.version.id, map_id, evaluation, population


def rows(mapped, rule: dict) -> set[int]:
    return set(np.flatnonzero(rules.satisfying(mapped[0], mapped[1], rule)).tolist())


def test_each_rule_finds_what_it_says(mapped):
    bench, version_id, map_id, evaluation, population = mapped
    frames, xy = population.frames, atlas.points(mapped[0], map_id)
    in_square = {i for i in range(N) if np.abs(xy[i]).max() < 1}
    assert rows(mapped, {"all": True}) == set(range(N))
    assert rows(mapped, {"positions": [5, 3, 3]}) == {3, 5}
    assert rows(mapped, {"polygon": SQUARE, "map": map_id}) == in_square
    assert rows(mapped, {"box": [1, -1, -1, 1], "map": map_id}) == in_square
    assert rows(mapped, {"decision": "accepted"}) == {1, 2, 3}
    assert rows(mapped, {"decision": ""}) == set(range(N)) - {1, 2, 3}
    assert rows(mapped, {"tag": "odd"}) == {3, 4}
    assert rows(mapped, {"tag": "unheard of"}) == set()
    assert rows(mapped, {"category": {"channel": "group", "value": "bulk"}}) == {i for i in range(N) if i % 4 == 1}
    assert rows(mapped, {"category": {"channel": "group", "value": ""}}) == {i for i in range(N) if i % 4 == 0}
    assert rows(mapped, {"category": {"channel": "group", "value": "never"}}) == set()
    assert rows(mapped, {"range": {"channel": "n_atoms", "low": 2, "high": 3}}) == {
        i for i in range(N) if len(frames[i]) in (2, 3)
    }
    assert 5 not in rows(mapped, {"range": {"channel": "energy_spread", "low": 0, "evaluation": evaluation}})
    kept = atlas.select(bench, OWNER, version_id, {"positions": [8, 9]})
    assert rows(mapped, {"selection": kept.id}) == {8, 9}


def test_a_range_never_holds_what_is_missing_and_neither_end_is_needed(mapped):
    frames = mapped[4].frames
    labelled = {i for i in range(N) if frames[i].label.energy is not None}
    assert rows(mapped, {"range": {"channel": "energy_per_atom"}}) == labelled
    below = rows(mapped, {"range": {"channel": "energy_per_atom", "high": -5.0}})
    above = rows(mapped, {"range": {"channel": "energy_per_atom", "low": -5.0}})
    assert below | above == labelled
    assert not below & above


def test_a_structure_without_a_place_on_the_map_is_in_no_lasso(mapped):
    everywhere = [[-99, -99], [99, -99], [99, 99], [-99, 99]]
    assert rows(mapped, {"polygon": everywhere, "map": mapped[2]}) == set(range(N)) - {7}


leaves = st.one_of(
    st.builds(lambda found: {"positions": found}, st.lists(st.integers(0, N - 1), max_size=20)),
    st.builds(lambda low: {"range": {"channel": "n_atoms", "low": low}}, st.integers(0, 7)),
    st.builds(lambda name: {"category": {"channel": "split", "value": name}}, st.sampled_from(["train", "test", ""])),
    st.sampled_from([{"all": True}, {"decision": "accepted"}, {"tag": "odd"}]),
)
trees = st.recursive(
    leaves,
    lambda parts: st.one_of(
        st.builds(lambda one: {"not": one}, parts),
        st.builds(lambda some: {"and": some}, st.lists(parts, min_size=1, max_size=3)),
        st.builds(lambda some: {"or": some}, st.lists(parts, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)
once = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@once
@given(trees, trees)
def test_and_or_not_are_those_of_sets(mapped, a, b):
    first, second, everything = rows(mapped, a), rows(mapped, b), set(range(N))
    assert rows(mapped, {"and": [a, b]}) == first & second
    assert rows(mapped, {"or": [a, b]}) == first | second
    assert rows(mapped, {"not": a}) == everything - first
    assert rows(mapped, {"not": {"and": [a, b]}}) == rows(mapped, {"or": [{"not": a}, {"not": b}]})


def test_a_selection_comes_back_as_it_was_kept(bench):
    version = populate(bench, 30).version
    rule = {"range": {"channel": "n_atoms", "low": 3}}
    made = atlas.select(bench, OWNER, version.id, rule)
    found = atlas.selection(bench, made.id)
    assert (found.id, found.version, found.n, found.rule) == (made.id, version.id, made.n, rule)
    assert found.positions.dtype == np.uint32
    np.testing.assert_array_equal(found.positions, np.flatnonzero(library.columns(bench, version.id).n_atoms >= 3))
    np.testing.assert_array_equal(np.flatnonzero(atlas.mask(bench, made.id)), found.positions)
    assert atlas.select(bench, Actor("sheila", "owner"), version.id, rule).id == made.id


def test_a_selection_stays_what_it_was_when_marks_change(bench):
    version = populate(bench, 10).version
    review.decide(bench, OWNER, version.id, [1, 2], "accepted")
    before = atlas.select(bench, OWNER, version.id, {"decision": "accepted"})
    review.decide(bench, OWNER, version.id, [2], "rejected")
    after = atlas.select(bench, OWNER, version.id, {"decision": "accepted"})
    assert atlas.positions(bench, before.id, version.id).tolist() == [1, 2]
    assert atlas.positions(bench, after.id, version.id).tolist() == [1]


def test_a_selection_of_other_members_is_refused(bench_sqlite):
    version = populate(bench_sqlite, 20).version
    chosen = atlas.select(bench_sqlite, OWNER, version.id, {"all": True})
    half = library.freeze(bench_sqlite, OWNER, version.id, np.arange(10))
    twin = library.freeze(bench_sqlite, OWNER, version.id, np.arange(20), dataset="twin")
    with pytest.raises(InvalidInput, match="zoo"):
        atlas.table(bench_sqlite, half.id, selection=chosen.id)
    assert atlas.table(bench_sqlite, twin.id, selection=chosen.id).total == 20


def deep(levels: int) -> dict:
    rule: dict = {"all": True}
    for _ in range(levels):
        rule = {"not": rule}
    return rule


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"all": False},
        {"everything": True},
        {"all": True, "decision": "accepted"},
        {"all": True, "sql": "drop"},
        "all",
        None,
        [{"all": True}],
        {"and": []},
        {"or": {"all": True}},
        {"and": [{"all": True}] * 201},
        deep(20),
        {"not": [{"all": True}]},
        {"positions": [N]},
        {"positions": [-1]},
        {"positions": [1.5]},
        {"positions": [True]},
        {"positions": "5"},
        {"positions": [[1], [2, 3]]},
        {"polygon": SQUARE},
        {"polygon": SQUARE, "map": "1"},
        {"polygon": SQUARE[:2], "map": 1},
        {"polygon": [[0, 0], [1, "x"], [1, 1]], "map": 1},
        {"polygon": [[0, 0], [1, float("nan")], [1, 1]], "map": 1},
        {"polygon": [[0, 0], [1], [1, 1]], "map": 1},
        {"polygon": [[0, i] for i in range(10_001)], "map": 1},
        {"box": [0, 1, 2], "map": 1},
        {"box": [0, 1, 2, None], "map": 1},
        {"range": {"channel": "colour"}},
        {"range": {"channel": "group"}},
        {"range": {"channel": "energy_error"}},
        {"range": {"channel": "n_atoms", "low": "3"}},
        {"range": {"channel": "n_atoms", "over": 3}},
        {"range": 5},
        {"category": {"channel": "n_atoms", "value": 3}},
        {"decision": "maybe"},
        {"parity": {"evaluation": True, "quantity": "energy", "polygon": SQUARE}},
        {"parity": {"evaluation": 2, "quantity": "charge", "polygon": SQUARE}},
    ],
    ids=lambda rule: str(rule)[:60],
)
def test_what_is_no_rule_is_refused_and_nothing_kept(mapped, rule):
    with pytest.raises(InvalidInput):
        atlas.select(mapped[0], OWNER, mapped[1], rule)


def test_what_a_rule_refers_to_must_be_there(mapped):
    bench, version_id = mapped[:2]
    for rule in (
        {"polygon": SQUARE, "map": 99},
        {"range": {"channel": "energy_error", "evaluation": 99}},
        {"parity": {"evaluation": 99, "quantity": "energy", "polygon": SQUARE}},
        {"selection": "0" * 32},
    ):
        with pytest.raises(NotFound):
            atlas.select(bench, OWNER, version_id, rule)
    with pytest.raises(NotFound):
        atlas.positions(bench, "0" * 32, version_id)
    with pytest.raises(NotAllowed):
        atlas.select(bench, Actor("guest", "stranger"), version_id, {"all": True})
