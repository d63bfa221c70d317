"""How much more a committee costs than one of its members: energies, forces and stress of all of them.

    python benchmarks/committee_cost.py --json [--members 8] [--atoms 64 --atoms 1000] [--threads 1 --threads 2]

Trains the default recipe with one member and with K for a moment on a few structures of silicon: what a step costs
does not depend on the weights. Then both, each in its own process, are asked in turn for steps of dynamics of rattled
silicon, neighbour lists included, float32; the least time counts. `ratio` is the largest of all cases, by the
processor's clock on one thread and by the wall's on several (`ratios` has both).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import guests
from accuracy import frames, train
from exchange import machine, ours, silicon, turn_by_turn, write_arrays
from speed import save

from isoline.domain.recipe import Train

ENOUGH = 20  # structures to make a model of the right shape from
SECONDS = 0.5  # of steps in each turn


def models(folder: Path, members: int, options: dict) -> dict[str, Path]:
    """Folders of two models that differ in the number of members alone."""
    labelled = frames(f"{guests.DATASET}_train")
    few = labelled[:: len(labelled) // ENOUGH]
    folders = {}
    for name, k in (("one", 1), ("committee", members)):
        potential, _ = train(Train(version=0, **{"epochs": 1} | options | {"members": k}), few)
        folders[name] = save(potential, folder / name)
    return folders


def case(folders: dict[str, Path], structure: Path, threads: int, turns: int) -> dict:
    with ours(folders["one"], threads=threads) as one, ours(folders["committee"], threads=threads) as committee:
        times = turn_by_turn({"one": one, "committee": committee}, structure, turns, SECONDS)
    clocks = ("wall", "processor")
    ratios = {
        clock: times["committee"][f"{clock}_us_per_atom"] / times["one"][f"{clock}_us_per_atom"] for clock in clocks
    }
    return {"ratios": ratios, "ratio": ratios["processor" if threads == 1 else "wall"], **times}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--atoms", type=int, action="append", help="a multiple of 8; may be repeated")
    parser.add_argument("--threads", type=int, action="append", help="may be repeated")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--options", type=json.loads, default={}, help="other fields of the training recipe, as JSON")
    arguments = parser.parse_args()
    cases = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folders = models(folder, arguments.members, arguments.options)
        for atoms in arguments.atoms or [64, 1000]:
            structure = write_arrays(folder / f"{atoms}.npz", [silicon(atoms)])
            for threads in arguments.threads or [1, 2]:
                cases[f"{atoms} atoms, {threads} threads"] = case(folders, structure, threads, arguments.turns)
    report = {
        "ratio": max(found["ratio"] for found in cases.values()),
        "members": arguments.members,
        "cases": cases,
        "machine": machine(),
    }
    if arguments.json:
        print(json.dumps(report))
        return
    for name, found in cases.items():
        one, committee = (found[who]["processor_us_per_atom"] for who in ("one", "committee"))
        print(f"{name}: {found['ratio']:.2f} (processor, µs/atom: {one:.1f} one, {committee:.1f} committee)")


if __name__ == "__main__":
    main()
