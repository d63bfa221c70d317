"""How right a model is: errors by group, parity points, spread against error, models side by side.

An evaluation is an artifact aligned with the members of its dataset version:

energy             (n,)        float64  eV, total, mean of the committee
energy_spread      (n,)        float64  eV/atom
force_rmse         (n,)        float32  eV/Å, over the components of a structure
force_max_error    (n,)        float32  eV/Å, largest |ΔF| of an atom
force_spread       (n,)        float32  eV/Å, largest of an atom
stress             (n, 6)      float32  eV/Å³
role               (n,)        uint8    what the model learned from it: 0 nothing, 1 training, 2 validation, 3 test
leak               (n,)        uint8    the same of its twins, see `isoline.services.leaks`; old ones lack it
forces             (atoms, 3)  float32  eV/Å, atoms of all members in order
atom_force_spread  (atoms,)    float32  eV/Å

nan stands for what was not predicted. A missing label is never taken as zero: it is left out, and N says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols

from ..domain.artifact import Artifact, ArtifactKind
from ..errors import InvalidInput
from ..statistics.scores import Score, rank_correlation, score_groups
from ..store import artifacts
from ..workbench import Workbench
from . import leaks, library, members, predictions, review

QUANTITIES = {"energy": "eV/atom", "forces": "eV/Å", "stress": "eV/Å³"}
GROUPINGS = ("overall", "split", "role", "leak", "element", "group", "tag")
ROLES = ("not seen", "training", "validation", "test")


@dataclass(frozen=True)
class ScoreRow:
    """Errors of one group of structures; None where nothing can be said.

    energies in eV/atom, force components in eV/Å, stress components in eV/Å³
    energy_n   structures with a reference and a predicted energy
    force_n    components
    stress_n   components
    """

    group: str
    n_structures: int
    energy_n: int
    energy_mae: float | None
    energy_rmse: float | None
    energy_r2: float | None
    force_n: int
    force_mae: float | None
    force_rmse: float | None
    force_r2: float | None
    stress_n: int
    stress_mae: float | None
    stress_rmse: float | None
    stress_r2: float | None


@dataclass(frozen=True)
class Comparison:
    """One model's errors on the structures that every compared model has predicted."""

    evaluation: int
    model: int | None
    name: str
    score: ScoreRow


@dataclass(frozen=True, eq=False)
class Parity:
    """Points of a parity plot, those with both a label and a prediction.

    reference, predicted  (points,) float32, less `origin`
    position              (points,) uint32   row of the point's structure in the version
    low, high             range of both as they are; None without points
    origin                0, except for energies so large that float32 would show steps: then their median
    """

    quantity: str
    unit: str
    reference: np.ndarray
    predicted: np.ndarray
    position: np.ndarray
    low: float | None
    high: float | None
    origin: float = 0.0


@dataclass(frozen=True, eq=False)
class SpreadError:
    """Predicted spread against true error, by structure (energy) or by atom (forces).

    spread, error  (points,) float32 ≥ 0; the error of a force is the length |ΔF|
    position       (points,) uint32
    correlation    Spearman's ρ: does a larger spread mean a larger error? None where undefined
    """

    quantity: str
    unit: str
    spread: np.ndarray
    error: np.ndarray
    position: np.ndarray
    correlation: float | None


def evaluations(bench: Workbench, version_id: int | None = None, model: int | None = None) -> list[Artifact]:
    """Evaluations, newest first; of one version (or one with the very same members), of one model."""
    with bench.read() as connection:
        found = artifacts.listing(connection, ArtifactKind.EVALUATION, parent=model)
    if version_id is None:
        return found
    return [one for one in found if members.same(bench, version_id, one.version)]


