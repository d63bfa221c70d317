"""Whether a model's spreads mean what they say on the structures of an evaluation, as given and calibrated.

The calibration comes with the model, from the validation set of its training; for models that have none it is made
from the validation structures of the evaluation. Figures are of structures that the model never saw. Where there are
none, they are of the validation set itself, and `judged_on` says so: such figures flatter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ase.data import chemical_symbols

from ..domain.artifact import Artifact, ArtifactKind
from ..statistics import reliability
from ..statistics.calibration import LEVELS, Calibration, QuantityCalibration, calibrate
from ..statistics.error_law import RAW, ErrorLaw
from ..statistics.reliability import Bin, Reliability
from ..store import artifacts
from ..workbench import Workbench
from . import library, members, predictions
from .accuracy import QUANTITIES

TRAINING, VALIDATION = 1, 2
EXPECTED = tuple(np.round(np.linspace(0, 1, 41), 3).tolist())


@dataclass(frozen=True)
class ElementRow:
    """Reliability on the atoms of one element, whose spreads are multiplied by `factor` before the law."""

    element: str
    factor: float
    before: Reliability
    after: Reliability


@dataclass(frozen=True)
class Promise:
    """A share of errors that is promised to lie below factor · calibrated spread, and the share that does."""

    level: float
    factor: float | None
    observed: float | None


@dataclass(frozen=True)
class QuantityReport:
    """One quantity before and after calibration; deviations and errors are those of one component, in `unit`.

    law                        fitted on n_calibration structures
    n_settled                  values that symmetry fixes, left out
    observed_before, -_after   share of errors within the intervals that should hold EXPECTED of them
    points_before, -_after     values by predicted deviation: reliability diagram
    deciles                    values by the error that came, calibrated
    """

    quantity: str
    unit: str
    law: ErrorLaw
    n_calibration: int
    n_settled: int
    before: Reliability
    after: Reliability
    observed_before: list[float]
    observed_after: list[float]
    points_before: list[Bin]
    points_after: list[Bin]
    deciles: list[Bin]
    elements: list[ElementRow]
    promises: list[Promise]


@dataclass(frozen=True)
class Outsiders:
    """Whether spreads tell structures of groups that the model was not trained on from those of groups it was.

    groups            of the structures outside
    energy, forces    probability that one from outside has the larger spread than one from inside: of its energy per
                      atom, of its least certain atom; None without spreads
    """

    groups: tuple[str, ...]
    n_inside: int
    n_outside: int
    energy: float | None
    forces: float | None


@dataclass(frozen=True)
class CalibrationReport:
    """Everything about the spreads of one evaluation.

    source     "model" or "evaluation": what the calibration was made from; "" without one
    judged_on  "unseen" or "validation"
    expected   coverages of the curves
    """

    evaluation: int
    source: str
    judged_on: str
    n_structures: int
    expected: tuple[float, ...] = EXPECTED
    quantities: dict[str, QuantityReport] = field(default_factory=dict)
    outsiders: Outsiders | None = None


@dataclass(frozen=True, eq=False)
class _Column:
    """Spreads and errors of one quantity over the whole version.

    spread, structure, numbers  (values,)
    error                       (values, components)
    """

    spread: np.ndarray
    error: np.ndarray
    structure: np.ndarray
    numbers: np.ndarray | None


def report(bench: Workbench, evaluation_id: int, selection: str | None = None) -> CalibrationReport:
    """The report on all structures or a selection. Raises NotFound, and InvalidInput for other structures."""
    found = predictions.evaluation(bench, evaluation_id)
    chosen = members.selected(bench, found.version, selection)
    return bench.remember(("calibration", evaluation_id, selection), lambda: _report(bench, found, chosen))


def _report(bench: Workbench, found: Artifact, chosen: np.ndarray | None) -> CalibrationReport:
    role = predictions.column(bench, found.id, "role")
    unseen = (role != TRAINING) & (role != VALIDATION)
    judged_on, rows = ("unseen", unseen) if unseen.any() else ("validation", role == VALIDATION)
    rows = rows if chosen is None else rows & chosen
    columns = {name: _column(bench, found, name) for name in ("energy", "forces")}
    source, calibration = _calibration(bench, found, columns, role == VALIDATION)
    quantities = {
        name: _quantity(name, one, columns[name], rows)
        for name in columns
        if (one := getattr(calibration, name)) is not None
    }
    return CalibrationReport(
        evaluation=found.id,
        source=source if quantities else "",
        judged_on=judged_on,
        n_structures=int(rows.sum()),
        quantities=quantities,
        outsiders=_outsiders(bench, found, unseen if chosen is None else unseen & chosen),
    )


def _calibration(
    bench: Workbench, found: Artifact, columns: dict[str, _Column], validation: np.ndarray
) -> tuple[str, Calibration]:
    kept = _model(bench, found).summary.get("calibration") if found.parent else None
    if kept:
        return "model", Calibration.from_dict(kept)
    made = {}
    for name, column in columns.items():
        of = validation[column.structure]
        numbers = None if column.numbers is None else column.numbers[of]
        made[name] = calibrate(column.spread[of], column.error[of], column.structure[of], numbers)
    return "evaluation", Calibration(**made)


def _column(bench: Workbench, found: Artifact, quantity: str) -> _Column:
    n_atoms = library.columns(bench, found.version).n_atoms
    rows = np.arange(len(n_atoms))
    if quantity == "energy":
        error = predictions.energy_error(bench, found.version, found.id)[:, None]
        return _Column(predictions.column(bench, found.id, "energy_spread"), error, rows, None)
    labels = predictions.labels(bench, found.version)
    error = predictions.column(bench, found.id, "forces") - labels.forces
    spread = predictions.column(bench, found.id, "atom_force_spread")
    return _Column(spread, error, np.repeat(rows, n_atoms), labels.numbers)


def _quantity(name: str, one: QuantityCalibration, column: _Column, rows: np.ndarray) -> QuantityReport:
    here = rows[column.structure] & np.isfinite(column.spread) & np.isfinite(column.error).all(1)
    open_ = here & one.open(column.spread)
    spread, error = column.spread[open_].astype(np.float64), column.error[open_].astype(np.float64)
    numbers = None if column.numbers is None else column.numbers[open_]
    raw, calibrated = spread / np.sqrt(one.components), one.deviation(spread, numbers)
    scores = np.linalg.norm(error, axis=1) / one.spread(spread, numbers)
    kinds = [] if numbers is None else np.unique(numbers).tolist()
    return QuantityReport(
        quantity=name,
        unit=QUANTITIES[name],
        law=one.law,
        n_calibration=one.n_structures,
        n_settled=int(here.sum() - open_.sum()),
        before=reliability.assess(RAW, raw, error),
        after=reliability.assess(one.law, calibrated, error),
        observed_before=_curve(RAW, raw, error),
        observed_after=_curve(one.law, calibrated, error),
        points_before=reliability.by_deviation(raw, error),
        points_after=reliability.by_deviation(calibrated, error, law=one.law),
        deciles=reliability.by_error(calibrated, error, law=one.law),
        elements=[
            ElementRow(
                chemical_symbols[z],
                one.by_element.get(z, 1.0),
                reliability.assess(RAW, raw[numbers == z], error[numbers == z]),
                reliability.assess(one.law, calibrated[numbers == z], error[numbers == z]),
            )
            for z in kinds
        ],
        promises=[
            Promise(level, factor, float((scores <= factor).mean()) if factor and len(scores) else None)
            for level, factor in zip(LEVELS, one.conformal.factors, strict=True)
        ],
    )


def _curve(law: ErrorLaw, deviation: np.ndarray, error: np.ndarray) -> list[float]:
    if not len(deviation):
        return []
    shares = law.share(error / deviation[:, None]).ravel()
    return reliability.observed_coverage(shares, np.array(EXPECTED)).tolist()


def _outsiders(bench: Workbench, found: Artifact, unseen: np.ndarray) -> Outsiders | None:
    """None where every group was trained on, or nothing is known of what was."""
    group = library.columns(bench, found.version).group.values()
    known = _trained_groups(bench, found) - {""}
    inside = unseen & np.isin(group, list(known))
    outside = unseen & ~np.isin(group, [*known, ""])
    if not known or not inside.any() or not outside.any():
        return None
    spreads = [predictions.column(bench, found.id, name) for name in ("energy_spread", "force_spread")]
    energy, forces = (reliability.auroc(spread[inside], spread[outside]) for spread in spreads)
    groups = tuple(sorted(set(group[outside].tolist())))
    return Outsiders(groups, int(inside.sum()), int(outside.sum()), energy, forces)


def _trained_groups(bench: Workbench, found: Artifact) -> set[str]:
    """Groups, in the version it was trained on and in this one, of the structures a model learned from."""
    if not found.parent:
        return set()
    with bench.read() as connection:
        ids = artifacts.column(connection, found.parent, "structure_id")
        learned = ids[artifacts.column(connection, found.parent, "role") == TRAINING]
    names: set[str] = set()
    for version in {found.version, _model(bench, found).version}:
        columns = library.columns(bench, version)
        names |= set(columns.group.values()[np.isin(columns.structure_id, learned)].tolist())
    return names


def _model(bench: Workbench, found: Artifact) -> Artifact:
    def read() -> Artifact:
        with bench.read() as connection:
            return artifacts.get(connection, found.parent, ArtifactKind.MODEL)

    return bench.remember(("model of evaluation", found.id), read)
