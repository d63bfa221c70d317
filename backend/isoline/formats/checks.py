"""What no structure may be: without atoms, without numbers, without a volume, or with two atoms in one place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree
from vesin import NeighborList

from ..domain.structure import Structure

THINNEST = 1e-3  # Å; a cell flatter than this has no volume
FARTHEST = 1e100  # Å; beyond it squares of distances overflow
PAIRS_TOLD = 5


def check_structure(structure: Structure, closest: float) -> list[tuple[str, str, int | None]]:
    """Every (field, message, atom) that is wrong with a structure; `closest` is the least distance in Å."""
    if not len(structure):
        return [("number of atoms", "the frame has no atoms", None)]
    if len(structure.positions) != len(structure):
        return [("pos", f"{len(structure)} atoms, {len(structure.positions)} positions", None)]
    wrong: list[tuple[str, str, int | None]] = []
    if structure.numbers.min() == 0 or structure.numbers.max() > 118:
        unknown = np.flatnonzero((structure.numbers == 0) | (structure.numbers > 118))[:PAIRS_TOLD]
        wrong += [("species", f"unknown element with atomic number {structure.numbers[i]}", int(i)) for i in unknown]
    finite = np.isfinite(structure.positions)
    if not finite.all():
        wrong += [("pos", "not finite", int(atom)) for atom in np.flatnonzero(~finite.all(axis=1))[:PAIRS_TOLD]]
    box = Box.of(structure)
    if box.thickness < THINNEST:
        wrong.append(("Lattice", _flat(structure), None))
    if wrong:
        return wrong
    return [
        ("pos", f"{distance:.3f} Å from atom {j}" if i != j else f"{distance:.3f} Å from its own periodic image", i)
        for i, j, distance in close_pairs(structure, closest)[:PAIRS_TOLD]
    ]


def _flat(structure: Structure) -> str:
    if not np.isfinite(structure.cell).all():
        return "the cell has numbers that are not finite"
    flags = " ".join("FT"[int(flag)] for flag in structure.pbc)
    vectors = structure.cell[structure.pbc]
    return f"periodic ({flags}) {'with a cell of no volume' if vectors.any() else 'without a cell'}"


@dataclass(frozen=True, eq=False)
class Box:
    """A cell made whole: directions that are not periodic get a long vector at right angles to the periodic ones.

    thickness  Å, at most the least singular value of the cell; 0 for a flat one, infinite without periodic directions
    periods    1 where fractional coordinates repeat, 0 elsewhere
    """

    cell: np.ndarray
    inverse: np.ndarray
    thickness: float
    periods: np.ndarray

    @classmethod
    def of(cls, structure: Structure) -> Box:
        return _box(structure.cell.tobytes(), structure.pbc.tobytes())


@lru_cache(maxsize=256)  # consecutive frames often share their cell
def _box(cell_bytes: bytes, pbc_bytes: bytes) -> Box:
    cell, pbc = np.frombuffer(cell_bytes).reshape(3, 3), np.frombuffer(pbc_bytes, dtype=bool)
    periods = pbc.astype(float)
    if not pbc.any():
        return Box(cell, cell, np.inf, periods)
    if not np.isfinite(cell).all():
        return Box(cell, cell, 0.0, periods)
    if not pbc.all():
        _, sizes, basis = np.linalg.svd(cell[pbc])
        cell = cell.copy()
        cell[~pbc] = basis[pbc.sum() :] * max(sizes[0], 1.0)
    try:
        inverse = np.linalg.inv(cell)
    except np.linalg.LinAlgError:
        return Box(cell, cell, 0.0, periods)
    return Box(cell, inverse, float(1 / np.linalg.norm(inverse)), periods)


def close_pairs(structure: Structure, within: float) -> list[tuple[int, int, float]]:
    """(i, j, distance) of all pairs of atoms nearer than `within` Å, periodic images included; the nearest first.

    Candidates are near in fractional coordinates: |Δf| ≤ |Δr| / σ with σ the least singular value of the cell.
    """
    box = Box.of(structure)
    if within <= 0 or box.thickness < THINNEST:
        return []
    if not structure.pbc.any():
        tree = cKDTree(np.clip(structure.positions, -FARTHEST, FARTHEST))
        return _measured(structure, tree.query_pairs(within, output_type="ndarray"), None, within)
    radius = within / box.thickness
    if radius >= 0.49:  # a cell thinner than two such distances: an atom may meet several images
        first, second, distances = NeighborList(cutoff=within, full_list=False).compute(
            structure.positions, box.cell, structure.pbc, "ijd"
        )
        return sorted(zip(first.tolist(), second.tolist(), distances.tolist(), strict=True), key=lambda pair: pair[2])
    fractional = structure.positions @ box.inverse
    fractional -= np.floor(fractional) * box.periods
    fractional[fractional == 1.0] = 0.0  # what is left of tiny negative numbers
    pairs = cKDTree(fractional, boxsize=box.periods).query_pairs(radius, output_type="ndarray")
    return _measured(structure, pairs, box, within)


def _measured(structure: Structure, pairs: np.ndarray, box: Box | None, within: float) -> list[tuple[int, int, float]]:
    if not len(pairs):
        return []
    with np.errstate(over="ignore"):
        apart = structure.positions[pairs[:, 1]] - structure.positions[pairs[:, 0]]
        if box is not None:
            apart -= (np.rint(apart @ box.inverse) * box.periods) @ box.cell
        distances = np.linalg.norm(apart, axis=1)
    order = [k for k in np.argsort(distances, kind="stable") if distances[k] < within]
    return [(int(pairs[k, 0]), int(pairs[k, 1]), float(distances[k])) for k in order]
