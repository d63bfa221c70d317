"""What makes two structures one: neither turning, mirroring, moving, reordering nor another cell; and what does not."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from isoline.domain.alignment import align
from isoline.domain.fingerprint import fingerprints
from isoline.domain.structure import Structure
from isoline.statistics.twins import candidates, candidates_within, proved, repeated

SEEDS = st.integers(0, 2**31)


def structure(atoms: Atoms) -> Structure:
    return Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


def rattled(atoms: Atoms, size: float = 0.1) -> Atoms:
    atoms.rattle(size, seed=7)
    return atoms


def alloy() -> Atoms:
    atoms = bulk("W", cubic=True) * (2, 2, 2)
    atoms.numbers = np.random.default_rng(3).permutation([41, 42, 73, 74] * 4)
    return atoms


def boxed() -> Atoms:
    atoms = molecule("CH3CH2OH")
    atoms.center(vacuum=5)
    atoms.pbc = True
    return atoms


KINDS = {
    "crystal": bulk("Si") * (2, 2, 2),
    "warm crystal": rattled(bulk("Si", cubic=True) * (2, 1, 1)),
    "salt": bulk("NaCl", "rocksalt", a=5.6, cubic=True),
    "alloy": alloy(),
    "hexagonal": rattled(bulk("Mg") * (2, 2, 1), 0.05),
    "molecule": molecule("CH3CH2OH"),
    "linear molecule": molecule("CO2"),
    "molecule in a box": boxed(),
    "slab": rattled(fcc111("Cu", (2, 2, 3), vacuum=7), 0.05),
    "slab in a box": rattled(Atoms(fcc111("Cu", (2, 2, 3), vacuum=7), pbc=True), 0.05),
    "atom": Atoms("H"),
}


def moved(one: Structure, seed: int, *, mirror: bool = False, by: float = 0.0) -> Structure:
    """Turned at random, shifted, reordered, in another cell of the same lattice; every atom moved by at most `by` Å."""
    random = np.random.default_rng(seed)
    turn = Rotation.random(random_state=int(seed)).as_matrix() * (-1 if mirror else 1)
    order = random.permutation(len(one))
    step = random.normal(size=(len(one), 3))
    step *= by * random.uniform(size=(len(one), 1)) / np.linalg.norm(step, axis=1, keepdims=True)
    positions = (one.positions + step + random.normal(size=3)) @ turn.T
    other = np.eye(3, dtype=int)
    periodic = np.flatnonzero(one.pbc)
    for i in periodic:
        for j in periodic:
            if i < j:
                other[i, j] = random.integers(-1, 2)
    return Structure(one.numbers[order], positions[order], other @ one.cell @ turn.T, one.pbc)


def gap(one: Structure, other: Structure) -> float:
    """The largest difference of entries of two fingerprints, Å."""
    first, second = fingerprints([one]).groups, fingerprints([other]).groups
    assert first.keys() == second.keys()
    return max(float(np.abs(first[key][1] - second[key][1]).max()) for key in first)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(seed=SEEDS, mirror=st.booleans())
def test_a_structure_keeps_its_fingerprint_however_it_is_shown(kind, seed, mirror):
    one = structure(KINDS[kind])
    other = moved(one, seed, mirror=mirror)
    # rounding of coordinates of some 10 Å
    assert gap(one, other) < 1e-9
    found = align(one, other)
    assert found is not None
    assert found.distance < 1e-9
    assert not found.mirrored or mirror


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_the_alignment_lays_one_structure_onto_the_other(kind, seed):
    one = structure(KINDS[kind])
    other = moved(one, seed)
    found = align(one, other)
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-9)
    np.testing.assert_array_equal(np.sort(found.permutation), np.arange(len(one)))
    np.testing.assert_array_equal(other.numbers[found.permutation], one.numbers)
    ways = other.positions[found.permutation] - one.positions @ found.rotation.T
    if one.pbc.any():
        lattice = other.cell[one.pbc]
        steps = (ways - ways[0]) @ np.linalg.pinv(lattice)
        ways = ways - np.round(steps) @ lattice
    assert np.abs(ways - ways[0]).max() < 1e-8


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, by=st.floats(1e-5, 0.02))
def test_moving_atoms_a_little_never_loses_a_pair(kind, seed, by):
    one = structure(KINDS[kind])
    other = moved(one, seed, by=by)
    # No distance changes by more than 2 × by; no entry may change faster than that.
    assert gap(one, other) <= 2 * by + 1e-9
    pairs = candidates(fingerprints([one]), fingerprints([other]), tolerance=by)
    assert len(pairs.first) == 1
    # The alignment that is best in the mean square may miss the best largest displacement, by less than twice.
    found = align(one, other, tolerance=2 * by)
    assert found is not None
    assert found.distance <= 2 * by


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, strain=st.floats(1e-4, 3e-3))
def test_strain_counts_as_half_the_cutoff_times_the_change_of_length(seed, strain):
    one = structure(KINDS["warm crystal"])
    stretched = Structure(one.numbers, one.positions * (1 + strain), one.cell * (1 + strain), one.pbc)
    found = align(one, moved(stretched, seed), tolerance=0.02)
    assert found.strain == pytest.approx(strain, rel=1e-6)
    assert found.distance == pytest.approx(3.0 * strain, rel=1e-6)
    assert align(one, moved(stretched, seed), tolerance=2.9 * strain) is None


@pytest.mark.parametrize("kind", ["warm crystal", "slab", "slab in a box"])
def test_a_mirror_image_is_told(kind):
    one = structure(KINDS[kind])
    assert align(one, moved(one, 1, mirror=True)).mirrored
    assert not align(one, moved(one, 1)).mirrored


def test_multiples_of_a_cell_are_one_structure():
    cubic, long, flat = (structure(a) for a in (bulk("Cu", cubic=True), bulk("Cu") * (4, 1, 1), bulk("Cu") * (2, 2, 1)))
    for one, other in ((cubic, long), (long, flat), (flat, cubic), (structure(bulk("Cu")), moved(long, 5))):
        assert gap(one, other) < 1e-9
        assert align(one, other).distance < 1e-9


def test_a_molecule_is_the_same_in_every_box():
    free = structure(KINDS["molecule"])
    assert align(free, moved(structure(KINDS["molecule in a box"]), 2)).distance < 1e-9


def test_alloys_on_one_lattice_are_told_apart():
    random = np.random.default_rng(0)
    one = KINDS["alloy"]
    others = []
    for _ in range(20):
        other = one.copy()
        other.numbers = random.permutation(one.numbers)
        others.append(structure(other))
    assert all(align(structure(one), other, 0.05) is None for other in others)
    assert list(proved(candidates_within(fingerprints(others)), others, others)) == []


def test_equal_fingerprints_are_not_believed_without_a_proof():
    # Two pairs of atoms out of sight of each other, put apart differently: the same to a fingerprint, not in truth.
    near, far = (np.array([[0, 0, 0], [1, 0, 0], [d, 0, 0], [d + 1, 0, 0]], dtype=float) for d in (8, 9))
    one, other = (Structure([1] * 4, x, np.zeros((3, 3)), [False] * 3) for x in (near, far))
    assert gap(one, other) == 0
    assert align(one, other, 0.1) is None


@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_planted_copies_are_found_among_many_and_nothing_else_is(seed):
    random = np.random.default_rng(seed)
    base = bulk("Ni", cubic=True) * (2, 2, 2)
    pool = []
    for _ in range(60):
        atoms = base.copy()
        atoms.positions += random.normal(scale=0.08, size=atoms.positions.shape)
        pool.append(structure(atoms))
    tests = [moved(pool[3], seed), moved(pool[17], seed + 1, by=0.004), pool[40]]
    atoms = base.copy()
    atoms.positions += random.normal(scale=0.08, size=atoms.positions.shape)
    tests.append(structure(atoms))
    found = list(proved(candidates(fingerprints(pool), fingerprints(tests)), pool, tests))
    assert [(twin.first, twin.second, twin.kind) for twin in found] == [
        (3, 0, "symmetry"),
        (17, 1, "near"),
        (40, 2, "exact"),
    ]
    everything = [*pool, *tests]
    assert (
        repeated(len(everything), list(proved(candidates_within(fingerprints(everything)), everything, everything)))
        == 3
    )
