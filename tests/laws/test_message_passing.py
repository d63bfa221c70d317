"""Laws of physics that a message-passing potential obeys exactly, whatever its weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, make_supercell
from scipy.spatial.transform import Rotation

from isoline.errors import InvalidInput
from isoline_lab.descriptors.environments import gather_environments
from isoline_lab.graph import build_graph
from isoline_lab.potentials import message_network
from isoline_lab.potentials.baseline import Baseline
from isoline_lab.potentials.message_passing import MessagePassing, new_network

from .conftest import ELEMENTS, STRUCTURES, structure_of
from .test_potential import (
    DIFFERENCE,
    EXACT,
    coordinates,
    displaced,
    energy_differences,
    matrices,
    predict,
    strained,
)


def random_potential(
    elements: tuple[int, ...] = ELEMENTS, cutoff: float = 4.0, members: int = 3, layers: int = 2, direct: bool = False
) -> MessagePassing:
    """A potential with random weights, normalised on the systems of the laws."""
    shape = {"members": members, "layers": layers, "channels": 4, "l_max": 2, "hidden": [5], "direct": direct}
    network = new_network(shape, len(elements), cutoff, torch.float64)
    network.randomise(torch.Generator().manual_seed(1))
    known = [structure_of(make()) for make in STRUCTURES.values()]
    graph = build_graph([s for s in known if set(s.numbers) <= set(elements)], cutoff)
    element = torch.searchsorted(torch.tensor(elements), graph.numbers)
    network.measure(gather_environments(graph, element, cutoff), element)
    with torch.no_grad():
        network.scale.fill_(0.05)  # forces of some eV/Å, for which the tolerances of differences are made
        network.offset.normal_(generator=torch.Generator().manual_seed(2))
    return MessagePassing(elements, network, Baseline(elements, np.linspace(-5.0, -1.0, len(elements))))


@pytest.fixture(scope="module")
def potential() -> MessagePassing:
    """Three random potentials of six elements, two layers."""
    return random_potential()


@pytest.fixture(scope="module")
def direct() -> MessagePassing:
    """The same with a readout for forces."""
    return random_potential(direct=True)


@pytest.fixture(scope="module", params=[1, 2, 3])
def silicon_potential(request) -> MessagePassing:
    """One element, one to three layers, with a receptive field far beyond the primitive cell."""
    return random_potential((14,), cutoff=5.0, layers=request.param)


def test_translation_changes_nothing(potential, atoms):
    moved = atoms.copy()
    moved.positions += [0.3, -1.7, 12.1]
    before, after = predict(potential, atoms, moved)
    np.testing.assert_allclose(after.energy, before.energy, **EXACT)
    np.testing.assert_allclose(after.forces, before.forces, **EXACT)


@pytest.mark.parametrize("kind", ["potential", "direct"])
def test_rotation_turns_forces_and_stress_with_the_atoms(kind, atoms, request):
    potential = request.getfixturevalue(kind)
    R = Rotation.from_euler("xyz", [0.4, 1.1, -2.0]).as_matrix()
    turned = Atoms(atoms.numbers, atoms.positions @ R.T, cell=atoms.cell.array @ R.T, pbc=atoms.pbc)
    before, after = predict(potential, atoms, turned)
    np.testing.assert_allclose(after.energy, before.energy, **EXACT)
    np.testing.assert_allclose(after.forces, before.forces @ R.T, **EXACT)
    if before.stress is not None:
        np.testing.assert_allclose(matrices(after.stress), R @ matrices(before.stress) @ R.T, **EXACT)


@pytest.mark.parametrize("kind", ["potential", "direct"])
def test_mirroring_mirrors_forces(kind, atoms, request):
    potential = request.getfixturevalue(kind)
    mirrored = Atoms(atoms.numbers, -atoms.positions, cell=-atoms.cell.array, pbc=atoms.pbc)
    before, after = predict(potential, atoms, mirrored)
    np.testing.assert_allclose(after.energy, before.energy, **EXACT)
    np.testing.assert_allclose(after.forces, -before.forces, **EXACT)


def test_the_order_of_atoms_does_not_matter(potential, atoms):
    order = np.random.default_rng(0).permutation(len(atoms))
    before, after = predict(potential, atoms, atoms[order])
    np.testing.assert_allclose(after.energy, before.energy, **EXACT)
    np.testing.assert_allclose(after.forces, before.forces[:, order], **EXACT)


def test_any_image_of_an_atom_will_do(potential, salt):
    moved = salt.copy()
    moved.positions[3] += 2 * salt.cell[0] - salt.cell[2]
    before, after = predict(potential, salt, moved)
    np.testing.assert_allclose(after.energy, before.energy, **EXACT)
    np.testing.assert_allclose(after.forces, before.forces, **EXACT)


def test_forces_are_minus_the_energy_gradient(potential, atoms):
    numerical = -energy_differences(potential, [displaced(atoms, *which) for which in coordinates(atoms)])
    (prediction,) = predict(potential, atoms)
    analytical = np.stack([prediction.forces[:, atom, axis] for atom, axis in coordinates(atoms)])
    np.testing.assert_allclose(analytical, numerical, **DIFFERENCE)


def test_forces_of_a_structure_sum_to_zero(potential, atoms):
    (prediction,) = predict(potential, atoms)
    np.testing.assert_allclose(prediction.forces.sum(1), 0.0, **EXACT)


def test_a_conservative_potential_of_a_molecule_exerts_no_torque(potential):
    molecule = STRUCTURES["molecule"]()
    (prediction,) = predict(potential, molecule)
    torque = np.cross(molecule.positions, prediction.forces).sum(1)
    np.testing.assert_allclose(torque, 0.0, **EXACT)


def test_forces_with_a_readout_of_their_own_need_not_sum_to_zero(direct, salt):
    (prediction,) = predict(direct, salt)
    assert np.abs(prediction.forces.sum(1)).max() > 1e-5


def test_stress_is_the_energy_gradient_with_respect_to_strain_per_volume(potential, salt):
    voigt = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    numerical = energy_differences(potential, [strained(salt, *which) for which in voigt]) / salt.get_volume()
    (prediction,) = predict(potential, salt)
    np.testing.assert_allclose(prediction.stress.T, numerical, **DIFFERENCE)


def test_a_supercell_has_the_energy_of_its_cells(potential, salt):
    P = [[2, 0, 0], [0, 1, 1], [0, 0, 1]]
    one, two = predict(potential, salt, make_supercell(salt, P))
    np.testing.assert_allclose(two.energy, 2 * one.energy, **EXACT)
    np.testing.assert_allclose(two.stress, one.stress, **EXACT)


def test_a_cell_thinner_than_the_cutoff_has_the_energy_per_atom_of_its_supercell(silicon_potential):
    cell = bulk("Si")
    cell.rattle(0.1, seed=5)
    small, large = predict(silicon_potential, cell, cell * (3, 3, 3))
    np.testing.assert_allclose(large.energy, 27 * small.energy, atol=1e-9)
    np.testing.assert_allclose(large.forces[:, :2], small.forces, **EXACT)


def test_one_atom_feels_no_force_and_has_its_offset_for_energy(potential):
    alone, boxed = predict(potential, Atoms("O"), Atoms("O", cell=np.eye(3) * 20, pbc=True))
    np.testing.assert_array_equal(alone.forces, 0.0)
    np.testing.assert_array_equal(boxed.stress, 0.0)
    np.testing.assert_allclose(alone.energy, boxed.energy, **EXACT)
    place = ELEMENTS.index(8)
    expected = potential.baseline.energies[place] + potential.network.offset[:, place].detach().numpy()
    np.testing.assert_allclose(alone.energy, expected, **EXACT)
    assert alone.stress is None


def test_two_atoms_beyond_the_cutoff_do_not_see_each_other(potential):
    both, hydrogen, oxygen = predict(
        potential, Atoms("HO", positions=[[0, 0, 0], [0, 0, potential.cutoff + 1e-6]]), Atoms("H"), Atoms("O")
    )
    np.testing.assert_allclose(both.energy, hydrogen.energy + oxygen.energy, **EXACT)
    np.testing.assert_array_equal(both.forces, 0.0)


def test_energy_and_forces_are_continuous_at_the_cutoff(potential):
    def trio(distance: float) -> Atoms:
        return Atoms("HOC", positions=[[0, 0, 0], [0, 0, distance], [1.5, 0, 0]])

    inside, outside = predict(potential, trio(potential.cutoff - 1e-3), trio(potential.cutoff + 1e-3))
    # The envelope, its slope and its curvature vanish: energies differ by O(step³), forces by O(step²).
    np.testing.assert_allclose(inside.energy, outside.energy, atol=1e-7)
    np.testing.assert_allclose(inside.forces, outside.forces, atol=1e-4)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_an_atom_matters_as_far_as_the_receptive_field_and_no_further(layers):
    """A chain passes news on by one cutoff for each layer."""
    potential = random_potential((14,), cutoff=3.0, layers=layers)
    assert potential.receptive_field == pytest.approx(3.0 * layers)
    chain = Atoms("Si6", positions=[[2.5 * k, 0.1 * (k % 2), 0] for k in range(6)])
    moved = chain.copy()
    moved.positions[-1, 1] += 0.2
    before, after = predict(potential, chain, moved)
    felt = np.abs(after.atom_energies - before.atom_energies).max(0) > 1e-13
    # Atom 4 sees atom 5 in the first layer, atom 3 sees that in the second, and so on.
    np.testing.assert_array_equal(felt, [k >= 5 - layers for k in range(6)])


def test_members_derivatives_equal_those_of_each_member_alone(potential, atoms):
    graph = build_graph([structure_of(atoms)], potential.cutoff)
    element = torch.searchsorted(torch.tensor(ELEMENTS), graph.numbers)
    prediction = potential.predict_graph(graph)
    positions = graph.positions.clone().requires_grad_()
    strain = torch.zeros(1, 3, 3, dtype=torch.float64, requires_grad=True)
    moved = replace(graph, positions=positions).strained(strain)
    energies, _ = potential.network(gather_environments(moved, element, potential.cutoff), element)
    for member in range(3):
        slopes = torch.autograd.grad(energies[member].sum(), (positions, strain), retain_graph=True)
        torch.testing.assert_close(-prediction.forces[member], slopes[0], atol=1e-10, rtol=0)
        torch.testing.assert_close(prediction.virial[member], slopes[1], atol=1e-10, rtol=0)


def test_members_differ(potential, salt):
    (prediction,) = predict(potential, salt)
    assert prediction.energy_spread > 1e-5
    assert (prediction.force_spread > 1e-5).all()


def test_atoms_energies_sum_to_the_energy(potential, atoms):
    (prediction,) = predict(potential, atoms)
    np.testing.assert_allclose(prediction.atom_energies.sum(1), prediction.energy, **EXACT)


def test_the_batch_a_structure_is_in_does_not_matter(potential, atoms, salt):
    (alone,) = predict(potential, atoms)
    together = predict(potential, salt, atoms, Atoms("H"), salt)
    np.testing.assert_allclose(together[1].energy, alone.energy, **EXACT)
    np.testing.assert_allclose(together[1].forces, alone.forces, **EXACT)


def test_an_unknown_element_is_named(silicon_potential):
    with pytest.raises(InvalidInput, match="Ge"):
        predict(silicon_potential, bulk("Ge"))


def test_no_structures_give_no_predictions(potential):
    assert predict(potential) == []


def test_saved_and_loaded_it_predicts_the_same(potential, direct, atoms):
    for saved in (potential, direct, potential.to(torch.float32)):
        loaded = MessagePassing.load(saved.save())
        assert (loaded.elements, loaded.cutoff, loaded.members) == (saved.elements, saved.cutoff, saved.members)
        before, after = predict(saved, atoms)[0], predict(loaded, atoms)[0]
        np.testing.assert_array_equal(after.energy, before.energy)
        np.testing.assert_array_equal(after.forces, before.forces)


def test_single_precision_is_good_to_a_millionth(potential, atoms):
    exact, single = predict(potential, atoms)[0], predict(potential.to(torch.float32), atoms)[0]
    np.testing.assert_allclose(single.forces, exact.forces, atol=1e-5 * np.abs(exact.forces).max())


def test_files_that_do_not_fit_are_refused(potential):
    files = potential.save()
    with pytest.raises(InvalidInput, match=r"model\.safetensors"):
        MessagePassing.load({"model.json": files["model.json"]})
    with pytest.raises(InvalidInput, match="fit together"):
        MessagePassing.load(files | {"model.safetensors": b"not tensors"})
    about = files["model.json"].replace(b'"message-passing"', b'"behler-parrinello"')
    with pytest.raises(InvalidInput, match="behler"):
        MessagePassing.load(files | {"model.json": about})


def test_a_large_structure_computed_in_parts_has_the_same_energies_and_forces(potential, salt, monkeypatch):
    (whole,) = predict(potential, salt)
    monkeypatch.setattr(message_network, "ATOMS_AT_ONCE", 3)
    (parts,) = predict(potential, salt)
    np.testing.assert_allclose(parts.atom_energies, whole.atom_energies, **EXACT)
    np.testing.assert_allclose(parts.forces, whole.forces, **EXACT)
    np.testing.assert_allclose(parts.stress, whole.stress, **EXACT)
