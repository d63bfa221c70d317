"""Structures and labels are kept once, found by content, and come back bit for bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from sqlalchemy import func, select

from isoline.domain.structure import Frame, Label, Structure
from isoline.services import library
from isoline.store import structures
from isoline.store.tables import composition, composition_element, label, structure

FLOAT = some.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)


def rows(bench, table) -> int:
    with bench.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar()


def same(a: Frame, b: Frame) -> bool:
    return a.structure.identity == b.structure.identity and a.label.identity == b.label.identity


@some.composite
def any_frame(draw) -> Frame:
    n = draw(some.integers(1, 5))
    made = Structure(
        draw(arrays(np.uint8, n, elements=some.integers(1, 118))),
        draw(arrays(np.float64, (n, 3), elements=FLOAT)),
        draw(arrays(np.float64, (3, 3), elements=some.floats(-1e3, 1e3))),
        draw(arrays(bool, 3)),
    )
    forces = draw(some.none() | arrays(np.float64, (n, 3), elements=some.floats(-1e100, 1e100)))
    stress = draw(some.none() | arrays(np.float64, 6, elements=FLOAT))
    told = Label(draw(some.text("ABC+/()-", min_size=1)), draw(some.none() | FLOAT), forces, stress)
    return Frame(made, told, draw(some.text(max_size=20).filter(lambda text: "\0" not in text and text.isprintable())))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=some.lists(any_frame(), min_size=1, max_size=4), turn=some.uuids())
def test_anything_comes_back_bit_for_bit(bench, put, frames, turn):
    card = put(bench, frames, dataset=str(turn)).version
    back = {
        (f.structure.identity, f.label.identity, f.label.level_of_theory): f for f in library.frames(bench, card.id)
    }
    for one in frames:
        found = back[one.structure.identity, one.label.identity, one.label.level_of_theory]
        assert same(one, found)
        assert found.label.energy == one.label.energy


def test_one_structure_is_kept_once_with_a_label_for_each_level_of_theory(bench, put, salt):
    pbe = salt(1, level="PBE")
    scan = dataclasses.replace(pbe, label=dataclasses.replace(pbe.label, level_of_theory="SCAN"))
    card = put(bench, [pbe, scan, pbe]).version
    assert (rows(bench, structure), rows(bench, label), card.n_structures) == (1, 2, 2)
    assert card.levels_of_theory == ("PBE", "SCAN")
    assert [f.label.level_of_theory for f in library.frames(bench, card.id)] == ["PBE", "SCAN"]


def test_the_same_structure_in_two_datasets_is_kept_once(bench, put, salt):
    first = put(bench, [salt(1), salt(2)], dataset="a").version
    second = put(bench, [salt(2), salt(3)], dataset="b").version
    assert (rows(bench, structure), rows(bench, label)) == (3, 3)
    assert library.frame(bench, first.id, 1).id == library.frame(bench, second.id, 0).id


def test_a_missing_label_stays_missing_and_zero_stays_zero(bench, put, salt):
    bare, full = salt(1, labelled=False), salt(2)
    still = dataclasses.replace(full, label=Label("PBE", 0.0, np.zeros((4, 3)), np.zeros(6)))
    card = put(bench, [bare, still, full]).version
    assert (card.n_structures, card.n_energy, card.n_forces, card.n_stress) == (3, 2, 2, 2)
    first, second, _ = library.frames(bench, card.id)
    assert first.label.empty
    assert second.label.energy == 0.0
    columns = library.columns(bench, card.id)
    assert np.isnan(columns.energy).tolist() == [True, False, False]
    assert np.isnan(columns.max_force).tolist() == [True, False, False]
    assert columns.has_stress.tolist() == [False, True, True]


def test_columns_say_what_the_frames_say(bench, put, salt):
    given_frames = [salt(i, n=1 + i % 6, labelled=i % 4 > 0) for i in range(25)]
    given_frames.append(Frame(Structure([1], [[0, 0, 0]], np.zeros((3, 3)), [False] * 3)))
    columns = library.columns(bench, put(bench, given_frames).version.id)
    for i, frame in enumerate(given_frames):
        forces = frame.label.forces
        assert columns.n_atoms[i] == len(frame)
        assert columns.volume[i] == pytest.approx(frame.structure.volume, rel=1e-12)
        expected = np.nan if forces is None else np.linalg.norm(forces, axis=1).max()
        # norm and sqrt of a sum differ in the last bit
        np.testing.assert_allclose(columns.max_force[i], expected, rtol=1e-14)
        assert columns.identity[i].tobytes() == frame.structure.identity + frame.label.identity


def test_compositions_count_atoms_in_any_order(bench, put):
    def water(numbers: list[int]) -> Frame:
        return Frame(
            Structure(numbers, np.random.default_rng(sum(numbers[:1])).normal(size=(3, 3)), np.eye(3), [True] * 3)
        )

    card = put(bench, [water([8, 1, 1]), water([1, 8, 1])]).version
    assert library.columns(bench, card.id).composition.counts() == {"H2O": 2}
    with bench.read() as connection:
        element = composition_element.c
        found = connection.execute(select(element.z, element.count).order_by(element.z)).all()
    assert found == [(1, 2), (8, 1)]
    assert rows(bench, composition) == 1


@pytest.mark.parametrize(
    ("numbers", "hill"),
    [([8, 1, 1], "H2O"), ([1, 1, 1, 1, 6], "CH4"), ([17, 11], "ClNa"), ([8, 6, 1, 1], "CH2O"), ([14] * 8, "Si8")],
)
def test_formulas_are_in_hill_order(numbers, hill):
    assert structures.formula(bytes(sorted(numbers))) == hill


def test_stored_arrays_cannot_be_changed_by_accident(bench, put, salt):
    frame = library.frame(bench, put(bench, [salt(1)]).version.id, 0)
    with pytest.raises(ValueError, match="read-only"):
        frame.structure.positions[0, 0] = 1.0


def test_provenance_tells_file_frame_person_and_level(bench, put, salt):
    put(bench, [salt(7, level="PBE")], dataset="a")
    scan = dataclasses.replace(salt(7), label=Label("SCAN", -1.0))
    version = put(bench, [salt(8), scan], dataset="b").version
    told = library.provenance(bench, version.id, 1)
    assert [one.level_of_theory for one in told] == ["PBE", "SCAN"]
    assert told[0].source == "salt.extxyz"
    assert told[0].sha256 == "ab" * 32
    assert (told[0].frame, told[0].added_by, told[0].kind) == (7, "owner", "file")


def test_an_unlabelled_structure_has_provenance_too(bench, put, salt):
    version = put(bench, [salt(3, labelled=False)]).version
    assert [one.frame for one in library.provenance(bench, version.id, 0)] == [3]
