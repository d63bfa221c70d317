"""One round of messages of an equivariant network: neighbours' features in, an atom's new features out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from torch import Tensor, nn

from isoline_lab.descriptors.coupling import real_clebsch_gordan
from isoline_lab.descriptors.product_basis import symmetric_products

# Mean squares below this are round-off of features that symmetry forbids.
TINY = 1e-12

# Factors of the highest product; messages then have body order four, as in MACE.
ORDER = 3


@dataclass(frozen=True)
class Route:
    """How harmonics of degree l₁ and neighbours' features of degree l₂ make parts of A of degrees l₃."""

    l1: int
    l2: int
    l3: tuple[int, ...]


def routes(l_max: int, l_in: int) -> list[Route]:
    """Every route that keeps parity."""
    return [
        Route(l1, l2, tuple(range(abs(l1 - l2), min(l1 + l2, l_max) + 1, 2)))
        for l1 in range(l_max + 1)
        for l2 in range(l_in + 1)
        if abs(l1 - l2) <= l_max
    ]


def degree(l: int) -> slice:  # noqa: E741 - the symbol of the equations
    """Where the 2l + 1 components of degree l stand among all."""
    return slice(l * l, (l + 1) ** 2)


def unit(weights: Tensor) -> Tensor:
    """Weights of size one (…, inputs, outputs) made such that inputs of size one give outputs of size one.

    Weights that are all of one size change at one relative rate, whatever the width of their layer.
    """
    return weights / math.sqrt(weights.shape[-2])


