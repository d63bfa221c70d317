"""Symmetry functions as the features of a potential."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isoline_lab.descriptors.acsf import SymmetryFunctions
from isoline_lab.descriptors.environments import Environments, gather_environments
from isoline_lab.descriptors.feature_map import FeatureMap, Linearised, Readout, row_targets
from isoline_lab.descriptors.projection import Derivatives, Projection
from isoline_lab.graph import VOIGT, Graph

# Atoms whose derivatives are computed in one go; bounds memory and the time until a cancel is seen.
ATOMS_AT_ONCE = 24

# Functions whose derivatives are formed at once when their sizes are measured; bounds memory.
FUNCTIONS_AT_ONCE = 256

# Likewise for predictions, where a member is one column instead of many.
ATOMS_PREDICTED_AT_ONCE = 64


@dataclass(frozen=True)
class AcsfMap(FeatureMap):
    """Atom-centred symmetry functions with their derivatives in closed form."""

    functions: SymmetryFunctions
    whitening: ClassVar[float] = 0.5

    @property
    def elements(self) -> tuple[int, ...]:
        return self.functions.elements

    @property
    def cutoff(self) -> float:
        return self.functions.cutoff

    @property
    def n_features(self) -> int:
        return self.functions.n_features

    def __call__(self, graph: Graph) -> Tensor:
        return self.functions(graph)

    def differentiate(self, graph: Graph, readout: Readout) -> tuple[Tensor, Tensor, Tensor]:
        element = self.element_index(graph.numbers)
        environments = gather_environments(graph, element, self.cutoff)
        energies, gradient, virial = [], None, None
        for atoms in torch.arange(graph.n_atoms, device=element.device).split(ATOMS_PREDICTED_AT_ONCE):
            part = environments[atoms]
            own, slopes = readout(self.functions.values(part), element[atoms])
            pulls = Derivatives(self.functions, slopes.permute(1, 2, 0))(part)  # (some atoms, slots, 3, members)
            if gradient is None:
                gradient = pulls.new_zeros(graph.n_atoms, 3, len(own))
                virial = pulls.new_zeros(graph.n_structures, 3, 3, len(own))
            energies.append(own)
            gradient[atoms] -= pulls.sum(1)
            gradient.index_add_(0, part.neighbour.flatten(), pulls.flatten(0, 1))
            virial.index_add_(0, graph.structure[atoms], torch.einsum("anx,anyk->axyk", part.displacement, pulls))
        if gradient is None:
            own, _ = readout(graph.positions.new_zeros(0, self.n_features), element)
            members = len(own)
            return own, own.new_zeros(members, 0, 3), own.new_zeros(members, graph.n_structures, 3, 3)
        virial = 0.5 * (virial + virial.transpose(1, 2))
        return torch.cat(energies, dim=1), -gradient.permute(2, 0, 1), virial.permute(3, 0, 1, 2)

    def linearise(
        self, graph: Graph, projection: Projection, forces: bool, stress: bool
    ) -> Generator[None, None, Linearised]:
        functions, element = self.functions, self.element_index(graph.numbers)
        environments = gather_environments(graph, element, self.cutoff)
        n_atoms = graph.n_atoms
        # Images of one atom move together, so their derivatives are one row; so does the atom itself.
        moved = torch.cat([environments.neighbour, torch.arange(n_atoms)[:, None]], dim=1)
        order = moved.sort(dim=1)
        fresh = torch.ones_like(moved, dtype=torch.bool)
        fresh[:, 1:] = order.values[:, 1:] != order.values[:, :-1]
        rank = torch.cumsum(fresh, 1) - 1
        slot_of = torch.empty_like(rank).scatter_(1, order.indices, rank)  # (atoms, slots + 1) → distinct atom
        n_moved = int(rank.max()) + 1 if n_atoms else 0
        who = torch.full((n_atoms, n_moved), -1).scatter_(1, rank, order.values)

        parts = []
        for atoms in torch.arange(n_atoms).split(8 * ATOMS_AT_ONCE):
            yield
            parts.append(projection(functions.values(environments[atoms]), element[atoms]))
        inputs = torch.cat(parts) if parts else graph.positions.new_zeros(0, projection.n_inputs)
        target = row_targets(who, graph.structure, graph.n_structures, forces, stress)
        rows = inputs.new_zeros(n_atoms, target.shape[1], projection.n_inputs)
        if target.shape[1] == 0:
            return Linearised(inputs, rows, target)
        for place in range(len(projection.matrix)):
            derivatives = Derivatives(functions, projection.matrix[place].to(inputs))
            for atoms in torch.nonzero(element == place).squeeze(1).split(ATOMS_AT_ONCE):
                yield
                self._fill(rows, atoms, environments[atoms], derivatives, slot_of[atoms], n_moved, forces, stress)
        return Linearised(inputs, rows, target)

    def _fill(
        self,
        rows: Tensor,
        atoms: Tensor,
        part: Environments,
        derivatives: Derivatives,
        slot_of: Tensor,
        n_moved: int,
        forces: bool,
        stress: bool,
    ) -> None:
        slopes = derivatives(part)  # (some atoms, slots, 3, inputs)
        if forces:
            merge = torch.nn.functional.one_hot(slot_of, n_moved).to(slopes)
            merge = merge[:, :-1] - merge[:, -1:]  # a neighbour's row gains what the atom's own row loses
            rows[atoms, : 3 * n_moved] = (merge.mT @ slopes.flatten(2)).reshape(len(atoms), -1, slopes.shape[-1])
        if stress:
            virial = torch.einsum("anx,anyf->axyf", part.displacement * part.filled[..., None], slopes)
            virial = 0.5 * (virial + virial.transpose(1, 2))
            rows[atoms, -6:] = torch.stack([virial[:, x, y] for x, y in VOIGT], dim=1)

    def steepness(self, graph: Graph, atoms: Tensor) -> Tensor:
        environments = gather_environments(graph, self.element_index(graph.numbers), self.cutoff)
        every = torch.eye(self.n_features, dtype=torch.float64)
        squares = torch.zeros(self.n_features, dtype=torch.float64)
        for first in range(0, self.n_features, FUNCTIONS_AT_ONCE):
            derivatives = Derivatives(self.functions, every[:, first : first + FUNCTIONS_AT_ONCE])
            for part in atoms.split(ATOMS_AT_ONCE):
                squared = (derivatives(environments[part]) ** 2).sum((0, 1, 2))
                squares[first : first + len(squared)] += squared
        return squares

    def as_dict(self) -> dict:
        functions = self.functions
        return {
            "elements": list(functions.elements),
            "cutoff": functions.cutoff,
            "radial": [list(pair) for pair in functions.radial],
            "angular": [list(pair) for pair in functions.angular],
            "shapes": [list(pair) for pair in functions.shapes],
            "mixed": functions.mixed,
        }

    @classmethod
    def from_dict(cls, about: dict) -> AcsfMap:
        """The inverse of `as_dict`."""
        pairs = {name: tuple(map(tuple, about[name])) for name in ("radial", "angular", "shapes")}
        return cls(SymmetryFunctions(tuple(about["elements"]), about["cutoff"], **pairs, mixed=about["mixed"]))
