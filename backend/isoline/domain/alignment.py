"""Whether two structures are the same one seen otherwise: the rotation, order and distance that bring them together.

Crystals are turned so that their lattices fit; molecules, chains and slabs so that an atom and two of its neighbours
fit a like triple of the other. Each rotation is then proved on all atoms, and refined by the method of Kabsch,
Acta Cryst. A 32, 922 (1976), where no lattice fixes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from ase.geometry import minkowski_reduce
from scipy.spatial import cKDTree

from . import primitive
from .fingerprint import APART, CUTOFF, composition, environments, full_cell, periodic_directions, surroundings
from .structure import Structure

SAME = 1e-3
"""Å; what rounding in files and the symmetrising of reference programs leave between two copies."""

CATCH = 0.5  # Å within which a first, rough rotation must bring every atom to its twin
LATTICE = 0.1  # likewise for the cell, in fractions of its vectors
DIGITS = 1e-9  # Å, rounding of float64
SLANTED = 0.3  # sine of the angle between two neighbours that fix a rotation well


@dataclass(frozen=True, eq=False)
class Alignment:
    """How `first` is laid onto `second`: second ≈ rotation · first + translation, up to periodic images.

    distance     Å: the largest displacement of an atom, plus half the cutoff times the strain between the cells; no
                 interatomic distance within the cutoff differs by more than twice this
    strain       largest relative change of length between the cells, 0 without a cell
    rotation     (3, 3)  orthogonal; of determinant −1 when mirrored
    permutation  (atoms,) the atom of `second` on which each atom of `first` comes to lie; empty when the two have a
                 different number of atoms and only their primitive cells were laid onto each other
    mirrored     whether only a mirror image fits
    """

    distance: float
    strain: float
    rotation: np.ndarray
    permutation: np.ndarray
    mirrored: bool


@dataclass(frozen=True, eq=False)
class Scene:
    """A structure with what is asked of it again and again, in its shortest cell.

    home          (atoms, 3)        Å, wrapped into that cell
    cell          (3, 3)            Å, with its inverse
    images        (images, 3)       Å, atoms and images around the cell, and the atom of each
    environments  (atoms, entries)  Å
    """

    structure: Structure
    home: np.ndarray
    cell: np.ndarray
    inverse: np.ndarray
    periodic: np.ndarray
    images: np.ndarray
    atom: np.ndarray
    environments: np.ndarray
    tree: cKDTree

    @classmethod
    def of(cls, structure: Structure) -> Scene:
        shown = _without_vacuum(_in_shortest_cell(structure))
        cloud = surroundings([shown])
        kinds = APART * shown.numbers[cloud.atom].astype(float)
        return cls(
            structure=shown,
            home=cloud.home,
            cell=full_cell(shown),
            inverse=np.linalg.inv(full_cell(shown)),
            periodic=periodic_directions(shown),
            images=cloud.positions,
            atom=cloud.atom,
            environments=np.hstack(environments([shown])),
            tree=cKDTree(np.column_stack([cloud.positions, kinds])),
        )

    @cached_property
    def primitive(self) -> Scene:
        """The same crystal in its primitive cell."""
        small = primitive.reduce(self.structure, SAME) if self.periodic.all() else self.structure
        return self if small is self.structure else Scene.of(small)

    @property
    def lattice(self) -> np.ndarray:
        """(periodic directions, 3) Å"""
        return self.cell[self.periodic]

    def twins(self, positions: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """For every place the atom of that element there, and the way to it (places, 3); None where one is missing."""
        fractions = positions @ self.inverse
        wrapped = positions - np.where(self.periodic, np.floor(fractions), 0.0) @ self.cell
        places = np.column_stack([wrapped, APART * numbers.astype(float)])
        distances, found = self.tree.query(places, distance_upper_bound=CATCH)
        if not np.isfinite(distances).all() or len(np.unique(self.atom[found])) < len(self.home):
            return None
        return self.atom[found], self.images[found] - wrapped


def align(first: Structure, second: Structure, tolerance: float = SAME) -> Alignment | None:
    """The alignment of two structures, None when their distance is above `tolerance` (Å).

    Proper rotations come first: `mirrored` is True only where none of them fits.
    """
    return align_scenes(Scene.of(first), Scene.of(second), tolerance)


def align_scenes(first: Scene, second: Scene, tolerance: float) -> Alignment | None:
    """`align` for structures that are compared with many others."""
    if composition(first.structure.numbers) != composition(second.structure.numbers):
        return None
    if not _alike(first, second, tolerance).any(axis=1).all():
        return None
    found = _aligned(first, second, tolerance) if len(first.home) == len(second.home) else None
    if found is None and not (first.primitive is first and second.primitive is second):
        small, other = first.primitive, second.primitive
        found = _aligned(small, other, tolerance) if len(small.home) == len(other.home) else None
        found = found and replace(found, permutation=np.empty(0, dtype=np.int64))
    return found


def _alike(first: Scene, second: Scene, tolerance: float) -> np.ndarray:
    """(atoms, atoms of the other) bool: atoms that may lie on each other, as far as their surroundings tell."""
    alike = first.structure.numbers[:, None] == second.structure.numbers
    for one, other in zip(first.environments.T, second.environments.T, strict=True):
        alike &= np.abs(one[:, None] - other) <= 2 * tolerance + DIGITS
    return alike


def _aligned(first: Scene, second: Scene, tolerance: float) -> Alignment | None:
    """The best alignment of two structures of as many atoms."""
    if first.periodic.sum() != second.periodic.sum():
        return None
    crystal = first.periodic.all()
    alike = _alike(first, second, tolerance)
    choices = alike.sum(axis=1)
    if not choices.all():
        return None
    maps = _lattice_maps(first, second, tolerance) if crystal else ()
    pivot = int(choices.argmin())  # the fewer atoms are like it, the fewer places to try
    best = None
    for mirrored in (False, True):
        for partner in np.flatnonzero(alike[pivot]):
            tried = maps[mirrored] if crystal else _rotations(first, pivot, second, partner, tolerance, mirrored)
            for map in tried:
                found = _proved(first, pivot, second, partner, map)
                if found is not None and found.distance <= min(tolerance, best.distance if best else np.inf):
                    best = replace(found, mirrored=mirrored)
                    if best.distance <= SAME:
                        return best
            # Other partners of an atom in a crystal differ by a translation of it only.
            if best is not None:
                return best
    return best


def _lattice_maps(first: Scene, second: Scene, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Linear maps (maps, 3, 3), x ↦ x @ map, of one crystal's lattice onto the other's with little enough strain.

    returns  those that turn, and those that mirror
    """
    strain = tolerance / (0.5 * CUTOFF) + DIGITS
    lengths = np.linalg.norm(first.cell, axis=1)
    reach = np.floor((1 + strain) * lengths.max() * np.linalg.norm(second.inverse, axis=0)).astype(int)
    steps = np.array(list(product(*(range(-n, n + 1) for n in reach))))
    vectors = steps @ second.cell
    sizes = np.linalg.norm(vectors, axis=1)
    a, b, c = (np.flatnonzero(np.abs(sizes - length) <= strain * length) for length in lengths)
    # A strain ε changes the product of two vectors by less than 3ε of the product of their lengths.
    products, slack = first.cell @ first.cell.T, 3 * strain * np.outer(lengths, lengths)
    ab = np.abs(vectors[a] @ vectors[b].T - products[0, 1]) <= slack[0, 1]
    ac = np.abs(vectors[a] @ vectors[c].T - products[0, 2]) <= slack[0, 2]
    bc = np.abs(vectors[b] @ vectors[c].T - products[1, 2]) <= slack[1, 2]
    found = np.argwhere(ab[:, :, None] & ac[:, None, :] & bc[None])
    chosen = np.stack([a[found[:, 0]], b[found[:, 1]], c[found[:, 2]]], axis=1)
    whole = np.abs(np.round(np.linalg.det(steps[chosen]))) == 1
    maps = np.linalg.solve(first.cell, vectors[chosen[whole]])
    maps = maps[np.abs(np.linalg.svd(maps, compute_uv=False) - 1).max(axis=1, initial=0.0) <= strain]
    mirrors = np.linalg.det(maps) < 0
    return maps[~mirrors], maps[mirrors]


