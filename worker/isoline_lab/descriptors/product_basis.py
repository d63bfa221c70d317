"""Equivariant polynomials of a spherical tensor: what symmetric products of its components couple to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np

from isoline_lab.descriptors.coupling import real_clebsch_gordan

# Of a unit vector: what remains of a coupling that the kept ones already span.
DEPENDENT = 1e-8


@dataclass(frozen=True, eq=False)
class SymmetricProducts:
    """All independent ways ν factors of one tensor A couple to angular momentum L, with even l₁ + … + lν + L.

    monomials     (monomials, ν)  ascending indices of components of A, which runs over l = 0 … l_max as in
                  `SolidHarmonics`
    coefficients  (couplings, 2 L + 1, monomials)  the generalised Clebsch–Gordan coefficients of the product basis,
                  scaled so that a product of normally distributed components has variance one

    B_{ηLM} = Σ_{lm} C^{LM}_{η,lm} Π_ξ A_{lξ mξ}: Batatia et al., arXiv:2206.07697 (2022), section 3; Drautz, PRB 99,
    014104 (2019). Factors may be exchanged, so only independent combinations of monomials remain.
    """

    monomials: np.ndarray
    coefficients: np.ndarray


def symmetric_products(l_max: int, order: int, angular: int) -> SymmetricProducts:
    """The couplings of `order` factors with l up to l_max to `angular`."""
    n_components = (l_max + 1) ** 2
    monomials = list(combinations_with_replacement(range(n_components), order))
    place = {monomial: index for index, monomial in enumerate(monomials)}
    # How many ordered products are this monomial: the norm of a symmetric tensor counts each of them.
    ways = np.array([factorial(order) // prod(factorial(n) for n in Counter(m).values()) for m in monomials])
    kept: list[np.ndarray] = []
    for degrees in combinations_with_replacement(range(l_max + 1), order):
        if (sum(degrees) + angular) % 2:
            continue
        for table in _couplings(degrees, angular):
            path = np.zeros((len(monomials), 2 * angular + 1))
            starts = [degree**2 for degree in degrees]
            for index in np.ndindex(table.shape[:-1]):
                path[place[tuple(sorted(s + i for s, i in zip(starts, index, strict=True)))]] += table[index]
            path /= np.sqrt(ways)[:, None]
            before = np.linalg.norm(path)
            for other in kept:
                path = path - other * (other * path).sum()
            if np.linalg.norm(path) > DEPENDENT * max(before, 1.0):
                kept.append(path / np.linalg.norm(path))
    scale = np.sqrt((2 * angular + 1) * ways / factorial(order))[:, None]
    return SymmetricProducts(
        np.array(monomials).reshape(len(monomials), order),
        np.array([(path * scale).T for path in kept]).reshape(len(kept), 2 * angular + 1, len(monomials)),
    )


def _couplings(degrees: tuple[int, ...], angular: int) -> Iterator[np.ndarray]:
    """(2 l₁ + 1, …, 2 lν + 1, 2 L + 1) for every chain of intermediate angular momenta ((l₁ l₂) l₁₂ l₃) … → L."""
    if len(degrees) == 1:
        if degrees[0] == angular:
            yield np.eye(2 * angular + 1)
        return
    last = degrees[-1]
    for between in range(abs(angular - last), angular + last + 1):
        for first in _couplings(degrees[:-1], between):
            yield np.tensordot(first, real_clebsch_gordan(between, last, angular), 1)
