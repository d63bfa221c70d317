"""Physics that is known before anything is learned: energies of free atoms, nuclear repulsion, a rough pair potential."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isoline_lab.graph import Graph


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
    """Energies of free atoms as seen by the dataset.

    elements  atomic numbers, ascending
    energies  (elements,)  eV
    """

    elements: tuple[int, ...]
    energies: np.ndarray

    def predict_graph(self, graph: Graph) -> BaselinePrediction:
        """The baseline of a graph (float64)."""
        place = torch.zeros(256, dtype=torch.int64)
        place[list(self.elements)] = torch.arange(len(self.elements))
        energies = torch.from_numpy(self.energies)[place[graph.numbers]]
        nothing = torch.zeros(graph.n_atoms, 3, dtype=torch.float64)
        return BaselinePrediction(energies, nothing, torch.zeros(graph.n_structures, 3, 3, dtype=torch.float64))

    def as_dict(self) -> dict:
        """JSON."""
        return {"elements": list(self.elements), "energies": self.energies.tolist()}

    @classmethod
    def from_dict(cls, about: dict) -> Baseline:
        """The inverse of `as_dict`."""
        return cls(tuple(about["elements"]), np.array(about["energies"], dtype=np.float64))
