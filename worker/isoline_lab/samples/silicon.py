"""The silicon sample: small cells, strained, rattled, hot and with a vacancy, labelled with PBE.

The shipped file (`silicon_path`) holds 200 cells: 60 strained, 48 rattled, 60 hot, 32 with a vacancy.
To make it again, with Quantum ESPRESSO installed:

    python -m isoline_lab.samples.silicon silicon.extxyz.xz --work folder

It takes some 20 s of one core per cell, and may be stopped and started again: frames finished
in the work folder are not computed twice.
"""

from __future__ import annotations

import argparse
import io
import lzma
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.tersoff import Tersoff, TersoffParameters
from ase.io import iread, write
from ase.md.langevin import Langevin

from isoline.errors import Diverged
from isoline_lab.samples import plane_waves

LATTICE_A = 5.47  # PBE
CLOSEST_A = 1.85  # nearer pairs would give forces beyond 15 eV/Å

# Tersoff, Phys. Rev. B 38, 9902 (1988), table I, silicon "T3": only a mover of atoms here, its labels are dropped.
_TERSOFF_SILICON = TersoffParameters(
    m=3.0, gamma=1.0, lambda3=0.0, c=1.0039e5, d=16.217, h=-0.59825, n=0.78734, beta=1.1e-6,
    lambda2=1.7322, B=471.18, R=2.85, D=0.15, lambda1=2.4799, A=1830.8,
)  # fmt: skip


def silicon_path() -> Path:
    """The shipped file: extended XYZ, xz-compressed, with energy, forces and stress per frame."""
    return Path(str(files("isoline_lab.samples") / "silicon.extxyz.xz"))


def frames() -> Iterator[Atoms]:
    """The shipped frames in the file's order: energy (eV), forces (eV/Å) and stress (eV/Å³) in `calc`."""
    # Read whole first: ASE seeks in the file, which a compressed stream answers by starting over.
    text = io.StringIO(lzma.decompress(silicon_path().read_bytes()).decode())
    yield from iread(text, ":", format="extxyz")


def silicon_structures(seed: int = 0) -> Iterator[Atoms]:
    """The 200 unlabelled cells, each with `config_type` and `frame` (its name) in info.

    60 strained (volume −12…+12 % in steps of 1 %, uniaxial, shear, general), 48 rattled
    (0.02–0.25 Å), 60 hot (snapshots of dynamics at 600–3000 K), 32 with a vacancy (7 atoms).
    """
    rng = np.random.default_rng(seed)
    for group in (_strained, _rattled, _hot, _with_vacancy):
        yield from group(rng)


def _crystal() -> Atoms:
    return bulk("Si", "diamond", a=LATTICE_A, cubic=True)


def _named(structure: Atoms, config_type: str, frame: str) -> Atoms:
    structure.info = {"config_type": config_type, "frame": frame}
    return structure


