"""Neighbours of each atom one after another, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isoline_lab.graph import Graph


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """The edges of a graph in the order of their centres, in memory as compiled code wants them.

    vectors     (edges, 3)     Å, from centre to neighbour
    centre      (edges,)       int64
    neighbours  (edges,)       int64
    kinds       (edges,)       int64  place of the neighbour's element
    starts      (atoms + 1,)   int64  where each atom's edges begin
    elements    (atoms,)       int64  place of the atom's element
    """

    vectors: Tensor
    centre: Tensor
    neighbours: Tensor
    kinds: Tensor
    starts: Tensor
    elements: Tensor

    @classmethod
    def of(cls, graph: Graph, element: Tensor) -> Neighbourhoods:
        counts = torch.bincount(graph.centre, minlength=graph.n_atoms)
        starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return cls(
            vectors=graph.displacements().contiguous(),
            centre=graph.centre,
            neighbours=graph.neighbour.contiguous(),
            kinds=element[graph.neighbour],
            starts=starts,
            elements=element.contiguous(),
        )

    def part(self, begin: int, end: int) -> Neighbourhoods:
        """The neighbourhoods of some atoms in a row, counted from the first of them."""
        edges = slice(int(self.starts[begin]), int(self.starts[end]))
        return Neighbourhoods(
            vectors=self.vectors[edges],
            centre=self.centre[edges] - begin,
            neighbours=self.neighbours[edges],
            kinds=self.kinds[edges],
            starts=self.starts[begin : end + 1] - self.starts[begin],
            elements=self.elements[begin:end],
        )

    def chosen(self, atoms: Tensor) -> tuple[Neighbourhoods, Tensor]:
        """The neighbourhoods of some atoms, counted in their order, and which edges (edges,) these are."""
        first, counts = self.starts[atoms], self.starts[atoms + 1] - self.starts[atoms]
        starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        edges = torch.arange(int(starts[-1])) + (first - starts[:-1]).repeat_interleave(counts)
        part = Neighbourhoods(
            vectors=self.vectors[edges],
            centre=torch.arange(len(atoms)).repeat_interleave(counts),
            neighbours=self.neighbours[edges],
            kinds=self.kinds[edges],
            starts=starts,
            elements=self.elements[atoms],
        )
        return part, edges

    def near(self) -> tuple[Tensor, Tensor]:
        """The distinct atoms around each atom, itself first; images of one atom count once.

        returns  (edges,)  which of them an edge leads to; (atoms, near)  who they are, −1 where there are fewer
        """
        n_atoms = len(self.elements)
        keys, inverse = torch.unique(self.centre * n_atoms + self.neighbours, return_inverse=True)
        centre, other = keys // max(n_atoms, 1), keys % max(n_atoms, 1)
        new = (centre != other).long()
        running = new.cumsum(0)
        counts = torch.bincount(centre, weights=new.double(), minlength=n_atoms).long()
        place = (running - (counts.cumsum(0) - counts)[centre]) * new
        n_near = int(counts.max()) + 1 if n_atoms else 0
        who = torch.full((n_atoms, n_near), -1)
        if n_atoms:
            who[:, 0] = torch.arange(n_atoms)
            who[centre, place] = other
        return place[inverse], who
