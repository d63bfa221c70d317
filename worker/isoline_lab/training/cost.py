"""What a potential costs in use."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from isoline.domain.structure import Structure
from isoline_lab.potentials.potential import GraphPotential, Potential

# A timing is of about so many atoms, and the best of a few.
ATOMS = 500
TIMES = 3


@dataclass(frozen=True)
class Cost:
    """Energies, forces and stress of all members, neighbour lists included.

    us_per_atom  µs of wall time per atom and step
    atoms        in the structures that were timed together
    """

    us_per_atom: float
    atoms: int
    threads: int
    device: str


def measure_cost(potential: Potential, structures: Sequence[Structure]) -> Cost:
    """The cost on some of the structures it was trained on, in the precision of dynamics."""
    fast = potential.to(torch.float32) if isinstance(potential, GraphPotential) else potential
    chosen, atoms = [], 0
    for structure in sorted(structures, key=len, reverse=True):
        if atoms >= ATOMS:
            break
        chosen.append(structure)
        atoms += len(structure)
    list(fast.predict(chosen[:1]))  # what is done once: compiling, folding weights
    best = float("inf")
    for _ in range(TIMES):
        began = time.perf_counter()
        list(fast.predict(chosen))
        best = min(best, time.perf_counter() - began)
    return Cost(round(1e6 * best / max(atoms, 1), 2), atoms, torch.get_num_threads(), "cpu")
