"""How fast the store takes, finds and lists structures, beside ase.db on the same machine.

    python benchmarks/store.py --json [--structures 100000] [--ase 5000] [--url postgresql://…]

Structures of 8 to 32 atoms with energy, forces and stress are made beforehand; both sides get the same ones.
"""

from __future__ import annotations

import argparse
import json
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


def measure_store(frames: list[Frame], folder: Path, url: str) -> dict[str, float]:
    bench = Workbench.open(Settings.at(folder, url))
    source = SourceRecord("file", "benchmark.extxyz")
    adding = timed(lambda: list(library.add(bench, OWNER, "benchmark", iter(frames), source)))
    version = library.find_version(bench, "benchmark").id
    some = np.random.default_rng(1).choice(len(frames), min(RANDOM_READS, len(frames)), replace=False)
    result = {
        "import_per_s": len(frames) / adding,
        "import_s": adding,
        "random_1000_s": timed(lambda: list(library.frames(bench, version, some))),
        "scan_s": timed(lambda: library.columns(bench, version)),
        "read_all_per_s": len(frames) / timed(lambda: [None for _ in library.frames(bench, version)]),
        "again_per_s": len(frames) / timed(lambda: list(library.add(bench, OWNER, "benchmark", iter(frames), source))),
    }
    bench.close()
    if not url:
        result["bytes_per_structure"] = (folder / "store.sqlite").stat().st_size / len(frames)
    return result


def measure_ase(frames: list[Frame], folder: Path) -> dict[str, float]:
    database = ase.db.connect(folder / "ase.db")
    given = [(atoms(frame), frame.group) for frame in frames]

    def write() -> None:
        with database:
            for one, group in given:
                database.write(one, config_type=group)

    adding = timed(write)
    some = np.random.default_rng(1).choice(len(frames), min(RANDOM_READS, len(frames)), replace=False) + 1
    return {
        "import_per_s": len(frames) / adding,
        "random_1000_s": timed(lambda: [database.get_atoms(id=int(id)) for id in some]),
        "scan_s": timed(lambda: [(row.id, row.energy, row.natoms) for row in database.select()]),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--structures", type=int, default=100_000)
    arguments.add_argument("--ase", type=int, default=5_000, help="structures given to ase.db; its rates are compared")
    arguments.add_argument("--url", default="", help="a PostgreSQL database to measure instead of SQLite")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    given = arguments.parse_args()
    frames = make_frames(given.structures)
    with tempfile.TemporaryDirectory() as folder:
        theirs = measure_ase(frames[: given.ase], Path(folder))
        ours = measure_store(frames, Path(folder), given.url)
    result = {
        "ratio": ours["import_per_s"] / theirs["import_per_s"],
        "scan_ratio": (given.structures / ours["scan_s"]) / (given.ase / theirs["scan_s"]),
        "random_ratio": theirs["random_1000_s"] / ours["random_1000_s"],
        "structures": given.structures,
        "ase_structures": given.ase,
        "database": "postgresql" if given.url else "sqlite",
        "store": ours,
        "ase.db": theirs,
        "machine": f"{platform.machine()} {platform.system()}, Python {platform.python_version()}",
    }
    if given.json:
        print(json.dumps(result))
    else:
        print(f"import  {ours['import_per_s']:9.0f} structures/s, {result['ratio']:.1f} × ase.db")
        print(f"random  {ours['random_1000_s']:9.3f} s for {RANDOM_READS}, {result['random_ratio']:.1f} × ase.db")
        print(f"scan    {ours['scan_s']:9.3f} s, {result['scan_ratio']:.1f} × ase.db")


if __name__ == "__main__":
    main()
