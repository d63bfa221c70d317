"""What training minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isoline_lab.potentials.networks import MemberNetworks
from isoline_lab.training.batches import Batch

# Errors beyond these count linearly: a few extreme structures (free atoms, colliding atoms) must not rule the fit.
ENERGY_BEND = 1.0  # eV per square root of atoms
FORCE_BEND = 5.0  # eV/Å


@dataclass(frozen=True, eq=False)
class BatchPrediction:
    """Predictions of every member for a batch.

    energy  (members, structures)     eV, without reference energies
    forces  (members, atoms, 3)       eV/Å; zeros where no structure of the batch has forces
    stress  (members, structures, 6)  eV/Å³; likewise
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor


@dataclass(frozen=True)
class LossWeights:
    """How much each kind of error counts."""

    energy: float
    force: float
    stress: float


def predict_batch(networks: MemberNetworks, batch: Batch, learning: bool) -> BatchPrediction:
    """Energies of a batch, and forces and stresses from its stored derivatives.

    learning  whether the result will be differentiated with respect to the weights
    """
    members, n_atoms, n_structures = networks.members, len(batch.inputs), batch.n_structures
    inputs = batch.inputs.expand(members, -1, -1).requires_grad_()
    with torch.set_grad_enabled(True):
        energies = networks(inputs, batch.element)
        (slopes,) = torch.autograd.grad(energies.sum(), inputs, create_graph=learning)
    with torch.set_grad_enabled(learning):
        total = energies.new_zeros(members, n_structures).index_add(1, batch.structure, energies)
        # (atoms, rows, inputs) · (atoms, inputs, members): the derivatives are read once for all members.
        terms = torch.bmm(batch.rows, slopes.permute(1, 2, 0)).flatten(0, 1)
        sums = terms.new_zeros(3 * n_atoms + 6 * n_structures + 1, members).index_add(0, batch.target.flatten(), terms)
        forces = -sums[: 3 * n_atoms].T.reshape(members, n_atoms, 3)
        virial = sums[3 * n_atoms : -1].T.reshape(members, n_structures, 6)
    return BatchPrediction(total, forces, virial / batch.volume[:, None])


def batch_loss(predicted: BatchPrediction, batch: Batch, weights: LossWeights) -> Tensor:
    """Mean loss of every member; labels that are missing count neither in the sum nor in the number.

    returns  (members,)  force² in (eV/Å)² plus weighted energy² and virial² in eV² per atom

    Errors of energies and virials grow with the square root of the number of atoms where the atoms' errors are
    independent, hence their squares are divided by the number of atoms.
    """
    root = batch.sizes.clamp(min=1).sqrt()
    energy = _bent((predicted.energy - batch.energy) / root, ENERGY_BEND)
    force = _bent(predicted.forces - batch.forces, FORCE_BEND).mean(-1)
    virial = (predicted.stress - batch.stress) * (batch.volume / root)[:, None]
    stress = _bent(virial, ENERGY_BEND).mean(-1)
    return (
        weights.energy * _mean(energy, batch.has_energy, batch.weights)
        + weights.force * _mean(force, batch.has_forces, batch.weights[:, batch.structure])
        + weights.stress * _mean(stress, batch.has_stress, batch.weights)
    )


def _bent(error: Tensor, bend: float) -> Tensor:
    """error² where it is small, 2 · bend · |error| where it is large (pseudo-Huber)."""
    return 2.0 * bend**2 * (torch.sqrt(1.0 + (error / bend) ** 2) - 1.0)


def _mean(values: Tensor, known: Tensor, sampling: Tensor) -> Tensor:
    return (values * known * sampling).sum(1) / known.sum().clamp(min=1)
