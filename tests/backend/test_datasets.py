"""Versions are frozen, numbered, and named by their content."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from isoline.domain.actor import OWNER
from isoline.domain.dataset import Columns, Names
from isoline.errors import InvalidInput, NotFound
from isoline.services import library
from isoline.store import events


def test_a_new_version_begins_with_the_members_of_the_one_before(bench, put, salt):
    first = put(bench, [salt(1), salt(2)]).version
    second = put(bench, [salt(3)]).version
    assert (first.version, second.version, second.parent) == (1, 2, first.id)
    assert [f.index for f in library.frames(bench, first.id)] == [1, 2]
    assert [f.index for f in library.frames(bench, second.id)] == [1, 2, 3]
    assert [card.version for card in library.versions(bench, "salt")] == [2, 1]
    assert [card.id for card in library.datasets(bench)] == [second.id]


def test_equal_content_has_an_equal_key_in_any_store(bench, put, salt, tmp_path):
    a = put(bench, [salt(1), salt(2)], dataset="a").version
    put(bench, [salt(9)], dataset="between")
    b = put(bench, [salt(1), salt(2)], dataset="b").version
    swapped = put(bench, [salt(2), salt(1)], dataset="c").version
    assert a.key == b.key
    assert a.key != swapped.key


@pytest.mark.parametrize("change", [{"group": "hot"}, {"split": "test"}, {"level": "SCAN"}, {"labelled": False}])
def test_whatever_a_member_says_changes_the_key(bench, put, salt, change):
    plain = put(bench, [salt(1)], dataset="a").version
    assert put(bench, [salt(1, **change)], dataset="b").version.key != plain.key


def test_two_imports_at_once_both_become_members(bench, put, salt):
    threads = [
        threading.Thread(target=put, args=(bench, [salt(i) for i in range(start, start + 40)])) for start in (0, 20, 60)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    newest = library.find_version(bench, "salt")
    assert newest.version == 3
    assert sorted(f.index for f in library.frames(bench, newest.id)) == list(range(100))


def test_freezing_keeps_the_members_asked_for_in_order(bench, put, salt):
    source = put(bench, [salt(i, group=f"g{i % 2}") for i in range(6)]).version
    frozen = library.freeze(bench, OWNER, source.id, np.array([5, 1, 3, 1]), note="odd ones")
    assert (frozen.dataset, frozen.version, frozen.parent, frozen.note) == ("salt", 2, source.id, "odd ones")
    assert [f.index for f in library.frames(bench, frozen.id)] == [1, 3, 5]
    assert frozen.groups == {"g1": 3}
    with bench.read() as connection:
        assert events.recent(connection, subject=f"version {frozen.id}")[0].verb == "freeze"


def test_freezing_the_same_twice_gives_the_same_version(bench, put, salt):
    source = put(bench, [salt(i) for i in range(4)]).version
    once = library.freeze(bench, OWNER, source.id, np.array([0, 2]), dataset="chosen")
    again = library.freeze(bench, OWNER, source.id, np.array([2, 0]), dataset="chosen")
    assert once == again
    assert library.freeze(bench, OWNER, source.id, np.arange(4)) == source


def test_splits_are_drawn_by_fraction_and_seed(bench, put, salt):
    source = put(bench, [salt(i) for i in range(50)]).version
    fractions = {"train": 0.8, "validation": 0.1, "test": 0.1}
    cards = [
        library.freeze(bench, OWNER, source.id, np.arange(50), dataset="s", split_fractions=fractions, seed=seed)
        for seed in (0, 0, 1)
    ]
    assert all(card.splits == {"train": 40, "validation": 5, "test": 5} for card in cards)
    assert cards[0] == cards[1]
    assert cards[0].key != cards[2].key
    assert [f.split for f in library.frames(bench, cards[0].id)] == library.columns(
        bench, cards[0].id
    ).split.values().tolist()


@pytest.mark.parametrize(
    "fractions", [{}, {"train": 0.5}, {"train": 1.5, "test": -0.5}, {"train": 0.5, "holdout": 0.5}, {"train": np.nan}]
)
def test_fractions_that_are_no_split_are_refused(bench_sqlite, put, salt, fractions):
    source = put(bench_sqlite, [salt(1)]).version
    with pytest.raises(InvalidInput):
        library.freeze(bench_sqlite, OWNER, source.id, np.array([0]), split_fractions=fractions)


@pytest.mark.parametrize("positions", [[0, 7], [-1], [1]])
def test_positions_that_do_not_exist_are_not_found(bench_sqlite, put, salt, positions):
    source = put(bench_sqlite, [salt(1)]).version
    for ask in (
        lambda: list(library.frames(bench_sqlite, source.id, np.array(positions))),
        lambda: library.freeze(bench_sqlite, OWNER, source.id, np.array(positions)),
    ):
        with pytest.raises(NotFound, match="no structure at position"):
            ask()


def test_a_version_is_found_by_the_name_a_person_writes(bench, put, salt):
    first, second = put(bench, [salt(1)]).version, put(bench, [salt(2)]).version
    assert library.find_version(bench, "salt") == second
    assert library.find_version(bench, "salt@1") == first
    assert library.find_version(bench, first.title) == first


@pytest.mark.parametrize(
    ("asked", "hint"),
    [("slat", "Did you mean salt?"), ("salt@7", "newest version is 1"), ("zeolite", "There are: salt")],
)
def test_a_name_that_is_not_there_brings_a_suggestion(bench_sqlite, put, salt, asked, hint):
    put(bench_sqlite, [salt(1)])
    with pytest.raises(NotFound) as failure:
        library.find_version(bench_sqlite, asked)
    assert hint in failure.value.hint


def test_unknown_versions_are_not_found(bench):
    for ask in (library.version, library.columns, lambda b, i: list(library.frames(b, i))):
        with pytest.raises(NotFound):
            ask(bench, 17)


def test_scattered_and_contiguous_members_are_read_alike(bench, put, salt):
    version = put(bench, [salt(i) for i in range(40)]).version
    scattered = np.array([0, 1, 7, 8, 9, 33, 39])
    assert [f.index for f in library.frames(bench, version.id, scattered, batch=3)] == scattered.tolist()
    assert [f.index for f in library.frames(bench, version.id, np.arange(5, 25), batch=6)] == list(range(5, 25))
    assert list(library.frames(bench, version.id, np.array([], int))) == []


def test_columns_taken_and_joined_say_the_same(bench, put, salt):
    version = put(bench, [salt(i, n=1 + i % 3, group="ab"[i % 2]) for i in range(9)]).version
    columns = library.columns(bench, version.id)
    parts = [columns.take(np.array([6, 7, 8])), columns.take(np.arange(6))]
    back = Columns.joined(parts).take(np.array([3, 4, 5, 6, 7, 8, 0, 1, 2]))
    for name in ("composition", "group", "split", "level_of_theory"):
        assert getattr(back, name).values().tolist() == getattr(columns, name).values().tolist()
    np.testing.assert_array_equal(back.energy, columns.energy)
    np.testing.assert_array_equal(back.identity, columns.identity)


def test_names_count_only_what_occurs():
    names = Names.of(["b", "a", "b"])
    assert names.counts() == {"b": 2, "a": 1}
    assert names.take(np.array([1])).counts() == {"a": 1}
    assert Names.of([]).values().tolist() == []
