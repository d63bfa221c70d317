"""Errors of a model: every figure against a plain loop over frames, and no missing label counted as zero."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from population import SOURCE, Population, evaluate, populate

from isoline.domain.actor import OWNER
from isoline.errors import InvalidInput, NotFound
from isoline.services import accuracy, atlas, library, predictions, review


def predicted(bench, evaluation: int, population: Population) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Energy, forces and stress of every frame, cut out of the columns one by one."""
    ends = np.cumsum([len(frame) for frame in population.frames])
    forces = predictions.column(bench, evaluation, "forces")
    return [
        (energy, forces[end - len(frame) : end], stress)
        for frame, end, energy, stress in zip(
            population.frames,
            ends,
            predictions.column(bench, evaluation, "energy"),
            predictions.column(bench, evaluation, "stress"),
            strict=True,
        )
    ]


def by_hand(bench, evaluation: int, population: Population, rows, z: int | None = None) -> dict[str, float]:
    """N, MAE and RMSE by a loop; `z` takes the forces on one element's atoms only."""
    errors: dict[str, list[float]] = {"energy": [], "force": [], "stress": []}
    guesses = predicted(bench, evaluation, population)
    for row in rows:
        frame, (energy, forces, stress) = population.frames[row], guesses[row]
        if frame.label.energy is not None and math.isfinite(energy):
            errors["energy"].append((energy - frame.label.energy) / len(frame))
        if frame.label.forces is not None and np.isfinite(forces).all():
            atoms = slice(None) if z is None else frame.structure.numbers == z
            errors["force"] += (forces - frame.label.forces.astype("<f4"))[atoms].ravel().tolist()
        if frame.label.stress is not None and np.isfinite(stress).all():
            errors["stress"] += (stress - frame.label.stress).tolist()
    figures = {}
    for quantity, found in errors.items():
        figures[f"{quantity}_n"] = len(found)
        figures[f"{quantity}_mae"] = float(np.mean(np.abs(found))) if found else None
        figures[f"{quantity}_rmse"] = float(np.sqrt(np.mean(np.square(found)))) if found else None
    return figures


def assert_row(row: accuracy.ScoreRow, wanted: dict[str, float]) -> None:
    # forces are kept in float32: 1e-7 of their size
    for name, value in wanted.items():
        assert getattr(row, name) == (value if value is None else pytest.approx(value, rel=1e-5)), name


def test_overall_errors_are_those_of_a_loop_over_frames(bench):
    population = populate(bench)
    evaluation = evaluate(bench, population, unpredicted=(3, 17))
    (row,) = accuracy.metrics(bench, evaluation)
    assert (row.group, row.n_structures) == ("overall", population.n)
    assert_row(row, by_hand(bench, evaluation, population, range(population.n)))
    assert row.energy_n < population.n
    assert row.force_r2 == pytest.approx(1 - row.force_rmse**2, abs=0.05)  # references have unit variance


def test_a_missing_label_is_not_a_zero(bench_sqlite):
    population = populate(bench_sqlite)
    evaluation = evaluate(bench_sqlite, population, error=1e-6)
    (row,) = accuracy.metrics(bench_sqlite, evaluation)
    # every fifth energy is missing and would count as an error of 5 eV/atom
    assert row.energy_rmse < 1e-5
    assert row.energy_n == sum(frame.label.energy is not None for frame in population.frames)
    assert row.stress_n == 6 * sum(frame.label.stress is not None for frame in population.frames)
    plotted = accuracy.parity(bench_sqlite, evaluation, "energy")
    assert len(plotted.reference) == row.energy_n
    assert np.abs(plotted.reference - plotted.predicted).max() < 1e-4


@pytest.mark.parametrize("by", ["split", "group", "role"])
def test_errors_by_name_are_those_of_a_loop_over_that_group(bench, by):
    population = populate(bench)
    evaluation = evaluate(bench, population)
    names = [
        {"split": frame.split, "group": frame.group, "role": accuracy.ROLES[row % 3]}[by]
        for row, frame in enumerate(population.frames)
    ]
    rows = accuracy.metrics(bench, evaluation, by)
    assert [row.group for row in rows] == sorted(set(names))
    for row in rows:
        members = [i for i, name in enumerate(names) if name == row.group]
        assert row.n_structures == len(members)
        assert_row(row, by_hand(bench, evaluation, population, members))


def test_errors_by_element_take_structures_with_it_and_forces_on_it(bench_sqlite):
    population = populate(bench_sqlite)
    evaluation = evaluate(bench_sqlite, population)
    rows = accuracy.metrics(bench_sqlite, evaluation, "element")
    assert [row.group for row in rows] == ["H", "O", "Si"]
    for row, z in zip(rows, (1, 8, 14), strict=True):
        members = [i for i, frame in enumerate(population.frames) if z in frame.structure.numbers]
        assert row.n_structures == len(members)
        assert_row(row, by_hand(bench_sqlite, evaluation, population, members, z))
    assert sum(row.force_n for row in rows) == accuracy.metrics(bench_sqlite, evaluation)[0].force_n


