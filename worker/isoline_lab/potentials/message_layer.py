"""One round of messages of an equivariant network: neighbours' features in, an atom's new features out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isoline_lab.descriptors.coupling import real_clebsch_gordan
from isoline_lab.descriptors.product_basis import symmetric_products

# Factors of the highest product: with two layers, the body order of MACE's messages, which is four.
ORDER = 3


@dataclass(frozen=True)
class Path:
    """How a harmonic of degree l₁ and a neighbour's feature of degree l₂ make a part of A of degree l₃."""

    l1: int
    l2: int
    l3: int


def paths(l_max: int, l_in: int) -> list[Path]:
    """Every path that keeps parity, by l₁ first."""
    return [
        Path(l1, l2, l3)
        for l1 in range(l_max + 1)
        for l2 in range(l_in + 1)
        for l3 in range(abs(l1 - l2), min(l1 + l2, l_max) + 1)
        if (l1 + l2 + l3) % 2 == 0
    ]


def degree(l: int) -> slice:  # noqa: E741 - the symbol of the equations
    """Where the 2l + 1 components of degree l stand among all."""
    return slice(l * l, (l + 1) ** 2)


class MessageLayer(nn.Module):
    """Messages of body order four and the update of MACE, Batatia et al., arXiv:2206.07697 (2022), section 3.

    elements   number of elements
    channels   features of each degree
    l_max      degrees of the harmonics and of A
    l_in       degrees of the features that come in: 0 … l_in
    l_out      degrees of the features that go out
    radial     number of radial functions
    first      whether this is the first layer

    symbol of the paper → here
        R_{k l₁l₂l₃}(r)       `radial`, linear in Bessel functions instead of a network of them: equally flexible here,
                              and a fifth of the cost of a layer
        Σ W_{kk̃l₂} h_j        `senders`
        A_{i,k l₃m₃}          `sum_over_neighbours`; the sum is done before the coupling, which is linear
        Σ w_{kk̃l} A           `mixing`
        B_{i,η k LM}          `products`, from the symmetric products of `product_basis`
        m_{i,kLM}             weights W_{z_i kL,η} are `message`
        h′ = Σ W m + Σ W_z h  `update` and `residual`
    In the first layer features are the elements only and leave no residual, so that an atom alone gives zero.
    Features are (atoms, components, channels), with components as in `SolidHarmonics` for l = 0 … l_max.
    """

    def __init__(self, elements: int, channels: int, l_max: int, l_in: int, l_out: int, radial: int, first: bool):
        super().__init__()
        self.first = first
        self.elements, self.channels, self.l_max, self.l_in, self.l_out = elements, channels, l_max, l_in, l_out
        self.paths = paths(l_max, l_in)
        self.senders = nn.Parameter(torch.zeros(l_in + 1, channels, channels))
        self.radial = nn.Parameter(torch.zeros(radial, len(self.paths) * channels))
        self.mixing = nn.Parameter(torch.zeros(l_max + 1, channels, channels))
        self.update = nn.Parameter(torch.zeros(l_out + 1, channels, channels))
        kept = 0 if first else min(l_in, l_out) + 1
        self.residual = nn.Parameter(torch.zeros(elements, kept, channels, channels))
        self.register_buffer("coupling", _coupling_table(self.paths, l_max))
        # Of A and of m, root mean squares by degree in the training set, so that what follows sees numbers of size one.
        self.register_buffer("density_size", torch.ones(l_max + 1))
        self.register_buffer("message_size", torch.ones(l_out + 1))
        monomials = [symmetric_products(l_max, order, 0).monomials for order in range(1, ORDER + 1)]
        place = {tuple(m): index for index, m in enumerate(monomials[1].tolist())}
        # A product of three is a product of two times the third.
        self.register_buffer("second", torch.from_numpy(monomials[1].T.copy()))
        pairs = [place[tuple(m[:2])] for m in monomials[2].tolist()]
        self.register_buffer("third", torch.tensor([pairs, monomials[2][:, 2].tolist()]))
        self.couplings = []  # for each order: how many couplings there are to each L
        for order in range(1, ORDER + 1):
            tables = [symmetric_products(l_max, order, L).coefficients for L in range(l_out + 1)]
            self.couplings.append([len(table) for table in tables])
            rows = torch.cat([torch.from_numpy(table).flatten(0, 1) for table in tables])
            self.register_buffer(f"product_{order}", rows)  # (couplings · (2 L + 1) of every L, monomials)
        ways = [sum(counts[L] for counts in self.couplings) for L in range(l_out + 1)]
        self.message = nn.ParameterList(torch.zeros(elements, n, 1, channels) for n in ways)

    @torch.no_grad()
    def randomise(self, generator: torch.Generator) -> None:
        """Fresh weights that keep features of size one."""
        for parameter, inputs in (
            (self.senders, self.channels),
            (self.radial, len(self.radial)),
            (self.mixing, self.channels),
            (self.update, self.channels),
            (self.residual, self.channels),
        ):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(inputs))
        for weights in self.message:
            weights.copy_(torch.randn(weights.shape, generator=generator) / math.sqrt(weights.shape[1]))

    def forward(
        self, features: Tensor, element: Tensor, neighbour: Tensor, radial: Tensor, harmonics: Tensor
    ) -> Tensor:
        """New features of every atom.

        features   (atoms, components, channels)
        element    (atoms,)
        neighbour  (atoms, slots)
        radial     (atoms, slots, functions)
        harmonics  (atoms, components, slots)
        """
        density = self.sum_over_neighbours(features, neighbour, radial, harmonics)
        message = self.products(_per_degree(density, self.mixing / self.density_size[:, None, None]), element)
        new = _per_degree(message, self.update / self.message_size[:, None, None])
        return new if self.first else new + self._residual(features, element)

    @torch.no_grad()
    def measure(self, features: Tensor, element: Tensor, neighbour: Tensor, radial: Tensor, harmonics: Tensor) -> None:
        """Take the sizes of A and m from a sample, with the weights as they are."""
        density = self.sum_over_neighbours(features, neighbour, radial, harmonics)
        self.density_size.copy_(_sizes(density, self.l_max))
        message = self.products(_per_degree(density, self.mixing / self.density_size[:, None, None]), element)
        self.message_size.copy_(_sizes(message, self.l_out))

    def sum_over_neighbours(self, features: Tensor, neighbour: Tensor, radial: Tensor, harmonics: Tensor) -> Tensor:
        """A: (atoms, components, channels)."""
        atoms, slots = neighbour.shape
        sent = _per_degree(features, self.senders)[neighbour.flatten()]  # (atoms · slots, components, channels)
        weights = (radial.flatten(0, 1) @ self.radial).unflatten(1, (len(self.paths), self.channels))
        sums = []
        for l1 in range(self.l_max + 1):
            filtered = [
                weights[:, None, index] * sent[:, degree(path.l2)]
                for index, path in enumerate(self.paths)
                if path.l1 == l1
            ]
            filtered = torch.cat(filtered, 1).flatten(1).unflatten(0, (atoms, slots))
            summed = harmonics[:, degree(l1)] @ filtered  # (atoms, 2 l₁ + 1, Σ (2 l₂ + 1) · channels)
            sums.append(summed.reshape(atoms, -1, self.channels))
        return self.coupling @ torch.cat(sums, 1)

    def products(self, density: Tensor, element: Tensor) -> Tensor:
        """m: (atoms, components, channels), from A with mixed channels."""
        atoms = len(density)
        # Components first: then a product of components is a product of whole slabs.
        first = density.transpose(0, 1).reshape(density.shape[1], -1)
        second = first[self.second[0]] * first[self.second[1]]
        third = second[self.third[0]] * first[self.third[1]]
        bases = [getattr(self, f"product_{order}") @ x for order, x in enumerate((first, second, third), 1)]
        starts = [0, 0, 0]
        parts = []
        for L in range(self.l_out + 1):
            rows = []
            for order, basis in enumerate(bases):
                size = self.couplings[order][L] * (2 * L + 1)
                block = basis[starts[order] : starts[order] + size]
                rows.append(block.reshape(self.couplings[order][L], 2 * L + 1, atoms, self.channels))
                starts[order] += size
            weights = self.message[L][element].transpose(0, 1).transpose(1, 2)  # (couplings, 1, atoms, channels)
            parts.append((torch.cat(rows) * weights).sum(0))
        return torch.cat(parts).transpose(0, 1)

    def _residual(self, features: Tensor, element: Tensor) -> Tensor:
        """Σ W_{z_i kL,k̃} h: (atoms, components of l_out, channels)."""
        kept = self.residual.shape[1]
        one_hot = torch.nn.functional.one_hot(element, self.elements).to(features)
        parts = []
        for L in range(kept):
            block = features[:, degree(L)]
            every = torch.einsum("amk,zkn->azmn", block, self.residual[:, L])
            parts.append(torch.einsum("azmn,az->amn", every, one_hot))
        missing = (self.l_out + 1) ** 2 - kept**2
        if missing:
            parts.append(features.new_zeros(len(features), missing, self.channels))
        return torch.cat(parts, 1)