def _rotations(
    first: Scene, pivot: int, second: Scene, partner: int, tolerance: float, mirrored: bool
) -> Iterator[np.ndarray]:
    """Maps (3, 3), x ↦ x @ map, that lay two neighbours of an atom onto two like neighbours of its partner."""
    ways, lengths, numbers = _neighbours(first, pivot)
    others, other_lengths, other_numbers = _neighbours(second, partner)
    if not len(ways):
        if not mirrored:
            yield np.eye(3)
        return
    slack = 2 * tolerance + DIGITS
    sine = np.linalg.norm(np.cross(ways[0], ways), axis=1) / (lengths[0] * lengths)
    slanted = np.flatnonzero(sine > SLANTED)
    # All neighbours on one line: any vector that crosses it will do, since nothing depends on it.
    side = int(slanted[0]) if len(slanted) else 0
    frame = _frame(ways[0], ways[side])
    handed = np.diag([1.0, 1.0, -1.0 if mirrored else 1.0])
    like_first = np.flatnonzero((np.abs(other_lengths - lengths[0]) <= slack) & (other_numbers == numbers[0]))
    like_side = np.flatnonzero((np.abs(other_lengths - lengths[side]) <= slack) & (other_numbers == numbers[side]))
    between = np.linalg.norm(ways[side] - ways[0])
    for one in like_first:
        for two in like_side if side else (one,):
            if abs(np.linalg.norm(others[two] - others[one]) - between) <= slack:
                yield frame @ handed @ _frame(others[one], others[two]).T