def metrics(bench: Workbench, evaluation_id: int, by: str = "overall", selection: str | None = None) -> list[ScoreRow]:
    """Errors of all structures or of a selection, in groups.

    by  overall | split | role | leak | element | group | tag; with `element`, energies and stresses are those of the
        structures that contain it, forces those on its atoms; a structure counts in each of its tags

    Raises InvalidInput for another grouping.
    """
    found = predictions.evaluation(bench, evaluation_id)
    if by not in GROUPINGS:
        raise InvalidInput(f"errors cannot be grouped by '{by}'", hint=f"Use one of: {', '.join(GROUPINGS)}.")

    def make() -> list[ScoreRow]:
        return _metrics(bench, found, by, chosen)

    chosen = members.selected(bench, found.version, selection)
    # Tags change; everything else about an evaluation is settled once.
    return make() if by == "tag" else bench.remember(("metrics", evaluation_id, by, selection), make)


def compare(bench: Workbench, evaluation_ids: Sequence[int]) -> list[Comparison]:
    """Models side by side on one version, on the structures for which all have made a prediction.

    Raises InvalidInput when the evaluations are of different structures.
    """
    if not evaluation_ids:
        return []
    version_id = predictions.evaluation(bench, evaluation_ids[0]).version
    found = [predictions.evaluation(bench, id, version_id) for id in evaluation_ids]
    predicted = [np.isfinite(predictions.column(bench, id, "energy")) for id in evaluation_ids]
    common = np.logical_and.reduce(predicted)
    return [Comparison(one.id, one.parent, one.name, _metrics(bench, one, "overall", common)[0]) for one in found]


def parity(bench: Workbench, evaluation_id: int, quantity: str, selection: str | None = None) -> Parity:
    """Reference against prediction at full resolution: energies per atom, force or stress components."""
    found = predictions.evaluation(bench, evaluation_id)
    reference, predicted, rows = _pairs(bench, found, quantity)
    there = np.isfinite(reference) & np.isfinite(predicted)
    chosen = members.selected(bench, found.version, selection)
    if chosen is not None:
        there &= chosen[rows][:, None] if there.ndim > 1 else chosen[rows]
    position = np.broadcast_to(rows[:, None], there.shape)[there] if there.ndim > 1 else rows[there]
    reference, predicted = reference[there], predicted[there]
    origin = _origin(reference, predicted)
    low, high = _extent(reference, predicted) if len(reference) else (None, None)
    return Parity(
        quantity=quantity,
        unit=QUANTITIES[quantity],
        reference=(reference - origin).astype("<f4"),
        predicted=(predicted - origin).astype("<f4"),
        position=position.astype("<u4"),
        low=low,
        high=high,
        origin=origin,
    )


def spread_against_error(
    bench: Workbench, evaluation_id: int, quantity: str, selection: str | None = None
) -> SpreadError:
    """Whether the committee knows where it errs. Raises InvalidInput for stress, which has no spread yet."""
    found = predictions.evaluation(bench, evaluation_id)
    if quantity not in ("energy", "forces"):
        raise InvalidInput(f"there is no spread of '{quantity}'", hint="Use energy or forces.")
    reference, predicted, rows = _pairs(bench, found, quantity)
    error = np.abs(predicted - reference) if quantity == "energy" else np.linalg.norm(predicted - reference, axis=1)
    spread = predictions.column(bench, found.id, "energy_spread" if quantity == "energy" else "atom_force_spread")
    there = np.isfinite(error) & np.isfinite(spread)
    chosen = members.selected(bench, found.version, selection)
    if chosen is not None:
        there &= chosen[rows]
    spread, error = spread[there].astype("<f4"), error[there].astype("<f4")
    return SpreadError(
        quantity, QUANTITIES[quantity], spread, error, rows[there].astype("<u4"), rank_correlation(spread, error)
    )


def seen_in_training(bench: Workbench, evaluation_id: int) -> list[int]:
    """Rows of the version that the model learned from, in training or to decide when to stop."""
    role = predictions.column(bench, evaluation_id, "role")
    return np.flatnonzero((role == 1) | (role == 2)).tolist()


