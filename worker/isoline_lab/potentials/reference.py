"""Energies of free atoms as seen by a dataset, fitted by least squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols

from isoline.domain.structure import Frame

# Relative to the largest singular value. Exact dependence of compositions leaves values near 1e-16.
RANK_TOLERANCE = 1e-8

# Relative ridge. Strong enough to choose among equally good solutions, too weak to bias a well-posed fit (about 1e-8).
RIDGE = 1e-8


@dataclass(frozen=True, eq=False)
class ReferenceEnergies:
    """What each element contributes to an energy on average.

    energies  (elements,)  eV
    warnings  for people
    """

    energies: np.ndarray
    warnings: tuple[str, ...]


def fit_reference(frames: Sequence[Frame], elements: Sequence[int]) -> ReferenceEnergies:
    """Regularised least squares of total energies on compositions, each structure weighted by 1/atoms.

    Where compositions do not determine the energies (say, only NaCl), the solution with the least spread around the
    mean energy per atom is taken: it is right for these compositions and a guess for others, which a warning tells."""
    labelled = [f for f in frames if f.label.energy is not None and len(f)]
    if not labelled:
        return ReferenceEnergies(np.zeros(len(elements)), ("no energies: the potential is known up to a constant",))
    counts = np.array([[(f.structure.numbers == z).sum() for z in elements] for f in labelled], dtype=float)
    sizes = counts.sum(1)
    fractions = counts / sizes[:, None]
    per_atom = np.array([f.label.energy for f in labelled]) / sizes
    mean = per_atom.mean()
    values = np.linalg.svd(fractions, compute_uv=False)
    rank = int((values > RANK_TOLERANCE * values[0]).sum())
    ridge = RIDGE * values[0] * np.eye(len(elements))
    stacked = np.vstack([fractions, ridge])
    deviations = np.concatenate([per_atom - mean, np.zeros(len(elements))])
    energies = mean + np.linalg.lstsq(stacked, deviations, rcond=None)[0]
    warnings = []
    if rank < len(elements):
        symbols = ", ".join(chemical_symbols[z] for z in elements)
        warnings.append(
            f"compositions determine {rank} of {len(elements)} reference energies ({symbols}): "
            "energies of other compositions are guesses; add isolated atoms or other compositions to the training set"
        )
    return ReferenceEnergies(energies, tuple(warnings))
