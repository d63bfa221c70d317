"""From labelled structures to features, scaled and rotated for these structures."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from isoline.domain.recipe import Train
from isoline.domain.structure import Frame
from isoline.errors import InvalidInput
from isoline_lab.descriptors.acsf import SymmetryFunctions, radial_grid
from isoline_lab.descriptors.environments import gather_environments
from isoline_lab.descriptors.projection import Derivatives, Projection, principal_inputs
from isoline_lab.graph import build_graph
from isoline_lab.potentials.reference import fit_reference
from isoline_lab.training.epoch import Epoch

# Functions whose derivatives are formed at once when their sizes are measured; bounds memory.
FUNCTIONS_AT_ONCE = 256

# Environments per element from which principal directions and sizes of derivatives are estimated.
SAMPLE_VALUES = 2000
SAMPLE_DERIVATIVES = 200
ATOMS_AT_ONCE = 24
FRAMES_AT_ONCE = 8

# Of the shortest distance in the training set: where the grid of radial functions begins.
INNER = 0.9


@dataclass(frozen=True, eq=False)
class Features:
    """What the networks will see.

    functions   symmetry functions
    projection  onto the inputs of the networks
    reference   (elements,)  eV
    warnings    for people
    """

    functions: SymmetryFunctions
    projection: Projection
    reference: np.ndarray
    warnings: tuple[str, ...]


def prepare(recipe: Train, frames: Sequence[Frame]) -> Generator[Epoch, None, Features]:
    """Choose symmetry functions for a training set and measure how they vary in it.

    The grid of radial functions starts a little below the shortest distance that occurs, so that none is wasted.
    """
    elements = tuple(sorted({int(z) for frame in frames for z in np.unique(frame.structure.numbers)}))
    if not elements:
        raise InvalidInput("the training set has no atoms", hint="Import structures first.")
    reference = fit_reference(frames, elements)
    shortest = recipe.cutoff
    for done, frame in enumerate(frames):
        graph = build_graph([frame.structure], recipe.cutoff)
        if graph.n_edges:
            shortest = min(shortest, float(graph.displacements().norm(dim=1).min()))
        if done % 16 == 0:
            yield Epoch(stage="neighbours", fraction=done / len(frames))
    inner = min(INNER * shortest, 0.5 * recipe.cutoff)
    functions = SymmetryFunctions(
        elements,
        recipe.cutoff,
        radial_grid(recipe.n_radial, inner, recipe.cutoff),
        radial_grid(recipe.n_angular, inner, recipe.cutoff),
    )
    projection = yield from _measure(recipe, functions, frames)
    return Features(functions, projection, reference.energies, reference.warnings)


def _measure(
    recipe: Train, functions: SymmetryFunctions, frames: Sequence[Frame]
) -> Generator[Epoch, None, Projection]:
    """Principal directions and sizes of derivatives over random frames, until every element is well sampled."""
    n_elements = len(functions.elements)
    derivatives = _every_derivative(functions)
    values: list[list[torch.Tensor]] = [[] for _ in range(n_elements)]
    squares = torch.zeros(n_elements, functions.n_features, dtype=torch.float64)
    sampled, steep_sampled = [0] * n_elements, [0] * n_elements
    order = np.random.default_rng([recipe.seed, 1]).permutation(len(frames))
    for indices in np.array_split(order, -(-len(order) // FRAMES_AT_ONCE)):
        graph = build_graph([frames[index].structure for index in indices], functions.cutoff)
        element = functions.element_index(graph.numbers)
        environments = gather_environments(graph, element, functions.cutoff)
        for place in range(n_elements):
            atoms = torch.nonzero(element == place).squeeze(1)[: SAMPLE_VALUES - sampled[place]]
            steep = atoms[: SAMPLE_DERIVATIVES - steep_sampled[place]]
            sampled[place] += len(atoms)
            steep_sampled[place] += len(steep)
            done = sum(sampled) / (n_elements * SAMPLE_VALUES)
            for part in atoms.split(16 * ATOMS_AT_ONCE):
                values[place].append(functions.values(environments[part]))
                yield Epoch(stage="features", fraction=done)
            for part in steep.split(ATOMS_AT_ONCE):
                for first, derivative in derivatives.items():
                    squared = (derivative(environments[part]) ** 2).sum((0, 1, 2))
                    squares[place, first : first + len(squared)] += squared
                    yield Epoch(stage="features", fraction=done)
        if min(sampled) >= SAMPLE_VALUES:
            break
    steepness = (squares / torch.tensor(steep_sampled).clamp(min=1)[:, None]).sqrt()
    means, matrices = [], []
    for parts, steep in zip(values, steepness, strict=True):
        yield Epoch(stage="features", fraction=1.0)
        mean, matrix = principal_inputs(torch.cat(parts), steep, recipe.inputs)
        means.append(mean)
        matrices.append(matrix)
    return Projection(torch.stack(means), torch.stack(matrices))


def _every_derivative(functions: SymmetryFunctions) -> dict[int, Derivatives]:
    """Derivatives of the symmetry functions themselves, in blocks by the first function."""
    every = torch.eye(functions.n_features, dtype=torch.float64)
    firsts = range(0, functions.n_features, FUNCTIONS_AT_ONCE)
    return {first: Derivatives(functions, every[:, first : first + FUNCTIONS_AT_ONCE]) for first in firsts}
