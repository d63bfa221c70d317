"""No two atoms in one place, no cell without a volume: the laws of structures that are let in."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from isoline.domain.structure import Structure
from isoline.formats.checks import check_structure, close_pairs


def structure(positions, cell=None, pbc=(True, True, True), numbers=None) -> Structure:
    positions = np.array(positions, dtype=float)
    cell = np.zeros((3, 3)) if cell is None else np.array(cell, dtype=float) * (np.eye(3) if np.ndim(cell) == 0 else 1)
    return Structure(
        np.full(len(positions), 14) if numbers is None else np.array(numbers), positions, cell, np.array(pbc)
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    skew=st.floats(0, 1.5),
    length=st.floats(0.35, 6.0),
)
def test_close_pairs_are_those_that_ase_finds(seed, pbc, skew, length):
    random = np.random.default_rng(seed)
    cell = length * (np.eye(3) + skew * np.tril(random.normal(size=(3, 3)), -1))
    atoms = Atoms("H6", random.uniform(-3, 3, size=(6, 3)) @ cell / 3, cell=cell, pbc=pbc)
    within = 0.25 * length
    found = close_pairs(Structure(atoms.numbers, atoms.positions, cell, atoms.pbc), within)
    first, second, distances = neighbor_list("ijd", atoms, within)
    expected = sorted({(min(i, j), max(i, j), round(d, 9)) for i, j, d in zip(first, second, distances, strict=True)})
    # One pair may meet through several images; the nearest of each pair is what is told.
    nearest = {(i, j): d for i, j, d in reversed(expected)}
    told = {(min(i, j), max(i, j)): d for i, j, d in reversed(found)}
    assert told.keys() == nearest.keys()
    for pair, distance in told.items():
        assert distance == pytest.approx(nearest[pair], abs=1e-8)


def test_the_nearest_pair_is_told_first():
    found = close_pairs(structure([[0, 0, 0], [0.2, 0, 0], [5, 5, 5], [5, 5, 5.1]], 10), 0.3)
    assert [(i, j) for i, j, _ in found] == [(2, 3), (0, 1)]


def test_a_molecule_needs_no_cell():
    assert check_structure(structure([[0, 0, 0], [0, 0, 0.74]], pbc=(False, False, False)), 0.3) == []


def test_a_slab_may_leave_its_free_direction_without_a_vector():
    assert check_structure(structure([[0, 0, 0]], np.diag([3.0, 3.0, 0.0]), (True, True, False)), 0.3) == []


def test_a_slab_does_not_meet_itself_across_the_free_direction():
    slab = structure([[0, 0, 0.05], [0, 0, 2.95]], np.diag([3.0, 3.0, 3.0]), (True, True, False))
    assert check_structure(slab, 0.3) == []


def test_two_parallel_vectors_span_no_volume():
    flat = structure([[0, 0, 0]], [[3, 0, 0], [3, 0, 0], [0, 0, 3]])
    assert check_structure(flat, 0.3)[0][:2] == ("Lattice", "periodic (T T T) with a cell of no volume")


def test_a_left_handed_cell_is_a_cell():
    assert check_structure(structure([[0, 0, 0]], np.diag([3.0, 3.0, -3.0])), 0.3) == []


def test_the_least_distance_is_the_persons_choice():
    near = structure([[0, 0, 0], [0.2, 0, 0]], 5)
    assert check_structure(near, 0.3)
    assert check_structure(near, 0.1) == []
    assert check_structure(near, 0.0) == []


def test_an_unknown_element_and_a_lost_atom_are_told_together():
    wrong = check_structure(structure([[0, 0, 0], [np.nan, 0, 0]], 5, numbers=[0, 14]), 0.3)
    assert [(field, atom) for field, _, atom in wrong] == [("species", 0), ("pos", 1)]
