"""Laws of the cluster expansion, and of its compiled code beside the same in tensors."""

from __future__ import annotations

import json
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from scipy.special import eval_chebyt, eval_legendre

from isoline.errors import InvalidInput
from isoline_lab.descriptors import kernels
from isoline_lab.descriptors.contraction import new_expansion
from isoline_lab.descriptors.coupling import real_clebsch_gordan
from isoline_lab.descriptors.expansion import ClusterExpansion
from isoline_lab.descriptors.feature_map import Linearised
from isoline_lab.descriptors.projection import Projection
from isoline_lab.descriptors.sphere import gaunt_integrals
from isoline_lab.graph import Graph, build_graph
from isoline_lab.potentials.committee import Committee

from .conftest import ELEMENTS, STRUCTURES, no_compiler, random_committee, structure_of, without_compiler

SHAPES = {
    "one element": ((14,), 3, 2, 4),
    "no angles": ((14,), 0, 0, 2),
    "two elements, the largest": ((11, 17), 6, 4, 8),
    "six elements, the default": (ELEMENTS, 4, 3, 8),
    "ten elements": ((1, 3, 6, 8, 9, 11, 14, 17, 29, 79), 2, 2, 4),
}


@pytest.fixture(params=SHAPES)
def pair(request) -> tuple[ClusterExpansion, ClusterExpansion]:
    """One expansion with and without compiled code."""
    elements, *sizes = SHAPES[request.param]
    return new_expansion(elements, 4.0, *sizes), without_compiler(new_expansion(elements, 4.0, *sizes))


def graph_for(expansion: ClusterExpansion, dtype: torch.dtype = torch.float64) -> Graph:
    """Crystals, molecules, cells thinner than the cutoff and free atoms of its elements, beyond its cutoff too."""
    systems = [make() for make in STRUCTURES.values()]
    systems += [Atoms([expansion.elements[0]]), bulk("Si", cubic=True) * (2, 2, 2)]
    for system in systems:
        system.numbers[:] = np.resize(expansion.elements, len(system))
    return build_graph([structure_of(system) for system in systems], 5.0, dtype)


def random_projection(expansion: ClusterExpansion, graph: Graph, inputs: int = 21) -> Projection:
    values = expansion(graph)
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(
        len(expansion.elements), expansion.n_features, inputs, generator=generator, dtype=torch.float64
    )
    scale = values.std(0).clamp(min=1e-3)[:, None] * expansion.n_features**0.5
    return Projection(values.mean(0).expand(len(expansion.elements), -1), matrix / scale)


def linearised(expansion: ClusterExpansion, graph: Graph, projection: Projection) -> Linearised:
    steps = expansion.linearise(graph, projection, forces=True, stress=True)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, in units of the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_compiled_code_gives_the_derivatives_of_automatic_differentiation(pair, dtype, tolerance):
    compiled, interpreted = pair
    graph = graph_for(compiled)
    matrix = random_projection(compiled, graph, inputs=3).matrix[0]

    def readout(values, element):
        slopes = matrix.T.to(values)[:, None, :] * (1.0 + element[None, :, None])
        return (values[None] * slopes).sum(2), slopes.expand(-1, *values.shape).contiguous()

    found = compiled.differentiate(graph.to(dtype=dtype), readout)
    for ours, theirs in zip(found, interpreted.differentiate(graph, readout), strict=True):
        assert ours.dtype == dtype
        assert relative(ours.double(), theirs) < tolerance


def test_compiled_code_gives_the_stored_derivatives_of_automatic_differentiation(pair):
    compiled = pair[0]
    graph = graph_for(compiled)
    projection = random_projection(compiled, graph)
    ours, theirs = (linearised(expansion, graph, projection) for expansion in pair)
    torch.testing.assert_close(ours.target, theirs.target)
    assert relative(ours.inputs, theirs.inputs) < 1e-10
    assert relative(ours.rows, theirs.rows) < 1e-10
    torch.testing.assert_close(ours.inputs, projection(compiled(graph), compiled.element_index(graph.numbers)))


