"""The ethanol sample: structures from short dynamics and rattling, labelled with GFN2-xTB on the spot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.md.langevin import Langevin

from isoline_lab.oracles.xtb import TightBinding

TEMPERATURES_K = (300, 600, 900)
RATTLES_A = (0.02, 0.035, 0.05)
TIMESTEP_FS = 0.5  # C–H and O–H stretches turn round in 9–11 fs
STEPS_BEFORE = 400
STEPS_BETWEEN = 40


def ethanol_frames(count: int = 300, seed: int = 0) -> Iterator[Atoms]:
    """Labelled ethanol molecules, one at a time, so that the caller can show progress and stop.

    Each carries energy (eV) and forces (eV/Å), and in info `config_type` and `level_of_theory`.
    They come in turns from Langevin dynamics at 300, 600 and 900 K (`md_300K`, …; 20 fs apart)
    and from rattling the resting molecule (`rattled`; 0.02–0.05 Å): stopped at any number, the
    set is balanced. Equal seeds give equal frames.

    Raises Diverged when a reference calculation does not converge.
    """
    oracle = TightBinding()
    streams = np.random.SeedSequence(seed).spawn(len(TEMPERATURES_K) + 1)
    sources = [
        _dynamics(oracle, temperature_K, np.random.default_rng(stream))
        for temperature_K, stream in zip(TEMPERATURES_K, streams, strict=False)
    ]
    sources.append(_rattled(np.random.default_rng(streams[-1])))
    for index in range(count):
        structure = next(sources[index % len(sources)])
        structure.positions -= structure.get_center_of_mass()
        yield oracle.label(structure)


def _dynamics(oracle: TightBinding, temperature_K: float, rng: np.random.Generator) -> Iterator[Atoms]:
    """Snapshots without end; the first comes after 200 fs."""
    moving = molecule("CH3CH2OH")
    moving.calc = oracle.calculator(moving)
    spread = np.sqrt(moving.get_masses() * units.kB * temperature_K)  # (atoms,)
    moving.set_momenta(rng.normal(size=(len(moving), 3)) * spread[:, None])
    # The drift of the centre of mass is let be and taken out of each snapshot instead.
    dynamics = Langevin(
        moving,
        TIMESTEP_FS * units.fs,
        temperature_K=temperature_K,
        friction=0.02 / units.fs,
        fixcm=False,
        rng=rng,
    )
    dynamics.run(STEPS_BEFORE)
    while True:
        snapshot = Atoms(moving.symbols, moving.positions)
        snapshot.info["config_type"] = f"md_{temperature_K}K"
        yield snapshot
        dynamics.run(STEPS_BETWEEN)


def _rattled(rng: np.random.Generator) -> Iterator[Atoms]:
    """The resting molecule with normal displacements, their size taken in turns, without end."""
    resting = molecule("CH3CH2OH")
    while True:
        for amplitude in RATTLES_A:
            structure = Atoms(resting.symbols, resting.positions + rng.normal(0, amplitude, resting.positions.shape))
            structure.info["config_type"] = "rattled"
            yield structure
