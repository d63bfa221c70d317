"""Training of a message-passing committee: a loop that yields after every epoch."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor

from isoline.domain.recipe import Recipe
from isoline.domain.structure import Frame
from isoline.errors import Diverged, InvalidInput
from isoline_lab.descriptors.acsf import element_index
from isoline_lab.descriptors.environments import gather_environments
from isoline_lab.potentials.baseline import Baseline, fit_baseline
from isoline_lab.potentials.message_network import MessageNetwork
from isoline_lab.potentials.message_passing import new_network
from isoline_lab.training.best import Best
from isoline_lab.training.clipped_adam import ClippedAdam
from isoline_lab.training.epoch import Epoch
from isoline_lab.training.labelled_sets import fingerprint, refuse_unusable
from isoline_lab.training.message_batches import (
    LabelledGraph,
    MessageBatch,
    join_graphs,
    joined_batch,
    labelled_graph,
)
from isoline_lab.training.message_checkpoint import MessageCheckpoint
from isoline_lab.training.message_loss import MessageWeights, learning_loss, score
from isoline_lab.training.schedule import exhausted, follow, learning_rate, sign_of_life

# Energies weigh little at first and fully in the last part of the training: they follow the forces at no cost.
FORCES_FIRST = 0.6
EARLY_ENERGY = 1 / 3

SILENCE_S = 0.5  # how long a caller may have to wait for a sign of life within an epoch

# Share of the running average of the weights that stays in a step.
AVERAGING = 0.99

# How far members' weights of a structure go from all alike (0) to a full Bayesian bootstrap (1).
BOOTSTRAP = 0.5

# Structures from which the sizes of features are taken.
SAMPLE = 16


@dataclass(frozen=True, eq=False)
class Prepared:
    """Both sets as labelled graphs, and how much each member learns from each structure."""

    training: list[LabelledGraph]
    validation: list[LabelledGraph]
    weights: np.ndarray


def fit_message_passing(
    recipe: Recipe,
    train: Sequence[Frame],
    validation: Sequence[Frame],
    *,
    start: MessageCheckpoint | None = None,
    warm: bool = False,
    device: torch.device | str | None = None,
) -> Iterator[Epoch]:
    """Train a committee on energies, forces and stresses; labels that are missing are left out.

    recipe  with layers, channels, l_max, cutoff, members, hidden, epochs, patience, batch_size, learning_rate,
            weight_decay, energy_weight, force_weight, stress_weight, direct_forces, net_force_penalty and seed
    start   state to go on from: the same recipe and data give what an undisturbed run would have given
    warm    instead take only the potential from `start`: its weights, on these data, with a fresh optimiser
    device  default: the graphics card if there is one

    Yields records with number 0 while preparing, then one for each epoch; stops when the validation loss has not
    improved for `patience` epochs. Members share the trunk; their last layers start from different random weights and
    see each structure with different weights (Bayesian bootstrap, Rubin, Ann. Stat. 9, 130, 1981): energies of all
    members in each step, forces and stress of one member drawn by these weights, so that a committee costs as much to
    train as one potential. Runs on one processor with one number of threads repeat exactly.

    Raises InvalidInput for sets that cannot be learned from, Diverged when the loss is not finite.
    """
    refuse_unusable(train, validation, recipe)
    data = fingerprint(train, validation)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if start is None:
        state = yield from _begin(recipe, train, data)
    elif warm:
        state = _begin_warm(recipe, train, data, start)
    elif start.data != data:
        raise InvalidInput(
            "the checkpoint belongs to other structures or labels than these",
            hint="Start afresh, or start warm from its potential.",
        )
    else:
        state = start
    yield from _run(recipe, train, validation, state, device)


def _begin(recipe: Recipe, train: Sequence[Frame], data: str) -> Generator[Epoch, None, MessageCheckpoint]:
    """The state before the first epoch, with random weights."""
    elements = _elements(train)
    yield Epoch(stage="neighbours")
    baseline = fit_baseline(train, elements, repulsion=recipe.repulsion, cutoff=recipe.cutoff)
    shape = _wanted_shape(recipe)
    network = new_network(shape, len(elements), recipe.cutoff)
    network.randomise(torch.Generator().manual_seed(recipe.seed))
    sample = np.random.default_rng([recipe.seed, 1]).permutation(len(train))[:SAMPLE]
    yield Epoch(stage="features")
    _measure(network, [train[index] for index in sample], baseline)
    weights = _copied(network)
    return MessageCheckpoint(
        epoch=0,
        data=data,
        recipe=recipe.model_dump(mode="json"),
        elements=elements,
        cutoff=recipe.cutoff,
        shape=shape,
        baseline=baseline,
        warnings=baseline.warnings,
        weights=weights,
        average=weights,
        best=Best(),
        best_weights=weights,
    )


def _begin_warm(recipe: Recipe, train: Sequence[Frame], data: str, start: MessageCheckpoint) -> MessageCheckpoint:
    """The state before the first epoch, with the weights of an earlier potential."""
    unknown = set(_elements(train)) - set(start.elements)
    if unknown:
        raise InvalidInput(
            f"the earlier model does not know {', '.join(chemical_symbols[z] for z in sorted(unknown))}",
            hint="Train afresh instead of starting from it.",
        )
    earlier = start.shape | {"cutoff": start.cutoff}
    wanted = _wanted_shape(recipe) | {"cutoff": recipe.cutoff}
    unlike = [f"{name} {earlier[name]}, not {wanted[name]}" for name in wanted if earlier[name] != wanted[name]]
    if unlike:
        raise InvalidInput(
            f"the earlier model has {', '.join(unlike)}",
            hint="Use the recipe of the earlier model, or train afresh.",
        )
    return replace(
        start,
        epoch=0,
        step=0,
        data=data,
        recipe=recipe.model_dump(mode="json"),
        weights=start.best_weights,
        average=start.best_weights,
        best=Best(),
        optimiser={},
    )


def _run(
    recipe: Recipe,
    train: Sequence[Frame],
    validation: Sequence[Frame],
    state: MessageCheckpoint,
    device: torch.device,
) -> Iterator[Epoch]:
    """Epochs from a state on."""
    if state.epoch >= recipe.epochs or exhausted(recipe, state.epoch, state.best):
        nothing = np.full(recipe.members, np.nan)
        yield Epoch(
            state.epoch, recipe.epochs, "", 1.0, nothing, nothing, nothing, nothing, False, state.best, 0.0, state
        )
        return
    prepared = yield from _prepared(recipe, train, validation, state)
    network = state.network(state.weights).to(device)
    averaged = state.network(state.average).to(device)
    optimiser = ClippedAdam(network, recipe.weight_decay, state.optimiser, state.step)
    final = MessageWeights(recipe.energy_weight, recipe.force_weight, recipe.stress_weight, recipe.net_force_penalty)
    has_forces = any(frame.label.forces is not None for frame in train)
    best, best_weights = state.best, state.best_weights
    for number in range(state.epoch + 1, recipe.epochs + 1):
        began = heard = time.monotonic()
        early = has_forces and number <= FORCES_FIRST * recipe.epochs
        weights = replace(final, energy=final.energy * EARLY_ENERGY) if early else final
        losses = torch.zeros(recipe.members)
        random = np.random.default_rng([recipe.seed, 3, number])
        batches = _batches(recipe, random.permutation(len(train)))
        for done, chosen in enumerate(batches):
            if time.monotonic() - heard > SILENCE_S:
                yield sign_of_life(recipe, number, done / len(batches))
                heard = time.monotonic()
            batch = _batch(prepared.training, chosen, prepared.weights, state, device)
            loss = learning_loss(network, batch, weights, _draw(prepared.weights[:, chosen], random).to(device))
            rate = learning_rate(recipe, optimiser.steps + 1, recipe.epochs * len(batches))
            optimiser.step(loss.mean(), rate)
            follow(averaged, network, optimiser.steps, AVERAGING)
            losses += loss.detach().cpu() * len(chosen)
        held_out = (
            _batch(prepared.validation, chosen, np.ones((recipe.members, len(validation))), state, device)
            for chosen in _batches(recipe, np.arange(len(validation)))
        )
        scoring = score(averaged, held_out, final)
        while True:
            try:
                next(scoring)
            except StopIteration as finished:
                scores = finished.value
                break
            if time.monotonic() - heard > SILENCE_S:
                yield sign_of_life(recipe, number, 1.0)
                heard = time.monotonic()
        train_loss = (losses / len(train)).numpy()
        if not (np.isfinite(train_loss).all() and np.isfinite(scores.loss).all()):
            raise Diverged(
                f"the loss was not finite in epoch {number}",
                hint="Lower the learning rate, and look for extreme forces or energies in the training set.",
            )
        improved = bool(scores.loss.mean() < best.loss)
        current = _copied(averaged)
        if improved:
            best = Best(number, float(scores.loss.mean()), scores.committee_energy_rmse, scores.committee_force_rmse)
            best_weights = current
        state = replace(
            state,
            epoch=number,
            weights=_copied(network),
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


def _prepared(
    recipe: Recipe, train: Sequence[Frame], validation: Sequence[Frame], state: MessageCheckpoint
) -> Generator[Epoch, None, Prepared]:
    """Graphs of both sets."""
    graphs = []
    frames = [*train, *validation]
    for done, frame in enumerate(frames):
        graphs.append(labelled_graph(frame, state.baseline, state.cutoff))
        if done % 8 == 0:
            yield Epoch(stage="neighbours", fraction=done / len(frames))
    # Exponential weights are the Bayesian bootstrap; the mixture keeps every structure in every member.
    random = np.random.default_rng([recipe.seed, 2])
    weights = 1.0 + BOOTSTRAP * (random.exponential(size=(recipe.members, len(train))) - 1.0)
    if recipe.members == 1:
        weights = np.ones((1, len(train)))
    return Prepared(graphs[: len(train)], graphs[len(train) :], weights)


def _measure(network: MessageNetwork, frames: Sequence[Frame], baseline: Baseline) -> None:
    """Give the network the sizes of features and of energies in a sample."""
    sample = [labelled_graph(frame, baseline, network.cutoff) for frame in frames]
    graph = join_graphs([one.graph for one in sample])
    element = element_index(baseline.elements, graph.numbers)
    network.measure(gather_environments(graph, element, network.cutoff), element)
    forces = torch.cat([one.forces for one in sample if one.known[1]] or [torch.zeros(0, 3)])
    energies = torch.tensor([one.energy / max(one.graph.n_atoms, 1) for one in sample if one.known[0]] or [0.0])
    # As in MACE: an energy of an atom is about its force times 1 Å.
    size = forces.pow(2).mean().sqrt() if len(forces) else energies.pow(2).mean().sqrt()
    network.scale.fill_(float(size) if size > 0 else 1.0)


def _batches(recipe: Recipe, order: np.ndarray) -> list[np.ndarray]:
    return np.array_split(order, max(1, -(-len(order) // recipe.batch_size)))


def _batch(
    graphs: list[LabelledGraph], chosen: np.ndarray, weights: np.ndarray, state: MessageCheckpoint, device: torch.device
) -> MessageBatch:
    return joined_batch([graphs[i] for i in chosen], weights[:, chosen], state.elements, state.cutoff, device)


def _draw(weights: np.ndarray, random: np.random.Generator) -> Tensor:
    """(structures,): a member for each structure, as likely as its weight there; weights (members, structures)."""
    steps = np.cumsum(weights, axis=0) / weights.sum(0)
    return torch.from_numpy((random.random(weights.shape[1]) > steps).sum(0).clip(max=len(weights) - 1))


def _copied(network: MessageNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def _wanted_shape(recipe: Recipe) -> dict:
    """Of the network that a recipe asks for, see `new_network`."""
    return {
        "members": recipe.members,
        "layers": recipe.layers,
        "channels": recipe.channels,
        "l_max": recipe.l_max,
        "hidden": list(recipe.hidden),
        "direct": recipe.direct_forces,
    }


def _elements(frames: Sequence[Frame]) -> tuple[int, ...]:
    elements = tuple(sorted({int(z) for frame in frames for z in np.unique(frame.structure.numbers)}))
    if not elements:
        raise InvalidInput("the training set has no atoms", hint="Import structures first.")
    return elements