class MessageLayer(nn.Module):
    """Messages of body order four and the update of MACE, Batatia et al., arXiv:2206.07697 (2022), section 3.

    elements   number of elements
    incoming   features of each degree that come in
    channels   features of each degree that go out
    l_max      degrees of the harmonics and of A
    l_in       degrees of the features that come in: 0 … l_in
    l_out      degrees of the features that go out
    radial     number of radial functions
    first      whether this is the first layer

    symbol of the paper → here
        R_{k l₁l₂l₃}(r) Σ W_{kk̃l₂} h_j  `filters` [(l₁, l₂)], one matrix (function, k̃) → (l₃, k): the radial functions
                              are linear in Bessel functions, with weights for every pair of channels, so that the sum
                              over neighbours comes before all weights and couplings and costs one product of matrices
        A_{i,k l₃m₃}          `sum_over_neighbours`
        B_{i,η k LM}, m       `products`, with the generalised Clebsch–Gordan coefficients of `product_basis` and
                              W_{z_i kL,η} in `message`
        h′ = Σ W m + Σ W_z h  `update` and `residual`
    In the first layer features are the elements only, which leave no residual.
    Features are (atoms, components, channels), with components as in `SolidHarmonics` for l = 0, 1, ….
    """

    def __init__(
        self, elements: int, incoming: int, channels: int, l_max: int, l_in: int, l_out: int, radial: int, first: bool
    ):
        super().__init__()
        self.l_max, self.l_in, self.l_out = l_max, l_in, l_out
        self.routes = routes(l_max, l_in)
        self.filters = nn.ParameterList(
            torch.zeros(radial * incoming, len(route.l3) * channels) for route in self.routes
        )
        self.update = nn.Parameter(torch.zeros(l_out + 1, channels, channels))
        kept = min(l_in, l_out) + 1
        self.residual = None if first else nn.Parameter(torch.zeros(elements, kept, incoming, channels))
        self.register_buffer("coupling", _coupling_table(self.routes, l_max), persistent=False)
        couplings = [_product_table(l_max, L) for L in range(l_out + 1)]
        self.message = nn.ParameterList(torch.zeros(elements, len(table), channels) for table in couplings)
        for L, table in enumerate(couplings):
            self.register_buffer(f"product_{L}", table, persistent=False)
        # Of A and of m in the training set: means of invariants by element, root mean squares around them by degree:
        # what follows sees numbers of size one that vary, not a constant with a little on top.
        self.register_buffer("density_mean", torch.zeros(elements, channels))
        self.register_buffer("density_size", torch.ones(l_max + 1))
        self.register_buffer("message_mean", torch.zeros(elements, channels))
        self.register_buffer("message_size", torch.ones(l_out + 1))

    @torch.no_grad()
    def randomise(self, generator: torch.Generator) -> None:
        """Fresh weights."""
        for parameter in self.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, features: Tensor, own: Tensor, element: Tensor, neighbour: Tensor, filters: Tensor) -> Tensor:
        """New features of some atoms.

        features   (every atom, components, incoming)
        own        (atoms, components, incoming)  those of these atoms
        element    (atoms,)
        neighbour  (atoms, slots)  index among every atom
        filters    (atoms, slots, components · functions)  harmonics times Bessel functions
        returns    (atoms, components, channels)
        """
        density = self.sum_over_neighbours(features, neighbour, filters)
        density = _normalised(density, self.density_mean[element], self.density_size)
        message = self.products(density, element)
        message = _normalised(message, self.message_mean[element], self.message_size)
        new = _per_degree(message.transpose(0, 1), unit(self.update))
        return new if self.residual is None else new + self._residual(own, element)

    @torch.no_grad()
    def measure(self, features: Tensor, element: Tensor, neighbour: Tensor, filters: Tensor) -> None:
        """Take the means and sizes of A and m from a sample, with the weights as they are."""
        density = self.sum_over_neighbours(features, neighbour, filters)
        _measure(density, element, self.density_mean, self.density_size)
        message = self.products(_normalised(density, self.density_mean[element], self.density_size), element)
        _measure(message, element, self.message_mean, self.message_size)

    def sum_over_neighbours(self, features: Tensor, neighbour: Tensor, filters: Tensor) -> Tensor:
        """A: (components, atoms, channels)."""
        atoms, slots = neighbour.shape
        _, components, incoming = features.shape
        sent = features.flatten(1).index_select(0, neighbour.flatten()).unflatten(0, (atoms, slots))
        widths = [2 * l2 + 1 for l2 in range(self.l_in + 1)]
        summed = filters.mT @ sent  # (atoms, harmonics · functions, components · incoming)
        summed = summed.reshape(atoms, (self.l_max + 1) ** 2, -1, components, incoming)
        blocks = [
            part.permute(1, 3, 0, 2, 4).flatten(3)  # (2 l₁ + 1, 2 l₂ + 1, atoms, functions · incoming)
            for own in summed.split([2 * l1 + 1 for l1 in range(self.l_max + 1)], 1)
            for part in own.split(widths, 3)
        ]
        rows = []
        for block, weights, route in zip(blocks, self.filters, self.routes, strict=True):
            parts = (block @ unit(weights)).unflatten(3, (len(route.l3), -1))
            rows.append(parts.permute(0, 1, 3, 2, 4).flatten(0, 2))
        rows = torch.cat(rows)  # (l₁ m₁ l₂ m₂ l₃, atoms, channels)
        return (self.coupling @ rows.flatten(1)).unflatten(1, rows.shape[1:])

    def products(self, density: Tensor, element: Tensor) -> Tensor:
        """m: (components, atoms, channels), from A (components, atoms, channels).

        m_M = Σ_c A_c (U¹_Mc + Σ_b A_b U²_Mcb + Σ_ab A_a A_b U³_Mcab), where U holds the weights of this atom's element
        """
        factors = density.permute(2, 0, 1)  # (channels, components, atoms)
        components = factors.shape[1]
        twice = (factors[:, :, None] * factors[:, None]).flatten(1, 2)
        known = torch.cat([torch.ones_like(factors[:, :1]), factors, twice], 1)
        tables = [
            torch.einsum("enk,nmcx->ekmcx", unit(weights), getattr(self, f"product_{L}")).flatten(2, 3)
            for L, weights in enumerate(self.message)
        ]
        tables = torch.cat(tables, 2)  # (elements, channels, M · components, 1 + components + components²)
        slopes = tables[0] @ known if len(tables) == 1 else _by_element(tables, known, element)
        slopes = slopes.unflatten(1, (-1, components))  # (channels, M, components, atoms)
        return (slopes * factors[:, None]).sum(2).permute(1, 2, 0)

    def _residual(self, features: Tensor, element: Tensor) -> Tensor:
        """Σ W_{z_i kL,k̃} h: (atoms, components of l_out, channels)."""
        kept = self.residual.shape[1]
        one_hot = torch.nn.functional.one_hot(element, len(self.residual)).to(features)
        weights = unit(self.residual)
        parts = [torch.einsum("amk,zkn,az->amn", features[:, degree(L)], weights[:, L], one_hot) for L in range(kept)]
        missing = (self.l_out + 1) ** 2 - kept**2
        parts.append(parts[0].new_zeros(len(features), missing, parts[0].shape[2]))
        return torch.cat(parts, 1)


