"""What a Gaussian atom at distance r shares with each radial basis function, as splines that can be differentiated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.polynomial import Polynomial
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
        self.register_buffer("pieces", torch.from_numpy(_spline_pieces(self.step)))
        self.register_buffer("at_centre", torch.from_numpy(centre[0, :, 0].copy()))

    def forward(self, distances: Tensor) -> Tensor:
        """Overlaps at each distance.

        distances  (pairs,)  Å, from 0 to the cutoff
        returns    (pairs, (l_max + 1) · n_max)  l slow, n fast; differentiable
        """
        return _Spline.apply(distances, self.table, self.pieces, self.step, 0)


def _spline_coefficients(values: np.ndarray) -> np.ndarray:
    """B-spline coefficients (knots, functions) that interpolate values (knots, functions) on equal knots."""
    bands = np.repeat(np.array([[66.0], [26.0], [1.0]]) / 120, len(values), axis=1)
    return solveh_banded(bands, values, lower=True)


def _spline_pieces(step: float) -> np.ndarray:
    """(orders, powers, pieces): the six quintic B-splines over one interval and their derivatives in powers of t.

    t runs from 0 to 1 over the interval, derivatives are with respect to t · step; those of order 6 are zero.
    """
    outer, middle = [26, -50, 20, 20, -20, 5], [66, 0, -60, 0, 30, -10]
    mirror = Polynomial([1, -1])  # t → 1 − t
    half = [Polynomial(piece) / 120 for piece in ([0, 0, 0, 0, 0, 1], outer, middle)]
    pieces = [half[0](mirror), half[1], half[2], half[2](mirror), half[1](mirror), half[0]]
    table = np.zeros((7, 6, 6))
    for order in range(6):
        for column, piece in enumerate(pieces):
            coefficients = piece.deriv(order).coef / step**order
            table[order, : len(coefficients), column] = coefficients
    return table


class _Spline(torch.autograd.Function):
    """A derivative of splines at each distance: (pairs,) → (pairs, functions)."""

    @staticmethod
    def forward(ctx, distances: Tensor, table: Tensor, pieces: Tensor, step: float, order: int) -> Tensor:
        ctx.save_for_backward(distances, table, pieces)
        ctx.step, ctx.order = step, order
        place = distances / step
        # The last interval owns the cutoff itself.
        interval = place.floor().clamp(0, len(table) - 6)
        weights = torch.linalg.vander(place - interval, N=6) @ pieces[min(order, 6)]
        rows = interval.long()[:, None] + torch.arange(6, device=distances.device)
        return torch.nn.functional.embedding_bag(rows, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    def backward(ctx, gradient: Tensor):
        distances, table, pieces = ctx.saved_tensors
        slopes = _Spline.apply(distances, table, pieces, ctx.step, ctx.order + 1)
        return (gradient * slopes).sum(dim=1), None, None, None, None
