"""The best linear potential, from which the networks start."""

from __future__ import annotations

import torch
from torch import Tensor

from isoline_lab.training.batches import Batch
from isoline_lab.training.loss import LossWeights


class LinearFit:
    """Ridge regression of energies, forces and stresses on the inputs of the networks, batch by batch.

    elements, inputs  numbers of elements and of inputs
    weights           as in the loss that follows
    """

    def __init__(self, elements: int, inputs: int, weights: LossWeights):
        self.elements, self.inputs, self.weights = elements, inputs, weights
        size = elements * (inputs + 1)  # an offset for each element
        self.gram = torch.zeros(size, size, dtype=torch.float64)
        self.moment = torch.zeros(size, dtype=torch.float64)

    def add(self, batch: Batch) -> None:
        """Take the labels of a batch into account."""
        n_atoms, n_structures, width = len(batch.inputs), batch.n_structures, self.inputs + 1
        sums = batch.inputs.new_zeros(3 * n_atoms + 6 * n_structures + 1, self.elements * width)
        energies = batch.inputs.new_zeros(n_structures, self.elements * width)
        for place in range(self.elements):
            atoms = torch.nonzero(batch.element == place).squeeze(1)
            columns = slice(place * width, place * width + self.inputs)
            sums[:, columns].index_add_(0, batch.target[atoms].flatten(), batch.rows[atoms].flatten(0, 1))
            energies[:, columns].index_add_(0, batch.structure[atoms], batch.inputs[atoms])
            energies[:, columns.stop] = torch.bincount(batch.structure[atoms], minlength=n_structures).to(energies)
        root = batch.sizes.clamp(min=1).sqrt()
        virial_scale = (1 / root).repeat_interleave(6)
        self._add(energies / root[:, None], batch.energy / root, batch.has_energy, self.weights.energy)
        self._add(-sums[: 3 * n_atoms], batch.forces.flatten(), _thrice(batch.has_forces), self.weights.force / 3)
        self._add(
            sums[3 * n_atoms : -1] * virial_scale[:, None],
            (batch.stress * batch.volume[:, None]).flatten() * virial_scale,
            batch.has_stress.repeat_interleave(6),
            self.weights.stress / 6,
        )

    def _add(self, rows: Tensor, values: Tensor, known: Tensor, weight: float) -> None:
        # Divided by their number, labels of a kind weigh as in the loss, which averages over them.
        if weight == 0 or not known.any():
            return
        chosen = known > 0
        rows, values = rows[chosen], values[chosen]
        # Products in the precision of the features, which takes half the time; sums of many batches in float64.
        self.gram += (weight / len(rows) * (rows.T @ rows)).double()
        self.moment += (weight / len(rows) * (rows.T @ values)).double()

    def solve(self, ridge: float) -> tuple[Tensor, Tensor]:
        """Coefficients (elements, inputs) and offsets (elements,).

        ridge  relative to the mean of the diagonal
        """
        size = len(self.gram)
        damping = ridge * self.gram.diagonal().mean().clamp(min=1e-12)
        solution = torch.linalg.solve(self.gram + damping * torch.eye(size, dtype=torch.float64), self.moment)
        solution = solution.reshape(self.elements, self.inputs + 1)
        return solution[:, :-1], solution[:, -1]


def _thrice(known: Tensor) -> Tensor:
    return known.repeat_interleave(3)
