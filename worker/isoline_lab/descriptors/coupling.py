"""How two real spherical tensors make a third: Clebsch–Gordan coefficients of real harmonics."""

from __future__ import annotations

from functools import cache
from math import factorial, sqrt

import numpy as np

from isoline.errors import InvalidInput


def real_clebsch_gordan(l1: int, l2: int, l3: int) -> np.ndarray:
    """Coefficients that couple tensors of angular momenta l1 and l2 to one of l3.

    returns  (2 l1 + 1, 2 l2 + 1, 2 l3 + 1)  in the order and with the signs of `SolidHarmonics`: m = 0, 1, −1, 2, …

    Orthonormal: Σ_{ab} C_abc C_abd = δ_cd. The product of two harmonics of one direction obeys
        Σ_{ab} C_abc Y_{l1 a} Y_{l2 b} = √((2 l1 + 1)(2 l2 + 1) / 4π (2 l3 + 1)) ⟨l1 0 l2 0 | l3 0⟩ Y_{l3 c},
    which vanishes for odd l1 + l2 + l3; then the coefficients are antisymmetric, and the sign is such that vectors in
    the order z, x, y couple to their cross product: C(1, 1, 1) v w = v × w / √2.

    Raises InvalidInput where l1, l2 and l3 are not the sides of a triangle: nothing couples then.
    Real from complex: Homeier & Steinborn, J. Mol. Struct. THEOCHEM 368, 31 (1996), without Condon–Shortley phase.
    """
    if min(l1, l2, l3) < 0 or not abs(l1 - l2) <= l3 <= l1 + l2:
        raise InvalidInput(
            f"angular momenta {l1} and {l2} do not couple to {l3}",
            hint=f"Choose one from {abs(l1 - l2)} to {l1 + l2}.",
        )
    return _real_clebsch_gordan(l1, l2, l3).copy()


@cache
def _real_clebsch_gordan(l1: int, l2: int, l3: int) -> np.ndarray:
    first, second, third = _real_from_complex(l1).conj(), _real_from_complex(l2).conj(), _real_from_complex(l3)
    coupled = np.einsum("am,bn,cp,mnp->abc", first, second, third, _clebsch_gordan(l1, l2, l3))
    # The coupled tensor is real, or i times real where it changes sign with the order of the factors.
    return np.ascontiguousarray(coupled.real if (l1 + l2 + l3) % 2 == 0 else coupled.imag)


def _real_from_complex(l: int) -> np.ndarray:  # noqa: E741 - the symbol of the equations
    """(real, complex) unitary; rows m = 0, 1, −1, 2, −2, …, columns m = −l … l."""
    table = np.zeros((2 * l + 1, 2 * l + 1), dtype=complex)
    table[0, l] = 1.0
    for m in range(1, l + 1):
        sign = (-1) ** m
        table[2 * m - 1, [l + m, l - m]] = sign / sqrt(2), 1 / sqrt(2)
        table[2 * m, [l + m, l - m]] = -1j * sign / sqrt(2), 1j / sqrt(2)
    return table


def _clebsch_gordan(l1: int, l2: int, l3: int) -> np.ndarray:
    """(m1, m2, m3) ⟨l1 m1 l2 m2 | l3 m3⟩ by Racah's formula, each m ascending (Varshalovich et al. 1988, 8.2.1 (3))."""
    f = factorial
    triangle = f(l1 + l2 - l3) * f(l1 - l2 + l3) * f(l2 + l3 - l1) / f(l1 + l2 + l3 + 1)
    table = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1) + 1):
            m3 = m1 + m2
            norm = (2 * l3 + 1) * triangle * f(l3 + m3) * f(l3 - m3)
            norm *= f(l1 - m1) * f(l1 + m1) * f(l2 - m2) * f(l2 + m2)
            terms = range(max(0, l2 - l3 - m1, l1 - l3 + m2), min(l1 + l2 - l3, l1 - m1, l2 + m2) + 1)
            total = sum(
                (-1) ** k
                / (f(k) * f(l1 + l2 - l3 - k) * f(l1 - m1 - k) * f(l2 + m2 - k))
                / (f(l3 - l2 + m1 + k) * f(l3 - l1 - m2 + k))
                for k in terms
            )
            table[m1 + l1, m2 + l2, m3 + l3] = sqrt(norm) * total
    return table
