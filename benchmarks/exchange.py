"""Structures as files that every interpreter of the comparison can read, and conversations with those interpreters."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import ase.build
import numpy as np
from ase import Atoms
from ase.io import write

from isoline.domain.structure import Frame, Label, Structure

LATTICE = 5.47  # Å, of silicon in PBE, as in the public training data
DRIVERS = Path(__file__).parent / "drivers"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


def silicon(n_atoms: int) -> Frame:
    """Rattled silicon in the diamond structure, without labels, in the most cubic box of exactly `n_atoms`.

    Raises ValueError where `n_atoms` is not a multiple of the 8 atoms of the cubic cell.
    """
    cells, rest = divmod(n_atoms, 8)
    if rest or not cells:
        raise ValueError(f"{n_atoms} atoms do not fill cubic cells of 8")
    boxes = [(a, b, cells // a // b) for a in _divisors(cells) for b in _divisors(cells // a)]
    atoms = ase.build.bulk("Si", a=LATTICE, cubic=True) * min(boxes, key=sum)
    atoms.rattle(0.1, seed=1)
    return Frame(Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc), Label(""), "", 0)


def _divisors(number: int) -> list[int]:
    return [k for k in range(1, number + 1) if number % k == 0]


def write_arrays(path: Path, frames: Sequence[Frame]) -> Path:
    """One npz with structures, energies (eV) and forces (eV/Å), NaN where there is none."""
    forces = [
        np.full((len(frame), 3), np.nan) if frame.label.forces is None else frame.label.forces for frame in frames
    ]
    np.savez(
        path,
        n_atoms=[len(frame) for frame in frames],
        numbers=np.concatenate([frame.structure.numbers for frame in frames]),
        positions=np.concatenate([frame.structure.positions for frame in frames]),
        cell=np.array([frame.structure.cell for frame in frames]),
        pbc=np.array([frame.structure.pbc for frame in frames]),
        energy=[np.nan if frame.label.energy is None else frame.label.energy for frame in frames],
        forces=np.concatenate(forces),
    )
    return path


def write_labelled(path: Path, frames: Sequence[Frame]) -> Path:
    """Extended XYZ with REF_energy, REF_forces and REF_stress, the keys that mace_run_train and gap_fit are told."""
    images = []
    for frame in frames:
        structure, label = frame.structure, frame.label
        atoms = Atoms(structure.numbers, structure.positions, cell=structure.cell, pbc=structure.pbc)
        atoms.info["REF_energy"] = label.energy
        atoms.arrays["REF_forces"] = label.forces
        if label.stress is not None:
            xx, yy, zz, yz, xz, xy = label.stress
            atoms.info["REF_stress"] = np.array([xx, xy, xz, xy, yy, yz, xz, yz, zz])
        images.append(atoms)
    write(path, images, format="extxyz")
    return path


class Conversation:
    """A potential in a process of its own that answers one question at a time (`drivers/serve.py`).

    `versions` and `rss_MB` are what it says of itself before any work. Use as a context: the process ends with it.
    Raises RuntimeError with the end of what the process printed when it dies.
    """

    def __init__(self, interpreter: Path | str, kind: str, *arguments: str, threads: int = 1):
        environment = os.environ | dict.fromkeys(THREADS, str(threads))
        self.name = kind
        self.process = subprocess.Popen(
            [interpreter, "-W", "ignore", DRIVERS / "serve.py", kind, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        first = self._answer()
        self.versions, self.rss_MB = first["ready"], first["rss_MB"]

    def ask(self, **question: object) -> dict:
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.name} ended with status {self.process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def ours(model: Path | str, *, threads: int = 1, dtype: str = "float32") -> Conversation:
    """A conversation with a model of ours, in this environment."""
    return Conversation(sys.executable, "isoline", str(model), dtype, threads=threads)


def turn_by_turn(
    conversations: dict[str, Conversation], structure: Path, turns: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Least time of a step of each, everyone in turn so that what else the machine does hits all alike.

    returns  by name: wall_us_per_atom, processor_us_per_atom, peak_rss_MB, steps
    """
    answers = {name: [] for name in conversations}
    for _ in range(turns):
        for name, conversation in conversations.items():
            answers[name].append(conversation.ask(do="time", structure=str(structure), seconds=seconds, least=1))
    return {name: summary(found) for name, found in answers.items()}


def summary(answers: Sequence[dict]) -> dict[str, float]:
    """Several answers about the same structure as one."""
    n_atoms = answers[0]["n_atoms"]
    return {
        "wall_us_per_atom": 1e6 * min(min(answer["wall_s"]) for answer in answers) / n_atoms,
        "processor_us_per_atom": 1e6 * min(min(answer["processor_s"]) for answer in answers) / n_atoms,
        "peak_rss_MB": max(answer["peak_rss_MB"] for answer in answers),
        "steps": sum(len(answer["wall_s"]) for answer in answers),
    }


def machine() -> dict:
    """What the figures were measured on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
    }
