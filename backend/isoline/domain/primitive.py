"""The smallest cell of a crystal: what is left when its own translations are taken out."""

from __future__ import annotations

from itertools import combinations, product
from math import gcd

import numpy as np
from scipy.spatial import cKDTree

from .fingerprint import APART, environments, surroundings
from .structure import Structure

SHORTEST = 40  # translations of which three are chosen as the new cell


def reduce(structure: Structure, tolerance: float) -> Structure:
    """A primitive cell of a structure that is periodic in three directions; the structure itself if it is one.

    tolerance  Å by which atoms may miss their twins
    """
    counts = np.unique(structure.numbers, return_counts=True)[1]
    if gcd(*counts.tolist()) == 1:
        return structure
    shifts, twins = _translations(structure, tolerance)
    keep = np.flatnonzero(twins.min(axis=0) == np.arange(len(structure)))
    cell = _smallest(structure, shifts)
    if cell is None or len(keep) * len(shifts) != len(structure):
        return structure
    return Structure(structure.numbers[keep], structure.positions[keep], cell, structure.pbc)


def _translations(structure: Structure, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Translations (found, 3) Å that bring the structure onto itself, with the atom each atom comes to lie on.

    The first is none at all.
    """
    cloud = surroundings([structure])
    seen = np.hstack(environments([structure]))
    tree = cKDTree(np.column_stack([cloud.positions, APART * structure.numbers[cloud.atom].astype(float)]))
    kinds, counts = np.unique(structure.numbers, return_counts=True)
    candidates = np.flatnonzero(structure.numbers == kinds[counts.argmin()])
    alike = np.abs(seen[candidates] - seen[candidates[0]]).max(axis=1) <= 2 * tolerance
    shifts, twins = [], []
    for atom in candidates[alike]:
        shift = cloud.home[atom] - cloud.home[candidates[0]]
        moved = cloud.home + shift
        moved -= np.floor(moved @ np.linalg.inv(structure.cell)) @ structure.cell
        places = np.column_stack([moved, APART * structure.numbers.astype(float)])
        distances, found = tree.query(places, distance_upper_bound=2 * tolerance)
        if np.isfinite(distances).all():
            shifts.append(shift)
            twins.append(cloud.atom[found])
    return np.array(shifts), np.array(twins)


def _smallest(structure: Structure, shifts: np.ndarray) -> np.ndarray | None:
    """(3, 3) Å: three short translations that span all of them."""
    if len(shifts) < 2:
        return None
    images = np.array(list(product((-1, 0, 1), repeat=3))) @ structure.cell
    vectors = (shifts[:, None] + images).reshape(-1, 3)
    lengths = np.linalg.norm(vectors, axis=1)
    order = np.argsort(lengths, kind="stable")
    short = vectors[order[lengths[order] > 1e-3][:SHORTEST]]
    cells = short[np.array(list(combinations(range(len(short)), 3)))]
    wanted = structure.volume / len(shifts)
    fitting = np.flatnonzero(np.abs(np.abs(np.linalg.det(cells)) - wanted) < 0.01 * wanted)
    return cells[fitting[0]] if len(fitting) else None
