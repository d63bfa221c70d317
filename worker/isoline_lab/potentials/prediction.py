"""What a committee says about one structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predictions of every member; the committee's answer is their mean, its doubt their spread.

    energy         (members,)           eV
    atom_energies  (members, atoms)     eV, sum to the energy
    forces         (members, atoms, 3)  eV/Å
    stress         (members, 6)         eV/Å³, Voigt order; None without a cell
    """

    energy: np.ndarray
    atom_energies: np.ndarray
    forces: np.ndarray
    stress: np.ndarray | None

    @property
    def mean_energy(self) -> float:
        return float(self.energy.mean())

    @property
    def mean_forces(self) -> np.ndarray:
        """(atoms, 3) eV/Å."""
        return self.forces.mean(0)

    @property
    def mean_stress(self) -> np.ndarray | None:
        """(6,) eV/Å³."""
        return None if self.stress is None else self.stress.mean(0)

    @property
    def energy_spread(self) -> float:
        """Standard deviation of the energy per atom, eV/atom, unbiased over members; NaN for a single member."""
        return float(_deviation(self.energy / max(self.forces.shape[1], 1)))

    @property
    def force_spread(self) -> np.ndarray:
        """(atoms,) eV/Å: root of the summed variances of the three components; NaN for a single member."""
        return np.sqrt((_deviation(self.forces) ** 2).sum(-1))


def _deviation(values: np.ndarray) -> np.ndarray:
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return values.std(axis=0, ddof=1)