def _deform(structure: Atoms, strain: np.ndarray) -> Atoms:
    structure.set_cell(structure.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return structure


def _scale_volume(structure: Atoms, change: float) -> Atoms:
    return _deform(structure, np.eye(3) * ((1 + change) ** (1 / 3) - 1))


def _rattle(structure: Atoms, amplitude: float, rng: np.random.Generator) -> Atoms:
    """Normal displacements of standard deviation `amplitude` (Å), drawn again if atoms come too close."""
    resting = structure.positions.copy()
    while True:
        structure.positions = resting + rng.normal(0, amplitude, resting.shape)
        if _closest_pair(structure) > CLOSEST_A:
            return structure


def _closest_pair(structure: Atoms) -> float:
    distances = structure.get_all_distances(mic=True)
    return float(distances[np.triu_indices(len(structure), 1)].min())


def _general_strain(size: float, rng: np.random.Generator) -> np.ndarray:
    strain = rng.uniform(-size, size, (3, 3))
    return (strain + strain.T) / 2


def _strained(rng: np.random.Generator) -> Iterator[Atoms]:
    for percent in range(-12, 13):
        yield _named(_scale_volume(_crystal(), percent / 100), "strained", f"volume{percent:+03d}")
    for percent in (-8, -6, -4, -2, -1, 1, 2, 4, 6, 8):
        strain = np.diag([0.0, 0.0, percent / 100])
        yield _named(_deform(_crystal(), strain), "strained", f"uniaxial{percent:+03d}")
    for percent in (-8, -6, -4, -2, 2, 4, 6, 8):
        strain = np.zeros((3, 3))
        strain[1, 2] = strain[2, 1] = percent / 200
        yield _named(_deform(_crystal(), strain), "strained", f"shear{percent:+03d}")
    for index in range(17):
        structure = _rattle(_deform(_crystal(), _general_strain(0.06, rng)), 0.02, rng)
        yield _named(structure, "strained", f"general-{index:02d}")


def _rattled(rng: np.random.Generator) -> Iterator[Atoms]:
    for amplitude in (0.02, 0.05, 0.10, 0.15, 0.20, 0.25):
        for index in range(8):
            structure = _scale_volume(_crystal(), rng.uniform(-0.04, 0.04))
            yield _named(_rattle(structure, amplitude, rng), "rattled", f"rattled{amplitude:.2f}-{index}")


def _hot(rng: np.random.Generator) -> Iterator[Atoms]:
    """Snapshots 100 fs apart, after 200 fs, of Langevin dynamics at three volumes for each temperature."""
    for temperature_K in (600, 1200, 1800, 2400, 3000):
        for percent in (-5, 0, 5):
            structure = _scale_volume(_crystal(), percent / 100)
            structure.calc = Tersoff({("Si", "Si", "Si"): _TERSOFF_SILICON})
            spread = np.sqrt(structure.get_masses() * units.kB * temperature_K)  # (atoms,)
            structure.set_momenta(rng.normal(size=(len(structure), 3)) * spread[:, None])
            dynamics = Langevin(
                structure,
                2 * units.fs,
                temperature_K=temperature_K,
                friction=0.02 / units.fs,
                fixcm=False,
                rng=rng,
            )
            dynamics.run(100)
            for index in range(4):
                dynamics.run(50)
                while _closest_pair(structure) <= CLOSEST_A:
                    dynamics.run(1)
                # Labels and velocities of the classical potential stay behind.
                snapshot = Atoms(structure.symbols, structure.positions, cell=structure.cell, pbc=True)
                yield _named(snapshot, "hot", f"hot{temperature_K}K{percent:+d}-{index}")


def _with_vacancy(rng: np.random.Generator) -> Iterator[Atoms]:
    for amplitude in (0.02, 0.05, 0.10, 0.15):
        for index in range(8):
            structure = _scale_volume(_crystal(), rng.uniform(-0.06, 0.06))
            del structure[int(rng.integers(8))]
            yield _named(_rattle(structure, amplitude, rng), "vacancy", f"vacancy{amplitude:.2f}-{index}")


def label_all(structures: list[Atoms], work: Path, pseudopotentials: Path) -> Iterator[tuple[int, Atoms | None]]:
    """Each structure's place and its labelled frame, in a shuffled order that stays balanced when stopped early.

    None stands for a frame whose self-consistent cycle did not converge: it is left out, not guessed.
    """
    for place in np.random.default_rng(0).permutation(len(structures)):
        structure = structures[place]
        try:
            yield int(place), plane_waves.label(structure, work / structure.info["frame"], pseudopotentials)
        except Diverged:
            yield int(place), None


def write_compressed(labelled: list[Atoms], target: Path) -> None:
    """Write frames as xz-compressed extended XYZ, positions to 8 decimals."""
    text = io.StringIO()
    write(text, labelled, format="extxyz")
    target.write_bytes(lzma.compress(text.getvalue().encode(), preset=9 | lzma.PRESET_EXTREME))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the silicon sample with Quantum ESPRESSO's pw.x.")
    parser.add_argument("output", type=Path, help="file to write, ending in .extxyz.xz")
    parser.add_argument("--work", type=Path, default=Path("silicon-work"), help="folder kept between runs")
    parser.add_argument("--pseudopotentials", type=Path, default=plane_waves.PSEUDOPOTENTIALS)
    parser.add_argument("--frames", type=int, help="stop after this many frames")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    started = time.monotonic()
    structures = list(silicon_structures(options.seed))
    finished: dict[int, Atoms] = {}
    for place, frame in label_all(structures, options.work, options.pseudopotentials):
        name = structures[place].info["frame"]
        if frame is None:
            print(f"{name}: not converged, left out", flush=True)
            continue
        finished[place] = frame
        energy = frame.get_potential_energy() / len(frame)
        largest = abs(frame.get_forces()).max()
        elapsed = time.monotonic() - started
        print(f"{len(finished)} {name}: {energy:.4f} eV/atom, |F| {largest:.2f} eV/Å, {elapsed:.0f} s", flush=True)
        if len(finished) == options.frames:
            break
    write_compressed([finished[place] for place in sorted(finished)], options.output)


if __name__ == "__main__":
    main()
