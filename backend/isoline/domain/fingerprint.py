"""Fingerprints of structures: the same for every rotation, reflection, translation, order of equal atoms and cell.

A fingerprint is made of interatomic distances only and changes no faster than they do. So two structures whose
distances agree within a tolerance are neighbours in the space of fingerprints, whatever the rounding of their digits:
there are no bins at whose edges a pair could be lost. That fingerprints agree does not prove that structures do;
`isoline.domain.alignment` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import gcd

import numpy as np
from ase.geometry import complete_cell
from scipy.spatial import cKDTree

from .structure import Structure

CUTOFF = 6.0
"""Å; atoms further away than this are not seen."""

NEIGHBOURS = 20
"""How many of the nearest neighbours of an atom are seen: not a number that closes a shell of a common lattice."""

MOST_PROTONS = 128  # more than any element has
ATOMS_PER_BATCH = 8192
APART = 100 * CUTOFF  # along a fourth axis, between structures that share a search tree


@dataclass(frozen=True, eq=False)
class Cloud:
    """The atoms of some structures, wrapped into their cells, with all periodic images within CUTOFF of the cells.

    home       (atoms, 3)   Å, atoms wrapped into the cell along its periodic directions
    positions  (images, 3)  Å, atoms and their images; atoms of a cell stand in no particular order
    atom       (images,)    which atom it is an image of
    structure  (images,)    and of which structure
    """

    home: np.ndarray
    positions: np.ndarray
    atom: np.ndarray
    structure: np.ndarray


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Fingerprints of many structures, in groups that can hold equal ones.

    n       how many structures
    groups  by reduced composition: rows (members,) and fingerprints (members, entries) in Å
    """

    n: int
    groups: dict[bytes, tuple[np.ndarray, np.ndarray]]