def test_stored_derivatives_add_up_to_forces_and_virials(pair):
    expansion = pair[0]
    graph = graph_for(expansion)
    projection = random_projection(expansion, graph, inputs=5)
    slope = torch.linspace(-1, 1, 5, dtype=torch.float64)
    stored = linearised(expansion, graph, projection)
    sums = torch.zeros(3 * graph.n_atoms + 6 * graph.n_structures + 1, dtype=torch.float64)
    sums.index_add_(0, stored.target.flatten(), (stored.rows @ slope).flatten())

    def readout(values, element):
        slopes = projection.matrix[element] @ slope
        return (values * slopes).sum(1)[None], slopes[None].contiguous()

    _, forces, virial = expansion.differentiate(graph, readout)
    voigt = virial[0][:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    torch.testing.assert_close(-sums[: 3 * graph.n_atoms].reshape(-1, 3), forces[0], atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(sums[3 * graph.n_atoms : -1].reshape(-1, 6), voigt, atol=1e-9, rtol=1e-10)


def test_compiled_code_measures_the_same_steepness():
    graph = build_graph([structure_of(molecule("CH3CH2OH"))], 4.0)
    compiled = new_expansion((1, 6, 8), 4.0, 2, 1, 2)
    interpreted = without_compiler(new_expansion((1, 6, 8), 4.0, 2, 1, 2))
    ours, theirs = (e.steepness(graph, torch.tensor([0, 5])) for e in (compiled, interpreted))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert (ours > 0).all()


def test_the_steepness_of_atoms_is_the_sum_of_squares_of_their_stored_derivatives():
    expansion = new_expansion((11, 17), 4.0, 1, 1, 2)
    graph = graph_for(expansion)
    atoms = torch.tensor([3, 17, 9])
    every = torch.eye(expansion.n_features, dtype=torch.float64).expand(2, -1, -1)
    stored = linearised(expansion, graph, Projection(torch.zeros(2, expansion.n_features, dtype=torch.float64), every))
    others = stored.rows[atoms, 3:-6]  # without the atom itself, and without strain
    torch.testing.assert_close(expansion.steepness(graph, atoms), (others**2).sum((0, 1)), rtol=1e-10, atol=1e-10)


def test_features_are_integrals_over_the_sphere_of_products_of_densities():
    """Every feature by quadrature over one or two directions, without spherical harmonics."""
    system = molecule("CH3CH2OH")
    expansion = new_expansion((1, 6, 8), 3.5, l_max=3, l_product=2, products=8)
    found = expansion(build_graph([structure_of(system)], 3.5))[1].numpy()

    arms = np.delete(system.positions, 1, axis=0) - system.positions[1]
    numbers = np.delete(system.numbers, 1)
    distance = np.linalg.norm(arms, axis=1)
    near = distance < 3.5
    arms, distance, numbers = arms[near] / distance[near, None], distance[near], numbers[near]
    centre = expansion.elements.index(system.numbers[1])
    kinds = [expansion.elements.index(z) for z in numbers]
    x = 1 / (1 + (distance / expansion.radii[centre, kinds]) ** 4)
    low = 1 / (1 + (3.5 / expansion.radii[centre, kinds]) ** 4)
    x = 2 * (x - low) / (1 - low) - 1
    primitives = eval_chebyt(np.arange(8), x[:, None]) * (1 - (distance / 3.5) ** 2)[:, None] ** 3
    radial = np.einsum("jn,jnq->jq", primitives, expansion.mixing[centre, kinds])

    points, weights = directions(12)
    shells = [(2 * l + 1) / (4 * np.pi) * eval_legendre(l, arms @ points.T) for l in range(4)]  # (neighbours, points)  # noqa: E741
    bands = [np.einsum("jq,jp->qp", radial, shell) for shell in shells]  # densities of one angular momentum
    inner = sum(bands[:3])
    left, right = expansion.pairs.T
    products = inner[left] * inner[right]
    kernels_of = [(2 * l + 1) / (4 * np.pi) * eval_legendre(l, points @ points.T) * weights for l in range(3)]  # noqa: E741
    projected = [products @ kernel.T for kernel in kernels_of]
    twice, four = np.triu_indices(expansion.channels), np.triu_indices(len(left))
    expected = [np.einsum("j...->...", radial) / (4 * np.pi) ** 0.5]
    expected += [((band * weights) @ band.T)[twice] for band in bands]
    expected += [((band * weights) @ product.T).ravel() for band, product in zip(bands[:3], projected, strict=True)]
    expected += [((product * weights) @ product.T)[four] for product in projected]
    for group, part in zip(expansion.groups, expected, strict=True):
        np.testing.assert_allclose(found[group], part, rtol=1e-10, atol=1e-10 * np.abs(part).max())


def test_two_neighbours_at_a_time_are_a_double_sum_of_legendre_polynomials():
    rng = np.random.default_rng(0)
    system = Atoms("Si5", positions=np.vstack([np.zeros(3), rng.normal(size=(4, 3)) + 1.0]))
    expansion = new_expansion((14,), 6.0, l_max=4, l_product=1, products=2)
    density_of_one = expansion(build_graph([structure_of(system)], 6.0))[0, expansion.groups[0]].numpy()
    arms = system.positions[1:]
    lengths = np.linalg.norm(arms, axis=1)
    alone = [
        expansion(build_graph([structure_of(system[[0, k]])], 6.0))[0, expansion.groups[0]].numpy() for k in range(1, 5)
    ]
    radial = np.array(alone) * (4 * np.pi) ** 0.5  # A_q00 of one neighbour is its radial function times Y₀₀
    np.testing.assert_allclose(radial.sum(0) / (4 * np.pi) ** 0.5, density_of_one, rtol=1e-12)
    cosine = (arms @ arms.T) / np.outer(lengths, lengths)
    found = expansion(build_graph([structure_of(system)], 6.0))[0].numpy()
    rows, columns = np.triu_indices(8)
    for l in range(5):  # noqa: E741
        double = (2 * l + 1) / (4 * np.pi) * np.einsum("ja,kb,jk->ab", radial, radial, eval_legendre(l, cosine))
        np.testing.assert_allclose(found[expansion.groups[1 + l]], double[rows, columns], rtol=1e-10, atol=1e-12)


def test_groups_cover_the_features_in_order(pair):
    groups = pair[0].groups
    assert groups[0].start == 0
    assert groups[-1].stop == pair[0].n_features
    assert all(before.stop == after.start for before, after in pairwise(groups))


def test_integrals_of_three_harmonics_are_products_of_coupling_coefficients():
    l_max = 4
    size = (l_max + 1) ** 2
    integrals = np.zeros((size, size, size))
    at, values = gaunt_integrals(l_max)
    np.add.at(integrals, tuple(at.T), values)
    np.add.at(integrals, tuple(at[:, [1, 0, 2]].T), values)
    assert (at[:, 0] <= at[:, 1]).all()
    for l1 in range(l_max + 1):
        for l2 in range(l_max + 1):
            for l3 in range(l_max + 1):
                block = integrals[tuple(slice(l * l, (l + 1) ** 2) for l in (l1, l2, l3))]  # noqa: E741
                if not abs(l1 - l2) <= l3 <= l1 + l2:
                    np.testing.assert_array_equal(block, 0.0)
                    continue
                table = real_clebsch_gordan(l1, l2, l3)
                factor = np.sqrt((2 * l1 + 1) * (2 * l2 + 1) / (4 * np.pi * (2 * l3 + 1)))
                expected = factor * table[0, 0, 0] * table if (l1 + l2 + l3) % 2 == 0 else 0.0
                np.testing.assert_allclose(block, np.broadcast_to(expected, block.shape), atol=1e-12)


@pytest.mark.parametrize(
    "change",
    [
        {"pairs": [[0, 0], [0, 16]]},
        {"pairs": [[0, 0], [-1, 0]]},
        {"pairs": [[0, 0, 0], [0, 0, 1]]},
        {"l_product": 3},
        {"l_max": 1000},
        {"l_max": "2; int x"},
        {"elements": [11, 17, 19]},
        {"radii": [[1.0]]},
        {"mixing": [[[[1.0]]]]},
    ],
    ids=lambda change: str(*change.items()),
)
def test_sizes_that_do_not_fit_together_never_reach_compiled_code(change):
    committee = random_committee("body-ordered", (11, 17))
    files = committee.save()
    about = json.loads(files["model.json"])
    sizes = new_expansion((11, 17), 4.0, l_max=2, l_product=1, products=2).as_dict()
    assert ClusterExpansion.from_dict(sizes).as_dict() == sizes
    with pytest.raises(ValueError, match=r"."):
        ClusterExpansion.from_dict(sizes | change)
    files["model.json"] = json.dumps(about | {"features": sizes | change}).encode()
    with pytest.raises(InvalidInput, match="do not fit together"):
        Committee.load(files)


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_does_not_matter(threads):
    crystal = bulk("NaCl", "rocksalt", a=5.6, cubic=True) * (3, 3, 4)  # more atoms than are done at once
    crystal.rattle(0.1, seed=6)
    systems = [structure_of(each) for each in (crystal, Atoms("Na"), Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]]))]
    committee = random_committee("body-ordered", (11, 17))
    graph = build_graph(systems[1:], 4.0)
    projection = random_projection(committee.features, graph)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = [*committee.predict(systems, batch_atoms=1)], linearised(committee.features, graph, projection)
        torch.set_num_threads(threads)
        together = [*committee.predict(systems, batch_atoms=1)], linearised(committee.features, graph, projection)
    finally:
        torch.set_num_threads(before)
    for one, other in zip(alone[0], together[0], strict=True):
        np.testing.assert_allclose(other.energy, one.energy, atol=1e-9)
        np.testing.assert_allclose(other.forces, one.forces, atol=1e-10)
    torch.testing.assert_close(together[1].rows, alone[1].rows, atol=1e-12, rtol=1e-12)