def _pairs(bench: Workbench, found: Artifact, quantity: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reference, predicted, and the row of each pair's structure."""
    if quantity not in QUANTITIES:
        raise InvalidInput(f"there is no parity of '{quantity}'", hint=f"Use one of: {', '.join(QUANTITIES)}.")
    columns = library.columns(bench, found.version)
    rows = np.arange(len(columns), dtype=np.uint32)
    if quantity == "energy":
        predicted = predictions.column(bench, found.id, "energy")
        return columns.energy / columns.n_atoms, predicted / columns.n_atoms, rows
    labels = predictions.labels(bench, found.version)
    if quantity == "stress":
        return labels.stress, predictions.column(bench, found.id, "stress"), rows
    return labels.forces, predictions.column(bench, found.id, "forces"), np.repeat(rows, columns.n_atoms)


def _extent(reference: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    return float(min(reference.min(), predicted.min())), float(max(reference.max(), predicted.max()))


def _origin(reference: np.ndarray, predicted: np.ndarray) -> float:
    if not len(reference) or reference.dtype == np.float32:
        return 0.0
    low, high = _extent(reference, predicted)
    step = float(np.spacing(np.float32(max(abs(low), abs(high)))))
    return float(np.median(reference)) if step > (high - low) / 20_000 else 0.0


def _metrics(bench: Workbench, found: Artifact, by: str, chosen: np.ndarray | None) -> list[ScoreRow]:
    columns = library.columns(bench, found.version)
    everything = np.ones(len(columns), dtype=bool) if chosen is None else chosen
    if by == "element":
        return _by_element(bench, found, everything)
    if by == "tag":
        tags = review.marks(bench, found.version).tags
        return [
            _scores(bench, found, np.where(has & everything, 0, -1), (name,))[0] for name, has in sorted(tags.items())
        ]
    if by == "overall":
        codes, names = np.zeros(len(columns), dtype=np.int64), ("overall",)
    elif by == "role":
        codes, names = predictions.column(bench, found.id, "role").astype(np.int64), ROLES
    elif by == "leak":
        known = leaks.of_evaluation(bench, found.id)
        codes, names = (np.zeros(len(columns)) if known is None else known.kind).astype(np.int64), leaks.LEAKS
    else:
        column = columns.split if by == "split" else columns.group
        codes, names = column.codes.astype(np.int64), column.names
    rows = _scores(bench, found, np.where(everything, codes, -1), names)
    return rows if by == "overall" else sorted((row for row in rows if row.n_structures), key=lambda row: row.group)


def _scores(bench: Workbench, found: Artifact, codes: np.ndarray, names: Sequence[str]) -> list[ScoreRow]:
    """One row for each name; `codes` (n,) say which structure belongs to which, −1 to none."""
    n_atoms = library.columns(bench, found.version).n_atoms
    scores = {
        quantity: score_groups(
            *_pairs(bench, found, quantity)[:2],
            np.repeat(codes, n_atoms) if quantity == "forces" else codes,
            len(names),
        )
        for quantity in QUANTITIES
    }
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    return [
        _row(name, int(counts[i]), scores["energy"][i], scores["forces"][i], scores["stress"][i])
        for i, name in enumerate(names)
    ]


def _by_element(bench: Workbench, found: Artifact, chosen: np.ndarray) -> list[ScoreRow]:
    n_atoms = library.columns(bench, found.version).n_atoms
    numbers = predictions.labels(bench, found.version).numbers
    structure = np.repeat(np.arange(len(n_atoms)), n_atoms)
    reference, predicted, _ = _pairs(bench, found, "forces")
    forces = score_groups(reference, predicted, np.where(chosen[structure], numbers, 0), len(chemical_symbols))
    rows = []
    for z in np.unique(numbers).tolist():
        contains = np.zeros(len(n_atoms), dtype=bool)
        contains[structure[numbers == z]] = True
        codes = np.where(contains & chosen, 0, -1)
        energy, stress = (score_groups(*_pairs(bench, found, q)[:2], codes, 1)[0] for q in ("energy", "stress"))
        if (codes == 0).any():
            rows.append(_row(chemical_symbols[z], int((codes == 0).sum()), energy, forces[z], stress))
    return rows


def _row(group: str, n_structures: int, energy: Score, force: Score, stress: Score) -> ScoreRow:
    figures = {
        f"{quantity}_{name}": value
        for quantity, score in (("energy", energy), ("force", force), ("stress", stress))
        for name, value in vars(score).items()
    }
    return ScoreRow(group=group, n_structures=n_structures, **figures)
