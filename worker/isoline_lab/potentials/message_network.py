"""Energies of atoms from messages between neighbours, for every member of a committee."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from isoline_lab.descriptors.environments import Environments
from isoline_lab.descriptors.harmonics import SolidHarmonics
from isoline_lab.potentials.message_layer import MessageLayer

RADIAL = 8  # Bessel functions, as in MACE
ENVELOPE = 5  # power with which the envelope leaves one at short distances; it ends with two zero derivatives

# Highest degree of the features that travel between layers: "128x0e + 128x1o" of MACE's small and medium models.
FEATURE_DEGREE = 1


class MessageNetwork(nn.Module):
    """A trunk of message layers, shared by all members, and a last layer for each member.

    members   committee size
    elements  number of elements
    cutoff    Å
    layers    rounds of messages
    channels  features of each degree
    l_max     degrees of harmonics
    hidden    widths of the hidden layers of the last readout
    direct    whether forces have a readout of their own instead of being a derivative

    Trunk: MACE, Batatia et al., arXiv:2206.07697 (2022), section 3, see `MessageLayer`. Radial functions: Bessel
    functions times a polynomial envelope, Gasteiger et al., arXiv:2003.03123 (2020), eqs. 7 and 8. Readouts, one for
    each layer, see invariant features only; the first ones are linear, the last is a network; neither has a constant
    term, so an atom alone has the energy `offset`.
    Members share the trunk and differ in their readouts: a shallow ensemble, Kellner & Ceriotti, Mach. Learn.: Sci.
    Technol. 5, 035006 (2024).
    """

    def __init__(
        self,
        members: int,
        elements: int,
        cutoff: float,
        layers: int,
        channels: int,
        l_max: int,
        hidden: tuple[int, ...],
        direct: bool = False,
    ):
        super().__init__()
        self.cutoff, self.hidden, self.direct, self.l_max, self.channels = (
            cutoff,
            tuple(hidden),
            direct,
            l_max,
            channels,
        )
        between = min(FEATURE_DEGREE, l_max)
        self.layers = nn.ModuleList(
            MessageLayer(
                elements,
                channels,
                l_max,
                l_in=0 if index == 0 else between,
                l_out=between if index < layers - 1 or direct else 0,
                radial=RADIAL,
                first=index == 0,
            )
            for index in range(layers)
        )
        self.angular = SolidHarmonics(l_max)
        self.register_buffer("frequencies", math.pi * torch.arange(1, RADIAL + 1, dtype=torch.float64))
        self.register_buffer("radial_size", torch.ones(RADIAL))
        self.register_buffer("scale", torch.ones(()))
        self.embedding = nn.Parameter(torch.zeros(elements, channels))
        self.linear = nn.Parameter(torch.zeros(layers - 1, members, channels))
        widths = (channels, *self.hidden, 1)
        self.readout = nn.ParameterList(torch.zeros(members, a, b) for a, b in pairwise(widths))
        self.offset = nn.Parameter(torch.zeros(members, elements))
        self.force_readout = nn.Parameter(torch.zeros(members, channels)) if direct else None

    @property
    def members(self) -> int:
        return len(self.offset)

    @property
    def n_parameters(self) -> int:
        """Numbers learned, all members together."""
        return sum(parameter.numel() for parameter in self.parameters())

    @torch.no_grad()
    def randomise(self, generator: torch.Generator) -> None:
        """Fresh weights; last layers differ between members, offsets are zero."""

        def normal(parameter: Tensor, inputs: int) -> None:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(inputs))

        for layer in self.layers:
            layer.randomise(generator)
        normal(self.embedding, 1)
        normal(self.linear, self.channels)
        for weight in self.readout:
            normal(weight, weight.shape[1])
        if self.force_readout is not None:
            normal(self.force_readout, self.channels)

    def forward(self, environments: Environments, element: Tensor) -> tuple[Tensor, Tensor | None]:
        """Energies of atoms, differentiable with respect to displacements; and forces where they have a readout.

        element  (atoms,)
        returns  (members, atoms) eV; (members, atoms, 3) eV/Å or None
        """
        radial, harmonics = self.geometry(environments)
        features = self.embedding[element][:, None, :]  # (atoms, components, channels)
        energies = self.offset[:, element]
        for index, layer in enumerate(self.layers):
            features = layer(features, element, environments.neighbour, radial, harmonics)
            invariant = features[:, 0]
            last = index == len(self.layers) - 1
            read = self._read(invariant) if last else self.linear[index] @ invariant.T
            energies = energies + self.scale * read
        if self.force_readout is None:
            return energies, None
        vectors = features[:, [2, 3, 1]]  # m = 0, 1, −1 are z, x, y
        return energies, self.scale * torch.einsum("avk,mk->mav", vectors, self.force_readout)

    def geometry(self, environments: Environments) -> tuple[Tensor, Tensor]:
        """Radial functions (atoms, slots, functions) and harmonics (atoms, components, slots) of all neighbours."""
        distance, direction = environments.polar()
        atoms, slots = distance.shape
        x = (distance / self.cutoff).clamp(max=1.0)
        p = ENVELOPE
        envelope = 1.0 - x**p * ((p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x * x)
        bessel = torch.sin(self.frequencies.to(x) * x[..., None]) * (envelope / distance)[..., None]
        values = self.angular(direction.flatten(0, 1), torch.ones_like(distance).flatten())
        harmonics = torch.cat(values).unflatten(1, (atoms, slots)).transpose(0, 1)
        return bessel / self.radial_size, harmonics

    @torch.no_grad()
    def measure(self, environments: Environments, element: Tensor) -> None:
        """Take the sizes of radial functions, densities and messages from a sample, layer by layer."""
        radial, harmonics = self.geometry(environments)
        squares = radial[environments.filled].pow(2).mean(0)
        if len(radial[environments.filled]):
            self.radial_size.mul_(squares.sqrt())
            radial = radial / squares.sqrt()
        features = self.embedding[element][:, None, :]
        for layer in self.layers:
            layer.measure(features, element, environments.neighbour, radial, harmonics)
            features = layer(features, element, environments.neighbour, radial, harmonics)

    def _read(self, invariant: Tensor) -> Tensor:
        """The last readout: (members, atoms)."""
        values = invariant.expand(self.members, -1, -1)
        for depth, weight in enumerate(self.readout):
            values = values @ weight
            if depth < len(self.readout) - 1:
                values = torch.nn.functional.silu(values)
        return values.squeeze(-1)
