"""The atomic cluster expansion: invariants up to body order five of the density of neighbours around each atom."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from isoline_lab.descriptors.compiled import CompiledExpansion
from isoline_lab.descriptors.feature_map import FeatureMap, Linearised, Readout, row_targets
from isoline_lab.descriptors.harmonics import SolidHarmonics
from isoline_lab.descriptors.neighbourhoods import Neighbourhoods
from isoline_lab.descriptors.projection import Projection
from isoline_lab.descriptors.sphere import gaunt_integrals
from isoline_lab.graph import VOIGT, Graph

# Atoms whose features are formed at once, for each thread; they stay in its cache.
ATOMS_AT_ONCE = 128

# Likewise when derivatives of many combinations are kept, which take much more memory.
ATOMS_LINEARISED_AT_ONCE = 64

# Each further neighbour that a feature takes at a time is expected to explain so much less of the forces.
DAMPING = 0.3

# Columns of derivatives formed at once.
LANES = 16

# What an expansion may have: numbers of channels and of products that fill a vector unit, and angular momenta.
VECTORS = (1, 2, 4, 8, 16, 32)
LARGEST_L = 8


@dataclass(frozen=True, eq=False)
class ClusterExpansion(FeatureMap):
    """Scalar products of densities on the sphere, and of their pointwise products.

    elements   atomic numbers, ascending
    cutoff     Å
    radii      (elements, elements)  Å, where the primitive radial functions of a pair vary most
    mixing     (elements, elements, primitives, channels)  by central atom and neighbour
    l_max      of the densities
    l_product  of their factors and products
    pairs      (products, 2)  which channels are multiplied

    With primitives φₙ(r) = Tₙ(x) (1 − (r/cutoff)²)³, Tₙ Chebyshev polynomials of x = 1/(1 + (r/radius)⁴), scaled to
    −1…1 between the cutoff and 0, neighbours of an atom make the densities (Drautz, PRB 99, 014104, 2019, eq. 18)
        A_qlm = Σ_j Σ_n mixing[centre, element of j, n, q] φₙ(r_j) Y_lm(r_j)
    whose pointwise products on the sphere A_q A_q′ are expanded again, by Gaunt's integrals:
        B_clm = ∫ A_q(u) A_q′(u) Y_lm(u) du,   (q, q′) = pairs[c]
    The features are, in this order: A_q00; Σ_m A A; Σ_m A B; Σ_m B B, for each l: neighbours taken one, two, three and
    four at a time. Elements enter through the mixing alone, so the number of features does not depend on theirs
    (as in Darby et al., PRL 131, 028001, 2023).
    """

    elements: tuple[int, ...]
    cutoff: float
    radii: np.ndarray
    mixing: np.ndarray
    l_max: int
    l_product: int
    pairs: np.ndarray
    whitening: ClassVar[float] = 0.0

    @property
    def expected_sizes(self) -> Tensor:
        sizes = torch.empty(self.n_features, dtype=torch.float64)
        for group, order in zip(self.groups, self.orders, strict=True):
            sizes[group] = DAMPING ** (order - 1)
        return sizes

    @property
    def orders(self) -> list[int]:
        """How many neighbours at a time the features of each group take."""
        return [1] + [2] * (self.l_max + 1) + [3] * (self.l_product + 1) + [4] * (self.l_product + 1)

    @property
    def n_primitives(self) -> int:
        return self.mixing.shape[2]

    @property
    def channels(self) -> int:
        return self.mixing.shape[3]

    @property
    def n_features(self) -> int:
        q, c = self.channels, len(self.pairs)
        twice = (self.l_max + 1) * q * (q + 1) // 2
        return q + twice + (self.l_product + 1) * (q * c + c * (c + 1) // 2)

    @property
    def groups(self) -> list[slice]:
        """Features of one body order and angular momentum each."""
        q, c = self.channels, len(self.pairs)
        sizes = [q] + [q * (q + 1) // 2] * (self.l_max + 1)
        sizes += [q * c] * (self.l_product + 1) + [c * (c + 1) // 2] * (self.l_product + 1)
        ends = np.cumsum(sizes).tolist()
        return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]

    def __call__(self, graph: Graph) -> Tensor:
        return self._features(graph.displacements(), Neighbourhoods.of(graph, self.element_index(graph.numbers)))

    def _features(self, vectors: Tensor, around: Neighbourhoods) -> Tensor:
        """(atoms, features) from the vectors to the neighbours, differentiable."""
        density = self.densities(vectors, around)
        at, integrals = gaunt_integrals(self.l_product)
        i, j, k = torch.from_numpy(at.T.copy()).to(density.device)
        left, right = torch.from_numpy(self.pairs.T.copy()).to(density.device)
        inner = density[:, :, : (self.l_product + 1) ** 2]
        a, b = inner[:, left], inner[:, right]  # (atoms, products, harmonics)
        terms = torch.from_numpy(integrals).to(density) * (a[..., i] * b[..., j] + a[..., j] * b[..., i])
        product = torch.zeros_like(a).index_add(2, k, terms)
        shells = [slice(k * k, (k + 1) ** 2) for k in range(self.l_max + 1)]
        inside = shells[: self.l_product + 1]
        twice = torch.triu_indices(self.channels, self.channels)
        four = torch.triu_indices(len(self.pairs), len(self.pairs))
        features = [density[:, :, 0]]
        features += [(density[:, :, m] @ density[:, :, m].mT)[:, twice[0], twice[1]] for m in shells]
        features += [(density[:, :, m] @ product[:, :, m].mT).flatten(1) for m in inside]
        features += [(product[:, :, m] @ product[:, :, m].mT)[:, four[0], four[1]] for m in inside]
        return torch.cat(features, dim=1)

    def densities(self, vectors: Tensor, around: Neighbourhoods) -> Tensor:
        """A (atoms, channels, harmonics), differentiable."""
        distance = vectors.norm(dim=1)
        centre = around.elements[around.centre]
        radii = torch.from_numpy(self.radii).to(vectors)[centre, around.kinds]
        mixing = torch.from_numpy(self.mixing).to(vectors)[centre, around.kinds]  # (edges, primitives, channels)
        primitives = radial_primitives(distance, self.cutoff, radii, self.n_primitives)
        radial = torch.einsum("en,enq->eq", primitives, mixing)
        harmonics = SolidHarmonics(self.l_max).to(vectors)
        angular = torch.cat(harmonics(vectors / distance[:, None], torch.ones_like(distance)))  # (harmonics, edges)
        terms = radial[:, :, None] * angular.T[:, None, :]
        nothing = vectors.new_zeros(len(around.elements), *terms.shape[1:])
        return nothing.index_add(0, around.centre, terms)

    def differentiate(self, graph: Graph, readout: Readout) -> tuple[Tensor, Tensor, Tensor]:
        around = Neighbourhoods.of(graph, self.element_index(graph.numbers))
        compiled = self._compiled(graph.positions)
        if compiled is None:
            energies, gradient, virial = self._gradient_by_autograd(graph, around, readout)
        else:
            energies, gradient, virial = self._gradient_by_kernels(compiled, graph, around, readout)
        nothing = virial.new_zeros(graph.n_structures, *virial.shape[1:])
        virial = nothing.index_add(0, graph.structure, virial)
        virial = 0.5 * (virial + virial.transpose(1, 2))
        return energies, -gradient.permute(2, 0, 1), virial.permute(3, 0, 1, 2)

    def _gradient_by_kernels(
        self, compiled: CompiledExpansion, graph: Graph, around: Neighbourhoods, readout: Readout
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Energies (members, atoms), ∂/∂position (atoms, 3, members), Σ r ⊗ ∂/∂r (atoms, 3, 3, members)."""
        threads, like = torch.get_num_threads(), graph.positions
        energies, virials, gradients = [], [], []
        with ThreadPoolExecutor(threads) as pool:
            for begin in range(0, max(graph.n_atoms, 1), ATOMS_AT_ONCE * threads):
                end = min(begin + ATOMS_AT_ONCE * threads, graph.n_atoms)
                values = like.new_empty(end - begin, self.n_features)
                compiled.features(pool, around, begin, end, values)
                own, slopes = readout(values, around.elements[begin:end])
                lanes = lanes_for(len(own))
                gradients = gradients or [like.new_zeros(graph.n_atoms, 3, lanes) for _ in range(threads)]
                virial = like.new_empty(end - begin, 3, 3, lanes)
                compiled.forces(pool, around, begin, end, slopes, gradients, virial)
                energies.append(own)
                virials.append(virial[..., : len(own)])
        gradient = sum(gradients[1:], gradients[0])[..., : len(energies[0])]
        return torch.cat(energies, dim=1), gradient, torch.cat(virials)

    def _gradient_by_autograd(
        self, graph: Graph, around: Neighbourhoods, readout: Readout
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same by one reverse pass for each member, on any device."""
        vectors = around.vectors.detach().requires_grad_()
        with torch.enable_grad():
            values = self._features(vectors, around)
        energies, slopes = readout(values.detach(), around.elements)
        pulls = torch.stack([torch.autograd.grad(values, vectors, s, retain_graph=True)[0] for s in slopes], dim=-1)
        gradient = pulls.new_zeros(graph.n_atoms, 3, len(slopes))
        gradient = gradient.index_add(0, around.neighbours, pulls).index_add(0, around.centre, -pulls)
        virial = pulls.new_zeros(graph.n_atoms, 3, 3, len(slopes))
        virial = virial.index_add(0, around.centre, around.vectors[:, :, None, None] * pulls[:, None])
        return energies, gradient, virial

    def linearise(
        self, graph: Graph, projection: Projection, forces: bool, stress: bool
    ) -> Generator[None, None, Linearised]:
        around = Neighbourhoods.of(graph, self.element_index(graph.numbers))
        places, who = around.near()
        target = row_targets(who, graph.structure, graph.n_structures, forces, stress)
        columns = -(-projection.n_inputs // LANES) * LANES
        matrix = graph.positions.new_zeros(len(self.elements), self.n_features, columns)
        matrix[..., : projection.n_inputs] = projection.matrix.to(matrix)
        inputs = graph.positions.new_empty(graph.n_atoms, projection.n_inputs)
        rows = graph.positions.new_empty(graph.n_atoms, target.shape[1], projection.n_inputs)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for begin in range(0, graph.n_atoms, ATOMS_LINEARISED_AT_ONCE):
                yield
                end = min(begin + ATOMS_LINEARISED_AT_ONCE, graph.n_atoms)
                values, moved, virial = self._jacobian(pool, around, begin, end, places, who.shape[1], matrix)
                inputs[begin:end] = projection(values, around.elements[begin:end])
                if forces:
                    rows[begin:end, : 3 * who.shape[1]] = moved.flatten(1, 2)[..., : projection.n_inputs]
                if stress:
                    virial = 0.5 * (virial + virial.transpose(1, 2))[..., : projection.n_inputs]
                    rows[begin:end, -6:] = torch.stack([virial[:, x, y] for x, y in VOIGT], dim=1)
        return Linearised(inputs, rows, target)

    def _jacobian(
        self,
        pool: ThreadPoolExecutor,
        around: Neighbourhoods,
        begin: int,
        end: int,
        places: Tensor,
        n_near: int,
        matrix: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Features of some atoms, derivatives of their combinations by atoms nearby, and Σ r ⊗ ∂/∂r."""
        moved = matrix.new_zeros(end - begin, n_near, 3, matrix.shape[2])
        virial = matrix.new_zeros(end - begin, 3, 3, matrix.shape[2])
        compiled = self._compiled(matrix)
        if compiled is not None:
            values = matrix.new_empty(end - begin, self.n_features)
            compiled.features(pool, around, begin, end, values)
            compiled.jacobian(pool, around, begin, end, places, matrix, moved, virial, LANES)
            return values, moved, virial
        edges = slice(int(around.starts[begin]), int(around.starts[end]))
        part = around.part(begin, end)
        vectors = part.vectors.detach().requires_grad_()
        with torch.enable_grad():
            values = self._features(vectors, part)
            combined = torch.einsum("af,afc->ac", values, matrix[part.elements])
        columns = [torch.autograd.grad(c.sum(), vectors, retain_graph=True)[0] for c in combined.unbind(1)]
        pulls = torch.stack(columns, dim=-1)  # (edges, 3, columns)
        moved = moved.flatten(0, 1).index_add(0, part.centre * n_near + places[edges], pulls)
        moved = moved.index_add(0, part.centre * n_near, -pulls).unflatten(0, (-1, n_near))
        virial = virial.index_add(0, part.centre, part.vectors[:, :, None, None] * pulls[:, None])
        return values.detach(), moved, virial

    def steepness(self, graph: Graph, atoms: Tensor) -> Tensor:
        around = Neighbourhoods.of(graph, self.element_index(graph.numbers))
        places, who = around.near()
        every = torch.eye(self.n_features, dtype=graph.positions.dtype)
        padded = torch.nn.functional.pad(every, (0, -self.n_features % LANES))
        matrix = padded.expand(len(self.elements), -1, -1).contiguous()
        part, edges = around.chosen(atoms)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            moved = self._jacobian(pool, part, 0, len(atoms), places[edges], who.shape[1], matrix)[1]
        return (moved[:, 1:, :, : self.n_features] ** 2).sum((0, 1, 2)).double()

    def _compiled(self, like: Tensor) -> CompiledExpansion | None:
        """The machine's own code for this precision, where there is a processor and a compiler for it."""
        if like.device.type != "cpu":
            return None
        if like.dtype not in self._ready:
            compiled = CompiledExpansion(self, like.dtype)
            self._ready[like.dtype] = compiled if compiled.library(LANES) is not None else None
        return self._ready[like.dtype]

    @cached_property
    def _ready(self) -> dict[torch.dtype, CompiledExpansion | None]:
        return {}

    def as_dict(self) -> dict:
        return {
            "elements": list(self.elements),
            "cutoff": self.cutoff,
            "radii": self.radii.tolist(),
            "mixing": self.mixing.tolist(),
            "l_max": self.l_max,
            "l_product": self.l_product,
            "pairs": self.pairs.tolist(),
        }

    @classmethod
    def from_dict(cls, about: dict) -> ClusterExpansion:
        """The inverse of `as_dict`.

        Raises ValueError for sizes that do not fit together: compiled code trusts them.
        """
        expansion = cls(
            elements=tuple(map(int, about["elements"])),
            cutoff=float(about["cutoff"]),
            radii=np.array(about["radii"], dtype=np.float64),
            mixing=np.array(about["mixing"], dtype=np.float64),
            l_max=int(about["l_max"]),
            l_product=int(about["l_product"]),
            pairs=np.array(about["pairs"], dtype=np.int64),
        )
        n, pairs = len(expansion.elements), expansion.pairs
        shapes = (expansion.radii.shape, expansion.mixing.shape[:2], pairs.shape[1:])
        if shapes != ((n, n), (n, n), (2,)) or expansion.mixing.ndim != 4:
            raise ValueError(f"radii, mixing and pairs of shapes {shapes} for {n} elements")
        if not 0 <= expansion.l_product <= expansion.l_max <= LARGEST_L:
            raise ValueError(f"angular momenta {expansion.l_product} ≤ {expansion.l_max} beyond 0 to {LARGEST_L}")
        if expansion.channels not in VECTORS or len(pairs) not in VECTORS or not 1 <= expansion.n_primitives <= 64:
            raise ValueError(
                f"{expansion.channels} channels, {len(pairs)} products, {expansion.n_primitives} primitives"
            )
        if pairs.min() < 0 or pairs.max() >= expansion.channels:
            raise ValueError(f"products of channels beyond the {expansion.channels} there are")
        return expansion


def radial_primitives(distance: Tensor, cutoff: float, radius: Tensor, n: int) -> Tensor:
    """Tₖ(x) (1 − (r/cutoff)²)³ with x = 1/(1 + (r/radius)⁴) scaled to −1…1, k < n: (edges, n)."""
    low = 1 / (1 + (cutoff / radius) ** 4)
    x = (1 / (1 + (distance / radius) ** 4) - low) * 2 / (1 - low) - 1
    fade = (1 - (distance / cutoff) ** 2).clamp(min=0) ** 3
    polynomials = [torch.ones_like(x), x]
    for _ in range(2, n):
        polynomials.append(2 * x * polynomials[-1] - polynomials[-2])
    return torch.stack(polynomials[:n], dim=1) * fade[:, None]


def lanes_for(members: int) -> int:
    """Members side by side in the vector unit: a few more cost as much as one."""
    return next(lanes for lanes in (8, 16, 32) if lanes >= members)