def test_features_of_other_elements_do_not_multiply():
    sizes = [new_expansion(tuple(range(1, n + 1)), 5.0, 4, 3, 8).n_features for n in range(2, 12)]
    assert len(set(sizes)) == 1


def test_elements_are_told_apart():
    expansion = new_expansion((1, 6, 8, 14), 4.0, 2, 1, 2)
    seen = [
        expansion(build_graph([structure_of(Atoms([6, z], positions=[[0, 0, 0], [0, 0, 1.6]]))], 4.0))[0]
        for z in expansion.elements
    ]
    differences = torch.cdist(torch.stack(seen), torch.stack(seen)) + 10 * torch.eye(4)
    assert differences.min() > 0.1


def test_without_a_compiler_one_warning_is_given_and_the_numbers_are_the_same():
    (compiled,) = random_committee("body-ordered").predict([structure_of(STRUCTURES["salt"]())])
    with no_compiler(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(2):
            (interpreted,) = random_committee("body-ordered").predict([structure_of(STRUCTURES["salt"]())])
    assert [str(each.message).partition(":")[0] for each in said] == ["no C compiler was found"]
    np.testing.assert_allclose(interpreted.energy, compiled.energy, atol=1e-10)
    np.testing.assert_allclose(interpreted.forces, compiled.forces, atol=1e-10)
    np.testing.assert_allclose(interpreted.stress, compiled.stress, atol=1e-10)


def test_a_compiler_that_fails_is_told_with_its_reason(tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho no such option >&2\nexit 1\n")
    compiler.chmod(0o755)
    with no_compiler(str(tmp_path)), pytest.warns(UserWarning, match="cc failed: .*no such option"):
        assert new_expansion((14,), 4.0, 1, 1, 2)._compiled(torch.zeros(1)) is None


def test_a_damaged_library_is_built_again(tmp_path, monkeypatch):
    def compiled(home: Path):
        monkeypatch.setenv("HOME", str(home))
        kernels.load.cache_clear()
        return new_expansion((14,), 4.0, 1, 1, 2)._compiled(torch.zeros(1))

    assert compiled(tmp_path / "one") is not None
    (library,) = (tmp_path / "one").rglob("*.so")
    damaged = tmp_path / "other" / library.relative_to(tmp_path / "one")
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"not code")
    with pytest.warns(UserWarning, match="cannot be loaded"):
        assert compiled(tmp_path / "other") is None
    assert compiled(tmp_path / "other") is not None


def test_compiled_code_leaves_the_arithmetic_of_the_process_as_it_is():
    new_expansion((14,), 4.0, 1, 1, 2)._compiled(torch.zeros(1))
    assert np.array([1e-310])[0] * 0.5 > 0  # the smallest numbers are not rounded to zero


def directions(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (points, 3) on the sphere and weights of a quadrature that is exact for polynomials of this degree."""
    z, weight = np.polynomial.legendre.leggauss(degree // 2 + 1)
    angle = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
    ring = np.sqrt(1 - z**2)
    points = np.stack(
        [np.outer(ring, np.cos(angle)), np.outer(ring, np.sin(angle)), np.outer(z, np.ones_like(angle))], axis=-1
    )
    return points.reshape(-1, 3), np.repeat(weight * 2 * np.pi / len(angle), len(angle))
