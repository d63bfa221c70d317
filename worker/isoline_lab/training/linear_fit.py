"""Training a linear potential: one pass over the labels, solved in closed form, with its posterior as the committee."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from isoline.domain.recipe import Train
from isoline.domain.structure import Frame
from isoline.errors import InvalidInput
from isoline_lab.descriptors.contraction import new_expansion
from isoline_lab.descriptors.projection import Projection
from isoline_lab.potentials.baseline import fit_baseline
from isoline_lab.training.batch_store import BUDGET_BYTES, BatchStore
from isoline_lab.training.batches import build_batch
from isoline_lab.training.best import Best
from isoline_lab.training.epoch import Epoch
from isoline_lab.training.learner import Learner
from isoline_lab.training.linear_checkpoint import LinearCheckpoint
from isoline_lab.training.linear_rows import KINDS, include
from isoline_lab.training.loss import LossWeights
from isoline_lab.training.noise import Noise
from isoline_lab.training.posterior import NormalEquations, Posterior, changed, maximise_evidence
from isoline_lab.training.prepare import measure
from isoline_lab.training.scores import score
from isoline_lab.training.warm_start import refuse_unlike

# For how many labels of its kind one counts: errors of forces and of stresses are correlated within a structure, for a
# linear potential cannot express everything. Chosen on validation parts of Si, Mo and Ni of Zuo et al. (2020).
COUNTS = {"energy": 2.0, "force": 0.2, "stress": 0.2}

# Features that are next to constant are not blown up beyond this, relative to the steepest.
LEAST_STEEPNESS = 1e-6

# Atoms whose derivatives are held at once, in whole structures.
ATOMS_AT_ONCE = 200

# What makes the features: a warm start cannot change it.
KEPT_WARM = ("family", "head", "cutoff", "l_max", "l_product", "products")


def fit_linear(
    recipe: Train,
    train: Sequence[Frame],
    validation: Sequence[Frame],
    *,
    start: LinearCheckpoint | None = None,
    warm: bool = False,
) -> Iterator[Epoch]:
    """Train a linear potential on energies, forces and stresses; labels that are missing are left out.

    start  state to go on from, of the same recipe and data: it is finished
    warm   instead add the structures that `start` has not learned from, and take away those that are no longer in the
           training set; features, their scales and the baseline stay as they are

    Yields records with number 0 while computing, then one with number 1. Members are drawn from the posterior.

    Raises InvalidInput for sets that cannot be learned from, Diverged for labels that are not finite.
    """
    began = time.monotonic()
    counts = _counts(recipe)
    _refuse_unusable(train, counts, "training")
    _refuse_unusable(validation, counts, "validation")
    data = _fingerprint(train, validation)
    if start is not None and not warm:
        if start.data != data:
            raise InvalidInput(
                "the checkpoint belongs to other structures or labels than these",
                hint="Start afresh, or start warm from its potential.",
            )
        nothing = np.full(recipe.members, np.nan)
        yield Epoch(1, 1, "", 1.0, nothing, nothing, nothing, nothing, record=start.best, state=start)
        return
    names = [_name(frame) for frame in train]
    if start is None:
        learner = yield from _prepare(recipe, train)
        equations = yield from _equations(learner, train)
        posterior = maximise_evidence(equations, counts, _groups(learner))
    else:
        refuse_unlike(recipe, start, {int(z) for frame in train for z in np.unique(frame.structure.numbers)}, KEPT_WARM)
        learner = start.learner
        posterior = yield from _continued(start, counts, train, validation)
    yield Epoch(stage="linear potential", fraction=1.0)
    state = LinearCheckpoint(
        data=data,
        held=tuple(names),
        recipe=recipe.model_dump(mode="json"),
        learner=learner,
        equations=dict(posterior.equations),
        coefficients=posterior.draw(recipe.members, recipe.seed),
        prior=posterior.prior,
        noise=Noise(*(posterior.noise.get(kind, float("nan")) for kind in KINDS)),
        evidence=posterior.evidence,
        best=Best(),
    )
    weights = LossWeights(recipe.energy_weight, recipe.force_weight, recipe.stress_weight)
    readout, networks = state.readout()
    size = recipe.batch_size
    groups = [list(validation[k : k + size]) for k in range(0, len(validation), size)]
    store = BatchStore(readout, [(g, np.ones((recipe.members, len(g)))) for g in groups], BUDGET_BYTES // 4)
    scores = yield from score(networks, store, weights, Epoch(total=1, fraction=0.5))
    best = Best(1, float(scores.loss.mean()), scores.committee_energy_rmse, scores.committee_force_rmse)
    yield Epoch(
        number=1,
        total=1,
        fraction=1.0,
        train_loss=_loss(posterior, state.coefficients, weights),
        validation_loss=scores.loss,
        energy_rmse=scores.energy_rmse,
        force_rmse=scores.force_rmse,
        best=True,
        record=best,
        seconds=time.monotonic() - began,
        state=replace(state, best=best),
    )


def _prepare(recipe: Train, train: Sequence[Frame]) -> Generator[Epoch, None, Learner]:
    """Features, centred and scaled so that slopes of all have the same size: one prior then means smoothness."""
    elements = tuple(sorted({int(z) for frame in train for z in np.unique(frame.structure.numbers)}))
    yield Epoch(stage="baseline")
    baseline = fit_baseline(train, elements, repulsion=recipe.repulsion, cutoff=recipe.cutoff)
    features = new_expansion(elements, recipe.cutoff, recipe.l_max, recipe.l_product, recipe.products)
    mean, steepness, _ = yield from measure(recipe, features, train)
    least = max(LEAST_STEEPNESS * float(steepness.max()), 1e-12)
    scale = torch.where(steepness > least, 1 / steepness.clamp(min=least), 0.0)
    return Learner(features, Projection(mean, torch.diag_embed(scale)), baseline, baseline.warnings)


def _continued(
    start: LinearCheckpoint, counts: dict[str, float], train: Sequence[Frame], validation: Sequence[Frame]
) -> Generator[Epoch, None, Posterior]:
    """The posterior after the changes since an earlier training.

    What was taken away is known where it is now in the validation set; otherwise the sums begin anew.
    """
    wanted, held = Counter(map(_name, train)), Counter(start.held)
    new = _drawn(train, wanted - held)
    gone = _drawn(validation, held - wanted)
    groups = _groups(start.learner)
    if len(gone) < (held - wanted).total():
        equations = yield from _equations(start.learner, train)
        return maximise_evidence(equations, counts, groups)
    more = yield from _equations(start.learner, new)
    fewer = yield from _equations(start.learner, gone)
    return maximise_evidence(changed(start.equations, more, fewer), counts, groups)


def _drawn(frames: Sequence[Frame], names: Counter) -> list[Frame]:
    """As many frames of each name as are counted, as far as there are."""
    left, found = names.copy(), []
    for frame in frames:
        if left[_name(frame)] > 0:
            left[_name(frame)] -= 1
            found.append(frame)
    return found


def _equations(learner: Learner, frames: Sequence[Frame]) -> Generator[Epoch, None, dict[str, NormalEquations]]:
    """Normal equations of frames, a few at a time."""
    elements = len(learner.features.elements)
    total = {kind: NormalEquations.empty(elements * (learner.projection.n_inputs + 1)) for kind in KINDS}
    done = 0
    for part in _parts(frames):
        sign = Epoch(stage="linear potential", fraction=done / len(frames))
        steps = build_batch(learner, part, np.ones((1, len(part))))
        while True:
            yield sign
            try:
                next(steps)
            except StopIteration as finished:
                include(total, finished.value, elements)
                break
        done += len(part)
    return total


def _parts(frames: Sequence[Frame]) -> Iterator[list[Frame]]:
    part, atoms = [], 0
    for frame in frames:
        if part and atoms + len(frame.structure) > ATOMS_AT_ONCE:
            yield part
            part, atoms = [], 0
        part.append(frame)
        atoms += len(frame.structure)
    if part:
        yield part


def _groups(learner: Learner) -> torch.Tensor:
    """All features share a prior; offsets of elements have their own, fixed."""
    elements, inputs = len(learner.features.elements), learner.projection.n_inputs
    group = torch.zeros(elements, inputs + 1, dtype=torch.int64)
    group[:, -1] = -1
    return group.flatten()


def _counts(recipe: Train) -> dict[str, float]:
    asked = {"energy": recipe.energy_weight, "force": recipe.force_weight, "stress": recipe.stress_weight}
    return {kind: COUNTS[kind] * asked[kind] for kind in KINDS}


def _loss(posterior: Posterior, coefficients: torch.Tensor, weights: LossWeights) -> np.ndarray:
    """Mean squares over the labels of each kind, weighted: (members,)."""
    loss = torch.zeros(coefficients.shape[1], dtype=torch.float64)
    for kind in posterior.noise:
        known = posterior.equations[kind]
        loss += getattr(weights, kind) * known.residual(coefficients) / known.count
    return loss.numpy()


def _name(frame: Frame) -> str:
    """Of a structure and its labels."""
    return (frame.structure.identity + frame.label.identity).hex()


def _fingerprint(train: Sequence[Frame], validation: Sequence[Frame]) -> str:
    names = "\n".join([*map(_name, train), "validation", *map(_name, validation)])
    return hashlib.blake2b(names.encode(), digest_size=16).hexdigest()


def _refuse_unusable(frames: Sequence[Frame], counts: dict[str, float], role: str) -> None:
    labels = [frame.label for frame in frames]
    usable = {"energy": "energy", "force": "forces", "stress": "stress"}
    if not any(counts[kind] > 0 and getattr(x, usable[kind]) is not None for x in labels for kind in KINDS):
        raise InvalidInput(
            f"none of the {len(frames)} structures of the {role} set has an energy, forces or a stress "
            "with a weight above zero",
            hint="Import labels, change the split, or raise the weight of the labels there are.",
        )
