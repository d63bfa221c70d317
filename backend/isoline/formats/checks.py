"""What no structure may be: without atoms, without numbers, without a volume, or with two atoms in one place."""

from __future__ import annotations

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
    cell, thickness = _completed(structure)
    if thickness < THINNEST:
        wrong.append(("Lattice", _flat(structure), None))
    if wrong:
        return wrong
    return [
        ("pos", f"{distance:.3f} Å from atom {j}" if i != j else f"{distance:.3f} Å from its own periodic image", i)
        for i, j, distance in _close_pairs(structure, closest, cell, thickness)[:PAIRS_TOLD]
    ]


def close_pairs(structure: Structure, within: float) -> list[tuple[int, int, float]]:
    """(i, j, distance) of all pairs of atoms nearer than `within` Å, periodic images included; the nearest first."""
    return _close_pairs(structure, within, *_completed(structure))


def _completed(structure: Structure) -> tuple[np.ndarray, float]:
    """The cell and its least singular value in Å.

    Directions that are not periodic get a long vector at right angles to the periodic ones.
    """
    cell, pbc = structure.cell, structure.pbc
    if not pbc.any():
        return np.eye(3), np.inf
    if not np.isfinite(cell).all():
        return cell, 0.0
    if not pbc.all():
        _, sizes, basis = np.linalg.svd(cell[pbc])
        cell = cell.copy()
        cell[~pbc] = basis[pbc.sum() :] * max(sizes[0], 1.0)
    # σ² are the eigenvalues of the metric; LAPACK's symmetric solver is the fastest way to three numbers.
    return cell, float(np.sqrt(max(np.linalg.eigvalsh(cell @ cell.T)[0], 0.0)))


def _flat(structure: Structure) -> str:
    if not np.isfinite(structure.cell).all():
        return "the cell has numbers that are not finite"
    flags = " ".join("FT"[int(flag)] for flag in structure.pbc)
    return (
        f"periodic ({flags}) {'with a cell of no volume' if structure.cell[structure.pbc].any() else 'without a cell'}"
    )


def _close_pairs(
    structure: Structure, within: float, cell: np.ndarray, thickness: float
) -> list[tuple[int, int, float]]:
    """Candidates are near in fractional coordinates, |Δf| ≤ |Δr| / σ with σ the least singular value of the cell."""
    if within <= 0 or thickness < THINNEST:
        return []
    if not structure.pbc.any():
        return _measured(
            structure,
            cKDTree(np.clip(structure.positions, -FARTHEST, FARTHEST)).query_pairs(within, output_type="ndarray"),
            None,
            within,
        )
    radius = within / thickness
    if radius >= 0.49:  # a cell thinner than two such distances: an atom may meet several images
        first, second, distances = NeighborList(cutoff=within, full_list=False).compute(
            structure.positions, cell, structure.pbc, "ijd"
        )
        return sorted(zip(first.tolist(), second.tolist(), distances.tolist(), strict=True), key=lambda pair: pair[2])
    fractional = structure.positions @ np.linalg.inv(cell)
    fractional[:, structure.pbc] %= 1.0
    fractional[fractional == 1.0] = 0.0  # what % leaves of tiny negative numbers
    pairs = cKDTree(fractional, boxsize=structure.pbc.astype(float)).query_pairs(radius, output_type="ndarray")
    return _measured(structure, pairs, cell, within)


def _measured(
    structure: Structure, pairs: np.ndarray, cell: np.ndarray | None, within: float
) -> list[tuple[int, int, float]]:
    if not len(pairs):
        return []
    with np.errstate(over="ignore"):
        apart = structure.positions[pairs[:, 1]] - structure.positions[pairs[:, 0]]
    if cell is not None:
        steps = np.rint(np.linalg.solve(cell.T, apart.T).T) * structure.pbc
        apart = apart - steps @ cell
    with np.errstate(over="ignore"):
        distances = np.linalg.norm(apart, axis=1)
    order = [k for k in np.argsort(distances, kind="stable") if distances[k] < within]
    return [(int(pairs[k, 0]), int(pairs[k, 1]), float(distances[k])) for k in order]
