"""How neighbours of several elements share the channels of a cluster expansion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii

from isoline_lab.descriptors.expansion import ClusterExpansion

CHANNELS_OF_ONE = 8
"""Radial channels that see all neighbours alike; with several elements as many again tell them apart."""

FACTORS = 4
"""How many of the first channels are multiplied with each other."""


def new_expansion(
    elements: Sequence[int], cutoff: float, l_max: int, l_product: int, products: int
) -> ClusterExpansion:
    """An expansion for any structure of these elements.

    products  pairs of channels that are multiplied, at most FACTORS · (FACTORS + 1) / 2

    The first channels see every neighbour with weight one, in eight radial functions. The others see neighbours with
    weights that are orthogonal between elements, in fewer functions the more elements there are: so the number of
    features stays the same from two elements on (as in Willatt, Musil & Ceriotti, PCCP 20, 29661, 2018).
    """
    n_elements = len(elements)
    shares = _shares(n_elements)
    weights = _orthogonal_weights(n_elements)
    order = sorted((n, kind) for kind, count in enumerate(shares) for n in range(count))
    mixing = np.zeros((n_elements, n_elements, CHANNELS_OF_ONE, len(order)))
    for channel, (n, kind) in enumerate(order):
        mixing[:, :, n, channel] = weights[kind]
    radius = covalent_radii[list(elements)]
    pairs = [(a, b) for b in range(FACTORS) for a in range(b + 1)][:products]
    return ClusterExpansion(
        elements=tuple(elements),
        cutoff=cutoff,
        radii=np.sqrt((radius[:, None] + radius[None, :]) * cutoff),
        mixing=mixing,
        l_max=l_max,
        l_product=min(l_max, l_product),
        pairs=np.array(pairs),
    )


def _shares(n_elements: int) -> list[int]:
    """Radial functions for the total density, then for each way to tell elements apart."""
    if n_elements == 1:
        return [CHANNELS_OF_ONE]
    ways = min(n_elements - 1, CHANNELS_OF_ONE)
    return [CHANNELS_OF_ONE, *(CHANNELS_OF_ONE // ways + (k < CHANNELS_OF_ONE % ways) for k in range(ways))]


def _orthogonal_weights(n_elements: int) -> np.ndarray:
    """(ways, elements): rows of a cosine transform, the first constant."""
    place = np.arange(n_elements) + 0.5
    k = np.arange(n_elements)[:, None]
    return np.cos(np.pi * k * place / n_elements) * np.where(k > 0, np.sqrt(2), 1.0)
