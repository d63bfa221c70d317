"""Atom-centred symmetry functions: radial G2 and angular G5, summed over moments instead of triples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from isoline.domain.recipe import AcsfDescriptor
from isoline.errors import InvalidInput
from isoline_lab.descriptors.environments import Environments, gather_environments
from isoline_lab.graph import Graph

# (ζ, λ) of the angular functions. Together they span every polynomial in cos θ up to the fourth degree.
ANGULAR_SHAPES = ((1, 1), (1, -1), (2, 1), (4, 1), (4, -1))

# Up to this many elements every pair of neighbour elements has its own angular functions.
RESOLVED_ELEMENTS = 4


@dataclass(frozen=True)
class SymmetryFunctions:
    """A set of symmetry functions for any structure made of the given elements.

    elements  atomic numbers, ascending
    cutoff    Å
    radial    (η in Å⁻², centre in Å) of each G2
    angular   (η, centre) of the radial factor of each angular channel; centre 0 is Behler's own choice
    shapes    (ζ, λ) of the angular factor, ζ whole
    mixed     whether the two legs of an angle may have different radial factors

    Equations of Behler, J. Chem. Phys. 134, 074106 (2011), f_c (4), G2 (6), G5 (9), where the factor
    exp(−η r²) of a leg is generalised to exp(−η (r − centre)²):
        G2 = Σ_j exp(−η (r_j − centre)²) f_c(r_j)
        G5 = 2^(1−ζ) Σ_{j<k} (1 + λ cos θ_jk)^ζ h(r_j) h′(r_k),   h(r) = exp(−η (r − centre)²) f_c(r)
    Since ζ is whole, the sum over pairs of neighbours is a sum of squares of moments
    A_m = Σ_j h(r_j) m(r_j/|r_j|) over monomials m, so the cost is linear in the number of neighbours.

    Up to four elements each kind of neighbour has its own functions. Beyond that, radial functions still have, but
    angular ones see the neighbours' elements through four fixed orthogonal weights, so that their number stays bounded.
    """

    elements: tuple[int, ...]
    cutoff: float
    radial: tuple[tuple[float, float], ...]
    angular: tuple[tuple[float, float], ...]
    shapes: tuple[tuple[int, int], ...] = ANGULAR_SHAPES
    mixed: bool = True

    @cached_property
    def degree(self) -> int:
        return max((zeta for zeta, _ in self.shapes), default=0)

    @cached_property
    def exponents(self) -> list[tuple[int, int, int]]:
        """Powers of x, y, z in every monomial, by ascending degree."""
        return [
            (a, b, p - a - b) for p in range(self.degree + 1) for a in range(p, -1, -1) for b in range(p - a, -1, -1)
        ]

    @cached_property
    def element_weights(self) -> Tensor:
        """(elements, weights): how the angular channels tell neighbours' elements apart."""
        n = len(self.elements)
        if n <= RESOLVED_ELEMENTS:
            return torch.eye(n, dtype=torch.float64)
        k = torch.arange(RESOLVED_ELEMENTS, dtype=torch.float64)
        place = torch.arange(n, dtype=torch.float64)[:, None] + 0.5
        return torch.cos(math.pi * k * place / n) * math.sqrt(2 / n)  # orthogonal columns (a cosine transform)

    @property
    def n_channels(self) -> int:
        return self.element_weights.shape[1] * len(self.angular)

    @cached_property
    def channel_pairs(self) -> tuple[Tensor, Tensor]:
        """(pairs,), (pairs,): the two channels that each angular function multiplies."""
        first, second = torch.triu_indices(self.n_channels, self.n_channels)
        if self.mixed:
            return first, second
        same = first % len(self.angular) == second % len(self.angular)
        return first[same], second[same]

    @cached_property
    def shape_coefficients(self) -> Tensor:
        """(degrees, shapes): 2^(1−ζ) times the binomial expansion of (1 + λ x)^ζ in powers of x."""
        table = torch.zeros(self.degree + 1, len(self.shapes), dtype=torch.float64)
        for column, (zeta, sign) in enumerate(self.shapes):
            for power in range(zeta + 1):
                table[power, column] = 2.0 ** (1 - zeta) * math.comb(zeta, power) * sign**power
        return table

    @property
    def n_radial_features(self) -> int:
        return len(self.elements) * len(self.radial)

    @property
    def n_features(self) -> int:
        return self.n_radial_features + len(self.channel_pairs[0]) * len(self.shapes)

    def element_index(self, numbers: Tensor) -> Tensor:
        """Place of each atomic number in `elements`.

        Raises InvalidInput that names elements which are not among them.
        """
        return element_index(self.elements, numbers)

    def __call__(self, graph: Graph) -> Tensor:
        """Symmetry functions of every atom; the graph must hold every neighbour within the cutoff.

        returns  (atoms, features)  differentiable; radial (element, function) first, then angular (pair, shape)
        """
        return self.values(gather_environments(graph, self.element_index(graph.numbers), self.cutoff))

    def values(self, environments: Environments) -> Tensor:
        """(atoms, features) of padded environments."""
        distance, direction = environments.polar()
        kinds = torch.nn.functional.one_hot(environments.element, len(self.elements)).to(distance.dtype)
        radial = torch.einsum("ane,anr->aer", kinds, self.radial_factors(distance, self.radial)).flatten(1)
        if not self.angular:
            return radial
        channels = self.channels(environments, distance)
        moments = channels.mT @ self.monomials(direction)  # (atoms, channels, monomials)
        return torch.cat([radial, self.angular_from_moments(channels, moments)], dim=1)

    def radial_factors(self, distance: Tensor, functions: tuple[tuple[float, float], ...]) -> Tensor:
        """exp(−η (r − centre)²) f_c(r): (..., functions); zero from the cutoff on, with zero slope."""
        width, centre = distance.new_tensor(functions).reshape(-1, 2).unbind(1)
        inside = distance.clamp(max=self.cutoff)
        cut = 0.5 * (torch.cos(math.pi / self.cutoff * inside) + 1.0)
        return torch.exp(-width * (distance[..., None] - centre) ** 2) * cut[..., None]

    def radial_slopes(self, distance: Tensor, functions: tuple[tuple[float, float], ...]) -> Tensor:
        """Derivatives of `radial_factors` with respect to the distance."""
        width, centre = distance.new_tensor(functions).reshape(-1, 2).unbind(1)
        phase = math.pi / self.cutoff * distance.clamp(max=self.cutoff)
        from_centre = distance[..., None] - centre
        cut, slope = 0.5 * (torch.cos(phase) + 1.0), -0.5 * math.pi / self.cutoff * torch.sin(phase)
        return torch.exp(-width * from_centre**2) * (slope[..., None] - 2.0 * width * from_centre * cut[..., None])

    def channels(self, environments: Environments, distance: Tensor) -> Tensor:
        """Radial factors of each angular leg, weighted by the neighbour's element: (atoms, slots, channels)."""
        return self.weighted(environments, self.radial_factors(distance, self.angular))

    def weighted(self, environments: Environments, factors: Tensor) -> Tensor:
        weights = self.element_weights.to(factors)[environments.element]  # (atoms, slots, weights)
        return (weights[..., :, None] * factors[..., None, :]).flatten(-2)

    def monomials(self, direction: Tensor) -> Tensor:
        """Products of components, each with the root of its multinomial, so that m(u)·m(v) = Σ_p (u·v)^p.

        returns  (..., monomials)
        """
        axes = direction.unbind(-1)
        products = {(0, 0, 0): torch.ones_like(axes[0])}
        for power in self.exponents[1:]:
            axis = next(k for k in range(3) if power[k])
            products[power] = products[_lowered(power, axis)] * axes[axis]
        return torch.stack([products[power] for power in self.exponents], dim=-1) * self.roots.to(direction)

    @cached_property
    def roots(self) -> Tensor:
        """(monomials,): square roots of the multinomial coefficients."""
        factorial = math.factorial
        ways = [factorial(a + b + c) / (factorial(a) * factorial(b) * factorial(c)) for a, b, c in self.exponents]
        return torch.tensor(ways, dtype=torch.float64).sqrt()

    @cached_property
    def monomial_degrees(self) -> Tensor:
        """(monomials,)."""
        return torch.tensor(self.exponents).sum(1)

    @cached_property
    def derivation(self) -> Tensor:
        """(monomials, 3, monomials): `monomials` times this are their derivatives with respect to x, y, z."""
        place = {power: index for index, power in enumerate(self.exponents)}
        table = torch.zeros(len(place), 3, len(place), dtype=torch.float64)
        for power, column in place.items():
            for axis in range(3):
                if power[axis]:
                    row = place[_lowered(power, axis)]
                    table[row, axis, column] = power[axis] * self.roots[column] / self.roots[row]
        return table

    def angular_from_moments(self, channels: Tensor, moments: Tensor) -> Tensor:
        """(atoms, pairs · shapes): angular functions with the terms j = k taken out and each pair counted once."""
        first, second = (index.to(moments.device) for index in self.channel_pairs)
        same_neighbour = (channels.mT @ channels)[:, first, second]
        sizes = [(p + 1) * (p + 2) // 2 for p in range(self.degree + 1)]
        powers = [(part @ part.mT)[:, first, second] - same_neighbour for part in moments.split(sizes, dim=2)]
        sums = torch.stack(powers, dim=-1)  # (atoms, pairs, degrees)
        return (sums @ self.shape_coefficients.to(sums) * self.once_each(sums)[:, None]).flatten(1)

    def once_each(self, like: Tensor) -> Tensor:
        """(pairs,): ½ where both legs are alike and the sum over j, k counts every pair of neighbours twice."""
        first, second = self.channel_pairs
        n = len(self.angular)
        same_element = torch.div(first, n, rounding_mode="floor") == torch.div(second, n, rounding_mode="floor")
        return torch.where(same_element, 0.5, 1.0).to(like)


def element_index(elements: tuple[int, ...], numbers: Tensor) -> Tensor:
    """Place of each atomic number in the ascending tuple `elements`.

    Raises InvalidInput that names elements which are not among them.
    """
    from ase.data import chemical_symbols

    known = torch.tensor(elements, device=numbers.device)
    unknown = sorted(set(numbers[~torch.isin(numbers, known)].tolist()))
    if unknown:
        names, have = (", ".join(chemical_symbols[z] for z in group) for group in (unknown, elements))
        raise InvalidInput(
            f"elements not known here: {names} (known: {have})",
            hint="Use a model trained on these elements, or train one on a dataset that contains them.",
        )
    return torch.searchsorted(known, numbers)


def radial_grid(n_functions: int, inner: float, cutoff: float) -> tuple[tuple[float, float], ...]:
    """(η, centre) of Gaussians evenly spread from `inner` to the cutoff, each as wide as their spacing."""
    spacing = (cutoff - inner) / max(n_functions, 1)
    return tuple((0.5 / spacing**2, inner + k * spacing) for k in range(n_functions))


def new_symmetry_functions(recipe: AcsfDescriptor, elements: tuple[int, ...], inner: float = 0.5) -> SymmetryFunctions:
    """The set that a recipe asks for.

    inner  Å, where the grid of centres starts
    """
    return SymmetryFunctions(
        elements=tuple(sorted(elements)),
        cutoff=recipe.cutoff,
        radial=radial_grid(recipe.n_radial, inner, recipe.cutoff),
        angular=radial_grid(recipe.n_angular, inner, recipe.cutoff),
    )


def _lowered(power: tuple[int, int, int], axis: int) -> tuple[int, int, int]:
    a, b, c = (exponent - (k == axis) for k, exponent in enumerate(power))
    return a, b, c