def test_errors_by_tag_follow_the_tags_and_a_selection_narrows_them(bench):
    population = populate(bench)
    evaluation = evaluate(bench, population)
    review.tag(bench, OWNER, population.version.id, [1, 2, 3], "odd")
    review.tag(bench, OWNER, population.version.id, [3, 4], "big")
    rows = {row.group: row for row in accuracy.metrics(bench, evaluation, "tag")}
    assert_row(rows["odd"], by_hand(bench, evaluation, population, [1, 2, 3]))
    assert_row(rows["big"], by_hand(bench, evaluation, population, [3, 4]))
    review.tag(bench, OWNER, population.version.id, [3], "big", present=False)
    assert {row.group: row.n_structures for row in accuracy.metrics(bench, evaluation, "tag")} == {"odd": 3, "big": 1}
    chosen = atlas.select(bench, OWNER, population.version.id, {"positions": [2, 3, 9]})
    (odd, *_) = [row for row in accuracy.metrics(bench, evaluation, "tag", chosen.id) if row.group == "odd"]
    assert_row(odd, by_hand(bench, evaluation, population, [2, 3]))
    (row,) = accuracy.metrics(bench, evaluation, selection=chosen.id)
    assert_row(row, by_hand(bench, evaluation, population, [2, 3, 9]))


@pytest.mark.parametrize("quantity", ["energy", "forces", "stress"])
def test_parity_points_are_the_pairs_and_name_their_structure(bench, quantity):
    population = populate(bench)
    evaluation = evaluate(bench, population, unpredicted=(4,))
    wanted = []
    for row, (energy, forces, stress) in enumerate(predicted(bench, evaluation, population)):
        label, n = population.frames[row].label, len(population.frames[row])
        pair = {
            "energy": (None if label.energy is None else np.array([label.energy / n]), np.array([energy / n])),
            "forces": (label.forces, forces),
            "stress": (label.stress, stress),
        }[quantity]
        if pair[0] is not None and row != 4:
            wanted += [(r, p, row) for r, p in zip(np.ravel(pair[0]), np.ravel(pair[1]), strict=True)]
    found = accuracy.parity(bench, evaluation, quantity)
    reference, guess, position = map(np.array, zip(*wanted, strict=True))
    np.testing.assert_array_equal(found.position, position)
    np.testing.assert_allclose(found.reference, reference, rtol=1e-6)
    np.testing.assert_allclose(found.predicted, guess, rtol=1e-6)
    assert (found.reference.dtype, found.position.dtype) == (np.float32, np.uint32)
    assert found.low == pytest.approx(min(reference.min(), guess.min()))
    assert found.high == pytest.approx(max(reference.max(), guess.max()))


def test_parity_of_a_selection_holds_only_its_structures(bench_sqlite):
    population = populate(bench_sqlite)
    evaluation = evaluate(bench_sqlite, population)
    chosen = atlas.select(bench_sqlite, OWNER, population.version.id, {"positions": [1, 2, 8]})
    for quantity in accuracy.QUANTITIES:
        assert set(accuracy.parity(bench_sqlite, evaluation, quantity, chosen.id).position) <= {1, 2, 8}
    found = accuracy.spread_against_error(bench_sqlite, evaluation, "forces", chosen.id)
    assert len(found.spread) == sum(len(population.frames[row]) for row in (1, 2, 8))


def test_a_lasso_on_a_parity_plot_selects_the_structures_of_its_points(bench):
    population = populate(bench)
    evaluation = evaluate(bench, population, error=0.5)
    version_id = population.version.id
    for quantity in accuracy.QUANTITIES:
        plotted = accuracy.parity(bench, evaluation, quantity)
        middle = float(np.median(plotted.reference))
        low, high = plotted.low - 1, plotted.high + 1
        lasso = [[middle, low], [high, low], [high, high], [middle, high]]
        rule = {"parity": {"evaluation": evaluation, "quantity": quantity, "polygon": lasso}}
        found = atlas.select(bench, OWNER, version_id, rule).positions
        assert set(found) == set(plotted.position[plotted.reference > middle])


