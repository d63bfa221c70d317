"""Batches of structures as neighbour-graph tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import vesin
from ase.geometry import complete_cell
from torch import Tensor

from isoline.domain.structure import Structure
from isoline.errors import InvalidInput

# Below this distance (Å) a pair has no direction in float32, so no force can be assigned to it.
COINCIDENT = 1e-4

# Components of a symmetric tensor in Voigt order: xx yy zz yz xz xy.
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True, eq=False)
class Graph:
    """Several structures as one graph: atoms are nodes, ordered pairs within the cutoff are edges.

    numbers      (atoms,)          int64  atomic numbers
    positions    (atoms, 3)        Å
    cells        (structures, 3, 3)  Å, row vectors; zeros where there is none
    structure    (atoms,)          int64  which structure an atom belongs to, ascending
    centre       (edges,)          int64  atom whose environment the edge belongs to, ascending
    neighbour    (edges,)          int64
    shifts       (edges, 3)        lattice vectors added to the neighbour, whole numbers as floats
    n_structures                   structures without atoms or edges count too

    Every pair appears twice, once from each end; an atom may be its own neighbour through the boundary.
    """

    numbers: Tensor
    positions: Tensor
    cells: Tensor
    structure: Tensor
    centre: Tensor
    neighbour: Tensor
    shifts: Tensor
    n_structures: int

    @property
    def n_atoms(self) -> int:
        return len(self.numbers)

    @property
    def n_edges(self) -> int:
        return len(self.centre)

    def atoms_per_structure(self) -> Tensor:
        """(structures,) int64."""
        return torch.bincount(self.structure, minlength=self.n_structures)

    def displacements(self) -> Tensor:
        """Vectors from centre to neighbour: r_neighbour + shift · cell − r_centre.

        returns  (edges, 3)  Å, differentiable with respect to positions and cells
        """
        cells = self.cells[self.structure[self.centre]]  # (edges, 3, 3)
        shift = torch.einsum("ei,eij->ej", self.shifts, cells)
        return self.positions[self.neighbour] + shift - self.positions[self.centre]

    def strained(self, strain: Tensor) -> Graph:
        """The same graph with positions and cells deformed by the symmetric part of a strain.

        strain  (structures, 3, 3)  dimensionless; pass zeros that require a gradient to get the virial
        """
        symmetric = 0.5 * (strain + strain.mT)
        positions = self.positions + torch.einsum("ai,aij->aj", self.positions, symmetric[self.structure])
        return replace(self, positions=positions, cells=self.cells + self.cells @ symmetric)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Graph:
        """The same graph elsewhere; `dtype` changes the floating tensors only."""
        indices = {name: getattr(self, name).to(device) for name in ("numbers", "structure", "centre", "neighbour")}
        reals = {name: getattr(self, name).to(device=device, dtype=dtype) for name in ("positions", "cells", "shifts")}
        return replace(self, **indices, **reals)


def build_graph(structures: Sequence[Structure], cutoff: float, dtype: torch.dtype = torch.float64) -> Graph:
    """Neighbour graph of all ordered pairs closer than the cutoff, whatever the boundary conditions.

    cutoff   Å; may exceed the cell, whose images then all count
    dtype    of positions, cells and shifts; neighbours are always found in float64

    Raises InvalidInput for a periodic direction without a lattice vector, and for atoms on top of each other.
    """
    search = vesin.NeighborList(cutoff=cutoff, full_list=True, sorted=True, n_threads=1)
    centres, neighbours, shifts = [], [], []
    first_atom = 0
    for index, structure in enumerate(structures):
        i, j, shift, distance = search.compute(
            structure.positions, _spanning_cell(structure, index), structure.pbc, quantities="ijSd"
        )
        _refuse_coincident_atoms(index, i, j, distance)
        centres.append(i.astype(np.int64) + first_atom)
        neighbours.append(j.astype(np.int64) + first_atom)
        shifts.append(shift.astype(np.float64))
        first_atom += len(structure)

    def joined(arrays: list[np.ndarray], shape: tuple[int, ...], kind: type) -> Tensor:
        empty = np.zeros((0, *shape), dtype=kind)
        return torch.from_numpy(np.concatenate([empty, *arrays]).astype(kind))

    sizes = torch.tensor([len(structure) for structure in structures], dtype=torch.int64)
    return Graph(
        numbers=joined([s.numbers for s in structures], (), np.int64),
        positions=joined([s.positions for s in structures], (3,), np.float64).to(dtype),
        cells=joined([s.cell[None] for s in structures], (3, 3), np.float64).to(dtype),
        structure=torch.repeat_interleave(torch.arange(len(structures)), sizes),
        centre=joined(centres, (), np.int64),
        neighbour=joined(neighbours, (), np.int64),
        shifts=joined(shifts, (3,), np.float64).to(dtype),
        n_structures=len(structures),
    )


def _spanning_cell(structure: Structure, index: int) -> np.ndarray:
    """The cell with open directions made up where they have no vector, so that it can be inverted."""
    missing = structure.pbc & (np.linalg.norm(structure.cell, axis=1) < 1e-8)
    if missing.any():
        raise InvalidInput(
            f"structure {index} is periodic along {', '.join('abc'[k] for k in np.flatnonzero(missing))} "
            "but has no lattice vector there",
            hint="Give the cell, or set the boundary conditions to open.",
        )
    # Lattice vectors of open directions are dropped: they must not limit where atoms may be.
    return complete_cell(np.where(structure.pbc[:, None], structure.cell, 0.0))


def _refuse_coincident_atoms(index: int, i: np.ndarray, j: np.ndarray, distance: np.ndarray) -> None:
    if len(distance) and distance.min() < COINCIDENT:
        pair = int(distance.argmin())
        raise InvalidInput(
            f"atoms {i[pair]} and {j[pair]} of structure {index} are {distance[pair]:.1e} Å apart",
            hint="Remove one of them; no potential is defined for atoms on top of each other.",
        )
