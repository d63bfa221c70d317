"""Real solid harmonics of many vectors at once."""

from __future__ import annotations

from math import factorial, pi, sqrt

import torch
from torch import Tensor


def solid_harmonics(vectors: Tensor, l_max: int) -> Tensor:
    """Real solid harmonics rˡ Yₗₘ, polynomials in x, y and z, so smooth at the origin too.

    vectors  (vectors, 3)
    returns  ((l_max + 1)², vectors)  row l² + l + m holds m = −l … l; no Condon–Shortley phase

    Orthonormal on the unit sphere. Recursions as in Bigi et al., J. Chem. Phys. 159, 064802 (2023).
    """
    x, y, z = vectors.unbind(1)
    r2 = x * x + y * y + z * z
    cosines, sines = [torch.ones_like(x)], [torch.zeros_like(x)]  # Re and Im of (x + iy)^m
    for m in range(1, l_max + 1):
        cosines.append(x * cosines[-1] - y * sines[-1])
        sines.append(x * sines[m - 1] + y * cosines[m - 1])
    rows: list[Tensor | None] = [None] * (l_max + 1) ** 2
    for m in range(l_max + 1):
        before, legendre = None, torch.ones_like(x) if m == 0 else None
        for l in range(m, l_max + 1):  # noqa: E741 - the symbol of the cited equations
            if l == m:
                # Q_mm = (2m − 1)!! is a number; the norm below takes it in.
                legendre = torch.ones_like(x)
            elif l == m + 1:
                before, legendre = legendre, (2 * m + 1) * z
            else:
                before, legendre = legendre, ((2 * l - 1) * z * legendre - (l + m - 1) * r2 * before) / (l - m)
            norm = _norm(l, m)
            rows[l * l + l + m] = norm * legendre * cosines[m] if m else norm * legendre
            if m:
                rows[l * l + l - m] = norm * legendre * sines[m]
    return torch.stack(rows)


def _norm(l: int, m: int) -> float:  # noqa: E741
    """√((2l + 1)/4π · (l − m)!/(l + m)!) · (2m − 1)!!, times √2 for m > 0."""
    double_factorial = factorial(2 * m) / (2**m * factorial(m))
    return sqrt((2 * l + 1) / (4 * pi) * factorial(l - m) / factorial(l + m) * (2 if m else 1)) * double_factorial
