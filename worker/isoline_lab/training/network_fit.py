"""Training committees of networks on fixed features: a loop that yields after every epoch."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from isoline.domain.recipe import Train
from isoline.domain.structure import Frame
from isoline.errors import Diverged, InvalidInput
from isoline_lab.potentials.networks import MemberNetworks
from isoline_lab.training.batch_store import BUDGET_BYTES, BatchStore
from isoline_lab.training.batches import assign_batches
from isoline_lab.training.best import Best
from isoline_lab.training.checkpoint import Checkpoint
from isoline_lab.training.epoch import Epoch
from isoline_lab.training.labelled_sets import fingerprint, refuse_unusable
from isoline_lab.training.linear import LinearFit
from isoline_lab.training.loss import LossWeights, batch_loss, predict_batch
from isoline_lab.training.noise import estimate_noise
from isoline_lab.training.optimiser import AdamW
from isoline_lab.training.prepare import prepare
from isoline_lab.training.schedule import exhausted, follow, learning_rate, sign_of_life
from isoline_lab.training.scores import score
from isoline_lab.training.warm_start import refuse_unlike

# Energies weigh little at first and fully in the last part of the training: they follow the forces at no cost.
FORCES_FIRST = 0.7
EARLY_ENERGY = 0.1

SILENCE_S = 0.5  # how long a caller may have to wait for a sign of life within an epoch

# Share of the running average of the weights that stays in a step.
AVERAGING = 0.98

RIDGE = 1e-6

# How far members' weights of a structure go from all alike (0) to a full Bayesian bootstrap (1).
BOOTSTRAP = 0.5

# What makes the features and the shape of the networks: a warm start cannot change it.
KEPT_WARM = ("family", "head", "members", "cutoff", "inputs", "hidden")


def fit_networks(
    recipe: Train,
    train: Sequence[Frame],
    validation: Sequence[Frame],
    *,
    start: Checkpoint | None = None,
    warm: bool = False,
) -> Iterator[Epoch]:
    """Train a committee on energies, forces and stresses; labels that are missing are left out.

    start  state to go on from: the same recipe and data give what an undisturbed run would have given
    warm   instead take only the potential from `start`: its weights, on these data, with a fresh optimiser

    Yields records with number 0 while preparing, then one for each epoch; stops when the validation loss has not
    improved for `patience` epochs. Members start from different random weights and see each structure with different
    weights (Bayesian bootstrap, Rubin, Ann. Stat. 9, 130, 1981), in the same order. Runs on one machine with one number
    of threads repeat exactly.

    Raises InvalidInput for sets that cannot be learned from, Diverged when the loss is not finite.
    """
    refuse_unusable(train, validation, recipe)
    data = fingerprint(train, validation)
    if start is None or warm:
        state = yield from _begin(recipe, train, data, start)
    elif start.data != data:
        raise InvalidInput(
            "the checkpoint belongs to other structures or labels than these",
            hint="Start afresh, or start warm from its potential.",
        )
    else:
        state = start
    yield from _run(recipe, train, validation, state, fresh=start is None)


def _begin(
    recipe: Train, train: Sequence[Frame], data: str, start: Checkpoint | None
) -> Generator[Epoch, None, Checkpoint]:
    """The state before the first epoch: random weights, or those of an earlier potential."""
    described = recipe.model_dump(mode="json")
    if start is not None:
        elements = {int(z) for frame in train for z in np.unique(frame.structure.numbers)}
        refuse_unlike(recipe, start, elements, KEPT_WARM)
        return replace(
            start,
            epoch=0,
            step=0,
            data=data,
            recipe=described,
            weights=start.best_weights,
            average=start.best_weights,
            best=Best(),
            noise=None,
            optimiser={},
        )
    learner = yield from prepare(recipe, train)
    networks = MemberNetworks(
        recipe.members, len(learner.features.elements), learner.projection.n_inputs, recipe.hidden
    )
    networks.randomise(torch.Generator().manual_seed(recipe.seed))
    weights = _copied(networks.state_dict())
    return Checkpoint(
        epoch=0,
        data=data,
        recipe=described,
        learner=learner,
        hidden=recipe.hidden,
        weights=weights,
        average=weights,
        best=Best(),
        best_weights=weights,
    )


def _run(
    recipe: Train, train: Sequence[Frame], validation: Sequence[Frame], state: Checkpoint, fresh: bool
) -> Iterator[Epoch]:
    """Epochs from a state on."""
    if state.epoch >= recipe.epochs or exhausted(recipe, state.epoch, state.best):
        nothing = np.full(recipe.members, np.nan)
        yield Epoch(
            number=state.epoch,
            total=recipe.epochs,
            fraction=1.0,
            train_loss=nothing,
            validation_loss=nothing,
            energy_rmse=nothing,
            force_rmse=nothing,
            record=state.best,
            state=state,
        )
        return
    training, held_out = _stores(recipe, train, validation, state)
    yield from training.fill()
    yield from held_out.fill()
    networks, averaged = state.networks(state.weights), state.networks(state.average)
    asked = LossWeights(recipe.energy_weight, recipe.force_weight, recipe.stress_weight)
    if fresh:
        yield from _start_from_linear(networks, training, asked)
        averaged.load_state_dict(networks.state_dict())
    if state.noise is None and recipe.weighting == "noise":
        state = replace(state, noise=(yield from estimate_noise(networks, held_out)))
    final = asked if state.noise is None else state.noise.weights(asked, recipe.force_priority)
    optimiser = AdamW(networks, recipe.weight_decay, state.optimiser, state.step)
    best, best_weights = state.best, state.best_weights
    has_forces = any(frame.label.forces is not None for frame in train)
    for number in range(state.epoch + 1, recipe.epochs + 1):
        began = heard = time.monotonic()
        early = has_forces and number <= FORCES_FIRST * recipe.epochs
        weights = replace(final, energy=final.energy * EARLY_ENERGY) if early else final
        losses, total = torch.zeros(recipe.members), 0
        order = np.random.default_rng([recipe.seed, 3, number]).permutation(len(training))
        for done, index in enumerate(order.tolist()):
            sign = sign_of_life(recipe, number, done / len(order))
            if time.monotonic() - heard > SILENCE_S:
                yield sign
                heard = time.monotonic()
            batch = yield from training.batch(index, sign)
            predicted = predict_batch(networks, batch, learning=True)
            loss = batch_loss(predicted, batch, weights)
            rate = learning_rate(recipe, optimiser.steps + 1, recipe.epochs * len(training))
            optimiser.step(loss.sum(), rate)  # members share no weights, so each descends its own loss
            follow(averaged, networks, optimiser.steps, AVERAGING)
            losses += batch_loss(predicted, batch, final).detach() * batch.n_structures
            total += batch.n_structures
        train_loss = (losses / total).numpy()
        scores = yield from score(averaged, held_out, final, sign_of_life(recipe, number, 1.0))
        if not (np.isfinite(train_loss).all() and np.isfinite(scores.loss).all()):
            raise Diverged(
                f"the loss was not finite in epoch {number}",
                hint="Lower the learning rate, and look for extreme forces or energies in the training set.",
            )
        improved = bool(scores.loss.mean() < best.loss)
        current = _copied(averaged.state_dict())
        if improved:
            best = Best(number, float(scores.loss.mean()), scores.committee_energy_rmse, scores.committee_force_rmse)
            best_weights = current
        state = replace(
            state,
            epoch=number,
            weights=_copied(networks.state_dict()),
            average=current,
            best=best,
            best_weights=best_weights,
            optimiser=optimiser.moments(),
            step=optimiser.steps,
        )
        yield Epoch(
            number=number,
            total=recipe.epochs,
            fraction=number / recipe.epochs,
            train_loss=train_loss,
            validation_loss=scores.loss,
            energy_rmse=scores.energy_rmse,
            force_rmse=scores.force_rmse,
            best=improved,
            record=best,
            seconds=time.monotonic() - began,
            state=state,
        )
        if exhausted(recipe, number, best):
            return


def _stores(
    recipe: Train, train: Sequence[Frame], validation: Sequence[Frame], state: Checkpoint
) -> tuple[BatchStore, BatchStore]:
    """Batches to learn from and to validate with."""
    rng = np.random.default_rng([recipe.seed, 2])
    batches = assign_batches(len(train), recipe.batch_size, rng)
    # Exponential weights are the Bayesian bootstrap; the mixture keeps every structure in every member.
    weights = 1.0 + BOOTSTRAP * (rng.exponential(size=(recipe.members, len(train))) - 1.0)
    if recipe.members == 1:
        weights = np.ones((1, len(train)))
    training = BatchStore(
        state.learner,
        [([train[i] for i in b], weights[:, b]) for b in batches],
        BUDGET_BYTES,
    )
    groups = np.array_split(np.arange(len(validation)), -(-len(validation) // recipe.batch_size))
    held_out = BatchStore(
        state.learner,
        [([validation[i] for i in b], np.ones((recipe.members, len(b)))) for b in groups],
        BUDGET_BYTES // 4,
    )
    return training, held_out


def _start_from_linear(
    networks: MemberNetworks, training: BatchStore, weights: LossWeights
) -> Generator[Epoch, None, None]:
    """Give every member the best linear potential; its random network then learns the rest."""
    linear = LinearFit(networks.linear.shape[1], networks.linear.shape[2], weights)
    for index in range(len(training)):
        sign = Epoch(stage="linear potential", fraction=index / len(training))
        yield sign
        linear.add((yield from training.batch(index, sign)))
    coefficients, offsets = linear.solve(RIDGE)
    with torch.no_grad():
        networks.linear.copy_(coefficients[None, :, :, None])
        networks.offset.copy_(offsets[None, :, None, None])


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}
