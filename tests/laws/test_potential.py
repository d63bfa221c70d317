"""Laws of physics that a potential obeys exactly, whatever its weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, make_supercell
from scipy.spatial.transform import Rotation

from isoline.errors import InvalidInput
from isoline_lab.graph import build_graph
from isoline_lab.potentials.committee import Committee
from isoline_lab.potentials.prediction import Prediction

from .conftest import STRUCTURES, random_committee, structure_of

# Round-off of sums of some hundred terms of size one.
EXACT = {"atol": 1e-10, "rtol": 0}

STEP = 1e-4
# Central differences err by O(step²) = 1e-8 times third derivatives of order ten.
DIFFERENCE = {"atol": 2e-6, "rtol": 1e-6}


def predict(committee: Committee, *systems: Atoms) -> list[Prediction]:
    return list(committee.predict([structure_of(atoms) for atoms in systems]))


def test_translation_changes_nothing(committee, atoms):
    moved = atoms.copy()
    moved.positions += [0.3, -1.7, 12.1]
    before, after = predict(committee, atoms, moved)
    np.testing.assert_allclose(after.energy, before.energy, **EXACT)
    np.testing.assert_allclose(after.forces, before.forces, **EXACT)


def test_rotation_turns_forces_and_stress_with_the_atoms(committee, atoms):
    R = Rotation.from_euler("xyz", [0.4, 1.1, -2.0]).as_matrix()
    turned = Atoms(atoms.numbers, atoms.positions @ R.T, cell=atoms.cell.array @ R.T, pbc=atoms.pbc)
    before, after = predict(committee, atoms, turned)
    np.testing.assert_allclose(after.energy, before.energy, **EXACT)
    np.testing.assert_allclose(after.forces, before.forces @ R.T, **EXACT)
    if before.stress is not None:
        np.testing.assert_allclose(matrices(after.stress), R @ matrices(before.stress) @ R.T, **EXACT)


def test_mirroring_mirrors_forces(committee, atoms):
    mirrored = Atoms(atoms.numbers, -atoms.positions, cell=-atoms.cell.array, pbc=atoms.pbc)
    before, after = predict(committee, atoms, mirrored)
    np.testing.assert_allclose(after.energy, before.energy, **EXACT)
    np.testing.assert_allclose(after.forces, -before.forces, **EXACT)


def test_the_order_of_atoms_does_not_matter(committee, atoms):
    order = np.random.default_rng(0).permutation(len(atoms))
    before, after = predict(committee, atoms, atoms[order])
    np.testing.assert_allclose(after.energy, before.energy, **EXACT)
    np.testing.assert_allclose(after.forces, before.forces[:, order], **EXACT)


def test_any_image_of_an_atom_will_do(committee, salt):
    moved = salt.copy()
    moved.positions[3] += 2 * salt.cell[0] - salt.cell[2]
    before, after = predict(committee, salt, moved)
    np.testing.assert_allclose(after.energy, before.energy, **EXACT)
    np.testing.assert_allclose(after.forces, before.forces, **EXACT)


def test_forces_are_minus_the_energy_gradient(committee, atoms):
    numerical = -energy_differences(committee, [displaced(atoms, *which) for which in coordinates(atoms)])
    (prediction,) = predict(committee, atoms)
    analytical = np.stack([prediction.forces[:, atom, axis] for atom, axis in coordinates(atoms)])
    np.testing.assert_allclose(analytical, numerical, **DIFFERENCE)


def test_forces_of_a_structure_sum_to_zero(committee, atoms):
    (prediction,) = predict(committee, atoms)
    np.testing.assert_allclose(prediction.forces.sum(1), 0.0, **EXACT)


def test_forces_on_a_molecule_do_not_turn_it(committee):
    system = STRUCTURES["molecule"]()
    (prediction,) = predict(committee, system)
    np.testing.assert_allclose(np.cross(system.positions, prediction.forces).sum(1), 0.0, **EXACT)


def test_stress_is_the_energy_gradient_with_respect_to_strain_per_volume(committee, salt):
    voigt = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    numerical = energy_differences(committee, [strained(salt, *which) for which in voigt]) / salt.get_volume()
    (prediction,) = predict(committee, salt)
    np.testing.assert_allclose(prediction.stress.T, numerical, **DIFFERENCE)


def test_a_supercell_has_the_energy_of_its_cells(committee, salt):
    P = [[2, 0, 0], [0, 1, 1], [0, 0, 1]]
    one, two = predict(committee, salt, make_supercell(salt, P))
    np.testing.assert_allclose(two.energy, 2 * one.energy, **EXACT)
    np.testing.assert_allclose(two.stress, one.stress, **EXACT)


def test_a_cell_thinner_than_the_cutoff_has_the_energy_per_atom_of_its_supercell(silicon_committee):
    cell = bulk("Si")
    cell.rattle(0.1, seed=5)
    small, large = predict(silicon_committee, cell, cell * (3, 3, 3))
    np.testing.assert_allclose(large.energy, 27 * small.energy, atol=1e-9)
    np.testing.assert_allclose(large.forces[:, :2], small.forces, **EXACT)


def test_one_atom_feels_no_force(committee):
    alone, boxed = predict(committee, Atoms("O"), Atoms("O", cell=np.eye(3) * 20, pbc=True))
    np.testing.assert_array_equal(alone.forces, 0.0)
    np.testing.assert_array_equal(boxed.stress, 0.0)
    np.testing.assert_allclose(alone.energy, boxed.energy, **EXACT)
    assert alone.stress is None


def test_two_atoms_beyond_the_cutoff_do_not_see_each_other(committee):
    both, hydrogen, oxygen = predict(
        committee, Atoms("HO", positions=[[0, 0, 0], [0, 0, committee.cutoff + 1e-6]]), Atoms("H"), Atoms("O")
    )
    np.testing.assert_allclose(both.energy, hydrogen.energy + oxygen.energy, **EXACT)
    np.testing.assert_array_equal(both.forces, 0.0)


def test_an_atom_matters_as_far_as_the_cutoff_and_no_further(committee):
    def chain(shift: float) -> Atoms:
        return Atoms("HOCSi", positions=[[0, 0, 0], [0, 0, 1.5], [0, 0, 3.0], [0, 0, 1.4 + committee.cutoff + shift]])

    before, after = predict(committee, chain(0.0), chain(0.05))
    assert (np.abs(after.atom_energies - before.atom_energies)[:, 2:] > 1e-8).all()
    # From 1.4 Å beyond the cutoff the first atom sees nothing of it, nor does the second once it is beyond its own.
    np.testing.assert_array_equal(after.atom_energies[:, 0], before.atom_energies[:, 0])
    gone, further = predict(committee, chain(0.2), chain(0.3))
    np.testing.assert_array_equal(gone.atom_energies[:, 1], further.atom_energies[:, 1])


def test_energy_and_forces_are_continuous_at_the_cutoff(committee):
    def trio(distance: float) -> Atoms:
        return Atoms("HOC", positions=[[0, 0, 0], [0, 0, distance], [1.5, 0, 0]])

    inside, outside = predict(committee, trio(committee.cutoff - 1e-5), trio(committee.cutoff + 1e-5))
    # The cutoff function and its slope vanish as the square and the first power of the distance to the cutoff.
    np.testing.assert_allclose(inside.energy, outside.energy, atol=1e-8)
    np.testing.assert_allclose(inside.forces, outside.forces, atol=1e-3)
    closer, _ = predict(committee, trio(committee.cutoff - 1e-7), trio(committee.cutoff + 1e-7))
    np.testing.assert_allclose(closer.forces, outside.forces, atol=1e-5)


def test_forces_and_virial_equal_those_of_automatic_differentiation(committee, atoms):
    graph = build_graph([structure_of(atoms)], committee.cutoff)
    strain = torch.zeros(1, 3, 3, dtype=torch.float64, requires_grad=True)
    positions = graph.positions.clone().requires_grad_()
    energies = committee.atom_energies(replace(graph, positions=positions).strained(strain)).sum(1)
    found = committee.predict_graph(graph)
    for member in range(committee.members):
        slopes = torch.autograd.grad(energies[member], (positions, strain), retain_graph=True)
        torch.testing.assert_close(-found.forces[member], slopes[0], atol=1e-10, rtol=0)
        torch.testing.assert_close(found.virial[member], slopes[1], atol=1e-10, rtol=0)


def test_members_together_are_the_members_alone(committee, atoms):
    (together,) = predict(committee, atoms)
    for index in range(committee.members):
        (alone,) = predict(committee.member(index), atoms)
        np.testing.assert_allclose(alone.energy, together.energy[[index]], **EXACT)
        np.testing.assert_allclose(alone.forces, together.forces[[index]], **EXACT)
    assert (np.ptp(together.energy, axis=0) > 0.01).all()


@pytest.mark.parametrize("members", [1, 8, 9, 32])
def test_a_committee_may_have_any_size(members, salt):
    committee = random_committee("body-ordered", (11, 17), members=members)
    (together,) = predict(committee, salt)
    (last,) = predict(committee.member(members - 1), salt)
    assert together.forces.shape == (members, len(salt), 3)
    np.testing.assert_allclose(last.forces, together.forces[-1:], **EXACT)
    np.testing.assert_allclose(last.stress, together.stress[-1:], **EXACT)


def test_single_precision_is_good_for_dynamics(committee, atoms):
    (double,), (single,) = predict(committee, atoms), predict(committee.to(torch.float32), atoms)
    np.testing.assert_allclose(single.forces, double.forces, atol=1e-4)
    np.testing.assert_allclose(single.energy / len(atoms), double.energy / len(atoms), atol=1e-4)


def test_saved_and_loaded_it_predicts_the_same(committee, atoms):
    again = Committee.load(committee.save())
    before, after = predict(committee, atoms)[0], predict(again, atoms)[0]
    np.testing.assert_allclose(after.energy, before.energy, **EXACT)
    np.testing.assert_allclose(after.forces, before.forces, **EXACT)
    assert again.family == committee.family


def test_atoms_energies_sum_to_the_energy(committee, atoms):
    (prediction,) = predict(committee, atoms)
    np.testing.assert_allclose(prediction.atom_energies.sum(1), prediction.energy, **EXACT)


def test_the_batch_a_structure_is_in_does_not_matter(committee, atoms, salt):
    alone, _ = predict(committee, atoms), None
    together = predict(committee, salt, atoms, Atoms("H"), salt)
    np.testing.assert_allclose(together[1].energy, alone[0].energy, **EXACT)
    np.testing.assert_allclose(together[1].forces, alone[0].forces, **EXACT)


def test_an_unknown_element_is_named(silicon_committee):
    with pytest.raises(InvalidInput, match="Ge"):
        predict(silicon_committee, bulk("Ge"))


def test_no_structures_give_no_predictions(committee):
    assert predict(committee) == []


def matrices(stress: np.ndarray) -> np.ndarray:
    """(members, 6) in Voigt order → (members, 3, 3)."""
    return stress[:, [0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(-1, 3, 3)


def coordinates(atoms: Atoms) -> list[tuple[int, int]]:
    """Six coordinates, spread over the atoms."""
    return [(k * len(atoms) // 6, k % 3) for k in range(6)]


def displaced(atoms: Atoms, atom: int, axis: int) -> list[Atoms]:
    """The system with one coordinate a step forward, and a step back."""
    pair = [atoms.copy(), atoms.copy()]
    for moved, step in zip(pair, (STEP, -STEP), strict=True):
        moved.positions[atom, axis] += step
    return pair


def strained(atoms: Atoms, i: int, j: int) -> list[Atoms]:
    """The system with a symmetric strain, and its opposite."""
    pair = [atoms.copy(), atoms.copy()]
    for changed, step in zip(pair, (STEP, -STEP), strict=True):
        strain = np.eye(3)
        strain[i, j] += step / 2
        strain[j, i] += step / 2
        changed.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return pair


def energy_differences(committee: Committee, pairs: list[list[Atoms]]) -> np.ndarray:
    """Central differences of the energy: (pairs, members)."""
    forward = predict(committee, *[pair[0] for pair in pairs])
    back = predict(committee, *[pair[1] for pair in pairs])
    return np.stack([(f.energy - b.energy) / (2 * STEP) for f, b in zip(forward, back, strict=True)])
