"""Answer questions about one potential, a line of JSON each; run by the interpreter that has the potential's library.

    python serve.py KIND [MODEL] < questions > answers

The first line of the answers is {"ready": …} with versions and `rss_MB` before any work. Then for every line of the
input one answer:

    {"do": "time", "structure": FILE.npz, "seconds": 1.0, "least": 1}
        Dynamics without an integrator: every step has new positions (each atom 0.005 Å further in a random direction),
        hence a new neighbour list where the library has no skin, and asks for energy, forces and stress. The first
        step is never counted. → {"wall_s": […], "processor_s": […], "peak_rss_MB": …}
    {"do": "errors", "structures": FILE.npz}
        → {"energy_rmse": eV/atom, "force_rmse": eV/Å, "n": …}

What libraries print goes to standard error. Threads are pinned by the environment of this process.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

import numpy as np
from ase import Atoms
from calculators import KINDS

STEP = 0.005  # Å that each atom moves between two evaluations


def read_structures(path: str) -> list[tuple[Atoms, float, np.ndarray]]:
    """Structures of a file with energies and forces (NaN where there are none)."""
    with np.load(path, allow_pickle=False) as file:
        end = np.cumsum(file["n_atoms"])
        parts = [slice(stop - n, stop) for stop, n in zip(end, file["n_atoms"], strict=True)]
        return [
            (
                Atoms(file["numbers"][part], file["positions"][part], cell=file["cell"][k], pbc=file["pbc"][k]),
                float(file["energy"][k]),
                file["forces"][part],
            )
            for k, part in enumerate(parts)
        ]


def time_steps(evaluate, question: dict) -> dict:
    atoms = read_structures(question["structure"])[0][0]
    start = atoms.get_positions()
    random = np.random.default_rng(0)
    wall, processor = [], []
    while not wall or sum(wall[1:]) < question["seconds"] or len(wall) <= question["least"]:
        directions = random.standard_normal(start.shape)
        atoms.set_positions(start + STEP * directions / np.linalg.norm(directions, axis=1, keepdims=True))
        clock, used = time.perf_counter(), time.process_time()
        evaluate(atoms)
        wall.append(time.perf_counter() - clock)
        processor.append(time.process_time() - used)
    return {"wall_s": wall[1:], "processor_s": processor[1:], "peak_rss_MB": peak_memory_mb(), "n_atoms": len(atoms)}


def errors(evaluate, question: dict) -> dict:
    energy, forces = [], []
    for atoms, label, pulls in read_structures(question["structures"]):
        found, found_forces = evaluate(atoms)
        energy.append((found - label) / len(atoms))
        forces.append((found_forces - pulls).ravel())
    return {
        "energy_rmse": float(np.sqrt(np.mean(np.square(energy)))),
        "force_rmse": float(np.sqrt(np.mean(np.square(np.concatenate(forces))))),
        "n": len(energy),
    }


def peak_memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    # Fortran and C libraries write to descriptor 1 whatever sys.stdout is.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    evaluate, versions = KINDS[sys.argv[1]](*sys.argv[2:])
    answers.write(json.dumps({"ready": versions, "rss_MB": peak_memory_mb()}) + "\n")
    answers.flush()
    for line in sys.stdin:
        question = json.loads(line)
        answer = {"time": time_steps, "errors": errors}[question["do"]](evaluate, question)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
