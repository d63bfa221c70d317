"""The best epoch of a training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Best:
    """The epoch with the lowest validation loss so far, and the committee's errors there.

    epoch        0 before the first
    loss         mean over members
    energy_rmse  eV/atom, of the committee's mean; NaN without energies
    force_rmse   eV/Å, likewise
    """

    epoch: int = 0
    loss: float = float("inf")
    energy_rmse: float = float("nan")
    force_rmse: float = float("nan")
