"""The SOAP power spectrum: rotation-invariant products of the atomic density around each atom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from isoline.domain.recipe import SoapDescriptor
from isoline.errors import InvalidInput
from isoline_lab.descriptors.harmonics import SolidHarmonics
from isoline_lab.descriptors.radial import RadialFunctions, RadialSplines, gaussian_type_orbitals
from isoline_lab.graph import Graph

SMOOTHING = 0.5
"""Å before the cutoff over which a neighbour fades."""


class SoapPowerSpectrum(torch.nn.Module):
    """SOAP vectors of every atom of a graph, differentiable in positions and cells as often as one likes.

    descriptor  cutoff Å, numbers of radial and angular functions, Gaussian width Å
    elements    atomic numbers that may occur; each has a density of its own
    channels    how many functions describe the density for each l, m; default elements · n_max, one for each element
                and n; fewer are fixed random combinations of those, which keep scalar products approximately
                (as Darby et al., npj Comput. Mater. 8, 166, 2022, for elements and radial functions)
    normalise   scale each atom's vector to length 1
    functions   radial basis, default `gaussian_type_orbitals`
    smoothing   Å; the shifted cosine of featomic, continuous with its first derivative; 0 cuts sharply

    Conventions are featomic's (`SoapPowerSpectrum`, `Gto`, `ShiftedCosine`), with two exceptions: its sign (−1)ˡ
    is left out, and a product and its mirror image p(qq′l) = p(q′ql), q = (element, n), are one feature, weighted by
    √2. Neither changes scalar products. Features run over l (slow), then q ≤ q′ row by row.
    Bartók, Kondor, Csányi, PRB 87, 184115 (2013).
    """

    def __init__(
        self,
        descriptor: SoapDescriptor,
        elements: Sequence[int],
        *,
        channels: int | None = None,
        normalise: bool = True,
        functions: RadialFunctions | None = None,
        smoothing: float = SMOOTHING,
    ):
        super().__init__()
        self.cutoff, self.l_max, self.n_max = descriptor.cutoff, descriptor.l_max, descriptor.n_max
        self.elements = tuple(sorted({int(z) for z in elements}))
        if not self.elements:
            raise InvalidInput("SOAP needs the elements that may occur, got none", hint="Give their atomic numbers.")
        self.channels = min(channels or len(self.elements) * self.n_max, len(self.elements) * self.n_max)
        self.normalise, self.smoothing = normalise, smoothing
        functions = functions or gaussian_type_orbitals(self.cutoff, self.n_max)
        self.radial = RadialSplines(functions, self.cutoff, self.l_max, descriptor.width)
        self.angular = SolidHarmonics(self.l_max)
        place = torch.full((256,), -1, dtype=torch.int64)
        place[list(self.elements)] = torch.arange(len(self.elements))
        self.register_buffer("place", place)
        self.register_buffer("mixing", torch.from_numpy(_mixing(self.elements, self.n_max, self.channels)))
        rows, columns = np.triu_indices(self.channels)
        self.register_buffer("upper", torch.from_numpy(rows * self.channels + columns))
        self.register_buffer("weights", torch.from_numpy(np.where(rows == columns, 1.0, np.sqrt(2.0))))

    @property
    def n_features(self) -> int:
        return len(self.upper) * (self.l_max + 1)

    def forward(self, graph: Graph) -> Tensor:
        """Power spectra p(qq′l) = Σₘ c(qlm) c(q′lm) / √(2l + 1).

        returns  (atoms, features)

        Raises InvalidInput for an element that was not announced.
        """
        products = []
        for l, c in enumerate(self.expand(graph)):  # noqa: E741
            gram = torch.bmm(c, c.mT).flatten(1)  # (atoms, q · q′)
            products.append(gram[:, self.upper] * (self.weights / (2 * l + 1) ** 0.5))
        spectra = torch.cat(products, dim=1)
        # An atom is part of its own density, so no spectrum is zero.
        return spectra / spectra.norm(dim=1, keepdim=True) if self.normalise else spectra

    def expand(self, graph: Graph) -> list[Tensor]:
        """Coefficients of the density around each atom in radial functions and real spherical harmonics.

        returns  for each l: (atoms, channels, 2l + 1), element slow and n fast where they are not combined
        """
        kinds = self.place[graph.numbers]
        if len(kinds) and bool((kinds < 0).any()):
            missing = sorted(set(graph.numbers[kinds < 0].tolist()))
            raise InvalidInput(
                f"SOAP was set up for elements {list(self.elements)}, the structures also hold {missing}",
                hint="Give all elements that occur.",
            )
        n_elements = len(self.elements)
        slots, group = _blocks(graph.centre * n_elements + kinds[graph.neighbour], graph.n_atoms * n_elements)
        vectors = self._padded(graph)[slots.flatten()]
        distances = vectors.norm(dim=1)
        radial = self.radial(distances).unflatten(0, slots.shape)  # (blocks, slots, l · n)
        angular = self.angular(vectors / self.cutoff, self._fade(distances))  # for each l: (m, blocks · slots)
        own = torch.arange(graph.n_atoms, device=kinds.device) * n_elements + kinds
        coefficients = []
        for l, (r, y) in enumerate(zip(radial.split(self.n_max, dim=2), angular, strict=True)):  # noqa: E741
            c = torch.bmm(r.mT, y.unflatten(1, slots.shape).permute(1, 2, 0))  # (blocks, n, m)
            c = c.new_zeros(graph.n_atoms * n_elements, *c.shape[1:]).index_add(0, group, c)
            if l == 0:
                at_centre = (self.radial.at_centre / (4 * torch.pi) ** 0.5).expand(graph.n_atoms, -1)
                c = c.index_add(0, own, at_centre[:, :, None])
            c = c.reshape(graph.n_atoms, n_elements * self.n_max, 2 * l + 1)
            coefficients.append(self.mixing @ c if self.channels < n_elements * self.n_max else c)
        return coefficients

    def _padded(self, graph: Graph) -> Tensor:
        """Displacements (edges + 1, 3); the last, at the cutoff, fills the slots that no neighbour takes."""
        end = graph.positions.new_tensor([[self.cutoff, 0.0, 0.0]])
        return torch.cat([graph.displacements(), end])

    def _fade(self, distances: Tensor) -> Tensor:
        """1 near the centre, 0 from the cutoff on, half a cosine between."""
        if self.smoothing == 0:
            return (distances < self.cutoff).to(distances.dtype)
        inside = ((distances - self.cutoff) / self.smoothing + 1).clamp(0, 1)
        return 0.5 + 0.5 * torch.cos(torch.pi * inside)


def _blocks(keys: Tensor, n_groups: int) -> tuple[Tensor, Tensor]:
    """Edges of equal key in rows of equal length, so that sums over neighbours are dense matrix products.

    keys      (edges,)  group of each edge
    returns   (blocks, slots) edge numbers, `edges` where a slot is empty; (blocks,) group of each block
    """
    counts = torch.bincount(keys, minlength=n_groups)
    longest = int(counts.max()) if len(counts) else 0
    # One block for each group where they are alike; short blocks where some groups are much larger than others.
    alike = longest * int((counts > 0).sum()) <= 1.25 * len(keys)
    size = max(longest, 1) if alike else min(longest, 16)
    blocks = (counts + size - 1) // size
    group = torch.repeat_interleave(torch.arange(n_groups, device=keys.device), blocks)
    nth = torch.arange(len(group), device=keys.device) - (blocks.cumsum(0) - blocks)[group]
    offset = nth[:, None] * size + torch.arange(size, device=keys.device)  # (blocks, slots)
    order = torch.cat([torch.argsort(keys, stable=True), keys.new_tensor([len(keys)])])
    start = (counts.cumsum(0) - counts)[group]
    place = torch.where(offset < counts[group][:, None], start[:, None] + offset, len(keys))
    return order[place], group


def _mixing(elements: Sequence[int], n_max: int, channels: int) -> np.ndarray:
    """Random combinations (channels, elements · n_max); the part of an element depends on its atomic number only."""
    parts = [np.random.default_rng(z).standard_normal((channels, n_max)) for z in elements]
    return np.concatenate(parts, axis=1) / np.sqrt(channels)
