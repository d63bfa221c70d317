"""What a training tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from isoline_lab.potentials.potential import Potential
from isoline_lab.training.best import Best
from isoline_lab.training.state import State

NOTHING = np.zeros(0)

# Of the whole training, what preparing takes; a guess for progress bars.
PREPARING = 0.05


@dataclass(frozen=True, eq=False)
class Epoch:
    """One pass over the training set, or, with number 0, a sign of life in between.

    number, total    epochs done and to do
    stage            what is being prepared, for people; "" once epochs have begun
    fraction         of the stage; of all epochs where `total` is known
    train_loss       (members,)  mean over the epoch, with the final weights of the terms
    validation_loss  (members,)
    energy_rmse      (members,)  eV/atom on the validation set; NaN without energies
    force_rmse       (members,)  eV/Å, likewise
    best             whether the mean validation loss is the lowest so far
    record           the best epoch so far
    seconds          that the epoch took
    """

    number: int = 0
    total: int = 0
    stage: str = ""
    fraction: float = 0.0
    train_loss: np.ndarray = field(default_factory=lambda: NOTHING)
    validation_loss: np.ndarray = field(default_factory=lambda: NOTHING)
    energy_rmse: np.ndarray = field(default_factory=lambda: NOTHING)
    force_rmse: np.ndarray = field(default_factory=lambda: NOTHING)
    best: bool = False
    record: Best = field(default_factory=Best)
    seconds: float = 0.0
    state: State | None = field(default=None, repr=False)

    @property
    def progress(self) -> float:
        """Of the whole training, 0…1."""
        return PREPARING * self.fraction if self.total == 0 else PREPARING + (1 - PREPARING) * self.fraction

    @property
    def best_epoch(self) -> int:
        return self.record.epoch

    @property
    def best_energy_rmse(self) -> float:
        """eV/atom, of the committee's mean on the validation set at the best epoch."""
        return self.record.energy_rmse

    @property
    def best_force_rmse(self) -> float:
        """eV/Å, likewise."""
        return self.record.force_rmse

    def checkpoint(self) -> State:
        """The whole state after this epoch."""
        return self.state

    def committee(self) -> Potential:
        """The potentials as they were at the best epoch so far."""
        return self.state.committee()
