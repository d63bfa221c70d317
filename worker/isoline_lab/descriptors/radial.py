"""What a Gaussian atom at distance r shares with each radial basis function, as splines that can be differentiated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import solveh_banded
from scipy.special import factorial2, gamma, hyp0f1, ive
from torch import Tensor

RadialFunctions = Callable[[np.ndarray, int], np.ndarray]
"""(distances (points,) Å, angular momentum) → (functions, points), orthonormal with the weight r²."""

# Knots per Gaussian width: quintic splines this fine err by 1e-9 of the largest overlap.
KNOTS_PER_WIDTH = 10
# Knots beyond both ends; the influence of an end falls by 0.43 with each of them.
MARGIN = 48


def gaussian_type_orbitals(cutoff: float, n_max: int) -> RadialFunctions:
    """Orthonormal combinations of rⁿ exp(−r²/2σₙ²), n = 0 … n_max − 1, with σₙ = cutoff · max(√n, 1) / n_max.

    Löwdin's symmetric orthonormalisation; the convention of featomic (`Gto`, its `max_radial` = n_max − 1).
    """
    n = np.arange(n_max)
    exponents = 0.5 / (cutoff * np.sqrt(np.maximum(n, 1)) / n_max) ** 2

    def moment(power: np.ndarray, exponent: np.ndarray) -> np.ndarray:
        return 0.5 * gamma((power + 3) / 2) * exponent ** (-(power + 3) / 2)

    norms = moment(2 * n, 2 * exponents) ** -0.5
    overlaps = np.outer(norms, norms) * moment(n[:, None] + n, exponents[:, None] + exponents)
    eigenvalues, vectors = np.linalg.eigh(overlaps)
    mixing = (vectors / np.sqrt(eigenvalues)) @ vectors.T * norms

    def functions(distances: np.ndarray, angular: int) -> np.ndarray:
        return mixing @ (distances ** n[:, None] * np.exp(-exponents[:, None] * distances**2))

    return functions


def gaussian_overlaps(
    distances: np.ndarray, functions: RadialFunctions, l_max: int, width: float, scale: float
) -> np.ndarray:
    """Overlap of each basis function with a normalised Gaussian at each distance, divided by (distance / scale)^l.

    distances  (points,)  Å, not negative
    width      Å, of the Gaussian exp(−r²/2 width²) / (π width²)^¾
    scale      Å
    returns    (l_max + 1, functions, points)  finite at distance 0 too

    4π ∫ dx x² R(x) exp(−a (x² + r²)) iₗ(2axr), a = 1 / 2 width², by Gauss–Legendre quadrature where the Gaussian is
    larger than 1e-17. The angular part of the Gaussian: Bartók et al., PRB 87, 184115 (2013).
    """
    nodes, weights = np.polynomial.legendre.leggauss(80)
    lower = np.maximum(distances - 9 * width, 0.0)[:, None]
    half = 0.5 * (distances[:, None] + 9 * width - lower)
    x = lower + half * (nodes + 1)  # (points, nodes)
    a = 0.5 / width**2
    z = 2 * a * x * distances[:, None]
    weight = (
        4 * np.pi * (np.pi * width**2) ** -0.75 * half * weights * x**2 * np.exp(-a * (x - distances[:, None]) ** 2)
    )
    return np.stack(
        [
            np.einsum(
                "fpx,px->fp",
                functions(x.ravel(), angular).reshape(-1, *x.shape),
                weight * _damped_bessel(z, angular) * (2 * a * x * scale) ** angular,
            )
            for angular in range(l_max + 1)
        ]
    )


def _damped_bessel(z: np.ndarray, angular: int) -> np.ndarray:
    """exp(−z) iₗ(z) / zˡ with iₗ the modified spherical Bessel function of the first kind."""
    small = np.minimum(z, 20.0)
    series = np.exp(-small) * hyp0f1(angular + 1.5, small**2 / 4) / factorial2(2 * angular + 1)
    large = np.maximum(z, 20.0)
    return np.where(z < 20.0, series, np.sqrt(np.pi / (2 * large)) * ive(angular + 0.5, large) / large**angular)


class RadialSplines(torch.nn.Module):
    """Quintic splines of the overlaps of `gaussian_overlaps`, continuous to the fourth derivative.

    functions     radial basis
    cutoff        Å; largest distance that may be asked for, and the scale of the division by rˡ
    at_centre     (n_max,)  overlaps of an atom with its own environment, which has l = 0 only
    """

    def __init__(self, functions: RadialFunctions, cutoff: float, l_max: int, width: float):
        super().__init__()
        intervals = int(np.ceil(cutoff / width * KNOTS_PER_WIDTH))
        self.step = cutoff / intervals
        knots = np.arange(-MARGIN, intervals + MARGIN + 1) * self.step
        # Overlaps divided by rˡ are even functions of r.
        values = gaussian_overlaps(np.abs(knots), functions, l_max, width, cutoff)  # (l, n, knots)
        table = _spline_coefficients(values.reshape(-1, len(knots)).T)
        centre = gaussian_overlaps(np.zeros(1), functions, 0, width, cutoff)
        self.register_buffer("table", torch.from_numpy(table[MARGIN - 2 : 2 - MARGIN].copy()))
        self.register_buffer("at_centre", torch.from_numpy(centre[0, :, 0].copy()))

    def forward(self, distances: Tensor, factors: Tensor) -> Tensor:
        """Overlaps, times one factor for each distance.

        distances  (pairs,)  Å, from 0 to the cutoff
        factors    (pairs,)
        returns    (pairs, (l_max + 1) · n_max)  l slow, n fast
        """
        place = distances / self.step
        # The last interval owns the cutoff itself.
        interval = place.detach().floor().clamp(0, len(self.table) - 6)
        weights = _spline_weights(place - interval) * factors[:, None]
        rows = interval.long()[:, None] + torch.arange(6, device=distances.device)
        return _WeightedRows.apply(weights, rows, self.table)


def _spline_coefficients(values: np.ndarray) -> np.ndarray:
    """B-spline coefficients (knots, functions) that interpolate values (knots, functions) on equal knots."""
    bands = np.repeat(np.array([[66.0], [26.0], [1.0]]) / 120, len(values), axis=1)
    return solveh_banded(bands, values, lower=True)


def _spline_weights(t: Tensor) -> Tensor:
    """The six quintic B-splines that cover an interval, at t = 0 … 1 inside it: (pairs,) → (pairs, 6)."""
    u = 1 - t

    def outer(s: Tensor) -> Tensor:
        return 26 + s * (-50 + s * (20 + s * (20 + s * (-20 + 5 * s))))

    def middle(s: Tensor) -> Tensor:
        s2 = s * s
        return 66 + s2 * (-60 + s2 * (30 - 10 * s))

    return torch.stack([u**5, outer(t), middle(t), middle(u), outer(u), t**5], dim=1) / 120


class _WeightedRows(torch.autograd.Function):
    """Σₖ weights[p, k] table[rows[p, k]], differentiable in the weights as often as one likes."""

    @staticmethod
    def forward(ctx, weights: Tensor, rows: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(rows, table)
        return torch.nn.functional.embedding_bag(rows, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return _RowProducts.apply(gradient, *ctx.saved_tensors), None, None


class _RowProducts(torch.autograd.Function):
    """values[p] · table[rows[p, k]]: the transpose of _WeightedRows."""

    @staticmethod
    def forward(ctx, values: Tensor, rows: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(rows, table)
        return torch.einsum("pf,pkf->pk", values, table[rows])

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return _WeightedRows.apply(gradient, *ctx.saved_tensors), None, None
