"""The networks of a committee: one for each element and member, all evaluated together."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from isoline_lab.descriptors.projection import Projection
from isoline_lab.graph import Graph


class MemberNetworks(nn.Module):
    """Energies of atoms from their inputs, for every member of a committee at once.

    members   committee size, the leading axis of every weight
    elements  number of elements, the second axis
    inputs    width of the input
    hidden    widths of the hidden layers

    An atom's energy is a linear function of its inputs plus a network with SiLU activations. The linear part takes what
    a linear potential can explain and leaves the network the rest.
    Behler & Parrinello, Phys. Rev. Lett. 98, 146401 (2007), eq. 2 with networks per element.
    """

    def __init__(self, members: int, elements: int, inputs: int, hidden: tuple[int, ...]):
        super().__init__()
        self.hidden = tuple(hidden)
        widths = (inputs, *self.hidden)
        layers = list(pairwise(widths))
        self.weights = nn.ParameterList(torch.zeros(members, elements, a, b) for a, b in layers)
        self.biases = nn.ParameterList(torch.zeros(members, elements, 1, b) for _, b in layers)
        self.output = nn.Parameter(torch.zeros(members, elements, widths[-1], 1))
        self.linear = nn.Parameter(torch.zeros(members, elements, inputs, 1))
        self.offset = nn.Parameter(torch.zeros(members, elements, 1, 1))

    @property
    def members(self) -> int:
        return len(self.output)

    @property
    def n_parameters(self) -> int:
        """Numbers learned, all members together."""
        return sum(parameter.numel() for parameter in self.parameters())

    @torch.no_grad()
    def randomise(self, generator: torch.Generator) -> None:
        """Fresh weights, different for every member; the linear part and the offset stay zero."""
        for depth, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            gain = 1.0 if depth == 0 else 1.5
            weight.copy_(torch.randn(weight.shape, generator=generator) * gain / math.sqrt(weight.shape[2]))
            if depth == 0:
                bias.copy_(0.5 * torch.randn(bias.shape, generator=generator))
        width = self.output.shape[2]
        # Small, so that training starts from the linear potential.
        self.output.copy_(torch.randn(self.output.shape, generator=generator) * 0.01 / math.sqrt(width))

    def forward(self, inputs: Tensor, element: Tensor) -> Tensor:
        """Energies of atoms.

        inputs   (members, atoms, inputs)
        element  (atoms,)  place of the element
        returns  (members, atoms)  eV, without reference energies
        """
        n_elements = self.output.shape[1]
        if n_elements == 1:
            return self._energies(inputs, 0)
        groups = [torch.nonzero(element == place).squeeze(1) for place in range(n_elements)]
        parts = [self._energies(inputs[:, atoms], place) for place, atoms in enumerate(groups)]
        return torch.cat(parts, dim=1)[:, torch.argsort(torch.cat(groups))]

    def _energies(self, inputs: Tensor, place: int) -> Tensor:
        hidden = inputs
        for weight, bias in zip(self.weights, self.biases, strict=True):
            hidden = nn.functional.silu(torch.baddbmm(bias[:, place], hidden, weight[:, place]))
        nonlinear = hidden @ self.output[:, place] if self.hidden else 0.0
        return (nonlinear + inputs @ self.linear[:, place] + self.offset[:, place]).squeeze(-1)


class FoldedReadout:
    """The networks after the projection, as functions of the features themselves, with derivatives in closed form.

    The projection is multiplied into the first layer once, so that no member pays for it at every atom.
    """

    def __init__(self, networks: MemberNetworks, projection: Projection):
        self.members, self.hidden = networks.members, networks.hidden
        like = networks.offset
        self.mean = projection.mean.to(like)
        matrix = projection.matrix.to(like)  # (elements, features, inputs)
        with torch.no_grad():
            self.linear = torch.einsum("efi,keio->efk", matrix, networks.linear)
            self.offset = networks.offset.flatten(1).T  # (elements, members)
            self.weights = [weight.detach() for weight in networks.weights[1:]]
            self.biases = [bias.detach() for bias in networks.biases]
            self.output = networks.output.detach()
            if self.hidden:
                first = torch.einsum("efi,keih->efkh", matrix, networks.weights[0])
                self.every = first.flatten(2)  # (elements, features, members · hidden): all members in one product
                self.back = first.permute(0, 2, 3, 1).contiguous()  # (elements, members, hidden, features)

    @torch.no_grad()
    def __call__(self, features: Tensor, element: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (members, atoms) in eV and their derivatives (members, atoms, features)."""
        if len(self.mean) == 1:
            return self._of_element(features, 0)
        energies = features.new_empty(self.members, len(features))
        slopes = features.new_empty(self.members, *features.shape)
        for place in range(len(self.mean)):
            atoms = torch.nonzero(element == place).squeeze(1)
            if len(atoms):
                energies[:, atoms], slopes[:, atoms] = self._of_element(features[atoms], place)
        return energies, slopes

    def _of_element(self, features: Tensor, place: int) -> tuple[Tensor, Tensor]:
        centred = features - self.mean[place]
        energies = (centred @ self.linear[place] + self.offset[place]).T
        direct = self.linear[place].T[:, None, :]  # (members, 1, features)
        if not self.hidden:
            return energies, direct.expand(-1, len(features), -1).contiguous()
        before = (centred @ self.every[place]).unflatten(1, (self.members, -1)).transpose(0, 1)
        before = before + self.biases[0][:, place]
        gates, hidden = [], before
        for depth in range(len(self.hidden)):
            if depth:
                before = torch.baddbmm(self.biases[depth][:, place], hidden, self.weights[depth - 1][:, place])
            gate = torch.sigmoid(before)
            hidden = before * gate
            gates.append(gate * (1 + before - hidden))  # derivative of x · sigmoid(x)
        energies = energies + (hidden @ self.output[:, place]).squeeze(-1)
        back = gates[-1] * self.output[:, place].mT
        for depth in reversed(range(1, len(self.hidden))):
            back = gates[depth - 1] * (back @ self.weights[depth - 1][:, place].mT)
        return energies, torch.baddbmm(direct, back, self.back[place])


def sum_over_atoms(energies: Tensor, graph: Graph) -> Tensor:
    """(members, atoms) → (members, structures)."""
    return energies.new_zeros(len(energies), graph.n_structures).index_add(1, graph.structure, energies)
