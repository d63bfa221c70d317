"""Energies of atoms from messages between neighbours, for every member of a committee."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from isoline_lab.descriptors.environments import Environments
from isoline_lab.descriptors.harmonics import SolidHarmonics
from isoline_lab.potentials.message_layer import MessageLayer, unit

RADIAL = 8  # Bessel functions, as in MACE
ENVELOPE = 5  # power with which the envelope leaves one at short distances; it ends with two zero derivatives

# Numbers that tell an element to its neighbours; up to so many elements are told apart completely.
SPECIES = 8

# Bounds the memory of large structures, of which nothing but features of atoms is kept.
ATOMS_AT_ONCE = 2048

# Of the size of other weights, what the last layers begin with.
START = 0.3

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
    each layer, see invariant features only; the first ones are linear, the last is a network. What they say of an atom
    alone is subtracted, so that its energy is `offset`.
    Members share the trunk and differ in their last layers: a shallow ensemble, Kellner & Ceriotti, Mach. Learn.: Sci.
    Technol. 5, 035006 (2024). Each last layer is a common one plus a deviation, so that all learn from each.
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
        species = min(elements, SPECIES)
        self.layers = nn.ModuleList(
            MessageLayer(
                elements,
                incoming=species if index == 0 else channels,
                channels=channels,
                l_max=l_max,
                l_in=0 if index == 0 else between,
                l_out=between if index < layers - 1 or direct else 0,
                radial=RADIAL,
                first=index == 0,
            )
            for index in range(layers)
        )
        self.angular = SolidHarmonics(l_max)
        frequencies = math.pi * torch.arange(1, RADIAL + 1, dtype=torch.float64)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.register_buffer("radial_size", torch.ones(RADIAL))
        self.register_buffer("scale", torch.ones(()))
        self.embedding = nn.Parameter(torch.zeros(elements, species))
        self.linear = nn.Parameter(torch.zeros(layers - 1, channels, 1 + members))
        widths = (channels, *self.hidden, 1 + members)
        self.readout = nn.ParameterList(torch.zeros(a, b) for a, b in pairwise(widths))
        self.offset = nn.Parameter(torch.zeros(members, elements))
        self.force_readout = nn.Parameter(torch.zeros(channels, 1 + members)) if direct else None

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

        for layer in self.layers:
            layer.randomise(generator)
        # Random energies are no better than none: last layers start small.
        for parameter, size in (
            (self.embedding, 1.0),
            (self.linear, START),
            *((weight, 1.0) for weight in self.readout[:-1]),
            (self.readout[-1], START),
            *(() if self.force_readout is None else ((self.force_readout, START),)),
        ):
            parameter.copy_(size * torch.randn(parameter.shape, generator=generator))
        if self.embedding.shape[0] == self.embedding.shape[1]:
            self.embedding.copy_(torch.eye(len(self.embedding)))

    def forward(self, environments: Environments, element: Tensor) -> tuple[Tensor, Tensor | None]:
        """Energies of atoms, differentiable with respect to displacements; and forces where they have a readout.

        element  (atoms,)
        returns  (members, atoms) eV; (members, atoms, 3) eV/Å or None
        """
        atoms = len(element)
        environments, element = self._with_free_atoms(environments, element)
        features = self.embedding[element][:, None, :]  # (atoms, components, channels)
        filters = self.filters(environments) if len(element) <= ATOMS_AT_ONCE else None
        energies = 0.0
        for index, layer in enumerate(self.layers):
            if filters is None:
                features = self._advance(layer, features, environments, element)
            else:
                features = layer(features, features, element, environments.neighbour, filters)
            invariant = features[:, 0]
            last = index == len(self.layers) - 1
            energies = energies + (self._read(invariant) if last else (invariant @ _by_member(self.linear[index])).T)
        free = energies[:, atoms:] - self.offset / self.scale
        element = element[:atoms]
        energies = self.scale * (energies[:, :atoms] - free[:, element])
        if self.force_readout is None:
            return energies, None
        vectors = features[:atoms, [2, 3, 1]]  # m = 0, 1, −1 are z, x, y
        return energies, self.scale * torch.einsum("avk,km->mav", vectors, _by_member(self.force_readout))

    def _with_free_atoms(self, environments: Environments, element: Tensor) -> tuple[Environments, Tensor]:
        """One atom of each element without neighbours behind the others."""
        atoms, slots = environments.neighbour.shape
        kinds = torch.arange(len(self.embedding), device=element.device)
        beyond = environments.displacement.new_tensor([2.0 * self.cutoff, 0.0, 0.0]).expand(len(kinds), slots, 3)
        own = kinds[:, None].expand(-1, slots)
        grown = Environments(
            displacement=torch.cat([environments.displacement, beyond]),
            element=torch.cat([environments.element, own]),
            neighbour=torch.cat([environments.neighbour, atoms + own]),
            filled=torch.cat([environments.filled, torch.zeros_like(own, dtype=torch.bool)]),
        )
        return grown, torch.cat([element, kinds])

    def _advance(self, layer: MessageLayer, features: Tensor, environments: Environments, element: Tensor) -> Tensor:
        """A layer some atoms at a time, which are computed again for derivatives instead of being kept in memory."""

        def part(features: Tensor, displacement: Tensor, atoms: Tensor) -> Tensor:
            some = replace(environments[atoms], displacement=displacement)
            return layer(features, features[atoms], element[atoms], some.neighbour, self.filters(some))

        every = torch.arange(len(element), device=element.device).split(ATOMS_AT_ONCE)
        slots = environments.displacement.split(ATOMS_AT_ONCE)
        parts = [
            checkpoint(part, features, own, atoms, use_reentrant=False) for own, atoms in zip(slots, every, strict=True)
        ]
        return torch.cat(parts)

    def filters(self, environments: Environments) -> Tensor:
        """Harmonics times radial functions of all neighbours: (atoms, slots, components · functions)."""
        distance, direction = environments.polar()
        values = self.angular(direction.flatten(0, 1), torch.ones_like(distance).flatten())
        harmonics = torch.cat(values).T.unflatten(0, distance.shape)  # (atoms, slots, components)
        radial = self.radial(distance) / self.radial_size
        return (harmonics[..., None] * radial[..., None, :]).flatten(2)

    def radial(self, distance: Tensor) -> Tensor:
        """Bessel functions that fade at the cutoff, with two derivatives: (…, functions)."""
        x = (distance / self.cutoff).clamp(max=1.0)
        p = ENVELOPE
        envelope = 1.0 - x**p * ((p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x * x)
        return torch.sin(self.frequencies * x[..., None]) * (envelope / distance)[..., None]

    @torch.no_grad()
    def measure(self, environments: Environments, element: Tensor) -> None:
        """Take the sizes of radial functions, densities and messages from a sample, layer by layer."""
        radial = self.radial(environments.displacement[environments.filled].norm(dim=1))
        if len(radial):
            # Rough functions start small: potentials are smooth, and so is what random weights then make.
            roughness = torch.arange(1, RADIAL + 1).to(radial)
            self.radial_size.copy_(radial.pow(2).mean(0).sqrt() * roughness)
        filters = self.filters(environments)
        features = self.embedding[element][:, None, :]
        for layer in self.layers:
            layer.measure(features, element, environments.neighbour, filters)
            features = layer(features, features, element, environments.neighbour, filters)

    def _read(self, invariant: Tensor) -> Tensor:
        """The last readout: (members, atoms)."""
        values = invariant
        for weight in self.readout[:-1]:
            values = torch.nn.functional.silu(values @ unit(weight))
        return (values @ _by_member(self.readout[-1])).T


def _by_member(weights: Tensor) -> Tensor:
    """Last layers (inputs, 1 + members), what all share and what each adds → (inputs, members)."""
    each = unit(weights)
    return each[:, :1] + each[:, 1:]
