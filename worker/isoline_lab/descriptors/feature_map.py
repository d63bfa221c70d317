"""What every set of local features can do, whatever its formulae are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from ase.data import chemical_symbols
from torch import Tensor

from isoline.errors import InvalidInput
from isoline_lab.descriptors.projection import Projection
from isoline_lab.graph import Graph

Readout = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From features (atoms, features) and places of elements (atoms,) to energies (members, atoms) in eV and their
derivatives with respect to the features (members, atoms, features)."""


@dataclass(frozen=True, eq=False)
class Linearised:
    """Combinations of features around each atom, and how they change when atoms move.

    inputs  (atoms, inputs)
    rows    (atoms, rows, inputs)  derivatives with respect to each atom nearby, then to strain; Å⁻¹, –
    target  (atoms, rows)          where a row adds up: first forces at 3 · atom + axis, then virials at
                                   3 · atoms + 6 · structure + component (Voigt), then nowhere
    """

    inputs: Tensor
    rows: Tensor
    target: Tensor


class FeatureMap(ABC):
    """Functions of the neighbours of an atom within a cutoff, the same for all members of a committee.

    elements    atomic numbers that may occur, ascending
    cutoff      Å
    n_features  how many
    whitening   of inputs made of them: 0 leaves principal directions their natural size, 1 makes all alike
    """

    elements: tuple[int, ...]
    cutoff: float
    n_features: int
    whitening: float

    @property
    def expected_sizes(self) -> Tensor:
        """(features,) how much force each is expected to explain, relative to the others."""
        return torch.ones(self.n_features, dtype=torch.float64)

    def element_index(self, numbers: Tensor) -> Tensor:
        """Place of each atomic number in `elements`. Raises InvalidInput that names unknown elements."""
        place = torch.full((256,), -1, dtype=torch.int64, device=numbers.device)
        place[list(self.elements)] = torch.arange(len(self.elements), device=numbers.device)
        index = place[numbers]
        if len(index) and bool((index < 0).any()):
            unknown = sorted({chemical_symbols[z] for z in numbers[index < 0].tolist()})
            known = ", ".join(chemical_symbols[z] for z in self.elements)
            raise InvalidInput(
                f"these features know {known}, the structure also has {', '.join(unknown)}",
                hint="Train on structures that contain every element.",
            )
        return index

    @abstractmethod
    def __call__(self, graph: Graph) -> Tensor:
        """(atoms, features), differentiable with respect to positions and cells."""

    @abstractmethod
    def differentiate(self, graph: Graph, readout: Readout) -> tuple[Tensor, Tensor, Tensor]:
        """Energies of atoms, forces and virials from a readout of the features, in bounded memory.

        returns  (members, atoms) eV, (members, atoms, 3) eV/Å, (members, structures, 3, 3) ∂E/∂strain, eV, symmetric
        """

    @abstractmethod
    def linearise(
        self, graph: Graph, projection: Projection, forces: bool, stress: bool
    ) -> Generator[None, None, Linearised]:
        """Projected features and their derivatives; yields now and then so that a caller can stop."""

    @abstractmethod
    def steepness(self, graph: Graph, atoms: Tensor) -> Tensor:
        """Σ over atoms and their neighbours of squared derivatives of each feature: (features,) Å⁻²."""

    @abstractmethod
    def as_dict(self) -> dict:
        """JSON from which the map can be made again."""


def row_targets(who: Tensor, structure: Tensor, n_structures: int, forces: bool, stress: bool) -> Tensor:
    """`Linearised.target` for atoms `who` (atoms, near), −1 where there is none, of structures (atoms,)."""
    n_atoms = len(who)
    nowhere = 3 * n_atoms + 6 * n_structures
    parts = []
    if forces:
        where = torch.where(who[..., None] >= 0, 3 * who[..., None] + torch.arange(3, device=who.device), nowhere)
        parts.append(where.flatten(1))
    if stress:
        parts.append(3 * n_atoms + 6 * structure[:, None] + torch.arange(6, device=who.device))
    return torch.cat(parts, dim=1) if parts else who.new_zeros(n_atoms, 0)
