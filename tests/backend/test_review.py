"""Decisions and tags: the newest holds, nothing is lost, undo restores exactly."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from population import populate

from isoline.domain.actor import OWNER, Actor
from isoline.errors import Conflict, InvalidInput, NotAllowed, NotFound, NotSignedIn
from isoline.services import library, review
from isoline.store import events

SHEILA = Actor("sheila", "owner")


def state(bench, version_id: int) -> tuple[list[int], dict[str, list[bool]]]:
    found = review.marks(bench, version_id)
    return found.decision.tolist(), {name: has.tolist() for name, has in sorted(found.tags.items())}


def test_the_newest_decision_holds(bench):
    version = populate(bench, 10).version
    review.decide(bench, OWNER, version.id, [1, 2, 3], "accepted")
    review.decide(bench, SHEILA, version.id, np.array([3, 4]), "rejected")
    review.decide(bench, OWNER, version.id, [2], "")
    found = review.marks(bench, version.id)
    assert found.decision.tolist() == [0, 1, 0, 2, 2, 0, 0, 0, 0, 0]
    assert found.counts == {"accepted": 1, "rejected": 2, "undecided": 7}


def test_tags_come_and_go_by_name(bench):
    version = populate(bench, 6).version
    review.tag(bench, OWNER, version.id, [0, 1, 2], "  odd   bond ")
    review.tag(bench, OWNER, version.id, [1], "odd bond", present=False)
    review.tag(bench, OWNER, version.id, [5], "keep")
    assert review.marks(bench, version.id).tag_counts == {"odd bond": 2, "keep": 1}
    review.tag(bench, OWNER, version.id, [0, 2], "odd bond", present=False)
    assert set(review.marks(bench, version.id).tags) == {"keep"}


def test_undo_restores_what_held_and_undoing_that_does_it_again(bench):
    version = populate(bench, 8).version
    review.decide(bench, OWNER, version.id, [0, 1], "accepted")
    review.decide(bench, OWNER, version.id, [1, 2], "rejected")
    before = state(bench, version.id)
    batch = review.decide(bench, OWNER, version.id, [0, 1, 2, 3], "")
    after = state(bench, version.id)
    undone = review.undo(bench, OWNER, batch.id)
    assert undone.n == 4
    assert state(bench, version.id) == before
    review.undo(bench, OWNER, undone.id)
    assert state(bench, version.id) == after


def test_undo_leaves_what_somebody_has_said_since(bench):
    version = populate(bench, 5).version
    mine = review.decide(bench, OWNER, version.id, [0, 1], "accepted")
    review.decide(bench, SHEILA, version.id, [1], "accepted")
    assert review.undo(bench, OWNER, mine.id).n == 1
    assert review.marks(bench, version.id).decision.tolist() == [0, 1, 0, 0, 0]
    with pytest.raises(Conflict):
        review.undo(bench, OWNER, mine.id)
    with pytest.raises(NotFound):
        review.undo(bench, OWNER, "0" * 32)


rows = st.lists(st.integers(0, 7), min_size=1, max_size=8)
clicks = st.one_of(
    st.tuples(st.just("decide"), rows, st.sampled_from(["accepted", "rejected", ""])),
    st.tuples(st.just("tag"), rows, st.sampled_from(["a", "b"]), st.booleans()),
)


def click(bench, version_id: int, act: tuple) -> str:
    made = review.decide if act[0] == "decide" else review.tag
    return made(bench, OWNER, version_id, *act[1:]).id


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(clicks, min_size=1, max_size=6))
def test_undoing_clicks_from_the_last_to_the_first_walks_back_through_every_state(bench_sqlite, acts):
    dataset = f"zoo {len(library.datasets(bench_sqlite))}"
    version_id = populate(bench_sqlite, 8, dataset).version.id
    walked = []
    for act in acts:
        walked.append((state(bench_sqlite, version_id), click(bench_sqlite, version_id, act)))
    for before, batch in reversed(walked):
        review.undo(bench_sqlite, OWNER, batch)
        assert state(bench_sqlite, version_id) == before


def test_marks_follow_a_structure_into_every_version_of_its_dataset_and_no_other(bench):
    version = populate(bench, 12).version
    review.decide(bench, OWNER, version.id, [4, 6], "accepted")
    review.tag(bench, OWNER, version.id, [6], "odd")
    later = library.freeze(bench, OWNER, version.id, np.array([2, 4, 6]))
    elsewhere = library.freeze(bench, OWNER, version.id, np.array([2, 4, 6]), dataset="copy")
    assert state(bench, later.id) == ([0, 1, 1], {"odd": [False, False, True]})
    assert state(bench, elsewhere.id) == ([0, 0, 0], {})
    review.decide(bench, OWNER, later.id, [0], "rejected")
    assert review.marks(bench, version.id).decision[2] == 2


def test_folding_in_steps_gives_what_reading_all_gives(bench, monkeypatch):
    version = populate(bench, 20).version
    monkeypatch.setattr(review, "FOLDED_EVERY", (16, 4))
    random = np.random.default_rng(5)
    decision, odd = np.zeros(20, dtype=int), np.zeros(20, dtype=bool)
    for _ in range(25):
        chosen = random.choice(20, size=random.integers(1, 4), replace=False)
        code = int(random.integers(3))
        review.decide(bench, OWNER, version.id, chosen, review.DECISIONS[code])
        decision[chosen] = code
        present = bool(random.integers(2))
        review.tag(bench, OWNER, version.id, chosen[:1], "odd", present)
        odd[chosen[:1]] = present
        found = review.marks(bench, version.id)
        assert found.decision.tolist() == decision.tolist()
        assert found.tags.get("odd", np.zeros(20, dtype=bool)).tolist() == odd.tolist()


def test_people_who_decide_at_once_are_all_heard(bench):
    version = populate(bench, 40).version
    faults = []

    def decide_eight(first: int) -> None:
        try:
            for row in range(first, first + 8):
                review.decide(bench, Actor(f"person {first}", "owner"), version.id, [row], "accepted")
                review.marks(bench, version.id)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=decide_eight, args=(8 * i,)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert review.marks(bench, version.id).counts["accepted"] == 40


def test_every_click_is_recorded_with_who_did_it(bench):
    version = populate(bench, 4).version
    batch = review.decide(bench, SHEILA, version.id, [0, 1, 1], "accepted")
    assert batch.n == 2
    review.undo(bench, OWNER, batch.id)
    with bench.read() as connection:
        undo, mark = events.recent(connection, limit=2)
    assert (mark.actor, mark.verb, mark.detail["n"], mark.detail["batch"]) == ("sheila", "mark", 2, batch.id)
    assert (undo.actor, undo.verb, undo.detail["undone"]) == ("owner", "undo", batch.id)


def test_what_cannot_be_marked_is_refused_and_changes_nothing(bench_sqlite):
    version = populate(bench_sqlite, 4).version
    for positions in ([4], [-1], [], [0.5], "all"):
        with pytest.raises(InvalidInput):
            review.decide(bench_sqlite, OWNER, version.id, positions, "accepted")
    with pytest.raises(InvalidInput):
        review.decide(bench_sqlite, OWNER, version.id, [0], "maybe")
    for name in ("", "   ", "x" * 81, "a\x00b"):
        with pytest.raises(InvalidInput):
            review.tag(bench_sqlite, OWNER, version.id, [0], name)
    with pytest.raises(NotAllowed):
        review.decide(bench_sqlite, Actor("guest", "stranger"), version.id, [0], "accepted")
    with pytest.raises(NotSignedIn):
        review.undo(bench_sqlite, None, "0" * 32)
    assert state(bench_sqlite, version.id) == ([0, 0, 0, 0], {})


def test_a_batch_undone_and_done_again_can_be_undone_again(bench_sqlite):
    version = populate(bench_sqlite, 4).version
    batch = review.decide(bench_sqlite, OWNER, version.id, [0, 1], "accepted")
    redone = review.undo(bench_sqlite, OWNER, review.undo(bench_sqlite, OWNER, batch.id).id)
    assert review.marks(bench_sqlite, version.id).counts["accepted"] == 2
    review.undo(bench_sqlite, OWNER, batch.id)
    assert review.marks(bench_sqlite, version.id).counts["accepted"] == 0
    with pytest.raises(Conflict):
        review.undo(bench_sqlite, OWNER, redone.id)
