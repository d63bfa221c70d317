"""Neighbours of each atom side by side, as dense arrays."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isoline_lab.graph import Graph


@dataclass(frozen=True, eq=False)
class Environments:
    """Neighbours of every atom in slots; atoms with fewer neighbours than slots have empty ones.

    displacement  (atoms, slots, 3)  Å; empty slots hold a neighbour beyond the cutoff, which contributes nothing
    element       (atoms, slots)     int64  place of the neighbour's element in the list of elements
    neighbour     (atoms, slots)     int64  index of the neighbour; of the atom itself in empty slots
    filled        (atoms, slots)     bool
    """

    displacement: Tensor
    element: Tensor
    neighbour: Tensor
    filled: Tensor

    def __getitem__(self, atoms: Tensor) -> Environments:
        """Environments of some of the atoms."""
        return Environments(self.displacement[atoms], self.element[atoms], self.neighbour[atoms], self.filled[atoms])

    def polar(self) -> tuple[Tensor, Tensor]:
        """Distance (atoms, slots) and unit vector (atoms, slots, 3) of each neighbour."""
        distance = self.displacement.norm(dim=-1)
        return distance, self.displacement / distance[..., None]


def gather_environments(graph: Graph, element: Tensor, cutoff: float) -> Environments:
    """Neighbour slots of every atom of a graph, differentiable with respect to positions and cells.

    element  (atoms,)  int64
    """
    counts = torch.bincount(graph.centre, minlength=graph.n_atoms)
    slots = int(counts.max()) if graph.n_atoms else 0
    first_edge = torch.cumsum(counts, 0) - counts
    place = graph.centre * slots + torch.arange(graph.n_edges, device=graph.centre.device) - first_edge[graph.centre]
    beyond = graph.positions.new_tensor([2.0 * cutoff, 0.0, 0.0]).repeat(graph.n_atoms * slots, 1)
    itself = torch.arange(graph.n_atoms, device=place.device).repeat_interleave(slots)
    neighbour = itself.index_copy(0, place, graph.neighbour)
    filled = torch.zeros(graph.n_atoms * slots, dtype=torch.bool, device=place.device)
    shape = (graph.n_atoms, slots)
    return Environments(
        displacement=beyond.index_copy(0, place, graph.displacements()).reshape(*shape, 3),
        element=element[neighbour].reshape(shape),
        neighbour=neighbour.reshape(shape),
        filled=filled.index_fill(0, place, True).reshape(shape),
    )
