"""Maps, channels, histograms and the table: aligned with the members, honest about what is missing, fast."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from time import perf_counter

import numpy as np
import pytest
from population import SOURCE, embed, evaluate, frame, populate

from isoline.domain.actor import OWNER
from isoline.domain.structure import Frame, Label, Structure
from isoline.errors import InvalidInput, NotFound
from isoline.services import atlas, library, predictions, review


def test_a_map_is_listed_for_its_version_and_as_stale_for_later_ones(bench):
    first = populate(bench, 20)
    xy = np.random.default_rng(0).normal(size=(20, 2)).astype("<f4")
    made = embed(bench, first.version, xy)
    (card,) = atlas.maps(bench, first.version.id)
    assert (card.id, card.method, card.descriptor, card.n, card.stale) == (made, "pca", "soap", 20, False)
    np.testing.assert_array_equal(atlas.points(bench, made), xy)

    grown = populate(bench, 5)
    (card,) = atlas.maps(bench, grown.version.id)
    assert (card.id, card.n, card.stale) == (made, 20, True)
    carried = atlas.points(bench, made, grown.version.id)
    np.testing.assert_array_equal(carried[:20], xy)
    assert np.isnan(carried[20:]).all()

    part = library.freeze(bench, OWNER, first.version.id, np.array([3, 11, 7]), dataset="part")
    np.testing.assert_array_equal(atlas.points(bench, made, part.id), xy[[3, 7, 11]])
    assert [card.n for card in atlas.maps(bench, part.id)] == [3]

    twin = library.freeze(bench, OWNER, first.version.id, np.arange(20), dataset="twin")
    assert [card.stale for card in atlas.maps(bench, twin.id)] == [False]


def test_a_map_with_nothing_in_common_is_neither_listed_nor_drawn(bench_sqlite):
    first, other = populate(bench_sqlite, 6), populate(bench_sqlite, 6, "other", seed=9)
    made = embed(bench_sqlite, first.version, np.zeros((6, 2), "<f4"))
    assert atlas.maps(bench_sqlite, other.version.id) == []
    with pytest.raises(InvalidInput):
        atlas.points(bench_sqlite, made, other.version.id)
    with pytest.raises(NotFound):
        atlas.points(bench_sqlite, 99)
    with pytest.raises(NotFound):
        atlas.maps(bench_sqlite, 99)


def test_numbers_of_channels_are_those_of_the_frames(bench):
    population = populate(bench)
    frames, version_id = population.frames, population.version.id
    evaluation = evaluate(bench, population)
    nan = float("nan")
    wanted = {
        "energy_per_atom": [nan if f.label.energy is None else f.label.energy / len(f) for f in frames],
        "max_force": [nan if f.label.forces is None else np.linalg.norm(f.label.forces, axis=1).max() for f in frames],
        "n_atoms": [len(f) for f in frames],
        "volume_per_atom": [f.structure.volume / len(f) if f.structure.volume else nan for f in frames],
        "energy_error": [
            nan if f.label.energy is None else (e - f.label.energy) / len(f)
            for f, e in zip(frames, predictions.column(bench, evaluation, "energy"), strict=True)
        ],
        "force_error": predictions.column(bench, evaluation, "force_rmse"),
        "energy_spread": predictions.column(bench, evaluation, "energy_spread"),
        "force_spread": predictions.column(bench, evaluation, "force_spread"),
    }
    for name, numbers in wanted.items():
        np.testing.assert_allclose(atlas.values(bench, version_id, name, evaluation), numbers, rtol=1e-12, err_msg=name)
        shown = atlas.channel(bench, version_id, name, evaluation)
        missing = np.isnan(numbers)
        np.testing.assert_array_equal(shown.codes == 255, missing)
        assert shown.n_missing == missing.sum()
        assert shown.histogram.sum() == (~missing).sum()
        assert (shown.codes.dtype, len(shown.histogram)) == (np.uint8, 32)


def test_signed_errors_diverge_from_zero_and_others_do_not(bench_sqlite):
    population = populate(bench_sqlite)
    evaluation = evaluate(bench_sqlite, population)
    error = atlas.channel(bench_sqlite, population.version.id, "energy_error", evaluation)
    assert (error.kind, error.unit, error.low) == ("diverging", "eV/atom", -error.high)
    assert error.clipped
    force = atlas.channel(bench_sqlite, population.version.id, "max_force")
    assert (force.kind, force.unit) == ("sequential", "eV/Å")
    assert 0 < force.low < force.high


def test_categories_have_fixed_or_frequent_first_colours_and_the_unnamed_none(bench):
    population = populate(bench, 50)
    version_id = population.version.id
    group = atlas.channel(bench, version_id, "group")
    assert group.labels == ("bulk", "cluster", "surface")
    assert group.histogram.tolist() == [13, 12, 12]
    assert group.n_missing == 13
    assert (group.codes == 255).sum() == 13
    split = atlas.channel(bench, version_id, "split")
    assert split.labels == ("train", "validation", "test")
    review.decide(bench, OWNER, version_id, [4], "rejected")
    decision = atlas.channel(bench, version_id, "decision")
    assert decision.labels == ("accepted", "rejected")
    assert decision.histogram.tolist() == [0, 1]
    assert decision.codes[4] == 1
    assert decision.n_missing == 49
    review.tag(bench, OWNER, version_id, [1, 2], "odd")
    tag = atlas.channel(bench, version_id, "tag:odd")
    assert np.flatnonzero(tag.codes == 0).tolist() == [1, 2]
    assert (tag.labels, tag.n_missing) == (("odd",), 48)


def test_more_than_twelve_categories_end_in_other(bench_sqlite):
    frames = [replace(frame(i), group=f"g{i % 20:02d}") for i in range(70)]
    version = list(library.add(bench_sqlite, OWNER, "many", frames, SOURCE))[-1].version
    shown = atlas.channel(bench_sqlite, version.id, "group")
    assert len(shown.labels) == 12
    assert shown.labels[:2] == ("g00", "g01")
    assert (shown.labels[-1], shown.merged) == ("other", 9)
    assert shown.histogram.sum() == 70
    assert (np.bincount(shown.codes, minlength=12) == shown.histogram).all()


def test_a_channel_of_nothing_has_no_limits(bench_sqlite):
    bare = [Frame(Structure([1], [[0, 0, float(i)]], np.zeros((3, 3)), [False] * 3), Label()) for i in range(4)]
    version = list(library.add(bench_sqlite, OWNER, "bare", bare, SOURCE))[-1].version
    shown = atlas.channel(bench_sqlite, version.id, "energy_per_atom")
    assert (shown.low, shown.high, shown.n_missing) == (None, None, 4)
    found = atlas.histogram(bench_sqlite, version.id, "energy_per_atom")
    assert found.counts.sum() == 0
    row = atlas.table(bench_sqlite, version.id).rows[0]
    assert row["energy_per_atom"] is row["max_force"] is row["volume_per_atom"] is None


def test_unknown_channels_and_errors_without_an_evaluation_are_refused(bench_sqlite):
    version_id = populate(bench_sqlite, 5).version.id
    for name in ("colour", "", "energy_error", "tags:x"):
        with pytest.raises(InvalidInput):
            atlas.channel(bench_sqlite, version_id, name)
    with pytest.raises(InvalidInput):
        atlas.values(bench_sqlite, version_id, "group")
    with pytest.raises(NotFound):
        atlas.channel(bench_sqlite, version_id, "energy_error", 99)


def test_a_histogram_counts_everything_and_the_selection_within(bench):
    population = populate(bench)
    version_id = population.version.id
    chosen = atlas.select(bench, OWNER, version_id, {"range": {"channel": "n_atoms", "low": 4}})
    found = atlas.histogram(bench, version_id, "energy_per_atom", selection=chosen.id, bins=10)
    assert (len(found.edges), len(found.counts)) == (11, 10)
    assert found.counts.sum() == population.version.n_energy
    energies = atlas.values(bench, version_id, "energy_per_atom")[chosen.positions]
    assert found.selected_counts.sum() == np.isfinite(energies).sum()
    assert (found.selected_counts <= found.counts).all()
    bars = atlas.histogram(bench, version_id, "group", selection=chosen.id)
    assert bars.labels == ("bulk", "cluster", "surface")
    assert (bars.selected_counts <= bars.counts).all()
    with pytest.raises(InvalidInput):
        atlas.histogram(bench, version_id, "n_atoms", bins=0)


def test_the_table_tells_of_each_structure_what_its_frame_says(bench):
    population = populate(bench, 24)
    version_id = population.version.id
    evaluation = evaluate(bench, population)
    review.decide(bench, OWNER, version_id, [2], "accepted")
    review.tag(bench, OWNER, version_id, [2, 3], "odd")
    review.tag(bench, OWNER, version_id, [2], "big")
    page = atlas.table(bench, version_id, evaluation=evaluation, start=2, stop=4)
    assert page.total == 24
    row, frame = page.rows[0], population.frames[2]
    assert (row["position"], row["n_atoms"], row["group"], row["decision"]) == (2, 3, "surface", "accepted")
    assert row["tags"] == ["big", "odd"]
    assert row["energy_per_atom"] == frame.label.energy / 3
    assert row["structure_id"] == next(library.frames(bench, version_id, np.array([2]))).id
    assert row["energy_error"] == atlas.values(bench, version_id, "energy_error", evaluation)[2]
    assert page.rows[1]["tags"] == ["odd"]
    unevaluated = atlas.table(bench, version_id).rows[2]
    assert unevaluated["energy_error"] is unevaluated["force_spread"] is None


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", atlas.SORTS)
def test_the_table_sorts_by_every_column_with_the_missing_last(bench_sqlite, sort, descending):
    population = populate(bench_sqlite)
    evaluation = evaluate(bench_sqlite, population)
    review.decide(bench_sqlite, OWNER, population.version.id, [5, 9], "accepted")
    page = atlas.table(bench_sqlite, population.version.id, evaluation=evaluation, sort=sort, descending=descending)
    assert {row["position"] for row in page.rows} == set(range(population.n))
    values = [row[sort] for row in page.rows]
    there = [value for value in values if value not in (None, "")]
    assert there == sorted(there, reverse=descending)
    assert all(value in (None, "") for value in values[len(there) :])
    ties = [(row[sort], row["position"]) for row in page.rows]
    if sort != "position":
        assert all(a[1] < b[1] for a, b in pairwise(ties) if a[0] == b[0])


def test_the_table_is_narrowed_by_selection_and_search(bench):
    population = populate(bench)
    version_id = population.version.id
    chosen = atlas.select(bench, OWNER, version_id, {"positions": [1, 5, 6]})
    page = atlas.table(bench, version_id, selection=chosen.id, search="BULK", sort="position", descending=True)
    assert [row["position"] for row in page.rows] == [5, 1]
    formula = atlas.table(bench, version_id).rows[10]["formula"]
    assert 10 in [row["position"] for row in atlas.table(bench, version_id, search=formula.lower()).rows]
    review.tag(bench, OWNER, version_id, [9], "strange")
    assert [row["position"] for row in atlas.table(bench, version_id, search="strang").rows] == [9]
    id = atlas.table(bench, version_id).rows[7]["structure_id"]
    assert [row["position"] for row in atlas.table(bench, version_id, search=f"#{id}").rows] == [7]
    assert atlas.table(bench, version_id, search="no such thing").total == 0


def test_only_known_columns_and_pages_of_a_thousand_can_be_asked_for(bench_sqlite):
    version_id = populate(bench_sqlite, 5).version.id
    with pytest.raises(InvalidInput):
        atlas.table(bench_sqlite, version_id, sort="energy; drop table mark")
    with pytest.raises(InvalidInput):
        atlas.table(bench_sqlite, version_id, sort="energy_error")
    for start, stop in ((0, 1001), (-1, 5), (5, 4)):
        with pytest.raises(InvalidInput):
            atlas.table(bench_sqlite, version_id, start=start, stop=stop)
    assert atlas.table(bench_sqlite, version_id, start=100, stop=200).rows == []


@pytest.mark.slow
def test_a_hundred_thousand_structures_answer_in_a_fifth_of_a_second(bench_sqlite):
    n = 100_000
    random = np.random.default_rng(0)
    numbers, cell, pbc = np.array([11, 17], dtype=np.uint8), 5 * np.eye(3), np.ones(3, bool)
    positions, forces, energy = random.normal(size=(n, 2, 3)), random.normal(size=(n, 2, 3)), random.normal(size=n)
    frames = [
        Frame(Structure(numbers, p, cell, pbc), Label("PBE", float(e), f), f"g{i % 9}", i, split="train")
        for i, (p, f, e) in enumerate(zip(positions, forces, energy, strict=True))
    ]
    version = list(library.add(bench_sqlite, OWNER, "big", frames, SOURCE))[-1].version
    xy = random.normal(size=(n, 2)).astype("<f4")
    map_id = embed(bench_sqlite, version, xy)
    angle = np.linspace(0, 2 * np.pi, 500)
    lasso = np.stack([np.cos(angle), np.sin(angle)], axis=1).tolist()
    review.decide(bench_sqlite, OWNER, version.id, np.arange(n), "accepted")
    review.decide(bench_sqlite, OWNER, version.id, np.arange(0, n, 3), "rejected")

    def took(ask) -> float:
        ask()  # columns and folded marks are in memory from then on
        times = []
        for _ in range(3):
            start = perf_counter()
            ask()
            times.append(perf_counter() - start)
        return min(times)

    def press_a_key() -> None:
        review.decide(bench_sqlite, OWNER, version.id, [17], "accepted")
        atlas.table(bench_sqlite, version.id)

    chosen = atlas.select(bench_sqlite, OWNER, version.id, {"polygon": lasso, "map": map_id})
    assert took(lambda: atlas.table(bench_sqlite, version.id)) < 0.2
    for sort in ("energy_per_atom", "max_force", "formula", "group", "decision"):
        ask = {"sort": sort, "descending": True, "selection": chosen.id, "search": "g3"}
        assert took(lambda ask=ask: atlas.table(bench_sqlite, version.id, **ask)) < 0.2, sort
    assert took(lambda: atlas.select(bench_sqlite, OWNER, version.id, {"polygon": lasso, "map": map_id})) < 0.3
    assert took(lambda: atlas.channel(bench_sqlite, version.id, "energy_per_atom")) < 0.2
    assert took(press_a_key) < 0.3
