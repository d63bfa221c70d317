"""Leaks between dataset versions, out of a model's training, and in what an evaluation says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from isoline.api.app import create_api
from isoline.api.session import guard
from isoline.cli import main
from isoline.domain.actor import OWNER
from isoline.domain.artifact import ArtifactKind
from isoline.domain.structure import Frame, Structure
from isoline.errors import InvalidInput, NotFound
from isoline.services import accuracy, leaks, library
from isoline.store import artifacts


def turned(frame: Frame, by: float = 0.0) -> Frame:
    """The same atoms in another order, turned about the axis that is not periodic; one of them moved."""
    one = frame.structure
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    positions = one.positions @ turn.T + 0.3
    positions[0, 0] += by
    order = np.arange(len(one))[::-1]
    other = Structure(one.numbers[order], positions[order], one.cell @ turn.T, one.pbc)
    return Frame(other, frame.label, frame.group, split=frame.split)


@pytest.fixture
def planted(salt, put):
    """Six structures to train on; to test on: a copy of 0, 1 turned, 2 turned and moved a little, one that is new."""
    train = [salt(seed) for seed in range(6)]
    test = [train[0], turned(train[1]), turned(train[2], by=0.006), salt(99)]
    return lambda bench: (put(bench, train, "train").version, put(bench, test, "test").version)


def trained(bench, version, roles=(1, 1, 1, 1, 1, 2)) -> int:
    """The record of a model that was trained on a version."""
    ids = library.columns(bench, version.id).structure_id
    columns = {"structure_id": ids, "role": np.array(roles, dtype=np.uint8)}
    with bench.write() as connection:
        return artifacts.add(
            connection, ArtifactKind.MODEL, f"m{roles}", "salt", {}, {}, version.id, OWNER.name, columns=columns
        )


def evaluated(bench, model: int, version, columns: dict | None = None) -> int:
    """An evaluation whose energies are 1 eV/atom off where the structure is new and right elsewhere."""
    members = library.columns(bench, version.id)
    n, atoms = len(members), int(members.n_atoms.sum())
    energy = members.energy + members.n_atoms * (np.arange(n) == 3)
    found = {
        "energy": energy,
        "energy_spread": np.full(n, np.nan),
        "force_rmse": np.full(n, np.nan, "<f4"),
        "force_spread": np.full(n, np.nan, "<f4"),
        "stress": np.full((n, 6), np.nan, "<f4"),
        "role": np.zeros(n, np.uint8),
        "forces": np.full((atoms, 3), np.nan, "<f4"),
        "atom_force_spread": np.full(atoms, np.nan, "<f4"),
    }
    with bench.write() as connection:
        return artifacts.add(
            connection,
            ArtifactKind.EVALUATION,
            f"e{model}{sorted(columns or {})}",
            "salt",
            {},
            {},
            version.id,
            OWNER.name,
            parent=model,
            columns=found | (columns or {}),
        )


def test_copies_are_told_by_kind_and_distance(bench, planted):
    train, test = planted(bench)
    report = leaks.between(bench, train.id, test.id)
    assert [(pair.train, pair.test, pair.kind) for pair in report.pairs] == [
        (0, 0, "exact"),
        (1, 1, "symmetry"),
        (2, 2, "near"),
    ]
    assert report.n_leaked == {"exact": 1, "symmetry": 1, "near": 1}
    assert (report.n_train, report.n_test, report.near) == (6, 4, 0.01)
    assert report.pairs[0].distance == 0
    assert 0.003 <= report.pairs[2].distance <= 0.006
    assert leaks.between(bench, train.id, test.id, near=0.001).n_leaked == {"exact": 1, "symmetry": 1, "near": 0}


def test_inside_one_version_each_pair_is_told_once(bench_sqlite, salt, put):
    frames = [salt(seed) for seed in range(3)]
    version = put(bench_sqlite, [*frames, turned(frames[2])]).version
    report = leaks.between(bench_sqlite, version.id, version.id)
    assert [(pair.train, pair.test, pair.kind) for pair in report.pairs] == [(2, 3, "symmetry")]


def test_a_distance_that_is_none_is_refused(bench_sqlite, salt, put):
    version = put(bench_sqlite, [salt(0)]).version
    for near in (0.0, -1.0, 9.0, float("nan")):
        with pytest.raises(InvalidInput, match="near"):
            leaks.between(bench_sqlite, version.id, version.id, near)
    with pytest.raises(NotFound):
        leaks.between(bench_sqlite, version.id, 99)


def test_what_a_model_has_only_been_tested_on_is_no_leak(bench_sqlite, planted):
    train, test = planted(bench_sqlite)
    everything = leaks.of_model(bench_sqlite, trained(bench_sqlite, train), test.id)
    assert everything.kind.tolist() == [1, 2, 3, 0]
    assert everything.twin[:3].tolist() == library.columns(bench_sqlite, train.id).structure_id[:3].tolist()
    assert np.isnan(everything.distance[3])
    assert [row["kind"] for row in everything.listed()] == ["exact", "symmetry", "near"]
    tested = leaks.of_model(bench_sqlite, trained(bench_sqlite, train, (3, 3, 1, 1, 1, 2)), test.id)
    assert tested.counts() == {"exact": 0, "symmetry": 0, "near": 1}


@pytest.mark.parametrize("recorded", [True, False])
def test_errors_are_told_with_and_without_leaks_also_of_old_evaluations(bench_sqlite, planted, recorded):
    train, test = planted(bench_sqlite)
    model = trained(bench_sqlite, train)
    columns = leaks.of_model(bench_sqlite, model, test.id).columns() if recorded else None
    evaluation = evaluated(bench_sqlite, model, test, columns)
    assert leaks.of_evaluation(bench_sqlite, evaluation).kind.tolist() == [1, 2, 3, 0]
    rows = {row.group: row for row in accuracy.metrics(bench_sqlite, evaluation, "leak")}
    assert {name: row.energy_n for name, row in rows.items()} == {
        "exact": 1,
        "near": 1,
        "not in training": 1,
        "symmetry": 1,
    }
    assert rows["not in training"].energy_rmse == pytest.approx(1.0)
    assert accuracy.metrics(bench_sqlite, evaluation)[0].energy_rmse == pytest.approx(0.5)


def test_training_is_warned_of_what_judges_it_and_was_learned(bench_sqlite, salt, put):
    frames = [salt(seed) for seed in range(4)]
    frames = [*frames, turned(frames[0]), turned(frames[1], by=0.006), turned(frames[2])]
    version = put(bench_sqlite, frames).version
    ids = library.columns(bench_sqlite, version.id).structure_id
    roles = np.array([1, 1, 2, 1, 2, 2, 3], dtype=np.uint8)
    found = leaks.check_training(bench_sqlite, ids, roles)
    assert found.validation == {"exact": 0, "symmetry": 1, "near": 1}
    assert found.test == {"exact": 0, "symmetry": 1, "near": 0}
    assert found.warnings() == (
        "2 of 3 validation structures stand in training too: 1 by symmetry, 1 near",
        "1 of 1 test structures stand in training or validation too: 1 by symmetry",
    )
    assert found.summary()["pairs"][0] == {
        "learned": int(ids[0]),
        "judged": int(ids[4]),
        "kind": "symmetry",
        "distance": 0.0,
    }
    clean = leaks.check_training(bench_sqlite, ids[:4], roles[:4])
    assert clean.warnings() == ()
    assert leaks.check_training(bench_sqlite, ids[:4], roles[:4], test=version.id).test["exact"] == 4


def test_twins_are_one_family(bench_sqlite, salt, put):
    frames = [salt(seed) for seed in range(4)]
    version = put(bench_sqlite, [*frames, turned(frames[3]), turned(frames[1], by=0.006)]).version
    ids = library.columns(bench_sqlite, version.id).structure_id
    assert leaks.families(bench_sqlite, ids).tolist() == ids[[0, 1, 2, 3, 3, 1]].tolist()


def test_the_command_line_and_rest_tell_the_pairs(bench_sqlite, planted):
    train, test = planted(bench_sqlite)
    environment = bench_sqlite.settings.environment()
    done = CliRunner().invoke(main, ["leaks", "train", "test", "--json"], env=environment)
    told = json.loads(done.output)["pairs"]
    assert [(pair["train"], pair["test"], pair["kind"]) for pair in told] == [
        (0, 0, "exact"),
        (1, 1, "symmetry"),
        (2, 2, "near"),
    ]
    plain = CliRunner().invoke(main, ["leaks", "train", "test"], env=environment).output
    assert plain.splitlines()[-1] == "1 exact, 1 by symmetry, 1 near among 4 structures of test against 6 of train"
    model = trained(bench_sqlite, train)
    server = create_api(bench_sqlite)
    guard(server, bench_sqlite)
    with TestClient(server, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000)) as client:
        assert client.get(f"/api/versions/{train.id}/leaks/{test.id}").json()["pairs"] == told
        assert client.get(f"/api/versions/{train.id}/leaks/{test.id}?near=3").status_code == 422
        found = client.get(f"/api/models/{model}/leaks/{test.id}").json()
    assert found["n_leaked"] == {"exact": 1, "symmetry": 1, "near": 1}
    assert [leak["test"] for leak in found["leaks"]] == [0, 1, 2]