def test_energies_of_all_electron_codes_are_drawn_without_steps(bench_sqlite):
    frames = []
    for frame in populate(bench_sqlite).frames:
        energy = frame.label.energy
        moved = None if energy is None else -7891.0 * len(frame) + 1e-3 * (energy + 5.0 * len(frame))
        frames.append(replace(frame, label=replace(frame.label, energy=moved)))
    heavy = Population(list(library.add(bench_sqlite, OWNER, "heavy", frames, SOURCE))[-1].version, frames)
    evaluation = evaluate(bench_sqlite, heavy, error=1e-4)
    plotted = accuracy.parity(bench_sqlite, evaluation, "energy")
    assert plotted.origin == pytest.approx(-7891.0, abs=0.01)
    assert plotted.low < -7891.0 < plotted.high
    assert plotted.high - plotted.low < 0.02
    truth = np.array([f.label.energy / len(f) for f in frames if f.label.energy is not None])
    # float32 of −7891 has steps of 5e-4 eV; about the origin they are below 1e-9
    np.testing.assert_allclose(plotted.reference, truth - plotted.origin, atol=1e-9, rtol=0)
    assert len(np.unique(plotted.predicted)) == len(plotted.predicted)
    ends = [plotted.low - 1, plotted.high + 1]
    lasso = [[ends[i], ends[j]] for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    rule = {"parity": {"evaluation": evaluation, "quantity": "energy", "polygon": lasso}}
    assert atlas.select(bench_sqlite, OWNER, heavy.version.id, rule).n == len(truth)


def test_spread_is_laid_against_the_error_of_the_same_structure_or_atom(bench_sqlite):
    population = populate(bench_sqlite)
    evaluation = evaluate(bench_sqlite, population)
    energy = accuracy.spread_against_error(bench_sqlite, evaluation, "energy")
    error = atlas.values(bench_sqlite, population.version.id, "energy_error", evaluation)
    np.testing.assert_allclose(energy.error, np.abs(error[energy.position]), rtol=1e-6)
    spread = predictions.column(bench_sqlite, evaluation, "energy_spread")
    np.testing.assert_allclose(energy.spread, spread[energy.position], rtol=1e-6)
    forces = accuracy.spread_against_error(bench_sqlite, evaluation, "forces")
    assert len(forces.error) == sum(len(f) for f in population.frames if f.label.forces is not None)
    assert -1 <= forces.correlation <= 1
    with pytest.raises(InvalidInput):
        accuracy.spread_against_error(bench_sqlite, evaluation, "stress")


def test_models_are_compared_on_what_all_of_them_predicted(bench):
    population = populate(bench)
    good = evaluate(bench, population, error=0.01, key="good", unpredicted=(1, 2))
    bad = evaluate(bench, population, error=0.5, key="bad", unpredicted=(2, 3))
    rows = accuracy.compare(bench, [good, bad])
    assert [row.evaluation for row in rows] == [good, bad]
    assert rows[0].score.energy_n == rows[1].score.energy_n
    assert rows[0].score.force_n == rows[1].score.force_n
    assert rows[0].score.energy_rmse < rows[1].score.energy_rmse
    common = [i for i in range(population.n) if i not in (1, 2, 3)]
    assert rows[0].score.n_structures == len(common)
    assert_row(rows[0].score, by_hand(bench, good, population, common))
    other = populate(bench, 5, "other")
    with pytest.raises(InvalidInput, match="other"):
        accuracy.compare(bench, [good, evaluate(bench, other)])


def test_evaluations_are_listed_for_the_version_with_the_same_members(bench_sqlite):
    population = populate(bench_sqlite)
    evaluation = evaluate(bench_sqlite, population)
    everything = np.arange(population.n)
    twin = library.freeze(bench_sqlite, OWNER, population.version.id, everything, dataset="twin")
    half = library.freeze(bench_sqlite, OWNER, population.version.id, everything[::2])
    assert [one.id for one in accuracy.evaluations(bench_sqlite, twin.id)] == [evaluation]
    assert accuracy.evaluations(bench_sqlite, half.id) == []
    assert [one.id for one in accuracy.evaluations(bench_sqlite)] == [evaluation]
    assert accuracy.seen_in_training(bench_sqlite, evaluation) == [i for i in range(population.n) if i % 3]
    assert atlas.channel(bench_sqlite, twin.id, "force_error", evaluation).n_missing > 0
    with pytest.raises(InvalidInput):
        atlas.channel(bench_sqlite, half.id, "force_error", evaluation)


def test_what_is_not_there_is_said_so(bench_sqlite):
    population = populate(bench_sqlite, 6)
    evaluation = evaluate(bench_sqlite, population)
    with pytest.raises(NotFound):
        accuracy.metrics(bench_sqlite, 99)
    with pytest.raises(InvalidInput):
        accuracy.metrics(bench_sqlite, evaluation, "colour")
    with pytest.raises(InvalidInput):
        accuracy.parity(bench_sqlite, evaluation, "charge")
    with pytest.raises(NotFound):
        accuracy.parity(bench_sqlite, evaluation, "energy", "0" * 32)
