"""Two atoms alone: the shortest way to see whether a potential holds atoms apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from ase.data import covalent_radii

from isoline.domain.structure import Structure
from isoline_lab.potentials.potential import Potential

# Of the sum of covalent radii: from where atoms meet only by accident to well below every bond.
SHORT = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)


@dataclass(frozen=True, eq=False)
class DimerCurve:
    """Two atoms at several distances, without anything else.

    distances  (points,)          Å
    energies   (members, points)  eV
    forces     (members, points)  eV/Å, −∂E/∂distance: positive where they repel each other
    """

    numbers: tuple[int, int]
    distances: np.ndarray
    energies: np.ndarray
    forces: np.ndarray


def dimer_curve(potential: Potential, z1: int, z2: int, distances: np.ndarray) -> DimerCurve:
    """Energies and forces of a pair of atoms in open space, by all members.

    distances  (points,)  Å, positive
    """
    distances = np.asarray(distances, dtype=np.float64)
    pairs = [Structure([z1, z2], [[0.0, 0.0, 0.0], [0.0, 0.0, d]], np.zeros((3, 3)), [False] * 3) for d in distances]
    predictions = list(potential.predict(pairs))
    return DimerCurve(
        (z1, z2),
        distances,
        np.stack([p.energy for p in predictions], axis=1),
        np.stack([p.forces[:, 1, 2] for p in predictions], axis=1),
    )


def attractive_pairs(potential: Potential, fractions: tuple[float, ...] = SHORT) -> list[DimerCurve]:
    """Curves of the pairs that some member does not repel at some short distance; none for a sound potential.

    fractions  of the sum of covalent radii, the distances to look at
    """
    curves = [
        dimer_curve(potential, z1, z2, (covalent_radii[z1] + covalent_radii[z2]) * np.array(fractions))
        for z1, z2 in combinations_with_replacement(potential.elements, 2)
    ]
    return [curve for curve in curves if not (curve.forces > 0.0).all()]
