"""What is known before anything is learned: energies of free atoms, nuclear repulsion, a rough pair potential."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase.data import covalent_radii
from torch import Tensor

from isoline.domain.structure import Frame
from isoline_lab.descriptors.acsf import element_index
from isoline_lab.graph import Graph, build_graph
from isoline_lab.potentials.pair_baseline import PairBaseline, fit_pairs
from isoline_lab.potentials.reference import fit_reference
from isoline_lab.potentials.repulsion import Repulsion

# Of the shortest distance of a pair in the training set: where its repulsion ends. In the public sets the shortest
# distances of the test sets are 0.96 to 1.06 of those of the training sets: they are no place for a crude model.
BEFORE_DATA = 0.95

# Of the sum of covalent radii: where it ends for a pair that was never seen. Shorter than the bonds of most molecules.
UNSEEN = 0.8

# Å: beyond this a screened nucleus says nothing that matters, however far apart a pair was seen.
FARTHEST = 3.0


@dataclass(frozen=True, eq=False)
class BaselinePrediction:
    """What a baseline says about a graph.

    energies  (atoms,)             eV, float64
    forces    (atoms, 3)           eV/Å
    virial    (structures, 3, 3)   ∂E/∂strain, eV, symmetric
    """

    energies: Tensor
    forces: Tensor
    virial: Tensor


@dataclass(frozen=True, eq=False)
class Baseline:
    """Energies of free atoms as seen by the dataset, with pair terms on top.

    elements   atomic numbers, ascending
    energies   (elements,)  eV
    repulsion  of nuclei that come closer than in the training set
    pair       rough potential fitted to the training set
    warnings   what a person should know of the fit
    """

    elements: tuple[int, ...]
    energies: np.ndarray
    repulsion: Repulsion | None = None
    pair: PairBaseline | None = None
    warnings: tuple[str, ...] = ()

    @property
    def reach(self) -> float:
        """Å: the graph must hold every neighbour within this distance."""
        return max((term.reach for term in self._terms), default=0.0)

    @property
    def _terms(self) -> tuple[Repulsion | PairBaseline, ...]:
        return tuple(term for term in (self.repulsion, self.pair) if term is not None)

    def predict_graph(self, graph: Graph) -> BaselinePrediction:
        """The baseline of a graph, in float64 whatever the graph has.

        Costs next to nothing where no pair of atoms is within reach. Raises InvalidInput that names unknown elements.
        """
        place = element_index(self.elements, graph.numbers)
        energies = torch.from_numpy(self.energies).to(place.device)[place]
        forces = energies.new_zeros(graph.n_atoms, 3)
        virial = energies.new_zeros(graph.n_structures, 3, 3)
        edges, displacement = _edges_within(graph, self.reach)
        if len(edges):
            centre, neighbour = graph.centre[edges], graph.neighbour[edges]
            distance = displacement.norm(dim=1)
            pairs = [term.of_pairs(place[centre], place[neighbour], distance) for term in self._terms]
            energy, slope = (sum(parts) for parts in zip(*pairs, strict=True))
            # Both ends of a pair have an edge of their own, each with half of its energy.
            energies = energies.index_add(0, centre, 0.5 * energy)
            pull = (slope / distance)[:, None] * displacement
            forces.index_add_(0, centre, pull)
            terms = 0.5 * pull[:, :, None] * displacement[:, None, :]
            virial.index_add_(0, graph.structure[centre], terms)
        return BaselinePrediction(energies, forces, virial)

    def as_dict(self) -> dict:
        """JSON."""
        about: dict = {"elements": list(self.elements), "energies": self.energies.tolist()}
        if self.repulsion is not None:
            about["repulsion"] = self.repulsion.as_dict()
        if self.pair is not None:
            about["pair"] = self.pair.as_dict()
        return about

    @classmethod
    def from_dict(cls, about: dict) -> Baseline:
        """The inverse of `as_dict`, but for the warnings; reads what has no pair terms too."""
        elements = tuple(about["elements"])
        repulsion = Repulsion.from_dict(elements, about["repulsion"]) if "repulsion" in about else None
        pair = PairBaseline.from_dict(about["pair"]) if "pair" in about else None
        return cls(elements, np.array(about["energies"], dtype=np.float64), repulsion, pair)


def fit_baseline(
    frames: Sequence[Frame],
    elements: Sequence[int],
    *,
    repulsion: bool = True,
    pair: bool = False,
    cutoff: float = 5.0,
) -> Baseline:
    """The baseline of a training set.

    repulsion  screened nuclear repulsion below the distances of the training set, where it is exactly zero
    pair       a pair potential too, fitted together with the energies of atoms
    cutoff     Å, of the graphs it will be asked about: neither term reaches farther
    """
    reference = fit_reference(frames, elements)
    baseline = Baseline(tuple(elements), reference.energies, warnings=reference.warnings)
    if not (repulsion or pair):
        return baseline
    shortest = shortest_distances(frames, elements, cutoff)
    if repulsion:
        outer = np.minimum(repulsion_radii(elements, shortest), cutoff)
        baseline = replace(baseline, repulsion=Repulsion.up_to(baseline.elements, outer))
    if pair:
        fitted, energies = fit_pairs(frames, elements, reference.energies, shortest, cutoff)
        baseline = replace(baseline, pair=fitted, energies=energies)
    return baseline


def shortest_distances(frames: Sequence[Frame], elements: Sequence[int], cutoff: float) -> np.ndarray:
    """Shortest distance of each pair of elements in all frames.

    returns  (elements, elements)  Å, symmetric; infinite for pairs not found within the cutoff
    """
    shortest = torch.full((len(elements) ** 2,), torch.inf, dtype=torch.float64)
    for frame in frames:
        graph = build_graph([frame.structure], cutoff)
        place = element_index(tuple(elements), graph.numbers)
        pair = place[graph.centre] * len(elements) + place[graph.neighbour]
        shortest.scatter_reduce_(0, pair, graph.displacements().norm(dim=1), "amin")
    return shortest.reshape(len(elements), len(elements)).numpy()


def repulsion_radii(elements: Sequence[int], shortest: np.ndarray) -> np.ndarray:
    """Å, where the repulsion of each pair of elements ends: before its data begin, or well within a bond.

    shortest  (elements, elements)  Å, infinite for pairs that were never seen
    """
    radii = covalent_radii[list(elements)]
    unseen = UNSEEN * (radii[:, None] + radii[None, :])
    return np.where(np.isfinite(shortest), np.minimum(BEFORE_DATA * shortest, FARTHEST), unseen)


def _edges_within(graph: Graph, reach: float) -> tuple[Tensor, Tensor]:
    """Edges shorter than `reach` and their displacements, float64."""
    if reach <= 0.0:
        return graph.centre[:0], graph.positions[:0].double()
    displacement = graph.positions.index_select(0, graph.neighbour)
    displacement -= graph.positions.index_select(0, graph.centre)
    if graph.n_structures == 1:
        displacement.addmm_(graph.shifts, graph.cells[0])
    else:
        # Most edges cross no boundary: only the others look up their cell.
        across = graph.shifts.any(1).nonzero().squeeze(1)
        cells = graph.cells[graph.structure[graph.centre[across]]]
        displacement.index_add_(0, across, torch.einsum("ei,eij->ej", graph.shifts[across], cells))
    # A product with ones sums rows of three much faster than a sum does.
    squared = (displacement * displacement) @ displacement.new_ones(3)
    edges = (squared < reach**2).nonzero().squeeze(1)
    return edges, displacement[edges].double()
