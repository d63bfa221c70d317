"""Integrals over the sphere of real spherical harmonics."""

from __future__ import annotations

from functools import lru_cache
from math import factorial

import numpy as np
import torch

from isoline_lab.descriptors.harmonics import SolidHarmonics


@lru_cache
def gaunt_integrals(l_max: int) -> tuple[np.ndarray, np.ndarray]:
    """∫ Yᵢ Yⱼ Yₖ over the sphere, i ≤ j, where it is not zero; halved where i = j.

    returns  (integrals, 3) harmonics, counted as l² and on, m = 0, 1, −1, …; (integrals,)

    By a quadrature that is exact for polynomials of degree 3 · l_max.
    """
    degree = 3 * l_max
    z, weight = np.polynomial.legendre.leggauss(degree // 2 + 1)
    angle = np.arange(degree + 1) * 2 * np.pi / (degree + 1)
    ring = np.sqrt(1 - z * z)[:, None]
    x, y, z = (
        v.ravel()
        for v in (ring * np.cos(angle), ring * np.sin(angle), np.broadcast_to(z[:, None], (len(z), len(angle))))
    )
    weights = np.repeat(weight * 2 * np.pi / (degree + 1), degree + 1)
    points = torch.from_numpy(np.stack([x, y, z], axis=1))
    harmonics = torch.cat(SolidHarmonics(l_max)(points, torch.ones(len(points), dtype=torch.float64))).numpy()
    integrals = np.einsum("p,ip,jp,kp->ijk", weights, harmonics, harmonics, harmonics)
    at = np.argwhere(np.abs(integrals) > 1e-12)
    at = at[at[:, 0] <= at[:, 1]]
    values = integrals[tuple(at.T)] * np.where(at[:, 0] == at[:, 1], 0.5, 1.0)
    return np.ascontiguousarray(at.astype(np.int64)), values


def harmonic_norms(l_max: int) -> np.ndarray:
    """(l_max + 1, l_max + 1) factors by l and m that make real harmonics orthonormal on the sphere."""
    norms = np.zeros((l_max + 1, l_max + 1))
    for l in range(l_max + 1):  # noqa: E741 - the symbol of the equations
        for m in range(l + 1):
            ratio = factorial(l - m) / factorial(l + m)
            norms[l, m] = np.sqrt((2 * l + 1) / (4 * np.pi) * ratio * (2 if m else 1))
    return norms
