"""Time and memory of a step against the number of atoms.

    python benchmarks/scaling.py --json [--atoms 1000 --atoms 200000] [--threads 1] [--model FOLDER]

A fresh process for every size takes a few steps of rattled silicon with the committee of the default recipe (float32,
energy, forces and stress of all members, neighbour lists included). Another process repeats the smallest size right
before and after each, since a busy machine slows its processor's clock too: `relative` is the time per atom over the
mean of those two, `flatness` its largest departure from its mean over sizes. `memory` is peak resident memory less
what the process held before: bytes per atom, and the largest departure from the line through the smallest and largest
size, as a share of the largest.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from exchange import machine, ours, silicon, summary, write_arrays
from speed import trained

from isoline.domain.recipe import Train

SIZES = (1_000, 2_000, 8_000, 32_000, 64_000, 200_000)


def measure(model: Path, folder: Path, sizes: list[int], threads: int, steps: int) -> dict[int, dict]:
    """Time and memory by number of atoms."""
    structures = {atoms: str(write_arrays(folder / f"{atoms}.npz", [silicon(atoms)])) for atoms in sizes}
    small = {"do": "time", "structure": structures[sizes[0]], "seconds": 0.5, "least": 1}
    found = {}
    with ours(model, threads=threads) as reference:
        for atoms, structure in structures.items():
            with ours(model, threads=threads) as conversation:
                before = reference.ask(**small)
                answer = conversation.ask(do="time", structure=structure, seconds=1.0, least=steps)
                around = [summary([said])["processor_us_per_atom"] for said in (before, reference.ask(**small))]
                found[atoms] = summary([answer]) | {"rss_before_MB": conversation.rss_MB}
                found[atoms]["relative"] = found[atoms]["processor_us_per_atom"] / np.mean(around)
    return found


def judge(sizes: dict[int, dict]) -> dict:
    """Whether time per atom is flat and memory linear."""
    atoms = np.array(list(sizes))
    times = np.array([found["relative"] for found in sizes.values()])
    memory = np.array([found["peak_rss_MB"] - found["rss_before_MB"] for found in sizes.values()])
    line = np.interp(atoms, atoms[[0, -1]], memory[[0, -1]])
    return {
        "flatness": float(np.abs(times / times.mean() - 1).max()),
        "memory_bytes_per_atom": float((memory[-1] - memory[0]) * 2**20 / max(atoms[-1] - atoms[0], 1)),
        "memory_off_line": float(np.abs(memory - line).max() / memory[-1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--atoms", type=int, action="append", help="a multiple of 8; may be repeated")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2, help="least number of steps that are timed")
    parser.add_argument("--model", type=Path, help="folder of a model of ours; trained with the default recipe if not")
    parser.add_argument("--options", type=json.loads, default={}, help="other fields of the training recipe, as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or folder / "model"
        if arguments.model is None:
            trained(model, Train(version=0, **arguments.options))
        sizes = measure(model, folder, sorted(arguments.atoms or SIZES), arguments.threads, arguments.steps)
    report = {**judge(sizes), "sizes": sizes, "threads": arguments.threads, "machine": machine()}
    if arguments.json:
        print(json.dumps(report))
        return
    for atoms, found in sizes.items():
        print(
            f"{atoms:8} atoms {found['processor_us_per_atom']:8.1f} µs/atom processor "
            f"{found['wall_us_per_atom']:8.1f} wall {found['peak_rss_MB']:8.0f} MB"
        )
    print(f"flat within {report['flatness']:.0%}; {report['memory_bytes_per_atom']:.0f} bytes/atom")


if __name__ == "__main__":
    main()
