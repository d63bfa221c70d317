"""A committee measured against labels, structure by structure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee

import numpy as np

from isoline.domain.structure import Frame
from isoline_lab.potentials.committee import Committee


@dataclass(frozen=True, eq=False)
class FrameErrors:
    """What the committee says about a frame; differences from its label are left to statistics.

    energy          eV, mean over members
    energies        (members,)  eV
    energy_spread   eV/atom, standard deviation over members; NaN for a single member
    forces          (atoms, 3)  float32, eV/Å, mean
    force_spread    (atoms,)    float32, eV/Å
    stress          (6,)        eV/Å³, mean; None without a cell
    """

    frame: Frame
    energy: float
    energies: np.ndarray
    energy_spread: float
    forces: np.ndarray
    force_spread: np.ndarray
    stress: np.ndarray | None


def evaluate(committee: Committee, frames: Iterable[Frame], batch_atoms: int = 512) -> Iterator[FrameErrors]:
    """Predictions for frames, in their order, computed for about `batch_atoms` atoms at a time.

    Raises InvalidInput that names elements the committee does not know.
    """
    asked, answered = tee(frames)
    predictions = committee.predict((frame.structure for frame in asked), batch_atoms)
    for prediction, frame in zip(predictions, answered, strict=True):
        yield FrameErrors(
            frame=frame,
            energy=prediction.mean_energy,
            energies=prediction.energy,
            energy_spread=prediction.energy_spread,
            forces=prediction.mean_forces.astype(np.float32),
            force_spread=prediction.force_spread.astype(np.float32),
            stress=prediction.mean_stress,
        )
