"""What a baseline owes to physics: repulsion, smoothness, nothing where there are data; in float64."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from mpmath import mp, mpf
from scipy.spatial.transform import Rotation

from isoline.domain.structure import Frame, Label
from isoline.errors import InvalidInput
from isoline_lab.graph import build_graph
from isoline_lab.potentials.baseline import Baseline, fit_baseline, repulsion_radii, shortest_distances
from isoline_lab.potentials.dimer import attractive_pairs, dimer_curve
from isoline_lab.potentials.pair_baseline import PairBaseline
from isoline_lab.potentials.potential import GraphPotential, GraphPrediction
from isoline_lab.potentials.repulsion import Repulsion, screened_coulomb, switched_off

from .conftest import ELEMENTS, structure_of

N = len(ELEMENTS)
REACH = 4.0
STEP = 1e-4
# Central differences err by O(step²) = 1e-8 times third derivatives of order ten.
DIFFERENCE = {"atol": 2e-6, "rtol": 1e-6}
EXACT = {"atol": 1e-10, "rtol": 1e-12}


class Known(GraphPotential):
    """A potential that has learned nothing: what is known beforehand, and nothing else."""

    family = "known"
    members = 1
    n_parameters = 0
    warnings = ()
    dtype = torch.float64

    def __init__(self, baseline: Baseline):
        self.baseline, self.elements, self.recipe = baseline, baseline.elements, {}
        self.cutoff = max(baseline.reach, 1.0)

    def to(self, dtype):
        return self

    def save(self):
        return {}

    def predict_graph(self, graph):
        energies = torch.zeros(1, graph.n_atoms, dtype=torch.float64)
        virial = torch.zeros(1, graph.n_structures, 3, 3, dtype=torch.float64)
        return GraphPrediction(energies, energies.new_zeros(1, graph.n_atoms, 3), virial)


def wide_repulsion() -> Repulsion:
    """Reaches over many neighbours, with another radius for every pair."""
    random = np.random.default_rng(0)
    outer = random.uniform(3.0, REACH, (N, N))
    return Repulsion.up_to(ELEMENTS, np.maximum(outer, outer.T))


def any_pairs() -> PairBaseline:
    random = np.random.default_rng(1)
    coefficients = random.normal(size=(N, N, int(REACH / 0.25)))
    return PairBaseline(coefficients + coefficients.transpose(1, 0, 2), 0.25)


BASELINES = {
    "repulsion": lambda: Baseline(ELEMENTS, np.linspace(-5, -1, N), wide_repulsion()),
    "pair": lambda: Baseline(ELEMENTS, np.linspace(-5, -1, N), None, any_pairs()),
    "both": lambda: Baseline(ELEMENTS, np.linspace(-5, -1, N), wide_repulsion(), any_pairs()),
}


@pytest.fixture(params=BASELINES)
def potential(request) -> Known:
    return Known(BASELINES[request.param]())


def predict(potential: Known, *systems: Atoms):
    return list(potential.predict([structure_of(atoms) for atoms in systems]))


def test_forces_are_minus_the_gradient(potential, atoms):
    (at,) = predict(potential, atoms)
    for atom, axis in ((0, 0), (1, 1), (len(atoms) - 1, 2)):
        moved = []
        for sign in (1, -1):
            other = atoms.copy()
            other.positions[atom, axis] += sign * STEP
            moved.append(predict(potential, other)[0].energy[0])
        np.testing.assert_allclose(at.forces[0, atom, axis], -(moved[0] - moved[1]) / (2 * STEP), **DIFFERENCE)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 1), (0, 2), (1, 2)])
def test_the_virial_is_the_strain_derivative(potential, salt, row, column):
    energies = []
    for sign in (1, -1):
        strain = np.eye(3)
        strain[row, column] += sign * STEP / 2
        strain[column, row] += sign * STEP / 2
        bent = Atoms(salt.numbers, salt.positions @ strain, cell=salt.cell.array @ strain, pbc=salt.pbc)
        energies.append(predict(potential, bent)[0].energy[0])
    virial = potential.baseline.predict_graph(build_graph([structure_of(salt)], REACH)).virial[0]
    np.testing.assert_allclose(virial[row, column], (energies[0] - energies[1]) / (2 * STEP), atol=1e-5, rtol=1e-6)


def test_turning_and_renumbering_atoms_changes_nothing_else(potential, atoms):
    R = Rotation.from_euler("xyz", [0.4, 1.1, -2.0]).as_matrix()
    turned = Atoms(atoms.numbers, atoms.positions @ R.T, cell=atoms.cell.array @ R.T, pbc=atoms.pbc)
    order = np.random.default_rng(0).permutation(len(atoms))
    before, after, shuffled = predict(potential, atoms, turned, atoms[order])
    np.testing.assert_allclose(after.energy, before.energy, **EXACT)
    np.testing.assert_allclose(after.forces, before.forces @ R.T, atol=1e-8)
    np.testing.assert_allclose(shuffled.atom_energies, before.atom_energies[:, order], **EXACT)
    np.testing.assert_allclose(shuffled.forces, before.forces[:, order], atol=1e-8)


def test_structures_together_are_as_structures_apart(potential, salt):
    others = [salt, bulk("Si", cubic=True), Atoms("CO", [[0, 0, 0], [0, 0, 1.1]])]
    together = [p.energy for p in predict(potential, *others)]
    apart = [predict(potential, one)[0].energy for one in others]
    np.testing.assert_allclose(together, apart, **EXACT)


@pytest.mark.parametrize(
    ("z1", "z2", "distance"), [(1, 1, 0.3), (14, 14, 1.0), (8, 14, 0.7), (28, 42, 1.5), (92, 6, 1)]
)
def test_screened_repulsion_is_the_published_formula(z1, z2, distance):
    mp.dps = 40
    coulomb = mpf("14.399645")
    length = mpf("0.46850") / (mpf(z1) ** mpf("0.23") + mpf(z2) ** mpf("0.23"))
    pairs = [("0.18175", "3.19980"), ("0.50986", "0.94229"), ("0.28022", "0.40290"), ("0.02817", "0.20162")]

    def energy(r):
        return coulomb * z1 * z2 / r * sum(mpf(c) * mp.exp(-mpf(k) * r / length) for c, k in pairs)

    r = mpf(repr(distance))
    found, slope = screened_coulomb(*(torch.tensor([float(x)], dtype=torch.float64) for x in (z1, z2, distance)))
    assert float(found) == pytest.approx(float(energy(r)), rel=1e-13)
    assert float(slope) == pytest.approx(float(mp.diff(energy, r)), rel=1e-12)


def test_screening_charges_and_lengths_are_whole():
    # φ(0) = 1: the nuclei are bare where they meet
    close = torch.tensor([1e-6], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    assert float(screened_coulomb(one, one, close)[0] * close) == pytest.approx(14.399645, rel=1e-4)


def test_the_switch_ends_with_value_slope_and_curvature():
    r = torch.tensor([0.9, 1.0, 1.0 + 1e-4, 2.0 - 1e-4, 2.0, 2.1], dtype=torch.float64)
    factor, slope = switched_off(r, torch.tensor(1.0), torch.tensor(2.0))
    assert factor[[0, 1, 4, 5]].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert slope[[0, 1, 4, 5]].tolist() == [0.0] * 4
    # the curvature is at most 60 t next to either end, t being the share of the width
    assert (slope[[2, 3]].abs() < 30e-8).all()


@pytest.mark.parametrize("radius", ["inner", "outer"])
def test_the_repulsion_is_smooth_at_both_radii(radius):
    term = wide_repulsion()
    first, second = (torch.tensor([3, 3, 3]), torch.tensor([5, 5, 5]))
    at = float(getattr(term, radius)[3, 5])
    jumps = []
    for h in (1e-3, 1e-4):
        _, slope = term.of_pairs(first, second, torch.tensor([at - h, at, at + h], dtype=torch.float64))
        jumps.append(abs(float((slope[2] - slope[1]) - (slope[1] - slope[0]))) / h)
    # a jump of the second derivative would stay as it is when h shrinks
    assert jumps[1] < 0.2 * jumps[0]


def test_beyond_the_outer_radius_there_is_exactly_nothing():
    term = wide_repulsion()
    r = torch.full((1,), float(np.nextafter(term.outer[2, 4], 9.0)), dtype=torch.float64)
    energy, slope = term.of_pairs(torch.tensor([2]), torch.tensor([4]), r)
    assert energy.item() == 0.0
    assert slope.item() == 0.0


def test_the_repulsion_leaves_its_training_set_alone(salt):
    frames = rattled(salt, 6)
    with_term = fit_baseline(frames, (11, 17), repulsion=True)
    without = fit_baseline(frames, (11, 17), repulsion=False)
    for frame in frames:
        graph = build_graph([frame.structure], 5.0)
        known, plain = with_term.predict_graph(graph), without.predict_graph(graph)
        assert torch.equal(known.energies, plain.energies)
        assert torch.equal(known.forces, plain.forces)
        assert not known.forces.any()


def test_radii_are_below_the_data_and_below_a_bond_where_there_are_none():
    shortest = np.array([[np.inf, 1.0], [1.0, 9.0]])
    radii = repulsion_radii((1, 8), shortest)
    assert radii[0, 1] == 0.95
    assert radii[1, 1] == 3.0
    assert radii[0, 0] < 0.74  # a molecule of hydrogen


def test_the_shortest_distance_of_every_pair_is_found(salt):
    found = shortest_distances(rattled(salt, 1), (1, 11, 17), 5.0)
    structure = rattled(salt, 1)[0].structure
    distances = Atoms(structure.numbers, structure.positions, cell=structure.cell, pbc=True).get_all_distances(mic=True)
    between = distances[np.ix_(structure.numbers == 11, structure.numbers == 17)]
    assert found[1, 2] == found[2, 1] == pytest.approx(between.min())
    assert np.isinf(found[0]).all()


@pytest.mark.parametrize("pair", [False, True])
def test_every_pair_repels_at_short_distance(salt, pair):
    potential = Known(fit_baseline(rattled(salt, 6), (1, 11, 17), repulsion=True, pair=pair))
    assert attractive_pairs(potential) == []
    for z1, z2 in combinations_with_replacement(potential.elements, 2):
        curve = dimer_curve(potential, z1, z2, np.linspace(0.05, 0.4, 8))
        assert (np.diff(curve.energies, axis=1) < 0).all()
        assert (curve.forces > 0).all()


def test_a_pair_that_attracts_is_told():
    curve = PairBaseline(np.linspace(-3.0, 0.0, 16)[None, None, :], 0.25)
    found = attractive_pairs(Known(Baseline((14,), np.zeros(1), None, curve)))
    assert [one.numbers for one in found] == [(14, 14)]


def test_forces_of_a_dimer_curve_are_minus_its_slope(potential):
    r = np.array([1.5 - STEP, 1.5, 1.5 + STEP])
    curve = dimer_curve(potential, 8, 14, r)
    slope = (curve.energies[:, 2] - curve.energies[:, 0]) / (2 * STEP)
    np.testing.assert_allclose(curve.forces[:, 1], -slope, **DIFFERENCE)


def test_a_pair_potential_is_found_again_from_its_forces(salt):
    """Labels from a sum of Morse curves and energies of atoms: the fit gives forces that agree to a hundredth."""
    frames = [Frame(f.structure, morse(f.structure)) for f in rattled(salt, 30)]
    baseline = fit_baseline(frames[:24], (11, 17), repulsion=False, pair=True, cutoff=6.0)
    errors, sizes = [], []
    for frame in frames[24:]:
        known = baseline.predict_graph(build_graph([frame.structure], 6.0))
        errors.append(known.forces.numpy() - frame.label.forces)
        sizes.append(frame.label.forces)
        assert float(known.energies.sum()) == pytest.approx(frame.label.energy, abs=0.02)
    assert np.square(errors).mean() < 1e-4 * np.square(sizes).mean()


@pytest.mark.parametrize("pair", [False, True])
def test_a_baseline_survives_json_bit_for_bit(salt, pair):
    baseline = fit_baseline(rattled(salt, 4), (11, 17), repulsion=True, pair=pair)
    again = Baseline.from_dict(baseline.as_dict())
    graph = build_graph([structure_of(salt)], 5.0)
    for name in ("energies", "forces", "virial"):
        assert torch.equal(getattr(again.predict_graph(graph), name), getattr(baseline.predict_graph(graph), name))


def test_baselines_saved_before_there_were_pair_terms_still_load():
    baseline = Baseline.from_dict({"elements": [14], "energies": [-1.5]})
    assert baseline.reach == 0.0
    assert float(baseline.predict_graph(build_graph([structure_of(bulk("Si"))], 4.0)).energies.sum()) == -3.0


def test_unknown_elements_are_named(potential):
    with pytest.raises(InvalidInput, match="U"):
        predict(potential, Atoms("U"))


def rattled(atoms: Atoms, n: int) -> list[Frame]:
    """Frames of rattled atoms with labels that mean nothing."""
    frames = []
    for seed in range(n):
        other = atoms.copy()
        other.rattle(0.15, seed=seed)
        random = np.random.default_rng(seed)
        label = Label("test", -3.0 * len(other) + random.normal(), random.normal(size=(len(other), 3)))
        frames.append(Frame(structure_of(other), label))
    return frames


def morse(structure) -> Label:
    """Sums of Morse curves over ordered pairs, smooth at 6 Å, with −2 and −3 eV for the atoms."""
    graph = build_graph([structure], 6.0)
    vectors = graph.displacements()
    r = vectors.norm(dim=1)
    same = graph.numbers[graph.centre] == graph.numbers[graph.neighbour]
    depth, place = torch.where(same, 0.1, 0.6), torch.where(same, 3.9, 2.8)
    decay = torch.exp(-1.2 * (r - place))
    kept, change = switched_off(r, torch.tensor(3.0), torch.tensor(6.0))
    energy = depth * (decay**2 - 2 * decay)
    slope = kept * depth * -2.4 * (decay**2 - decay) + change * energy
    forces = torch.zeros(graph.n_atoms, 3, dtype=torch.float64)
    forces.index_add_(0, graph.centre, (slope / r)[:, None] * vectors)
    atoms = torch.where(graph.numbers == 11, -2.0, -3.0).sum()
    return Label("test", float((0.5 * kept * energy).sum() + atoms), forces.numpy())
