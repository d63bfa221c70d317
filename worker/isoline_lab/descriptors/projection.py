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

    def pulled_back(self, slopes: Tensor, element: Tensor) -> Tensor:
        """Derivatives with respect to symmetry functions from those with respect to inputs.

        slopes   (members, atoms, inputs)
        returns  (atoms, functions, members)
        """
        matrix = self.matrix.to(slopes)
        back = slopes.new_zeros(slopes.shape[1], matrix.shape[1], len(slopes))
        for place in range(len(matrix)):
            atoms = torch.nonzero(element == place).squeeze(1)
            back[atoms] = (slopes[:, atoms] @ matrix[place].T).permute(1, 2, 0)
        return back

    def to(self, dtype: torch.dtype) -> Projection:
        return replace(self, mean=self.mean.to(dtype), matrix=self.matrix.to(dtype))


class Derivatives:
    """Derivatives of linear combinations of symmetry functions with respect to the neighbours of an atom.

    matrix  (functions, inputs)         the combinations, the same for all atoms, or
            (atoms, functions, inputs)  other ones for each atom; fixes the precision

    The chain rule goes through the moments: two dense products per atom instead of one reverse pass per input.
    """

    def __init__(self, functions: SymmetryFunctions, matrix: Tensor):
        self.functions, self.n_inputs = functions, matrix.shape[-1]
        self.by_element = matrix[..., : functions.n_radial_features, :]
        first, second = functions.channel_pairs
        angular = matrix[..., functions.n_radial_features :, :].unflatten(-2, (len(first), len(functions.shapes)))
        angular = angular * functions.once_each(matrix)[:, None, None]
        by_degree = torch.einsum("ps,...csf->...pcf", functions.shape_coefficients.to(matrix), angular)
        n = functions.n_channels
        # (..., degrees, channels, channels, inputs) such that ∂input/∂A_c = Σ_d coupling_cd A_d
        self.couplings = matrix.new_zeros(*by_degree.shape[:-2], n, n, self.n_inputs)
        self.couplings[..., first, second, :] += by_degree
        self.couplings[..., second, first, :] += by_degree
        self.same_neighbour = by_degree.sum(-3)  # (..., pairs, inputs): terms with both legs on one neighbour
        self.derivation = functions.derivation.to(matrix).flatten(1)

    def __call__(self, environments: Environments) -> Tensor:
        """(atoms, slots, 3, inputs)  Å⁻¹; zero in empty slots."""
        functions = self.functions
        distance, direction = environments.polar()
        kinds = torch.nn.functional.one_hot(environments.element, len(functions.elements)).to(distance)
        radial_slopes = functions.radial_slopes(distance, functions.radial)
        along = (kinds[..., None] * radial_slopes[..., None, :]).flatten(2) @ self.by_element  # (atoms, slots, inputs)
        if not functions.angular:
            return direction[..., None] * along[..., None, :]
        factors = functions.channels(environments, distance)
        slopes = functions.weighted(environments, functions.radial_slopes(distance, functions.angular))
        monomials = functions.monomials(direction)
        adjoint = self._adjoint(factors.mT @ monomials)

        first, second = functions.channel_pairs
        product_slopes = slopes[..., first] * factors[..., second] + factors[..., first] * slopes[..., second]
        along = along - product_slopes @ self.same_neighbour
        # u·∇m = p m for a monomial of degree p of the unit vector u: that part of the gradient is removed along u.
        factors = factors / distance[..., None]
        stretch = slopes[..., :, None] - functions.monomial_degrees * factors[..., :, None]
        along = along + (stretch * monomials[..., None, :]).flatten(2) @ adjoint
        turning = (monomials @ self.derivation).unflatten(2, (3, 1, -1)) * factors[..., None, :, None]
        sideways = turning.flatten(3).flatten(1, 2) @ adjoint
        return sideways.unflatten(1, (-1, 3)) + direction[..., None] * along[..., None, :]

    def _adjoint(self, moments: Tensor) -> Tensor:
        """∂input/∂moment: (atoms, channels · monomials, inputs)."""
        sizes = [(p + 1) * (p + 2) // 2 for p in range(self.functions.degree + 1)]
        parts = zip(self.couplings.unbind(-4), moments.split(sizes, dim=2), strict=True)
        rule = "cdf,adm->acmf" if self.couplings.ndim == 4 else "acdf,adm->acmf"
        return torch.cat([torch.einsum(rule, pair, part) for pair, part in parts], dim=2).flatten(1, 2)


def principal_inputs(values: Tensor, steepness: Tensor, n_inputs: int, whitening: float = 0.5) -> tuple[Tensor, Tensor]:
    """Combinations of symmetry functions with comparable force and little redundancy, for one element.

    values      (atoms, functions)  a sample
    steepness   (functions,)        root mean square size of the derivatives, Å⁻¹
    n_inputs    how many combinations; more than there is variety for are zero
    whitening   0 keeps the natural size of the principal directions, 1 makes them all equal
    returns     mean (functions,) and matrix (functions, inputs) of a `Projection`

    Each function is divided by its steepness, so that none dominates the forces; then the leading principal directions
    are kept, which decorrelates the inputs. Conditioning decides how fast gradient descent learns.
    """
    n_functions = len(steepness)
    n = min(n_inputs, n_functions)
    if len(values) == 0:
        return torch.zeros(n_functions, dtype=torch.float64), torch.zeros(n_functions, n, dtype=torch.float64)
    values, steepness = values.double(), steepness.double()
    scale = torch.where(steepness > 1e-8 * steepness.max().clamp(min=1e-12), steepness, torch.inf)
    mean = values.mean(0)
    scaled = (values - mean) / scale
    variance, directions = torch.linalg.eigh(scaled.T @ scaled / len(values))
    variance, directions = variance.flip(0)[:n].clamp(min=0), directions.flip(1)[:, :n]
    kept = variance > 1e-10 * variance[0].clamp(min=1e-12)
    size = torch.where(kept, variance.clamp(min=1e-300) ** (-0.5 * whitening), 0.0)
    # Inputs of unit size on average, so that the networks' first weights suit them.
    size = size / ((variance * size**2).sum() / kept.sum().clamp(min=1)).sqrt().clamp(min=1e-150)
    return mean, directions * size / scale[:, None]
