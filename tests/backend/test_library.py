"""An import becomes a whole version or none, whatever happens on the way."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import func, select

from isoline.domain.actor import OWNER, Actor
from isoline.domain.dataset import AddProgress, SourceRecord
from isoline.domain.structure import Frame, Label
from isoline.errors import InvalidInput, NotAllowed
from isoline.services import library
from isoline.store import events
from isoline.store.tables import dataset, dataset_member, structure

SOURCE = SourceRecord("file", "salt.extxyz")

# Imports without end and says how far it is, so that the test can kill it in the middle.
ENDLESS = """
import itertools, sys
import numpy as np
from pathlib import Path
from isoline.domain.actor import OWNER
from isoline.domain.dataset import SourceRecord
from isoline.domain.structure import Frame, Label, Structure
from isoline.services import library
from isoline.workbench import Settings, Workbench

def endless():
    for i in itertools.count():
        random = np.random.default_rng(i)
        made = Structure([11, 17], random.normal(size=(2, 3)), 5 * np.eye(3), [True] * 3)
        yield Frame(made, Label("PBE", float(i)), index=i)

library.BATCH = 50
bench = Workbench.open(Settings.at(Path(sys.argv[1]), sys.argv[2]))
for progress in library.add(bench, OWNER, "salt", endless(), SourceRecord("file", "endless")):
    print(progress.frames, flush=True)
"""


def rows(bench, table) -> int:
    with bench.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar()


def test_an_import_that_is_killed_leaves_no_version_and_can_be_repeated(bench, put, salt):
    before = put(bench, [salt(1)]).version
    settings = bench.settings
    running = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(settings.home), settings.store_url], stdout=subprocess.PIPE, text=True
    )
    with running:
        for line in running.stdout:
            if int(line) >= 200:
                os.kill(running.pid, signal.SIGKILL)
                break
    assert library.find_version(bench, "salt") == before
    assert rows(bench, dataset_member) == 1
    assert rows(bench, structure) >= 201
    after = put(bench, [salt(2), salt(3)]).version
    assert (after.version, after.n_structures) == (2, 3)


def test_frames_that_fail_on_the_way_leave_no_version(bench, salt, monkeypatch):
    monkeypatch.setattr(library, "BATCH", 2)

    def failing() -> Iterator[Frame]:
        yield from (salt(i) for i in range(5))
        raise InvalidInput("frame 5 is broken")

    with pytest.raises(InvalidInput, match="frame 5"):
        list(library.add(bench, OWNER, "salt", failing(), SOURCE))
    assert library.datasets(bench) == []
    assert rows(bench, dataset) == 0


def test_frames_are_taken_as_they_come_and_progress_is_told(bench_sqlite, salt, monkeypatch):
    monkeypatch.setattr(library, "BATCH", 10)
    taken = 0

    def coming() -> Iterator[Frame]:
        nonlocal taken
        for i in range(35):
            taken += 1
            yield salt(i % 30)

    adding = library.add(bench_sqlite, OWNER, "salt", coming(), SOURCE)
    assert next(adding) == AddProgress(10, 10)
    assert taken == 10
    *told, outcome = adding
    assert told == [AddProgress(20, 20), AddProgress(30, 30), AddProgress(35, 30)]
    assert (outcome.added, outcome.duplicates, outcome.conflicts) == (30, 5, 0)


def test_exact_duplicates_are_counted_and_left_out(bench, put, salt):
    first = put(bench, [salt(1, group="first"), salt(1, group="second"), salt(2)])
    assert (first.added, first.duplicates, first.conflicts) == (2, 1, 0)
    assert [f.group for f in library.frames(bench, first.version.id)] == ["first", ""]
    again = put(bench, [salt(2), salt(1)])
    assert (again.added, again.duplicates) == (0, 2)
    assert again.version == first.version
    assert put(bench, [salt(2), salt(3)]).added == 1


def test_another_label_of_the_same_level_is_kept_and_told(bench, put, salt):
    one = salt(1)
    other = dataclasses.replace(one, label=Label("PBE", -7.0))
    elsewhere = dataclasses.replace(one, label=Label("SCAN", -7.0))
    assert put(bench, [one, elsewhere]).conflicts == 0
    outcome = put(bench, [other, salt(2)])
    assert (outcome.added, outcome.conflicts) == (2, 1)
    assert put(bench, [salt(3)]).conflicts == 0


def test_a_missing_label_contradicts_nothing(bench, put, salt):
    outcome = put(bench, [salt(1, labelled=False), salt(1)])
    assert (outcome.version.n_structures, outcome.conflicts) == (2, 0)


def test_a_split_fills_in_where_a_frame_has_none(bench, put, salt):
    card = put(bench, [salt(1), salt(2, split="test"), salt(3)], split="train").version
    assert card.splits == {"train": 2, "test": 1}
    assert [f.split for f in library.frames(bench, card.id)] == ["train", "test", "train"]


@pytest.mark.parametrize("split", ["holdout", "Train"])
def test_a_split_that_is_none_is_refused_before_anything_is_kept(bench, put, salt, split):
    with pytest.raises(InvalidInput, match=split):
        put(bench, [salt(1)], split=split)
    with pytest.raises(InvalidInput, match=split):
        put(bench, [salt(1), salt(2, split=split)])
    assert rows(bench, structure) == 0


@pytest.mark.parametrize("name", ["", "  ", "a@2", "a/b", ".", "..", "x" * 81, "two\nlines", "nul\0"])
def test_names_that_cannot_be_asked_for_are_refused(bench_sqlite, put, salt, name):
    with pytest.raises(InvalidInput):
        put(bench_sqlite, [salt(1)], dataset=name)


def test_no_frames_are_no_dataset(bench, put):
    with pytest.raises(InvalidInput, match="no frames"):
        put(bench, [])
    assert library.datasets(bench) == []


def test_every_change_is_recorded_with_the_person(bench, salt):
    anna = Actor("anna", "owner")
    *_, outcome = library.add(bench, anna, "salt", [salt(1), salt(1)], SOURCE)
    library.freeze(bench, anna, outcome.version.id, np.array([0]), dataset="frozen")
    with bench.read() as connection:
        freezing, importing = events.recent(connection)
    assert (importing.actor, importing.verb) == ("anna", "import")
    assert importing.detail["duplicates"] == 1
    assert (freezing.actor, freezing.verb) == ("anna", "freeze")
    assert outcome.version.created_by == "anna"


def test_who_may_not_import_keeps_nothing(bench, salt):
    stranger = Actor("stranger", "nobody")
    with pytest.raises(NotAllowed):
        list(library.add(bench, stranger, "salt", [salt(1)], SOURCE))
    assert rows(bench, structure) == 0
