"""What the training of a message-passing potential minimises, and how well it does."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isoline_lab.potentials.message_gradient import predict_all, predict_drawn
from isoline_lab.potentials.message_network import MessageNetwork
from isoline_lab.training.message_batches import MessageBatch

# Errors beyond these count linearly: a few extreme structures (free atoms, colliding atoms) must not rule the fit.
ENERGY_BEND = 1.0  # eV per square root of atoms
FORCE_BEND = 5.0  # eV/Å


@dataclass(frozen=True)
class MessageWeights:
    """How much each kind of error counts; `net_force` is for forces with a readout of their own."""

    energy: float
    force: float
    stress: float
    net_force: float = 0.0


def learning_loss(network: MessageNetwork, batch: MessageBatch, weights: MessageWeights, member: Tensor) -> Tensor:
    """Loss of every member for a batch, in which each structure lends its forces and stress to one member.

    member   (structures,)  whose forces and virial are learned for each structure
    returns  (members,)     with the same force and stress terms for all: their mean estimates the mean over members

    Derivatives of one energy per structure cost as much as those of a single potential; drawn anew in every step, they
    reach every member as often as its weights say.
    """
    if not (batch.derived or network.direct):
        energies, _ = network(batch.environments, batch.element)
        return energy_loss(energies, batch, weights)
    drawn = predict_drawn(network, batch.environments, batch.element, batch.graph, member)
    alike = torch.ones_like(batch.weights[:1])
    loss = energy_loss(drawn.energies, batch, weights)
    loss = loss + weights.force * force_loss(drawn.forces[None], batch, alike)
    loss = loss + weights.stress * stress_loss(drawn.virial[None], batch, alike)
    if network.direct:
        # A derivative of an invariant energy has neither net force nor, for a molecule, net torque.
        loss = loss + weights.net_force * net_force_loss(drawn.forces, batch)
    return loss


def energy_loss(energies: Tensor, batch: MessageBatch, weights: MessageWeights) -> Tensor:
    """(members,) weighted squares of energy errors per square root of atoms; energies (members, atoms)."""
    total = energies.new_zeros(len(energies), batch.n_structures).index_add(1, batch.graph.structure, energies)
    errors = _bent((total - batch.energy) / batch.sizes.clamp(min=1).sqrt(), ENERGY_BEND)
    return weights.energy * _mean(errors, batch.has_energy, batch.weights)


def force_loss(forces: Tensor, batch: MessageBatch, sampling: Tensor) -> Tensor:
    """(members,) squares of force errors in (eV/Å)²; forces (members, atoms, 3), sampling (members, structures)."""
    errors = _bent(forces - batch.forces, FORCE_BEND).mean(-1)
    return _mean(errors, batch.has_forces, sampling[:, batch.graph.structure])


def stress_loss(virial: Tensor, batch: MessageBatch, sampling: Tensor) -> Tensor:
    """(members,) squares of virial errors per atom in eV²; virial (members, structures, 3, 3)."""
    rows, columns = [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]
    errors = (virial - batch.virial)[..., rows, columns] / batch.sizes.clamp(min=1).sqrt()[:, None]
    return _mean(_bent(errors, ENERGY_BEND).mean(-1), batch.has_stress, sampling)


def net_force_loss(forces: Tensor, batch: MessageBatch) -> Tensor:
    """Mean square of net forces per atom, and of the net torques of molecules per square of their size: (eV/Å)².

    forces  (atoms, 3)
    """
    structure, n = batch.graph.structure, batch.n_structures

    def summed(values: Tensor) -> Tensor:
        return values.new_zeros(n, 3).index_add(0, structure, values)

    net = summed(forces).pow(2).mean(1) / batch.sizes.clamp(min=1)
    positions = batch.graph.positions
    centre = summed(positions) / batch.sizes.clamp(min=1)[:, None]
    arms = positions - centre[structure]
    torque = summed(torch.linalg.cross(arms, forces)).pow(2).mean(1)
    reach = summed(arms.pow(2)).sum(1).clamp(min=1.0)
    return net.mean() + (batch.is_open * torque / reach).mean()


@dataclass(frozen=True, eq=False)
class Scores:
    """Losses and root mean square errors; NaN where there is no label.

    loss, energy_rmse, force_rmse                 (members,)  –, eV/atom, eV/Å
    committee_energy_rmse, committee_force_rmse   of the members' mean
    """

    loss: np.ndarray
    energy_rmse: np.ndarray
    force_rmse: np.ndarray
    committee_energy_rmse: float
    committee_force_rmse: float


def score(
    network: MessageNetwork, batches: Iterable[MessageBatch], weights: MessageWeights
) -> Generator[None, None, Scores]:
    """Scores of every member over all batches; yields after each of them."""
    loss = torch.zeros(network.members)
    structures = 0
    energy_errors: list[Tensor] = []
    force_errors: list[Tensor] = []
    for batch in batches:
        predicted = predict_all(network, batch.environments, batch.element, batch.graph)
        each = energy_loss(predicted.energies, batch, weights)
        each = each + weights.force * force_loss(predicted.forces, batch, batch.weights)
        each = each + weights.stress * stress_loss(predicted.virial, batch, batch.weights)
        loss += each.cpu() * batch.n_structures
        structures += batch.n_structures
        total = predicted.energies.new_zeros(network.members, batch.n_structures)
        total = total.index_add(1, batch.graph.structure, predicted.energies)
        per_atom = (total - batch.energy) / batch.sizes.clamp(min=1)
        energy_errors.append(per_atom[:, batch.has_energy > 0].cpu())
        force_errors.append((predicted.forces - batch.forces)[:, batch.has_forces > 0].flatten(1).cpu())
        yield
    energy, force = torch.cat(energy_errors, 1).double(), torch.cat(force_errors, 1).double()
    return Scores(
        loss=(loss / structures).numpy(),
        energy_rmse=_rmse(energy).numpy(),
        force_rmse=_rmse(force).numpy(),
        committee_energy_rmse=float(_rmse(energy.mean(0))),
        committee_force_rmse=float(_rmse(force.mean(0))),
    )


def _bent(error: Tensor, bend: float) -> Tensor:
    """error² where it is small, 2 · bend · |error| where it is large (pseudo-Huber)."""
    return 2.0 * bend**2 * (torch.sqrt(1.0 + (error / bend) ** 2) - 1.0)


def _mean(values: Tensor, known: Tensor, sampling: Tensor) -> Tensor:
    """(members,): labels that are missing count neither in the sum nor in the number."""
    return (values * known * sampling).sum(1) / known.sum().clamp(min=1)


def _rmse(errors: Tensor) -> Tensor:
    """Over the last axis; NaN where it is empty."""
    return errors.pow(2).mean(-1).sqrt()