def _by_element(tables: Tensor, known: Tensor, element: Tensor) -> Tensor:
    """Each atom's products with the table of its element: (channels, rows, atoms)."""
    order = element.argsort(stable=True)
    counts = torch.bincount(element, minlength=len(tables)).tolist()
    groups = known.index_select(2, order).split(counts, 2)
    products = torch.cat([table @ group for table, group in zip(tables, groups, strict=True)], 2)
    return products.index_select(2, order.argsort())


def _per_degree(features: Tensor, weights: Tensor) -> Tensor:
    """Channels mixed with weights (degrees, channels, channels) of their own for each degree."""
    parts = features.split([2 * L + 1 for L in range(len(weights))], 1)
    return torch.cat([part @ weight for part, weight in zip(parts, weights, strict=True)], 1)


def _normalised(features: Tensor, means: Tensor, sizes: Tensor) -> Tensor:
    """Features (components, atoms, channels) around means (atoms, channels) of the first, over sizes (degrees,)."""
    centred = torch.cat([features[:1] - means, features[1:]])
    each = torch.repeat_interleave(sizes, 2 * torch.arange(len(sizes), device=sizes.device) + 1)
    return centred / each[:, None, None]


def _measure(features: Tensor, element: Tensor, means: Tensor, sizes: Tensor) -> None:
    """Fill means (elements, channels) and sizes (degrees,) from features (components, atoms, channels)."""
    means.copy_(features[0].mean(0).expand_as(means))
    for place in element.unique().tolist():
        means[place] = features[0, element == place].mean(0)
    around = torch.cat([features[:1] - means[element], features[1:]])
    squares = torch.stack([around[degree(L)].pow(2).mean() for L in range(len(sizes))])
    sizes.copy_(torch.where(squares > TINY, squares.sqrt(), 1.0))


def _coupling_table(routes: list[Route], l_max: int) -> Tensor:
    """(components of A, rows of the sums over neighbours): Clebsch–Gordan coefficients of all routes."""
    blocks = []
    for route in routes:
        block = np.zeros(((l_max + 1) ** 2, 2 * route.l1 + 1, 2 * route.l2 + 1, len(route.l3)))
        for index, l3 in enumerate(route.l3):
            ways = sum(l3 in other.l3 for other in routes)
            # Harmonics have mean squares of 1/4π, and the coefficients are orthonormal.
            scale = math.sqrt(4 * math.pi / ways)
            block[degree(l3), :, :, index] = scale * real_clebsch_gordan(route.l1, route.l2, l3).transpose(2, 0, 1)
        blocks.append(torch.from_numpy(block).flatten(1))
    return torch.cat(blocks, 1)


def _product_table(l_max: int, L: int) -> Tensor:
    """U of every coupling: (couplings, 2 L + 1, components, 1 + components + components²), symmetric in its factors."""
    n = (l_max + 1) ** 2
    tables = []
    for order in range(1, ORDER + 1):
        products = symmetric_products(l_max, order, L)
        full = np.zeros((*products.coefficients.shape[:2], *(n,) * order))
        for column, monomial in enumerate(products.monomials):
            places = set(permutations(monomial.tolist()))
            for place in places:
                full[(..., *place)] = products.coefficients[:, :, column] / len(places)
        table = np.zeros((*full.shape[:3], 1 + n + n * n))
        first = (0, 1, 1 + n)[order - 1]
        table[..., first : first + n ** (order - 1)] = full.reshape(*full.shape[:3], -1)
        tables.append(torch.from_numpy(table))
    return torch.cat(tables)
