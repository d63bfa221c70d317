"""Forces and virials of a message-passing network: derivatives with respect to the vectors between neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from isoline_lab.descriptors.environments import Environments
from isoline_lab.graph import Graph
from isoline_lab.potentials.message_network import MessageNetwork
from isoline_lab.potentials.potential import GraphPrediction


@dataclass(frozen=True, eq=False)
class DrawnPrediction:
    """Energies of all members, and forces and virials of one member for each structure.

    energies  (members, atoms)      eV
    forces    (atoms, 3)            eV/Å
    virial    (structures, 3, 3)    eV, symmetric
    """

    energies: Tensor
    forces: Tensor
    virial: Tensor


def predict_all(network: MessageNetwork, environments: Environments, element: Tensor, graph: Graph) -> GraphPrediction:
    """Energies, forces and virials of every member, the members' derivatives taken together."""
    displacement = environments.displacement.detach().requires_grad_()
    with torch.enable_grad():
        energies, direct = network(replace(environments, displacement=displacement), element)
        if not displacement.numel():
            gradient = displacement.new_zeros(network.members, *displacement.shape)
        else:
            totals = energies.sum(1)
            every = torch.eye(network.members, dtype=totals.dtype, device=totals.device)
            (gradient,) = torch.autograd.grad(totals, displacement, every, is_grads_batched=True)
    forces = sum_to_forces(gradient, environments) if direct is None else direct.detach()
    return GraphPrediction(energies.detach(), forces, sum_to_virial(gradient, displacement.detach(), graph))


def predict_drawn(
    network: MessageNetwork, environments: Environments, element: Tensor, graph: Graph, member: Tensor
) -> DrawnPrediction:
    """What training needs, differentiable with respect to the weights, at the cost of a single potential.

    member  (structures,)  whose forces and virial are taken for each structure
    """
    displacement = environments.displacement.detach().requires_grad_()
    energies, direct = network(replace(environments, displacement=displacement), element)
    whose = member[graph.structure]
    own = energies.gather(0, whose[None]).sum()
    gradient = torch.zeros_like(displacement)
    if displacement.numel():
        (gradient,) = torch.autograd.grad(own, displacement, create_graph=True)
    if direct is None:
        forces = sum_to_forces(gradient[None], environments)[0]
    else:
        forces = direct.gather(0, whose[None, :, None].expand(1, -1, 3))[0]
    return DrawnPrediction(energies, forces, sum_to_virial(gradient[None], displacement, graph)[0])


def sum_to_forces(gradient: Tensor, environments: Environments) -> Tensor:
    """Forces from derivatives of the energy with respect to the vectors from each atom to its neighbours.

    gradient  (members, atoms, slots, 3)  eV/Å
    returns   (members, atoms, 3)         pair by pair of opposite sign, so they sum to zero
    """
    pulled = gradient.sum(2)
    pushed = torch.zeros_like(pulled).index_add(1, environments.neighbour.flatten(), gradient.flatten(1, 2))
    return pulled - pushed


def sum_to_virial(gradient: Tensor, displacement: Tensor, graph: Graph) -> Tensor:
    """∂E/∂strain: (members, structures, 3, 3) eV, symmetric."""
    terms = torch.einsum("anx,many->maxy", displacement, gradient)
    virial = terms.new_zeros(len(terms), graph.n_structures, 3, 3).index_add(1, graph.structure, terms)
    return 0.5 * (virial + virial.transpose(2, 3))
