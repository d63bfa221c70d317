"""Repulsion of screened nuclei: what no training set needs to teach.

Source: Ziegler, Biersack, Littmark, The Stopping and Range of Ions in Solids (Pergamon, 1985), universal screening.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# e²/(4πε₀), eV·Å
COULOMB = 14.399645

# Screening length of hydrogen-like charges, 0.8854 Bohr radii in Å, and the power of the charges in it.
LENGTH = 0.46850
POWER = 0.23

# φ(x) = Σ WEIGHTS · exp(−RATES · x)
WEIGHTS = (0.18175, 0.50986, 0.28022, 0.02817)
RATES = (3.19980, 0.94229, 0.40290, 0.20162)

# Of the outer radius: below this the repulsion is whole.
INNER = 0.5


@dataclass(frozen=True, eq=False)
class Repulsion:
    """Screened Coulomb repulsion of two nuclei, switched off where the training data begin.

    numbers  (elements,)           atomic numbers
    outer    (elements, elements)  Å, symmetric; nothing acts beyond, and value, slope and curvature end there together
    inner    as `outer`; nothing is taken off below. INNER × outer where a potential is fitted

    Energy and slope fall with distance everywhere, so the force is never attractive.
    """

    numbers: tuple[int, ...]
    outer: np.ndarray
    inner: np.ndarray

    @classmethod
    def up_to(cls, numbers: tuple[int, ...], outer: np.ndarray) -> Repulsion:
        """The repulsion that acts within these outer radii."""
        return cls(tuple(numbers), outer, INNER * outer)

    @property
    def reach(self) -> float:
        """Å, largest outer radius."""
        return float(self.outer.max(initial=0.0))

    def of_pairs(self, first: Tensor, second: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
        """Energy (pairs,) eV of each pair and its slope with distance, eV/Å.

        first, second  (pairs,)  places in `numbers`
        distance       (pairs,)  Å, float64
        """
        numbers = torch.tensor(self.numbers, dtype=torch.float64, device=distance.device)
        z1, z2 = numbers[first], numbers[second]
        energy, slope = screened_coulomb(z1, z2, distance)
        outer = torch.from_numpy(self.outer).to(distance.device)[first, second]
        inner = torch.from_numpy(self.inner).to(distance.device)[first, second]
        kept, change = switched_off(distance, inner, outer)
        return kept * energy, kept * slope + change * energy

    def as_dict(self) -> dict:
        """JSON."""
        return {"outer": self.outer.tolist(), "inner": self.inner.tolist()}

    @classmethod
    def from_dict(cls, numbers: tuple[int, ...], about: dict) -> Repulsion:
        """The inverse of `as_dict`."""
        outer, inner = (np.array(about[name], dtype=np.float64) for name in ("outer", "inner"))
        return cls(tuple(numbers), outer, inner)


def screened_coulomb(z1: Tensor, z2: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
    """Energy of two bare nuclei in the cloud of their electrons, eV, and its slope, eV/Å (ZBL, universal).

    z1, z2  (pairs,)  atomic numbers, as floats
    """
    length = LENGTH / (z1**POWER + z2**POWER)
    rates = distance.new_tensor(RATES) / length[..., None]
    terms = distance.new_tensor(WEIGHTS) * torch.exp(-rates * distance[..., None])
    bare = COULOMB * z1 * z2 / distance
    energy = bare * terms.sum(-1)
    return energy, -energy / distance - bare * (rates * terms).sum(-1)


def switched_off(distance: Tensor, inner: Tensor, outer: Tensor) -> tuple[Tensor, Tensor]:
    """A factor that falls from 1 at `inner` to 0 at `outer` with two continuous derivatives, and its slope, 1/Å."""
    width = outer - inner
    t = ((distance - inner) / width).clamp(0.0, 1.0)
    return 1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t**2), -30.0 * (t * (1.0 - t)) ** 2 / width
