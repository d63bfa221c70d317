"""Laws of the descriptors, and of the maps made from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, make_supercell, molecule
from scipy.spatial.transform import Rotation

from isoline.domain.recipe import AcsfDescriptor, SoapDescriptor
from isoline.domain.structure import Structure
from isoline.errors import InvalidInput
from isoline_lab.descriptors.density import SoapPowerSpectrum
from isoline_lab.descriptors.describe import LARGEST, describe, new_describer
from isoline_lab.descriptors.embedding import Map, pca, umap
from isoline_lab.graph import Graph, build_graph

SOAP = SoapDescriptor(cutoff=4.0, n_max=3, l_max=3, width=0.5)
ACSF = AcsfDescriptor(cutoff=4.0, n_radial=4, n_angular=2)
BOTH = pytest.mark.parametrize("descriptor", [SOAP, ACSF], ids=["soap", "acsf"])


def as_structure(atoms: Atoms) -> Structure:
    return Structure(atoms.numbers, atoms.positions, np.array(atoms.cell), atoms.pbc)


def salt() -> Atoms:
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.rattle(0.2, seed=5)
    return atoms


def ethanol() -> Atoms:
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.1, seed=5)
    return atoms


def features(
    descriptor: SoapDescriptor | AcsfDescriptor, *systems: Atoms, elements: list[int] | None = None
) -> torch.Tensor:
    """(atoms, features) in float64."""
    elements = elements or sorted({int(z) for atoms in systems for z in atoms.numbers})
    describer = new_describer(descriptor, elements, torch.float64)
    return describer.features(build_graph([as_structure(atoms) for atoms in systems], descriptor.cutoff))


def soap_of(graph: Graph) -> torch.Tensor:
    return SoapPowerSpectrum(SOAP, sorted(set(graph.numbers.tolist()))).double()(graph)


def with_positions(graph: Graph, positions: torch.Tensor) -> Graph:
    return Graph(**{**vars(graph), "positions": positions})


@BOTH
@pytest.mark.parametrize("make", [salt, ethanol])
def test_rotation_and_reflection_change_no_feature(descriptor, make):
    before, turned = make(), make()
    matrix = -Rotation.random(random_state=1).as_matrix()
    turned.positions = turned.positions @ matrix.T
    turned.cell = np.array(turned.cell) @ matrix.T
    torch.testing.assert_close(features(descriptor, before), features(descriptor, turned), atol=1e-9, rtol=1e-9)


@BOTH
def test_translation_and_wrapping_change_no_feature(descriptor):
    before, moved = salt(), salt()
    moved.translate([11.0, -3.7, 0.31])
    moved.wrap()
    torch.testing.assert_close(features(descriptor, before), features(descriptor, moved), atol=1e-9, rtol=1e-9)


@BOTH
def test_the_order_of_atoms_only_orders_the_rows(descriptor):
    order = np.random.default_rng(0).permutation(9)
    before, after = features(descriptor, ethanol()), features(descriptor, ethanol()[order])
    torch.testing.assert_close(before[order], after, atol=1e-9, rtol=1e-9)


@BOTH
def test_a_cell_thinner_than_the_cutoff_is_described_like_its_supercell(descriptor):
    thin = bulk("SiC", "zincblende", a=4.0)
    wide = make_supercell(thin, np.diag([2, 3, 2]))
    assert thin.cell.lengths().max() < descriptor.cutoff
    rows = features(descriptor, wide)[wide.numbers == 14]
    torch.testing.assert_close(rows, features(descriptor, thin)[:1].expand_as(rows), atol=1e-9, rtol=1e-9)


@BOTH
def test_a_slab_is_described_like_a_slab_in_much_vacuum(descriptor):
    slab = Atoms("MgO", cell=[3, 3, 0], pbc=[True, True, False], positions=[[0, 0, 0], [1.4, 1.5, 0.3]])
    vacuum = Atoms("MgO", cell=[3, 3, 30], pbc=True, positions=slab.positions)
    torch.testing.assert_close(features(descriptor, slab), features(descriptor, vacuum), atol=1e-9, rtol=1e-9)


@BOTH
def test_distant_atoms_are_described_as_if_alone(descriptor):
    alone = Atoms("Ar", positions=[[0, 0, 0]])
    apart = Atoms("Ar2", positions=[[0, 0, 0], [descriptor.cutoff + 1e-9, 0, 0]])
    values = features(descriptor, alone)
    assert torch.isfinite(values).all()
    torch.testing.assert_close(values.expand(2, -1), features(descriptor, apart), atol=1e-12, rtol=0)


@BOTH
def test_structures_in_one_batch_do_not_see_each_other(descriptor):
    systems = [salt(), ethanol(), Atoms("O", positions=[[0, 0, 0]]), ethanol()]
    elements = [1, 6, 8, 11, 17]
    apart = torch.cat([features(descriptor, atoms, elements=elements) for atoms in systems])
    torch.testing.assert_close(features(descriptor, *systems, elements=elements), apart, atol=1e-10, rtol=1e-10)


@BOTH
def test_features_and_slopes_pass_smoothly_through_the_cutoff(descriptor):
    def at(distance: float) -> tuple[torch.Tensor, torch.Tensor]:
        graph = build_graph([as_structure(Atoms("Ar2", positions=[[0, 0, 0], [distance, 0, 0]]))], descriptor.cutoff)
        graph.positions.requires_grad_()
        values = new_describer(descriptor, [18], torch.float64).features(graph)
        slope = torch.autograd.grad(values.sum(), graph.positions, allow_unused=True)[0]
        return values.detach(), torch.zeros(2, 3).double() if slope is None else slope

    step = 1e-4
    inside, outside = at(descriptor.cutoff - step), at(descriptor.cutoff + step)
    # Both cutoff functions leave zero with the square of the distance, their slopes linearly; prefactors are below 20.
    torch.testing.assert_close(inside[0], outside[0], atol=20 * step**2, rtol=0)
    torch.testing.assert_close(inside[1], outside[1], atol=100 * step, rtol=0)


@pytest.mark.parametrize("make", [salt, ethanol])
def test_soap_slopes_are_those_of_finite_differences(make):
    graph = build_graph([as_structure(make())], SOAP.cutoff)
    weights = torch.randn(soap_of(graph).shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    positions = graph.positions.clone().requires_grad_()
    gradient = torch.autograd.grad((soap_of(with_positions(graph, positions)) * weights).sum(), positions)[0]
    direction = torch.randn(positions.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    step = 1e-4
    plus, minus = (
        (soap_of(with_positions(graph, graph.positions + sign * step * direction)) * weights).sum() for sign in (1, -1)
    )
    # Central differences err by step² ≈ 1e-8 times the third derivative, here up to a few hundred.
    torch.testing.assert_close((gradient * direction).sum(), (plus - minus) / (2 * step), atol=1e-5, rtol=1e-6)


def test_soap_has_exact_first_and_second_derivatives_in_positions_and_strain():
    graph = build_graph([as_structure(bulk("SiC", "zincblende", a=3.4))], 2.5)
    # Through the sharp cosine a finite difference may step; these distances stay away from both of its ends.
    soap = SoapPowerSpectrum(SoapDescriptor(cutoff=2.5, n_max=2, l_max=2, width=0.5), [6, 14]).double()
    weights = torch.randn(2, soap.n_features, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def score(positions: torch.Tensor, strain: torch.Tensor) -> torch.Tensor:
        return (soap(with_positions(graph, positions).strained(strain)) * weights).sum()

    generator = torch.Generator().manual_seed(3)
    positions = graph.positions + 0.05 * torch.randn(2, 3, dtype=torch.float64, generator=generator)
    inputs = (positions.requires_grad_(), torch.zeros(1, 3, 3, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(score, inputs)
    assert torch.autograd.gradgradcheck(score, inputs)


def test_soap_of_an_uneven_mixture_is_that_of_a_sum_over_pairs():
    # One dense cluster among lone atoms: neighbours are summed in short blocks, here against one block per atom.
    cluster = bulk("Cu", cubic=True) * (2, 2, 2)
    cluster.pbc = False
    lone = [Atoms("Cu", positions=[[0, 0, 0]]), Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2.5]])]
    apart = torch.cat([features(SOAP, atoms) for atoms in (*lone, cluster, *lone)])
    torch.testing.assert_close(features(SOAP, *lone, cluster, *lone), apart, atol=1e-10, rtol=0)


def test_soap_vectors_have_length_one():
    lengths = features(SOAP, salt(), ethanol()).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), atol=1e-12, rtol=0)


@BOTH
def test_an_element_that_was_not_announced_is_refused(descriptor):
    with pytest.raises(InvalidInput):
        features(descriptor, ethanol(), elements=[6, 8])


@pytest.mark.parametrize(
    "descriptor", [SoapDescriptor(), SoapDescriptor(n_max=12, l_max=8), AcsfDescriptor(n_angular=16)]
)
@pytest.mark.parametrize("n_elements", [1, 2, 5, 12])
def test_features_stay_few_for_any_number_of_elements(descriptor, n_elements):
    describer = new_describer(descriptor, range(1, n_elements + 1))
    assert describer.n_features <= LARGEST
    atoms = Atoms("H2", positions=[[0, 0, 0], [0, 0, 1]])
    values = describer.features(build_graph([as_structure(atoms)], descriptor.cutoff, torch.float32))
    assert values.shape == (2, describer.n_features)
    assert torch.isfinite(values).all()


@pytest.mark.parametrize("descriptor", [SoapDescriptor(), SoapDescriptor(n_max=12, l_max=8)])
def test_mixed_elements_are_still_told_apart(descriptor):
    elements = list(range(1, 13))
    assert new_describer(descriptor, elements).reduction
    pairs = [Atoms([z, 8], positions=[[0, 0, 0], [0, 0, 1.2]]) for z in elements]
    oxygen = features(descriptor, *pairs, elements=elements)[1::2]
    kernel = oxygen @ oxygen.T - torch.eye(12)
    assert kernel.max() < 0.99


@BOTH
def test_batches_cover_every_structure_once_and_pool_the_mean(descriptor):
    systems = [ethanol(), salt(), Atoms("O", positions=[[0, 0, 0]])] * 5
    structures = [as_structure(atoms) for atoms in systems]
    batches = list(describe(descriptor, iter(structures), [1, 6, 8, 11, 17], batch_pairs=500))
    assert len(batches) > 3
    assert [batch.first for batch in batches] == np.cumsum([0, *(len(batch.counts) for batch in batches)])[:-1].tolist()
    counts = np.concatenate([batch.counts for batch in batches])
    assert counts.tolist() == [len(structure) for structure in structures]
    exact = features(descriptor, *systems, elements=[1, 6, 8, 11, 17]).numpy()
    atoms, pooled = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("atoms", "pooled"))
    assert atoms.dtype == pooled.dtype == np.float32
    # float32 keeps seven digits of positions of a few Å; features change by up to 10 per Å.
    np.testing.assert_allclose(atoms, exact, atol=2e-5 * max(1.0, np.abs(exact).max()))
    means = [rows.mean(axis=0) for rows in np.split(atoms, np.cumsum(counts)[:-1])]
    np.testing.assert_allclose(pooled, means, atol=1e-5 * max(1.0, np.abs(exact).max()))


def clusters(n: int, seed: int = 0) -> np.ndarray:
    """(n, 30) features of four well separated kinds of structure."""
    random = np.random.default_rng(seed)
    centres = 5 * np.random.default_rng(0).standard_normal((4, 30))
    return (centres[random.integers(4, size=n)] + random.standard_normal((n, 30))).astype(np.float32)


def test_pca_finds_the_plane_in_which_points_lie():
    random = np.random.default_rng(0)
    plane = random.standard_normal((200, 2)) * [3.0, 1.0]
    drawn = pca((plane @ np.linalg.qr(random.standard_normal((8, 8)))[0][:2]).astype(np.float32))
    assert drawn.method == "pca"
    assert drawn.xy.dtype == np.float32
    assert drawn.explained.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("draw", [pca, umap])
def test_the_same_features_give_the_same_map_and_it_survives_storage(draw):
    known, later = clusters(150), clusters(20, seed=1)
    drawn, again = draw(known), draw(known)
    np.testing.assert_array_equal(drawn.xy, again.xy)
    assert all(array.dtype.kind in "fi" for array in drawn.arrays().values())
    restored = Map.from_arrays(drawn.arrays())
    assert restored.method == drawn.method
    np.testing.assert_array_equal(restored.transform(later), drawn.transform(later))


@pytest.mark.parametrize("draw", [pca, umap])
def test_a_known_structure_that_arrives_again_lands_on_itself(draw):
    known = clusters(150)
    drawn = draw(known)
    extent = np.ptp(drawn.xy)
    np.testing.assert_allclose(drawn.transform(known[40:60]), drawn.xy[40:60], atol=1e-4 * extent)


def kinds(features: np.ndarray) -> np.ndarray:
    """Which of the four kinds of `clusters` each row is."""
    return ((features[:, None] - 5 * np.random.default_rng(0).standard_normal((4, 30))) ** 2).sum(-1).argmin(1)


def test_later_arrivals_land_among_their_like():
    known, later = clusters(300), clusters(40, seed=1)
    drawn = umap(known)
    assert drawn.method == "umap"
    nearest = ((drawn.transform(later)[:, None] - drawn.xy) ** 2).sum(-1).argmin(1)
    np.testing.assert_array_equal(kinds(later), kinds(known)[nearest])


def test_a_map_of_more_structures_than_are_fitted_places_the_others_among_their_like():
    known = clusters(300)
    drawn = umap(known, fitted=150)
    assert len(drawn.anchors) == 150
    apart = ((drawn.xy[:, None] - drawn.xy) ** 2).sum(-1) + 1e9 * np.eye(300)
    np.testing.assert_array_equal(kinds(known), kinds(known)[apart.argmin(1)])
    assert np.isfinite(pca(known, fitted=150).xy).all()


@pytest.mark.parametrize("n", [0, 1, 2, 16])
def test_too_few_structures_for_umap_get_a_pca_and_a_reason(n):
    drawn = umap(clusters(n), neighbours=15)
    assert drawn.method == "pca"
    assert drawn.message
    assert drawn.xy.shape == (n, 2)
    assert np.isfinite(drawn.xy).all()


def test_structures_all_alike_share_one_place():
    drawn = umap(np.ones((40, 5), dtype=np.float32))
    assert drawn.method == "pca"
    assert drawn.message
    assert np.ptp(drawn.xy, axis=0).max() == 0


def test_features_that_are_not_finite_are_refused_by_number():
    broken = clusters(30)
    broken[7, 3] = np.nan
    with pytest.raises(InvalidInput, match="structure 7"):
        pca(broken)


def test_a_map_refuses_features_of_another_descriptor():
    with pytest.raises(InvalidInput, match="30 features"):
        pca(clusters(30)).transform(np.zeros((1, 31), dtype=np.float32))
