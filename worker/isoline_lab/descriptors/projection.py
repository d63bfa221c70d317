"""Symmetry functions scaled and rotated for fast training, and their derivatives in closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from isoline_lab.descriptors.acsf import SymmetryFunctions
from isoline_lab.descriptors.environments import Environments


@dataclass(frozen=True, eq=False)
class Projection:
    """An affine map from symmetry functions to the inputs of the networks, one for each element of the central atom.

    mean    (elements, functions)
    matrix  (elements, functions, inputs)
    """

    mean: Tensor
    matrix: Tensor

    @property
    def n_inputs(self) -> int:
        return self.matrix.shape[2]

    def __call__(self, values: Tensor, element: Tensor) -> Tensor:
        """Inputs of every atom.

        values   (atoms, functions)
        element  (atoms,)  place of the central atom's element
        returns  (atoms, inputs)
        """
        mean, matrix = self.mean.to(values), self.matrix.to(values)
        if len(mean) == 1:
            return (values - mean[0]) @ matrix[0]
        inputs = values.new_zeros(len(values), self.n_inputs)
        for place in range(len(mean)):
            atoms = torch.nonzero(element == place).squeeze(1)
            inputs = inputs.index_copy(0, atoms, (values[atoms] - mean[place]) @ matrix[place])
        return inputs

    def to(self, dtype: torch.dtype) -> Projection:
        return replace(self, mean=self.mean.to(dtype), matrix=self.matrix.to(dtype))


def jacobian(functions: SymmetryFunctions, environments: Environments, matrix: Tensor) -> Tensor:
    """Derivatives of linear combinations of symmetry functions with respect to each neighbour's displacement.

    matrix   (functions, inputs)  the combinations, the same for all given atoms
    returns  (atoms, slots, 3, inputs)  Å⁻¹; zero in empty slots

    The chain rule goes through the moments: two dense products per atom instead of one reverse pass per input.
    """
    distance, direction = environments.polar()
    atoms, slots = distance.shape
    n_inputs = matrix.shape[1]
    radial_slopes = functions.radial_slopes(distance, functions.radial)
    by_kind = matrix[: functions.n_radial_features].reshape(len(functions.elements), -1, n_inputs)
    kinds = torch.nn.functional.one_hot(environments.element, len(functions.elements)).to(distance)
    spread_slopes = (kinds[..., None] * radial_slopes[..., None, :]).flatten(2)
    along = spread_slopes @ by_kind.flatten(0, 1)  # (atoms, slots, inputs)
    if not functions.angular:
        return direction[..., None] * along[..., None, :]

    couplings, same_neighbour = _couplings(functions, matrix)
    factors = functions.channels(environments, distance)
    slopes = functions.weighted(environments, functions.radial_slopes(distance, functions.angular))
    monomials = functions.monomials(direction)
    moments = factors.mT @ monomials  # (atoms, channels, monomials)
    sizes = [(p + 1) * (p + 2) // 2 for p in range(functions.degree + 1)]
    adjoint = torch.cat(
        [
            torch.einsum("cdf,adm->acmf", pair, part)
            for pair, part in zip(couplings, moments.split(sizes, 2), strict=True)
        ],
        dim=2,
    ).flatten(1, 2)  # (atoms, channels · monomials, inputs)

    first, second = functions.channel_pairs
    product_slopes = slopes[..., first] * factors[..., second] + factors[..., first] * slopes[..., second]
    along = along - product_slopes @ same_neighbour
    # u·∇m = p m for a monomial of degree p of the unit vector u: that part of the gradient is removed along u.
    stretch = slopes[..., :, None] - functions.monomial_degrees * (factors / distance[..., None])[..., :, None]
    along = along + (stretch * monomials[..., None, :]).flatten(2) @ adjoint
    turning = monomials @ functions.derivation.to(monomials).flatten(1)  # (atoms, slots, 3 · monomials)
    turning = (
        turning.reshape(atoms, slots, 3, 1, monomials.shape[-1]) * (factors / distance[..., None])[..., None, :, None]
    )
    sideways = turning.reshape(atoms, slots * 3, adjoint.shape[1]) @ adjoint
    return sideways.reshape(atoms, slots, 3, n_inputs) + direction[..., None] * along[..., None, :]


def _couplings(functions: SymmetryFunctions, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """How strongly each pair of channels enters each input.

    returns  (degrees, channels, channels, inputs) such that ∂input/∂A_c = Σ_d coupling_cd A_d,
             (pairs, inputs) weight of the terms with both legs on one neighbour
    """
    first, second = functions.channel_pairs
    angular = matrix[functions.n_radial_features :].reshape(len(first), len(functions.shapes), -1)
    angular = angular * functions.once_each(matrix)[:, None, None]
    by_degree = torch.einsum("ps,csf->pcf", functions.shape_coefficients.to(matrix), angular)
    n = functions.n_channels
    couplings = matrix.new_zeros(len(by_degree), n, n, matrix.shape[1])
    couplings[:, first, second] += by_degree
    couplings[:, second, first] += by_degree
    return couplings, by_degree.sum(0)


def fit_projection(
    functions: SymmetryFunctions,
    values: list[Tensor],
    steepness: list[Tensor],
    n_inputs: int,
    whitening: float = 0.5,
) -> Projection:
    """Inputs of comparable force and little redundancy.

    values      per element, (atoms, functions) of a sample
    steepness   per element, (functions,) root mean square size of the derivatives, Å⁻¹
    n_inputs    largest number of inputs to keep
    whitening   0 keeps the natural size of the principal directions, 1 makes them all equal

    Each function is divided by its steepness, so that none dominates the forces; then the leading principal directions
    are kept, which decorrelates the inputs. Conditioning decides how fast gradient descent learns.
    """
    n = min(n_inputs, functions.n_features)
    mean = torch.zeros(len(values), functions.n_features, dtype=torch.float64)
    matrix = torch.zeros(len(values), functions.n_features, n, dtype=torch.float64)
    for place, (sample, steep) in enumerate(zip(values, steepness, strict=True)):
        if len(sample) == 0:
            continue
        sample = sample.double()
        scale = torch.where(steep > 1e-8 * steep.max().clamp(min=1e-12), steep, torch.inf).double()
        mean[place] = sample.mean(0)
        scaled = (sample - mean[place]) / scale
        variance, directions = torch.linalg.eigh(scaled.T @ scaled / len(sample))
        variance, directions = variance.flip(0)[:n].clamp(min=0), directions.flip(1)[:, :n]
        kept = variance > 1e-10 * variance[0].clamp(min=1e-12)
        size = torch.where(kept, variance.clamp(min=1e-300) ** (-0.5 * whitening), 0.0)
        # Inputs of unit size on average, so that the networks' first weights suit them.
        size = size / ((variance * size**2).sum() / kept.sum()).sqrt().clamp(min=1e-300)
        matrix[place] = directions * size / scale[:, None]
    return Projection(mean, matrix)