def composition(numbers: np.ndarray) -> bytes:
    """What a structure is made of, the same for every multiple of a cell: NaCl and Na₄Cl₄ are one."""
    elements, counts = np.unique(np.asarray(numbers, dtype=np.int64), return_counts=True)
    return np.stack([elements, counts // max(1, reduce(gcd, counts.tolist(), 0))]).astype("<i4").tobytes()


def fingerprints(structures: Iterable[Structure]) -> Fingerprints:
    """Fingerprints of structures, batch by batch.

    For every element: mean and standard deviation of its atoms' environments. When no distance below CUTOFF differs by
    more than 2δ between two structures, no entry of their fingerprints does either.
    """
    parts: dict[bytes, list[tuple[np.ndarray, np.ndarray]]] = {}
    batch: list[Structure] = []
    start = atoms = 0
    for structure in structures:
        batch.append(structure)
        atoms += len(structure)
        if atoms >= ATOMS_PER_BATCH:
            _collect(parts, batch, start)
            start, atoms, batch = start + len(batch), 0, []
    if batch:
        _collect(parts, batch, start)
    groups = {
        key: (np.concatenate([rows for rows, _ in found]), np.concatenate([entries for _, entries in found]))
        for key, found in parts.items()
    }
    return Fingerprints(start + len(batch), groups)


def environments(structures: Sequence[Structure]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What surrounds every atom, structures one after the other; all in Å.

    distances  (atoms, NEIGHBOURS)        to the nearest neighbours, ascending; CUTOFF where there is none within it
    own        (atoms, atomic numbers)    how far the neighbours of each element lie inside the outermost neighbour
    next       (atoms, atomic numbers)    the same seen from the neighbours, which tells alloys on one lattice apart

    None changes faster than a distance: where neighbours come and go they count nothing; `own` changes twice as fast,
    `next` as well, hence a half in each. Elements stand in the order of their numbers, those of all structures.
    """
    cloud = surroundings(structures)
    numbers = np.concatenate([one.numbers for one in structures])
    owner = np.repeat(np.arange(len(structures)), [len(one) for one in structures])
    tree = cKDTree(
        np.column_stack([cloud.positions, APART * cloud.structure]), balanced_tree=False, compact_nodes=False
    )
    distances, found = tree.query(
        np.column_stack([cloud.home, APART * owner]), k=NEIGHBOURS + 1, distance_upper_bound=CUTOFF
    )
    # The nearest is the atom itself; where there is none, an atom that weighs nothing stands in.
    distances, neighbours = np.minimum(distances[:, 1:], CUTOFF), np.append(cloud.atom, 0)[found[:, 1:]]
    inside = (distances[:, -1:] - distances) / NEIGHBOURS
    elements = numbers[neighbours]
    own = np.stack([0.5 * (inside * (elements == kind)).sum(axis=1) for kind in np.unique(numbers)], axis=1)
    weights = 0.5 / CUTOFF * inside * (elements / MOST_PROTONS)
    following = np.stack([(weights * column[neighbours]).sum(axis=1) for column in own.T], axis=1)
    return distances, own, following


def surroundings(structures: Sequence[Structure]) -> Cloud:
    """Atoms and their periodic images within CUTOFF of the cell."""
    counts = np.array([len(one) for one in structures])
    owner = np.repeat(np.arange(len(structures)), counts)
    periodic = np.stack([periodic_directions(one) for one in structures])
    cells = np.stack([full_cell(one) for one in structures])
    inverse = np.linalg.inv(cells)
    # The distance between two faces of a cell is one over the length of a reciprocal vector.
    margin = CUTOFF * np.linalg.norm(inverse, axis=1)  # (structures, 3), in fractions of the cell
    positions = np.concatenate([one.positions for one in structures])
    fractions = np.einsum("ai,aij->aj", positions, inverse[owner])
    fractions -= np.where(periodic[owner], np.floor(fractions), 0.0)
    reach = np.where(periodic, np.ceil(margin), 0.0).astype(np.int64)
    found, atoms = [], []
    for images in np.unique(reach, axis=0):
        chosen = np.flatnonzero((reach == images).all(axis=1)[owner])
        shifts = np.array(list(product(*(range(-n, n + 1) for n in images))), dtype=float)
        moved = fractions[chosen][:, None] + shifts  # (atoms, images, 3)
        edge = margin[owner[chosen]][:, None]
        near = ((moved >= -edge) & (moved <= 1 + edge) | ~periodic[owner[chosen]][:, None]).all(axis=2)
        atom = np.broadcast_to(chosen[:, None], near.shape)[near]
        found.append(np.einsum("ai,aij->aj", moved[near], cells[owner[atom]]))
        atoms.append(atom)
    atom = np.concatenate(atoms)
    home = np.einsum("ai,aij->aj", fractions, cells[owner])
    return Cloud(home, np.concatenate(found), atom, owner[atom])


def periodic_directions(structure: Structure) -> np.ndarray:
    """(3,) bool: directions that are periodic and have a cell vector to repeat along."""
    return structure.pbc & structure.cell.any(axis=1)


def full_cell(structure: Structure) -> np.ndarray:
    """(3, 3) Å: the cell, with unit vectors at right angles where the structure is not periodic."""
    periodic = periodic_directions(structure)
    return structure.cell if periodic.all() else complete_cell(np.where(periodic[:, None], structure.cell, 0.0))


def _collect(parts: dict, batch: list[Structure], start: int) -> None:
    """Add the fingerprints of a batch whose first structure has the row `start`."""
    distances, own, following = environments(batch)
    kinds = np.unique(np.concatenate([one.numbers for one in batch]))
    keys = [composition(one.numbers) for one in batch]
    ends = np.cumsum([len(one) for one in batch])
    for key in dict.fromkeys(keys):
        rows = np.array([row for row, other in enumerate(keys) if other == key])
        atoms = np.concatenate([np.arange(ends[row] - len(batch[row]), ends[row]) for row in rows])
        numbers = np.concatenate([batch[row].numbers for row in rows])
        owner = np.repeat(np.arange(len(rows)), [len(batch[row]) for row in rows])
        there = np.isin(kinds, numbers)
        values = np.hstack([distances[atoms], own[atoms][:, there], following[atoms][:, there]])
        parts.setdefault(key, []).append((start + rows, _moments(values, numbers, owner, len(rows))))


def _moments(values: np.ndarray, numbers: np.ndarray, owner: np.ndarray, n: int) -> np.ndarray:
    """(n, entries): mean and standard deviation of atoms' values, for each element of n structures.

    values           (atoms, entries)
    numbers, owner   (atoms,)  atomic number and structure of each atom
    """
    moments = []
    for kind in np.unique(numbers):
        of_kind = numbers == kind
        place = owner[of_kind]
        counts = np.bincount(place, minlength=n)[:, None]
        mean = _sums(values[of_kind], place, n) / counts
        moments += [mean, np.sqrt(_sums((values[of_kind] - mean[place]) ** 2, place, n) / counts)]
    return np.hstack(moments)


def _sums(values: np.ndarray, place: np.ndarray, n: int) -> np.ndarray:
    return np.stack([np.bincount(place, column, n) for column in values.T], axis=1)
