"""How fast the store takes, finds and lists structures, beside ase.db on the same machine.

    python benchmarks/store.py --json [--structures 100000] [--ase 5000] [--url postgresql://…]

Structures of 8 to 32 atoms with energy, forces and stress are made beforehand; both sides get the same ones.
The two imports take turns, batch by batch, so that whatever else the machine does slows both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ase.db
import numpy as np

from isoline.domain.actor import OWNER
from isoline.domain.dataset import SourceRecord
from isoline.domain.structure import Frame, Label, Structure
from isoline.formats.writer import atoms
from isoline.services import library
from isoline.workbench import Settings, Workbench

RANDOM_READS = 1000


def make_frames(n: int, seed: int = 0) -> list[Frame]:
    """Frames of 8 to 32 atoms, two elements in every proportion, thermal positions, full labels."""
    random = np.random.default_rng(seed)
    frames = []
    for index in range(n):
        size = int(random.integers(8, 33))
        structure = Structure(
            random.choice([14, 8], size), random.normal(size=(size, 3)), np.diag(random.uniform(5, 9, 3)), [True] * 3
        )
        label = Label("PBE", float(random.normal()), random.normal(size=(size, 3)), random.normal(size=6))
        frames.append(Frame(structure, label, f"group {index % 7}", index))
    return frames


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def import_both(bench: Workbench, database, frames: list[Frame], n_ase: int) -> tuple[float, float]:
    """Seconds that the store took for all frames, and ase.db for the first `n_ase`."""
    adding = library.add(bench, OWNER, "benchmark", iter(frames), SourceRecord("file", "benchmark.extxyz"))
    turns = -(-len(frames) // library.BATCH)
    slices = iter(np.array_split(np.arange(n_ase), turns))
    ours = theirs = 0.0
    done = False
    while not done:
        start = time.perf_counter()
        done = next(adding, None) is None
        ours += time.perf_counter() - start
        given = [(atoms(frames[i]), frames[i].group) for i in next(slices, [])]
        start = time.perf_counter()
        with database:
            for one, group in given:
                database.write(one, config_type=group)
        theirs += time.perf_counter() - start
    return ours, theirs


def measure(frames: list[Frame], n_ase: int, folder: Path, url: str) -> dict:
    bench = Workbench.open(Settings.at(folder, url))
    database = ase.db.connect(folder / "ase.db")
    n = len(frames)
    import_s, import_ase_s = import_both(bench, database, frames, n_ase)
    version = library.find_version(bench, "benchmark").id
    random = np.random.default_rng(1)
    rows = random.choice(n, min(RANDOM_READS, n), replace=False)
    rows_ase = random.choice(n_ase, min(RANDOM_READS, n_ase), replace=False) + 1
    ours = {
        "import_per_s": n / import_s,
        "import_s": import_s,
        "random_per_s": len(rows) / timed(lambda: list(library.frames(bench, version, rows))),
        "scan_per_s": n / timed(lambda: library.columns(bench, version)),
        "read_per_s": n / timed(lambda: [None for _ in library.frames(bench, version)]),
    }
    theirs = {
        "import_per_s": n_ase / import_ase_s,
        "random_per_s": len(rows_ase) / timed(lambda: [database.get_atoms(id=int(row)) for row in rows_ase]),
        "scan_per_s": n_ase / timed(lambda: [(row.id, row.energy, row.natoms) for row in database.select()]),
    }
    bench.close()
    if not url:
        ours["bytes_per_structure"] = (folder / "store.sqlite").stat().st_size / n
        theirs["bytes_per_structure"] = (folder / "ase.db").stat().st_size / n_ase
    return {
        "ratio": ours["import_per_s"] / theirs["import_per_s"],
        "random_ratio": ours["random_per_s"] / theirs["random_per_s"],
        "scan_ratio": ours["scan_per_s"] / theirs["scan_per_s"],
        "structures": n,
        "ase_structures": n_ase,
        "database": "postgresql" if url else "sqlite",
        "store": ours,
        "ase.db": theirs,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--structures", type=int, default=100_000)
    arguments.add_argument("--ase", type=int, default=5_000, help="structures given to ase.db; its rates are compared")
    arguments.add_argument("--url", default="", help="an empty PostgreSQL database to measure instead of SQLite")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    given = arguments.parse_args()
    frames = make_frames(given.structures)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(frames, min(given.ase, given.structures), Path(folder), given.url)
    if given.json:
        print(json.dumps(result))
        return
    for what in ("import", "random", "scan"):
        ratio = result["ratio" if what == "import" else f"{what}_ratio"]
        print(f"{what:8}{result['store'][f'{what}_per_s']:10.0f} structures/s, {ratio:.1f} × ase.db")


if __name__ == "__main__":
    main()