def _neighbours(scene: Scene, atom: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors, lengths and atomic numbers of what surrounds an atom, nearest first; of all of a molecule."""
    ways = scene.images - scene.home[atom]
    lengths = np.linalg.norm(ways, axis=1)
    order = np.argsort(lengths, kind="stable")[1:]
    if scene.periodic.any():
        order = order[lengths[order] <= CUTOFF]
    return ways[order], lengths[order], scene.structure.numbers[scene.atom[order]]


def _frame(along: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """(3, 3) right-handed unit vectors as columns, the first along one vector, the second in the plane of both."""
    x = along / np.linalg.norm(along)
    normal = np.cross(x, beside)
    if np.linalg.norm(normal) < 1e-6 * np.linalg.norm(beside):
        normal = np.cross(x, np.eye(3)[np.abs(x).argmin()])
    z = normal / np.linalg.norm(normal)
    return np.column_stack([x, np.cross(z, x), z])


def _proved(first: Scene, pivot: int, second: Scene, partner: int, map: np.ndarray) -> Alignment | None:
    """The alignment near a map of one lattice onto another, or near a rough rotation; None if atoms do not fit."""
    crystal = first.periodic.all()
    lattice = first.lattice @ map if crystal else _same_lattice(first.lattice @ map, second)
    if lattice is None:
        return None
    handedness = np.linalg.det(map)
    start = first.home - first.home[pivot]
    shift = second.home[partner]
    for _ in range(1 if crystal else 2):
        found = second.twins(start @ map + shift, first.structure.numbers)
        if found is None:
            return None
        permutation, ways = found
        goal = start @ map + shift + ways
        if not crystal:
            map = _kabsch(start, goal, first.lattice, lattice, handedness)
        shift = (goal - start @ map).mean(axis=0)
    displacement = np.linalg.norm(goal - start @ map - shift, axis=1).max()
    strain = _strain(first.lattice, lattice)
    u, _, v = np.linalg.svd(map)
    return Alignment(float(displacement + 0.5 * CUTOFF * strain), strain, (u @ v).T, permutation, False)


def _same_lattice(turned: np.ndarray, second: Scene) -> np.ndarray | None:
    """The lattice vectors of `second` near these (directions, 3), if they span all of its lattice."""
    steps = np.round(turned @ second.inverse) * second.periodic
    lattice = steps @ second.cell
    far = np.linalg.norm(turned - lattice, axis=1) > LATTICE * np.linalg.norm(turned, axis=1)
    if far.any() or round(abs(np.linalg.det(steps[:, second.periodic]))) != 1:
        return None
    return lattice


def _strain(lattice: np.ndarray, other: np.ndarray) -> float:
    """The largest relative change of length that takes one lattice into the other, whatever the rotation."""
    if not len(lattice):
        return 0.0
    stretches = np.linalg.eigvals(np.linalg.solve(lattice @ lattice.T, other @ other.T)).real
    return float(np.abs(np.sqrt(stretches) - 1).max())


def _kabsch(
    start: np.ndarray, goal: np.ndarray, lattice: np.ndarray, other: np.ndarray, handedness: float
) -> np.ndarray:
    """(3, 3) orthogonal map, x ↦ x @ map, that brings atoms and lattice vectors closest in the mean square."""
    covariance = (start - start.mean(axis=0)).T @ (goal - goal.mean(axis=0)) + lattice.T @ other
    u, _, v = np.linalg.svd(covariance)
    return u @ np.diag([1.0, 1.0, np.sign(handedness * np.linalg.det(u @ v))]) @ v


def _without_vacuum(structure: Structure) -> Structure:
    """The same atoms, not periodic where a gap wider than CUTOFF keeps their images out of sight.

    So a molecule is the same in every box, and a slab under every thickness of vacuum.
    """
    periodic = periodic_directions(structure)
    if not periodic.any() or not len(structure):
        return structure
    cell = full_cell(structure)
    inverse = np.linalg.inv(cell)
    heights = 1 / np.linalg.norm(inverse, axis=0)
    fractions = structure.positions @ inverse
    for axis in np.flatnonzero(periodic):
        along = fractions[:, axis] - np.floor(fractions[:, axis])
        places = np.sort(along)
        gaps = np.diff(places, append=places[0] + 1)
        widest = int(gaps.argmax())
        if gaps[widest] * heights[axis] > CUTOFF:
            periodic = periodic & (np.arange(3) != axis)
            fractions[:, axis] = np.where(along > places[widest], along - 1, along)
    return Structure(structure.numbers, fractions @ cell, structure.cell, periodic)


def _in_shortest_cell(structure: Structure) -> Structure:
    """The same crystal in its Minkowski-reduced cell; others as they are."""
    if not periodic_directions(structure).all():
        return structure
    cell, _ = minkowski_reduce(structure.cell)
    return Structure(structure.numbers, structure.positions, cell, structure.pbc)
