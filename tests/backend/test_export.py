"""What is exported reads back as the same numbers, by our own reader and by others."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import lzma

import ase.db
import ase.io
import extxyz
import numpy as np
import pytest

from isoline.domain.actor import OWNER, Actor
from isoline.domain.structure import Frame, Label, Structure
from isoline.errors import InvalidInput, NotAllowed, NotFound, Unavailable
from isoline.services import intake, library
from isoline.store import events

AWKWARD = [0.1, 1 / 3, -1e-300, 5e-324, 1.7976931348623157e308, 123456789.12345679]

GROUPS = ["", "plain", "two words", 'a "quoted" name', "back\\slash", "x=1", "Größe µ", "007"]


@pytest.fixture
def version(bench, put, salt) -> int:
    frames = [
        salt(i, n=1 + i % 5, labelled=i % 3 > 0, group=f"set {i % 2}", split="test" if i == 4 else "") for i in range(9)
    ]
    numbers = np.array(AWKWARD).reshape(2, 3)
    frames.append(
        Frame(
            Structure([1, 118], numbers, np.zeros((3, 3)), [False] * 3),
            Label("PBE", 1 / 3, np.clip(numbers, -1e100, 1e100)),
        )
    )
    return put(bench, frames).version.id


def check(frame: Frame, atoms: ase.Atoms) -> None:
    structure, label = frame.structure, frame.label
    np.testing.assert_array_equal(atoms.numbers, structure.numbers)
    np.testing.assert_array_equal(atoms.positions, structure.positions)
    np.testing.assert_array_equal(atoms.cell.array, structure.cell)
    np.testing.assert_array_equal(atoms.pbc, structure.pbc)
    results = {} if atoms.calc is None else atoms.calc.results
    assert set(results) == {name for name in ("energy", "forces", "stress") if getattr(label, name) is not None}
    for name, value in results.items():
        np.testing.assert_array_equal(value, getattr(label, name))


@pytest.mark.parametrize("suffix", ["extxyz", "xyz", "extxyz.gz", "extxyz.xz", "traj", "db"])
def test_ase_reads_back_the_same_numbers(bench, version, tmp_path, suffix):
    path = tmp_path / f"salt.{suffix}"
    outcome = library.export(bench, OWNER, version, path)
    opened = {"gz": gzip.open, "xz": lzma.open}.get(suffix[-2:])
    if opened:
        with opened(path, "rt") as text:
            read = ase.io.read(text, ":", format="extxyz")
    else:
        read = ase.io.read(path, ":", format="extxyz" if suffix == "xyz" else None)
    frames = list(library.frames(bench, version))
    assert outcome.n_structures == len(read) == len(frames)
    for frame, atoms in zip(frames, read, strict=True):
        check(frame, atoms)
    assert outcome.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_c_parser_reads_back_the_same_numbers_and_names(bench_sqlite, put, salt, tmp_path):
    version = put(bench_sqlite, [salt(i, group=group) for i, group in enumerate(GROUPS)]).version.id
    library.export(bench_sqlite, OWNER, version, tmp_path / "salt.extxyz")
    read = extxyz.read_dicts(tmp_path / "salt.extxyz")
    for group, frame, found in zip(GROUPS, library.frames(bench_sqlite, version), read, strict=True):
        np.testing.assert_array_equal(found.arrays["pos"], frame.structure.positions)
        np.testing.assert_array_equal(found.arrays["forces"], frame.label.forces)
        assert found.info["energy"] == frame.label.energy
        assert found.info.get("config_type", "") == group
        assert found.info["level_of_theory"] == "PBE"


def test_the_same_members_give_the_same_bytes(bench_sqlite, put, salt, tmp_path):
    version = put(bench_sqlite, [salt(i) for i in range(5)]).version.id
    digests = {library.export(bench_sqlite, OWNER, version, tmp_path / f"{turn}.extxyz.gz").sha256 for turn in range(2)}
    assert len(digests) == 1


def test_only_the_members_asked_for_are_written(bench_sqlite, put, salt, tmp_path):
    version = put(bench_sqlite, [salt(i) for i in range(8)]).version.id
    outcome = library.export(bench_sqlite, OWNER, version, tmp_path / "some.extxyz", np.array([6, 2]))
    assert outcome.n_structures == 2
    first, second = ase.io.read(tmp_path / "some.extxyz", ":")
    np.testing.assert_array_equal(first.positions, salt(2).structure.positions)
    np.testing.assert_array_equal(second.positions, salt(6).structure.positions)


def test_names_that_ase_db_refuses_as_pairs_are_kept_as_data(bench_sqlite, put, salt, tmp_path):
    version = put(bench_sqlite, [salt(1, group="007"), salt(2, group="hot")]).version.id
    library.export(bench_sqlite, OWNER, version, tmp_path / "salt.db")
    with ase.db.connect(tmp_path / "salt.db") as database:
        number, word = database.select()
    assert number.data["config_type"] == "007"
    assert word.config_type == "hot"


def test_an_unknown_suffix_is_refused_with_the_known_ones(bench_sqlite, put, salt, tmp_path):
    version = put(bench_sqlite, [salt(1)]).version.id
    with pytest.raises(InvalidInput) as refusal:
        library.export(bench_sqlite, OWNER, version, tmp_path / "salt.cif")
    assert ".extxyz" in refusal.value.hint


def test_a_failed_export_leaves_the_old_file_and_no_other(bench_sqlite, put, salt, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "salt.extxyz").write_text("the old one")
    version = put(bench_sqlite, [salt(1)]).version.id
    with pytest.raises(NotFound):
        library.export(bench_sqlite, OWNER, version, folder / "salt.extxyz", np.array([5]))
    assert [path.name for path in folder.iterdir()] == ["salt.extxyz"]
    assert (folder / "salt.extxyz").read_text() == "the old one"


def test_a_folder_that_is_not_there_is_told(bench_sqlite, put, salt, tmp_path):
    version = put(bench_sqlite, [salt(1)]).version.id
    with pytest.raises(Unavailable, match="cannot be written"):
        library.export(bench_sqlite, OWNER, version, tmp_path / "nowhere" / "salt.extxyz")


@pytest.mark.parametrize("suffix", ["extxyz", "extxyz.gz", "extxyz.xz", "db", "traj"])
def test_an_exported_file_imports_as_the_same_dataset(bench, version, tmp_path, suffix):
    library.export(bench, OWNER, version, tmp_path / f"salt.{suffix}")
    *_, outcome = intake.import_files(bench, OWNER, [tmp_path / f"salt.{suffix}"], "again")
    before, after = library.version(bench, version), library.version(bench, outcome.version_id)
    # The key stands for every bit of structures and labels, and for groups, splits and levels of theory.
    assert after == dataclasses.replace(
        before, id=after.id, dataset="again", dataset_id=after.dataset_id, created=after.created
    )


def test_names_of_every_kind_survive_a_file(bench_sqlite, put, salt, tmp_path):
    before = put(bench_sqlite, [salt(i, group=group) for i, group in enumerate([*GROUPS, "T", "None"])]).version
    library.export(bench_sqlite, OWNER, before.id, tmp_path / "salt.extxyz")
    *_, outcome = intake.import_files(bench_sqlite, OWNER, [tmp_path / "salt.extxyz"], "again")
    assert library.version(bench_sqlite, outcome.version_id).groups == before.groups


def test_the_silicon_of_zuo_survives_the_way_in_and_out(bench, data, tmp_path):
    *_, first = intake.import_files(bench, OWNER, [data / "zuo2020_Si_train.extxyz.gz"], "silicon")
    card = library.version(bench, first.version_id)
    # Counts of the table in SOURCES.md.
    assert (card.n_structures, card.n_atoms, card.n_energy, card.n_forces, card.n_stress) == (214, 13233, 214, 214, 202)
    library.export(bench, OWNER, card.id, tmp_path / "silicon.extxyz.xz")
    *_, again = intake.import_files(bench, OWNER, [tmp_path / "silicon.extxyz.xz"], "again")
    assert library.version(bench, again.version_id).key == card.key


def test_who_may_not_export_gets_no_file(bench_sqlite, put, salt, tmp_path):
    card = put(bench_sqlite, [salt(1)]).version
    with pytest.raises(NotAllowed, match="may not export"):
        library.export(bench_sqlite, Actor("stranger", "nobody"), card.id, tmp_path / "salt.extxyz")
    assert not list(tmp_path.glob("salt*"))


def test_an_export_is_recorded_with_the_person(bench, put, salt, tmp_path):
    card = put(bench, [salt(1), salt(2)]).version
    outcome = library.export(bench, Actor("anna", "owner"), card.id, tmp_path / "salt.extxyz")
    with bench.read() as connection:
        exporting = events.recent(connection)[0]
    assert (exporting.actor, exporting.verb, exporting.subject) == ("anna", "export", f"version {card.id}")
    assert exporting.detail == {"file": "salt.extxyz", "n_structures": 2, "sha256": outcome.sha256}