def _per_degree(features: Tensor, weights: Tensor) -> Tensor:
    """Channels mixed with weights (degrees, channels, channels) of their own for each degree."""
    return torch.cat([features[:, degree(l)] @ weights[l] for l in range(len(weights))], 1)  # noqa: E741


def _sizes(features: Tensor, l_max: int) -> Tensor:
    """(degrees,): root mean squares, one where there is nothing."""
    squares = torch.stack([features[:, degree(l)].pow(2).mean() for l in range(l_max + 1)])  # noqa: E741
    return torch.where(squares > 0, squares.sqrt(), 1.0)


def _coupling_table(paths: list[Path], l_max: int) -> Tensor:
    """(components of A, rows of the sums over neighbours): Clebsch–Gordan coefficients of all paths."""
    blocks = []
    for l1 in range(l_max + 1):
        own = [path for path in paths if path.l1 == l1]
        width = sum(2 * path.l2 + 1 for path in own)
        block = torch.zeros((l_max + 1) ** 2, 2 * l1 + 1, width, dtype=torch.float64)
        column = 0
        for path in own:
            table = torch.from_numpy(real_clebsch_gordan(path.l1, path.l2, path.l3))
            columns = slice(column, column + 2 * path.l2 + 1)
            # The sum of all paths to one l₃ keeps the size of a single one.
            ways = sum(other.l3 == path.l3 for other in paths)
            # Harmonics have mean squares of 1/4π, and the coefficients are orthonormal.
            scale = math.sqrt(4 * math.pi / ways)
            block[degree(path.l3), :, columns] = scale * table.permute(2, 0, 1)
            column += 2 * path.l2 + 1
        blocks.append(block.flatten(1))
    return torch.cat(blocks, 1)
