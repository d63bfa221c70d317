"""Symmetry functions against dscribe, and their derivatives against automatic differentiation.

Mapping: dscribe's `g2_params` are our (η, centre); its `g5_params` (η, ζ, λ) are our angular (η, 0) with shape
(ζ, λ). It puts G1 (the plain sum of cutoffs) before each element's G2, and pairs of elements run (1,1), (2,1),
(2,2), (3,1), ...
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from isoline.domain.recipe import AcsfDescriptor
from isoline.domain.structure import Structure
from isoline_lab.descriptors.acsf import SymmetryFunctions, new_symmetry_functions, radial_grid
from isoline_lab.descriptors.environments import Environments, gather_environments
from isoline_lab.descriptors.projection import Derivatives, Projection, principal_inputs
from isoline_lab.graph import build_graph

descriptors = pytest.importorskip("dscribe.descriptors", reason="dscribe is in the test extra")

RADIAL = ((0.5, 1.0), (1.0, 2.5), (4.0, 0.0))
SHAPES = ((1, 1), (1, -1), (2, 1), (4, 1), (4, -1), (3, 1))
CUTOFF = 4.5


def _salt() -> Atoms:
    atoms = bulk("NaCl", "rocksalt", a=5.6) * (2, 1, 1)
    atoms.rattle(0.2, seed=1)
    return atoms


SYSTEMS = {"ethanol": lambda: molecule("CH3CH2OH"), "salt": _salt, "silicon": lambda: bulk("Si")}


@pytest.fixture(params=SYSTEMS)
def atoms(request) -> Atoms:
    return SYSTEMS[request.param]()


def graph_of(atoms: Atoms, cutoff: float = CUTOFF):
    return build_graph([Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)], cutoff)


def test_radial_and_angular_functions_equal_those_of_dscribe(atoms):
    elements = tuple(sorted(set(atoms.numbers.tolist())))
    n = len(elements)
    theirs = descriptors.ACSF(
        species=list(elements),
        r_cut=CUTOFF,
        g2_params=[list(pair) for pair in RADIAL],
        g5_params=[[0.1, zeta, sign] for zeta, sign in SHAPES],
        periodic=bool(atoms.pbc.any()),
    ).create(atoms)
    ours = SymmetryFunctions(elements, CUTOFF, RADIAL, ((0.1, 0.0),), SHAPES)(graph_of(atoms)).numpy()

    blocks = theirs[:, : n * (1 + len(RADIAL))].reshape(len(atoms), n, -1)
    np.testing.assert_allclose(ours[:, : n * len(RADIAL)], blocks[:, :, 1:].reshape(len(atoms), -1), atol=1e-10)
    angular = theirs[:, n * (1 + len(RADIAL)) :].reshape(len(atoms), -1, len(SHAPES))
    place = {pair: index for index, pair in enumerate((i, j) for i in range(n) for j in range(i + 1))}
    ordered = angular[:, [place[j, i] for i in range(n) for j in range(i, n)]]
    np.testing.assert_allclose(ours[:, n * len(RADIAL) :], ordered.reshape(len(atoms), -1), atol=1e-10)


def test_legs_with_different_radial_factors_equal_an_explicit_sum_over_triples():
    functions = SymmetryFunctions((1, 6, 8), CUTOFF, RADIAL, ((0.3, 1.0), (0.8, 2.0)), ((2, -1),))
    graph = graph_of(molecule("CH3CH2OH"))
    values = functions(graph)
    vectors, element = graph.displacements(), functions.element_index(graph.numbers)
    distance = vectors.norm(dim=1)
    factors = functions.radial_factors(distance, functions.angular)
    first, second = functions.channel_pairs
    for atom in (0, 2, 8):
        edges = torch.nonzero(graph.centre == atom).squeeze(1).tolist()
        expected = torch.zeros(len(first), dtype=torch.float64)
        for column, (c, d) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
            (kind_c, n_c), (kind_d, n_d) = divmod(c, 2), divmod(d, 2)
            for j in edges:
                for k in edges:
                    kinds = (int(element[graph.neighbour[j]]), int(element[graph.neighbour[k]]))
                    if j == k or kinds != (kind_c, kind_d):
                        continue
                    cosine = vectors[j] @ vectors[k] / (distance[j] * distance[k])
                    once = 0.5 if kind_c == kind_d else 1.0
                    expected[column] += once * 0.5 * (1 - cosine) ** 2 * factors[j, n_c] * factors[k, n_d]
        torch.testing.assert_close(values[atom, functions.n_radial_features :], expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("elements", [(14,), (1, 6, 8), (1, 6, 8, 11, 14, 17)])
def test_derivatives_in_closed_form_equal_automatic_ones(elements):
    atoms = molecule("CH3CH2OH")
    if elements == (14,):
        atoms.numbers[:] = 14
    functions = SymmetryFunctions(elements, CUTOFF, radial_grid(4, 0.5, CUTOFF), radial_grid(3, 0.5, CUTOFF))
    graph = graph_of(atoms)
    environments = gather_environments(graph, functions.element_index(graph.numbers), CUTOFF)
    matrix = torch.randn(functions.n_features, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    displacement = environments.displacement.clone().requires_grad_()
    movable = Environments(displacement, environments.element, environments.neighbour, environments.filled)
    combinations = functions.values(movable) @ matrix
    automatic = torch.stack(
        [torch.autograd.grad(combinations[:, k].sum(), displacement, retain_graph=True)[0] for k in range(4)], dim=-1
    )
    torch.testing.assert_close(Derivatives(functions, matrix)(environments), automatic, atol=1e-10, rtol=0)


def test_many_elements_do_not_multiply_the_angular_functions():
    recipe = AcsfDescriptor(n_radial=8, n_angular=4)
    four, twenty = (new_symmetry_functions(recipe, tuple(range(1, 1 + n))) for n in (4, 20))
    assert twenty.n_features - four.n_features == 16 * recipe.n_radial


def test_without_angular_functions_only_radial_ones_remain():
    functions = new_symmetry_functions(AcsfDescriptor(n_angular=0), (1, 6, 8))
    assert functions(graph_of(molecule("CH3CH2OH"), functions.cutoff)).shape == (9, 3 * 8)


def test_projected_inputs_are_uncorrelated_and_of_unit_size_on_average():
    rng = torch.Generator().manual_seed(3)
    values = torch.randn(500, 6, generator=rng, dtype=torch.float64) @ torch.randn(6, 6, generator=rng).double()
    mean, matrix = principal_inputs(values, torch.ones(6), n_inputs=4)
    inputs = Projection(mean[None], matrix[None])(values, torch.zeros(500, dtype=torch.int64))
    covariance = inputs.T @ inputs / 500
    torch.testing.assert_close(covariance, covariance.diagonal().diag(), atol=1e-10, rtol=0)
    assert float(covariance.trace() / 4) == pytest.approx(1.0)
