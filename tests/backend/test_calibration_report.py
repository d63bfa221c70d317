"""What the calibration of an evaluation says: known laws are found, unseen structures judge, outsiders are told."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from population import SOURCE, populate
from population import evaluate as evaluate_at_random
from starlette.testclient import TestClient

from isoline.api.app import create_api
from isoline.api.session import guard
from isoline.domain.actor import OWNER
from isoline.domain.artifact import ArtifactKind
from isoline.domain.structure import Frame, Label, Structure
from isoline.errors import NotFound
from isoline.services import atlas, calibration, library
from isoline.statistics.calibration import Calibration, QuantityCalibration
from isoline.statistics.error_law import ErrorLaw
from isoline.store import artifacts

ATOMS = 20
TIMES = 3.0  # by which spreads are too small


def crowd(bench, n: int = 120):
    """A version of two elements in which every sixth structure is of another group."""
    random = np.random.default_rng(0)
    frames = []
    for index in range(n):
        numbers = np.where(np.arange(ATOMS) % 2, 1, 8)
        structure = Structure(numbers, random.normal(size=(ATOMS, 3)), 9 * np.eye(3), [True] * 3)
        label = Label("PBE", float(-5 * ATOMS + random.normal()), random.normal(size=(ATOMS, 3)))
        frames.append(Frame(structure, label, "surface" if index % 6 == 0 else "bulk", index))
    return list(library.add(bench, OWNER, "crowd", frames, SOURCE))[-1].version, frames


def evaluate(bench, version, frames, *, kept: Calibration | None = None, role=None) -> int:
    """An evaluation with errors TIMES the spread, larger ones on surfaces, which the model was not trained on."""
    random = np.random.default_rng(1)
    n = len(frames)
    surface = np.array([frame.group == "surface" for frame in frames])
    size = np.exp(random.normal(-3, 0.5, n)) * np.where(surface, 8, 1)
    spread = np.repeat(size, ATOMS) * np.exp(random.normal(0, 0.3, n * ATOMS))
    forces = np.concatenate([frame.label.forces for frame in frames])
    energy = np.array([frame.label.energy for frame in frames])
    role = np.where(surface, 3, np.array([1, 2, 3, 3])[np.arange(n) % 4]).astype("u1") if role is None else role
    columns = {
        "energy": energy + ATOMS * TIMES * size * random.normal(size=n),
        "energy_spread": size,
        "force_spread": spread.reshape(n, ATOMS).max(1).astype("<f4"),
        "atom_force_spread": spread.astype("<f4"),
        "forces": (forces + TIMES * spread[:, None] / np.sqrt(3) * random.normal(size=forces.shape)).astype("<f4"),
        "role": role,
    }
    learned = {"structure_id": library.columns(bench, version.id).structure_id, "role": role}
    summary = {"members": 4} | ({"calibration": kept.as_dict()} if kept else {})
    with bench.write() as connection:

        def keep(kind, summary, columns, parent=None):
            key = f"{kind}-{summary}"[:64]
            return artifacts.add(
                connection, kind, key, "a", {}, summary, version.id, "owner", parent=parent, columns=columns
            )

        model = keep(ArtifactKind.MODEL, summary, learned)
        return keep(ArtifactKind.EVALUATION, {}, columns, parent=model)


def test_a_model_without_a_calibration_is_calibrated_on_its_validation_structures(bench):
    version, frames = crowd(bench)
    found = calibration.report(bench, evaluate(bench, version, frames))
    assert (found.source, found.judged_on) == ("evaluation", "unseen")
    assert sorted(found.quantities) == ["energy", "forces"]
    forces = found.quantities["forces"]
    assert forces.law.scale == pytest.approx(TIMES, rel=0.1)
    assert forces.after.miscalibration_area < 0.05 < forces.before.miscalibration_area
    assert forces.before.excess_coverage < 0
    assert forces.after.n == 3 * ATOMS * found.n_structures
    assert [row.element for row in forces.elements] == ["H", "O"]
    assert sum(row.after.n for row in forces.elements) == forces.after.n
    assert sum(one.n for one in forces.deciles) * 3 == forces.after.n
    assert forces.observed_after[0] == 0
    assert forces.observed_after[-1] == 1
    kept = {promise.level: promise.observed for promise in forces.promises}
    assert kept[0.9] == pytest.approx(0.9, abs=0.06)
    assert found.quantities["energy"].after.n == found.n_structures


def test_the_calibration_that_came_with_the_model_is_used(bench_sqlite):
    version, frames = crowd(bench_sqlite)
    kept = Calibration(forces=QuantityCalibration(3, ErrorLaw(TIMES)))
    found = calibration.report(bench_sqlite, evaluate(bench_sqlite, version, frames, kept=kept))
    assert found.source == "model"
    assert list(found.quantities) == ["forces"]
    assert found.quantities["forces"].law == ErrorLaw(TIMES)
    assert found.quantities["forces"].after.miscalibration_area < 0.02


def test_structures_of_groups_not_trained_on_are_told_by_their_spread(bench_sqlite):
    version, frames = crowd(bench_sqlite)
    found = calibration.report(bench_sqlite, evaluate(bench_sqlite, version, frames)).outsiders
    assert found.groups == ("surface",)
    assert found.n_outside == 20
    assert found.energy > 0.95
    assert found.forces > 0.95


def test_where_every_group_was_trained_on_there_are_no_outsiders(bench_sqlite):
    version, frames = crowd(bench_sqlite)
    role = np.where(np.arange(len(frames)) % 5 < 2, 1, 3).astype("u1")
    assert calibration.report(bench_sqlite, evaluate(bench_sqlite, version, frames, role=role)).outsiders is None


def test_without_unseen_structures_the_validation_set_is_judged_and_said_so(bench_sqlite):
    version, frames = crowd(bench_sqlite)
    role = np.where(np.arange(len(frames)) % 2, 1, 2).astype("u1")
    found = calibration.report(bench_sqlite, evaluate(bench_sqlite, version, frames, role=role))
    assert (found.judged_on, found.n_structures) == ("validation", 60)
    assert found.quantities["forces"].after.miscalibration_area < 0.02


def test_a_selection_narrows_what_is_judged(bench_sqlite):
    version, frames = crowd(bench_sqlite)
    id = evaluate(bench_sqlite, version, frames)
    chosen = atlas.select(bench_sqlite, OWNER, version.id, {"positions": list(range(40))})
    assert (
        calibration.report(bench_sqlite, id, chosen.id).n_structures < calibration.report(bench_sqlite, id).n_structures
    )


def test_an_evaluation_without_validation_structures_has_no_calibration(bench_sqlite):
    version, frames = crowd(bench_sqlite)
    role = np.full(len(frames), 3, dtype="u1")
    found = calibration.report(bench_sqlite, evaluate(bench_sqlite, version, frames, role=role))
    assert (found.source, found.quantities, found.outsiders) == ("", {}, None)
    with pytest.raises(NotFound):
        calibration.report(bench_sqlite, 99)


def test_missing_labels_and_groups_do_not_matter_and_the_report_is_json(bench_sqlite):
    population = populate(bench_sqlite)
    id = evaluate_at_random(bench_sqlite, population, unpredicted=(3, 17))
    found = calibration.report(bench_sqlite, id)
    json.dumps(asdict(found), allow_nan=False)
    server = create_api(bench_sqlite)
    guard(server, bench_sqlite)
    with TestClient(server, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000)) as client:
        answer = client.get(f"/api/evaluations/{id}/calibration").json()
        assert client.get("/api/evaluations/99/calibration").status_code == 404
    assert answer == json.loads(json.dumps(asdict(found)))
    assert answer["quantities"]["forces"]["after"]["n"] > 0
