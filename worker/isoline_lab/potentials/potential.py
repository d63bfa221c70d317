"""What every potential can do, whatever family it is of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isoline.domain.structure import Structure
from isoline_lab.graph import VOIGT, Graph, build_graph
from isoline_lab.potentials.baseline import Baseline
from isoline_lab.potentials.prediction import Prediction


class Potential(ABC):
    """A committee of potentials that are evaluated together.

    family           as in the recipe
    elements         atomic numbers it knows, ascending
    cutoff           Å, of the neighbours it asks for
    receptive_field  Å, how far away an atom can be and still matter for an energy of an atom
    members          how many potentials; 1 for those without a committee
    n_parameters     numbers learned, all members together
    recipe           how it was made, JSON
    warnings         what its user should know
    """

    family: str
    elements: tuple[int, ...]
    cutoff: float
    members: int
    n_parameters: int
    recipe: dict
    warnings: tuple[str, ...]

    @property
    def receptive_field(self) -> float:
        return self.cutoff

    @abstractmethod
    def predict(self, structures: Iterable[Structure], batch_atoms: int = 512) -> Iterator[Prediction]:
        """Predictions of structures in their order, computed for about `batch_atoms` atoms at a time.

        Raises InvalidInput that names unknown elements.
        """

    @abstractmethod
    def save(self) -> dict[str, bytes]:
        """The files of the model: `model.json`, which names the family, and weights as safetensors."""


@dataclass(frozen=True, eq=False)
class GraphPrediction:
    """What all members say about a graph, without the baseline.

    energies  (members, atoms)             eV, energies of atoms
    forces    (members, atoms, 3)          eV/Å
    virial    (members, structures, 3, 3)  ∂E/∂strain, eV, symmetric
    """

    energies: Tensor
    forces: Tensor
    virial: Tensor


class GraphPotential(Potential):
    """A potential that is evaluated on neighbour graphs, on top of a baseline.

    baseline  physics that is known beforehand, added to every member in float64
    dtype     of the learned part
    """

    baseline: Baseline
    dtype: torch.dtype

    @abstractmethod
    def to(self, dtype: torch.dtype) -> GraphPotential:
        """The same potential in another precision."""

    @abstractmethod
    def predict_graph(self, graph: Graph) -> GraphPrediction:
        """Energies of atoms, forces and virials of all members from one pass over the neighbours.

        Raises InvalidInput that names unknown elements.
        """

    def predict(self, structures: Iterable[Structure], batch_atoms: int = 512) -> Iterator[Prediction]:
        for batch in batches(structures, batch_atoms):
            yield from self._predict_batch(batch)

    def _predict_batch(self, structures: Sequence[Structure]) -> Iterator[Prediction]:
        graph = build_graph(structures, max(self.cutoff, self.baseline.reach))
        learned = self.predict_graph(graph.to(dtype=self.dtype))
        known = self.baseline.predict_graph(graph)
        # Sums of large reference energies need float64 whatever the learned part uses.
        energies = (learned.energies.double() + known.energies).numpy(force=True)
        forces = (learned.forces.double() + known.forces).numpy(force=True)
        virial = (learned.virial.double() + known.virial).numpy(force=True)
        end = np.cumsum([len(s) for s in structures])
        for index, structure in enumerate(structures):
            atoms = slice(end[index] - len(structure), end[index])
            stress = None
            if structure.volume > 0 and structure.pbc.any():
                full = virial[:, index] / structure.volume
                stress = np.stack([full[:, x, y] for x, y in VOIGT], axis=1)
            yield Prediction(energies[:, atoms].sum(1), energies[:, atoms], forces[:, atoms], stress)


def batches(structures: Iterable[Structure], batch_atoms: int) -> Iterator[list[Structure]]:
    """Consecutive structures of about `batch_atoms` atoms together."""
    batch, atoms = [], 0
    for structure in structures:
        if batch and atoms + len(structure) > batch_atoms:
            yield batch
            batch, atoms = [], 0
        batch.append(structure)
        atoms += len(structure)
    if batch:
        yield batch
