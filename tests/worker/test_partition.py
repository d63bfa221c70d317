"""Who learns, who stops the training, who is kept away."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from isoline_lab.training.partition import TEST, TRAIN, VALIDATION, partition, strongest

splits = some.lists(some.sampled_from(["", "train", "test"]), min_size=2, max_size=60)


@given(splits, some.floats(0.01, 0.89), some.integers(0, 5))
def test_validation_is_drawn_from_what_would_be_trained_on_and_leaves_some(given, fraction, seed):
    roles = partition(given, fraction, seed)
    assert [role == TEST for role in roles] == [split == "test" for split in given]
    trainable = sum(split != "test" for split in given)
    if trainable > 1:
        assert 1 <= (roles == VALIDATION).sum() < trainable
        assert (roles == TRAIN).any()


def test_an_assigned_validation_set_holds():
    roles = partition(["train", "validation", "", "test"], 0.5, 0)
    assert roles.tolist() == [TRAIN, VALIDATION, TRAIN, TEST]


@given(some.lists(some.integers(0, 9), min_size=4, max_size=60), some.integers(0, 5))
def test_one_structure_under_two_labels_never_stands_on_both_sides(structures, seed):
    structures = np.array(structures)
    roles = partition([""] * len(structures), 0.3, seed, structures=structures)
    for number in np.unique(structures):
        assert len(set(roles[structures == number])) == 1


def test_what_the_starting_model_was_trained_on_does_not_stop_the_training():
    learned = np.arange(20) < 16
    roles = partition([""] * 20, 0.1, 0, learned=learned)
    assert (roles == VALIDATION).sum() == 2
    assert not learned[roles == VALIDATION].any()
    nothing_else = partition([""] * 20, 0.1, 0, learned=np.ones(20, dtype=bool))
    assert (nothing_else == VALIDATION).sum() == 2


def test_the_strongest_role_of_a_structure_counts():
    structures = np.array([7, 3, 7, 3, 5, 7])
    roles = np.array([TEST, 0, TRAIN, VALIDATION, 0, VALIDATION])
    ids, kept = strongest(structures, roles)
    assert ids.tolist() == [3, 5, 7]
    assert kept.tolist() == [VALIDATION, 0, TRAIN]
    assert [len(part) for part in strongest(np.empty(0, int), np.empty(0, np.uint8))] == [0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_free_atoms_are_never_drawn_for_validation(seed):
    alone = np.arange(20) < 8
    roles = partition([""] * 20, 0.4, seed, needed=alone)
    assert not (roles[alone] == VALIDATION).any()
    assert (roles == VALIDATION).sum() == 8


def test_free_atoms_validate_where_nothing_else_is_left():
    roles = partition([""] * 4, 0.5, 0, needed=np.ones(4, dtype=bool))
    assert (roles == VALIDATION).sum() == 2
