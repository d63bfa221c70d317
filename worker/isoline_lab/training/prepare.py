"""From labelled structures to features, scaled and rotated for these structures."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
import torch

from isoline.domain.recipe import Train
from isoline.domain.structure import Frame
from isoline.errors import InvalidInput
from isoline_lab.descriptors.acsf import SymmetryFunctions, radial_grid
from isoline_lab.descriptors.acsf_map import AcsfMap
from isoline_lab.descriptors.contraction import new_expansion
from isoline_lab.descriptors.expansion import ClusterExpansion
from isoline_lab.descriptors.feature_map import FeatureMap
from isoline_lab.descriptors.projection import Projection, principal_inputs
from isoline_lab.graph import build_graph
from isoline_lab.potentials.baseline import fit_baseline
from isoline_lab.training.batches import build_batch
from isoline_lab.training.epoch import Epoch
from isoline_lab.training.learner import Learner
from isoline_lab.training.linear import LinearFit
from isoline_lab.training.loss import LossWeights

# Environments per element from which principal directions and sizes of derivatives are estimated.
SAMPLE_VALUES = 2000
SAMPLE_DERIVATIVES = 200
ATOMS_AT_ONCE = 24
FRAMES_AT_ONCE = 8

# Atoms whose labels decide the linear potential that the networks start from.
SAMPLE_LINEAR = 15_000
RIDGE = 1e-4

# Of the shortest distance in the training set: where the grid of radial symmetry functions begins.
INNER = 0.9


def prepare(recipe: Train, frames: Sequence[Frame]) -> Generator[Epoch, None, Learner]:
    """Choose features for a training set and measure how they vary in it."""
    elements = tuple(sorted({int(z) for frame in frames for z in np.unique(frame.structure.numbers)}))
    if not elements:
        raise InvalidInput("the training set has no atoms", hint="Import structures first.")
    yield Epoch(stage="baseline")
    baseline = fit_baseline(frames, elements, repulsion=recipe.repulsion, cutoff=recipe.cutoff)
    if recipe.family == "behler-parrinello":
        features = yield from _symmetry_functions(recipe, frames, elements)
    else:
        features = new_expansion(elements, recipe.cutoff, recipe.l_max, recipe.l_product, recipe.products)
    mean, steepness, values = yield from measure(recipe, features, frames)
    scales = steepness / features.expected_sizes
    parts = [
        principal_inputs(found, scale, recipe.inputs, features.whitening)
        for found, scale in zip(values, scales, strict=True)
    ]
    projection = Projection(mean, torch.stack([matrix for _, matrix in parts]))
    if isinstance(features, ClusterExpansion):
        scaled = Projection(mean, torch.diag_embed(1 / steepness.clamp(min=1e-6 * float(steepness.max()))))
        learner = Learner(features, scaled, baseline)
        coefficients = yield from _linear_potential(recipe, learner, frames)
        projection = supervised(projection, features.groups, scaled, coefficients, values)
    return Learner(features, projection, baseline, baseline.warnings)


def _linear_potential(recipe: Train, learner: Learner, frames: Sequence[Frame]) -> Generator[Epoch, None, torch.Tensor]:
    """Coefficients (elements, inputs) of the linear potential of some frames."""
    weights = LossWeights(recipe.energy_weight, recipe.force_weight, recipe.stress_weight)
    linear = LinearFit(len(learner.features.elements), learner.projection.n_inputs, weights)
    order = np.random.default_rng([recipe.seed, 5]).permutation(len(frames))
    atoms = np.cumsum([len(frames[k]) for k in order])
    chosen = order[: int(np.searchsorted(atoms, SAMPLE_LINEAR)) + 1]
    for done in range(0, len(chosen), FRAMES_AT_ONCE):
        part = [frames[k] for k in chosen[done : done + FRAMES_AT_ONCE]]
        steps = build_batch(learner, part, np.ones((1, len(part))))
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                linear.add(finished.value)
                break
            yield Epoch(stage="linear potential", fraction=done / len(chosen))
    return linear.solve(RIDGE)[0]


def supervised(
    projection: Projection,
    groups: Sequence[slice],
    scaled: Projection,
    coefficients: torch.Tensor,
    values: Sequence[torch.Tensor],
) -> Projection:
    """Adds the terms of a linear potential to a projection, one input for each group of features.

    A network of such terms is an embedding function of learned densities, as in the embedded-atom method.

    coefficients  (elements, features)  eV, of the scaled features
    values        for each element (atoms, features): a sample
    """
    weights = torch.einsum("efi,ei->ef", scaled.matrix, coefficients)  # (elements, features) eV
    terms = torch.stack([torch.zeros_like(weights).index_copy_(1, i, weights[:, i]) for i in map(_indices, groups)], 2)
    spread = torch.stack([_spread(found, term) for found, term in zip(values, terms, strict=True)])
    terms = terms / spread.clamp(min=1e-6)[:, None]
    return Projection(projection.mean, torch.cat([projection.matrix, terms], dim=2))


def _indices(group: slice) -> torch.Tensor:
    return torch.arange(group.start, group.stop)


def _spread(values: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
    found = values.double() @ terms
    return found.std(0, correction=0) if len(found) else torch.ones(terms.shape[1], dtype=torch.float64)


def _symmetry_functions(
    recipe: Train, frames: Sequence[Frame], elements: tuple[int, ...]
) -> Generator[Epoch, None, AcsfMap]:
    """The grid of radial functions starts a little below the shortest distance that occurs: none is wasted."""
    shortest = recipe.cutoff
    for done, frame in enumerate(frames):
        graph = build_graph([frame.structure], recipe.cutoff)
        if graph.n_edges:
            shortest = min(shortest, float(graph.displacements().norm(dim=1).min()))
        if done % 16 == 0:
            yield Epoch(stage="neighbours", fraction=done / len(frames))
    inner = min(INNER * shortest, 0.5 * recipe.cutoff)
    radial, angular = (radial_grid(n, inner, recipe.cutoff) for n in (recipe.n_radial, recipe.n_angular))
    return AcsfMap(SymmetryFunctions(elements, recipe.cutoff, radial, angular))


def measure(
    recipe: Train, features: FeatureMap, frames: Sequence[Frame]
) -> Generator[Epoch, None, tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]]:
    """How features vary over random frames, until every element is well sampled.

    returns  means (elements, features), sizes of derivatives (elements, features) Å⁻¹, for each element a sample of
             values (atoms, features)
    """
    n_elements = len(features.elements)
    values: list[list[torch.Tensor]] = [[] for _ in range(n_elements)]
    squares = torch.zeros(n_elements, features.n_features, dtype=torch.float64)
    sampled, steep_sampled = [0] * n_elements, [0] * n_elements
    order = np.random.default_rng([recipe.seed, 1]).permutation(len(frames))
    for indices in np.array_split(order, -(-len(order) // FRAMES_AT_ONCE)):
        graph = build_graph([frames[index].structure for index in indices], features.cutoff)
        element = features.element_index(graph.numbers)
        done = sum(sampled) / (n_elements * SAMPLE_VALUES)
        yield Epoch(stage="features", fraction=done)
        found = features(graph)
        for place in range(n_elements):
            atoms = torch.nonzero(element == place).squeeze(1)[: SAMPLE_VALUES - sampled[place]]
            steep = atoms[: SAMPLE_DERIVATIVES - steep_sampled[place]]
            sampled[place] += len(atoms)
            steep_sampled[place] += len(steep)
            values[place].append(found[atoms])
            for part in steep.split(ATOMS_AT_ONCE):
                yield Epoch(stage="features", fraction=done)
                squares[place] += features.steepness(graph, part)
        if min(sampled) >= SAMPLE_VALUES:
            break
    steepness = (squares / torch.tensor(steep_sampled).clamp(min=1)[:, None]).sqrt()
    samples = [torch.cat(parts) for parts in values]
    means = torch.stack([found.mean(0) if len(found) else found.new_zeros(found.shape[1]) for found in samples])
    return means, steepness, samples
