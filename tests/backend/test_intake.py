"""Imports are whole or nothing, hold what their files hold, and say where everything came from."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections.abc import AsyncIterator

import numpy as np
import pytest
from awaiting import finish
from sqlalchemy import func, select

from isoline.domain.actor import OWNER, Actor
from isoline.domain.contract import Contract
from isoline.domain.job import JobState
from isoline.domain.recipe import Import
from isoline.errors import Conflict, InvalidInput, NotAllowed, NotFound
from isoline.services import intake, library
from isoline.store import tables, uploads
from isoline.store.uploads import PARTIAL, safe_name
from isoline.workbench import Workbench

HEAD = 'Lattice="4.0 0 0 0 4.0 0 0 0 4.0" Properties=species:S:1:pos:R:3:forces:R:3 config_type=rattled'


def frame(seed: int, labels: str = "") -> str:
    x = 1.7 + 0.01 * seed
    return f"2\n{HEAD} energy={-10 - 0.01 * seed} {labels}\nSi 0 0 0 0.1 0 0\nSi {x} 2.0 2.1 -0.1 0 0\n"


def imported(bench: Workbench, paths, dataset: str, actor: Actor = OWNER, **options) -> intake.ImportOutcome:
    *steps, outcome = intake.import_files(bench, actor, paths, dataset, **options)
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction < 1 for fraction in fractions)
    return outcome


def stored(bench: Workbench, table) -> int:
    with bench.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar()


@pytest.fixture
def silicon(tmp_path):
    path = tmp_path / "silicon.extxyz.gz"
    path.write_bytes(gzip.compress("".join(frame(seed) for seed in range(5)).encode()))
    return path


def test_an_import_holds_what_the_file_holds(bench, silicon):
    outcome = imported(bench, [silicon], "silicon", contract=Contract(level_of_theory="PBE"))
    assert (outcome.version, outcome.n_structures, outcome.n_energy, outcome.n_forces, outcome.n_stress) == (
        1,
        5,
        5,
        5,
        0,
    )
    card = library.version(bench, outcome.version_id)
    assert card.groups == {"rattled": 5}
    assert card.levels_of_theory == ("PBE",)
    for seed, kept in enumerate(library.frames(bench, outcome.version_id)):
        assert kept.label.energy == -10 - 0.01 * seed
        assert kept.structure.positions[1].tolist() == [1.7 + 0.01 * seed, 2.0, 2.1]
        assert kept.label.forces.tolist() == [[0.1, 0, 0], [-0.1, 0, 0]]


def test_every_label_knows_its_file_frame_and_importer(bench, silicon):
    outcome = imported(bench, [silicon], "silicon", Actor("anna", "owner"))
    (origin,) = library.provenance(bench, outcome.version_id, 3)
    assert (origin.source, origin.frame, origin.added_by) == ("silicon.extxyz.gz", 3, "anna")
    assert origin.sha256 == hashlib.sha256(silicon.read_bytes()).hexdigest()


def test_the_contract_is_kept_with_the_source(bench_sqlite, silicon):
    imported(bench_sqlite, [silicon], "silicon", contract=Contract(level_of_theory="PBE"))
    with bench_sqlite.read() as connection:
        kept = connection.execute(select(tables.source.c.contract)).scalar()
    assert Contract(**kept) == Contract(
        energy_key="energy", forces_key="forces", stress_key=None, group_key="config_type", level_of_theory="PBE"
    )


def test_several_files_come_as_one_version(bench, silicon, tmp_path):
    more = tmp_path / "more.xyz"
    more.write_text("".join(frame(seed) for seed in range(3, 9)))
    outcome = imported(bench, [silicon, more], "silicon")
    assert (outcome.version, outcome.n_structures, outcome.duplicates) == (1, 9, 2)
    assert stored(bench, tables.source) == 2


def test_one_bad_file_among_many_stores_none(bench, silicon, tmp_path):
    bad = tmp_path / "bad.xyz"
    bad.write_text(frame(7) + frame(8).replace("2.1", "nan"))
    with pytest.raises(InvalidInput) as refusal:
        imported(bench, [silicon, bad], "silicon")
    assert refusal.value.details == [
        {"file": "bad.xyz", "frame": 1, "atom": 1, "field": "pos", "message": "'nan' is not finite"}
    ]
    assert "bad.xyz cannot be imported: 1 fault" in refusal.value.message
    assert stored(bench, tables.structure) == stored(bench, tables.dataset) == 0
    assert library.datasets(bench) == []


def test_a_second_import_makes_the_next_version(bench_sqlite, silicon, tmp_path):
    imported(bench_sqlite, [silicon], "silicon")
    more = tmp_path / "more.xyz"
    more.write_text(frame(3) + frame(20))
    outcome = imported(bench_sqlite, [more], "silicon")
    assert (outcome.version, outcome.n_structures, outcome.added, outcome.duplicates) == (2, 6, 1, 1)


def test_the_split_asked_for_holds_for_all(bench_sqlite, tmp_path):
    path = tmp_path / "split.xyz"
    path.write_text(frame(0, "split=train") + frame(1))
    own = imported(bench_sqlite, [path], "own")
    assert library.version(bench_sqlite, own.version_id).splits == {"train": 1, "": 1}
    asked = imported(bench_sqlite, [path], "asked", split="test")
    assert library.version(bench_sqlite, asked.version_id).splits == {"test": 2}


def test_the_answer_is_what_scripts_rely_on(bench_sqlite, silicon):
    answer = imported(bench_sqlite, [silicon], "silicon").as_dict()
    expected = {"dataset", "version", "n_structures", "n_energy", "n_forces", "n_stress", "duplicates", "warnings"}
    assert expected <= answer.keys()
    assert json.loads(json.dumps(answer)) == answer


def test_a_file_that_changes_while_it_is_read_is_refused(bench_sqlite, silicon):
    steps = intake.import_files(bench_sqlite, OWNER, [silicon], "silicon")
    next(step for step in steps if step.message.startswith("Storing"))
    silicon.write_bytes(silicon.read_bytes() + gzip.compress(frame(6).encode()))
    with pytest.raises(Conflict, match="changed while it was read"):
        list(steps)
    assert library.datasets(bench_sqlite) == []


def test_files_are_checked_before_they_are_read(bench_sqlite, silicon, tmp_path):
    for paths, words in [
        ([], "no files"),
        ([tmp_path], "folder"),
        ([tmp_path / "x"], "not there"),
        ([silicon] * 2, "twice"),
    ]:
        with pytest.raises(InvalidInput, match=words):
            imported(bench_sqlite, paths, "silicon")


def test_a_survey_stores_nothing(bench_sqlite, silicon):
    found = intake.survey(bench_sqlite, [silicon])
    assert found.accepted
    assert found.contract.energy_key == "energy"
    assert stored(bench_sqlite, tables.structure) == 0


def test_a_reader_may_not_import(bench_sqlite, silicon):
    with pytest.raises(NotAllowed):
        imported(bench_sqlite, [silicon], "silicon", Actor("eve", "reader"))


def test_the_reference_data_survey_as_their_manifest_says(bench_sqlite, data):
    for name, card in json.loads((data / "manifest.json").read_text()).items():
        found = intake.survey(bench_sqlite, [data / card["file"]])
        counts = (found.n_frames, found.n_atoms, found.n_energy, found.n_forces, found.n_stress)
        assert counts == (card["frames"], card["atoms"], card["n_energy"], card["n_forces"], card["n_stress"]), name
        assert found.accepted, name
        assert found.groups == card["config_types"], name
        assert found.contract.energy_unit == "eV"
        # None of these sets is in wrong units; no warning may say so.
        assert not [str(w) for w in found.warnings if re.search("Hartree|kbar|sign|per atom:", str(w))], name


@pytest.mark.parametrize("name", ["zuo2020_Si_train", "hea_MoNbTaW_train"])
def test_reference_data_import_as_their_manifest_says(bench, data, name):
    card = json.loads((data / "manifest.json").read_text())[name]
    outcome = imported(bench, [data / card["file"]], name)
    assert outcome.n_structures + outcome.duplicates == card["frames"]
    assert (outcome.n_energy, outcome.n_forces, outcome.n_stress) == (
        card["n_energy"],
        card["n_forces"],
        card["n_stress"],
    )
    columns = library.columns(bench, outcome.version_id)
    per_atom = columns.energy / columns.n_atoms
    np.testing.assert_allclose([per_atom.min(), per_atom.max()], card["energy_per_atom"], atol=1e-4)


# Uploads ---------------------------------------------------------------------------------------------------------


async def pieces(content: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def uploaded(bench: Workbench, name: str, content: bytes, **options):
    return finish(intake.save_upload(bench, OWNER, name, pieces(content), **options))


def test_an_upload_keeps_its_bytes_and_their_digest(bench, silicon):
    content = silicon.read_bytes()
    saved = uploaded(bench, "silicon.extxyz.gz", content)
    assert saved.sha256 == hashlib.sha256(content).hexdigest()
    assert saved.size == len(content)
    assert intake.upload_path(bench, saved.id).read_bytes() == content


def test_the_same_upload_twice_is_one(bench_sqlite):
    assert uploaded(bench_sqlite, "a.xyz", b"abc").id == uploaded(bench_sqlite, "a.xyz", b"abc").id
    assert uploaded(bench_sqlite, "a.xyz", b"abd").id != uploaded(bench_sqlite, "a.xyz", b"abc").id
    assert stored(bench_sqlite, tables.upload) == 2


def test_an_upload_that_breaks_off_leaves_nothing(bench_sqlite):
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        finish(intake.save_upload(bench_sqlite, OWNER, "a.xyz", broken()))
    assert list(bench_sqlite.settings.uploads.iterdir()) == []
    assert stored(bench_sqlite, tables.upload) == 0


@pytest.mark.parametrize(("content", "words"), [(b"", "empty"), (b"x" * 5000, "larger than 4000 bytes")])
def test_an_empty_or_endless_upload_is_refused(bench_sqlite, content, words):
    with pytest.raises(InvalidInput, match=words):
        uploaded(bench_sqlite, "a.xyz", content, largest=4000)
    assert list(bench_sqlite.settings.uploads.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\run 1.xyz", "run_1.xyz"),
        (".bashrc", "bashrc"),
        ("a\0b\n.xyz", "a_b_.xyz"),
        ("Größe.extxyz.gz", "Größe.extxyz.gz"),
        ("--option.xyz", "option.xyz"),
    ],
)
def test_a_file_name_cannot_leave_its_folder(bench_sqlite, given, kept):
    assert safe_name(given) == kept
    path = intake.upload_path(bench_sqlite, uploaded(bench_sqlite, given, b"x").id)
    assert path.resolve().is_relative_to(bench_sqlite.settings.uploads.resolve())


@pytest.mark.parametrize("given", ["", "..", "/", "..."])
def test_a_name_that_names_nothing_is_refused(given):
    with pytest.raises(InvalidInput):
        safe_name(given)


@pytest.mark.parametrize("given", ["x" * 400, "硅" * 110, "a" + "硅" * 110, "µ" * 400, "x." + "硅" * 110])
def test_a_long_name_keeps_its_suffixes_and_can_be_stored(bench_sqlite, given):
    name = safe_name(f"{given}.extxyz.gz")
    assert len(name.encode()) <= uploads.LONGEST_NAME
    assert name.endswith(".extxyz.gz")
    saved = uploaded(bench_sqlite, f"{given}.extxyz.gz", b"x")
    assert intake.upload_path(bench_sqlite, saved.id).name == name


@pytest.mark.parametrize("id", ["nothing", "../store.sqlite", ""])
def test_an_unknown_upload_is_not_found(bench_sqlite, id):
    with pytest.raises(NotFound):
        intake.upload_path(bench_sqlite, id)


def test_remains_of_a_killed_upload_go_after_a_day(bench_sqlite):
    old = bench_sqlite.settings.uploads / f"{PARTIAL}old"
    new = bench_sqlite.settings.uploads / f"{PARTIAL}new"
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    os.utime(old, (0, 0))
    uploaded(bench_sqlite, "a.xyz", b"x")
    assert not old.exists()
    assert new.exists()


def test_uploaded_files_are_imported_by_a_recipe(bench, silicon):
    saved = uploaded(bench, silicon.name, silicon.read_bytes())
    recipe = Import(uploads=(saved.id,), dataset="silicon", contract=Contract(level_of_theory="PBE"))
    job = intake.start_import(bench, OWNER, recipe)
    assert job.state == JobState.QUEUED
    assert job.title == "Import silicon.extxyz.gz into silicon"
    assert Import(**job.recipe) == recipe
    *_, outcome = intake.run_import(bench, OWNER, recipe)
    assert outcome.n_structures == 5


def test_a_recipe_cannot_name_files_of_the_server(bench_sqlite, silicon):
    with pytest.raises(NotFound):
        intake.start_import(bench_sqlite, OWNER, Import(uploads=(str(silicon),), dataset="silicon"))
