"""How fast extended XYZ is read and surveyed, beside ase.io.read on the same machine.

    python benchmarks/reading.py --json [--frames 2000] [--turns 5]

Frames of 8 and of 64 atoms with energy, forces and stress are written beforehand, plain and as gzip.
Readers take turns, and the best turn of each counts, so that whatever else the machine does slows none alone.
ASE gets the plain file: reading a `.gz` path through it takes quadratic time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np

from isoline.domain.contract import Contract
from isoline.formats.reader import open_frames
from isoline.formats.survey import survey_files

SIZES = (8, 64)


def write_file(path: Path, atoms: int, frames: int) -> None:
    """Frames of silicon and oxygen in a box, every number with eight decimals; `.gz` beside it."""
    random = np.random.default_rng(0)
    length = 2.6 * atoms ** (1 / 3)
    sites = np.stack(np.meshgrid(*[np.arange(round(atoms ** (1 / 3)))] * 3), axis=-1).reshape(-1, 3) * 2.6
    symbols = np.where(np.arange(atoms) % 3, "O", "Si")
    parts = []
    for frame in range(frames):
        numbers = np.hstack([sites + 0.1 * random.normal(size=sites.shape), random.normal(size=sites.shape)])
        rows = "\n".join(
            f"{symbol} " + " ".join(f"{x:.8f}" for x in row) for symbol, row in zip(symbols, numbers, strict=True)
        )
        stress = " ".join(f"{x:.8f}" for x in (lambda s: (s + s.T) / 2)(random.normal(size=(3, 3))).ravel())
        parts.append(
            f'{atoms}\nLattice="{length} 0.0 0.0 0.0 {length} 0.0 0.0 0.0 {length}" '
            f'Properties=species:S:1:pos:R:3:forces:R:3 energy={-8.0 * atoms - frame / frames:.8f} stress="{stress}" '
            f'config_type=rattled pbc="T T T"\n{rows}\n'
        )
    text = "".join(parts).encode()
    path.write_bytes(text)
    path.with_suffix(".xyz.gz").write_bytes(gzip.compress(text, compresslevel=6))


def rates(path: Path, frames: int, turns: int) -> dict[str, float]:
    """Frames per second of each reader, its best turn."""
    packed = path.with_suffix(".xyz.gz")
    readers: dict[str, Callable[[], object]] = {
        "isoline": lambda: sum(1 for _ in open_frames(path)),
        "isoline_gz": lambda: sum(1 for _ in open_frames(packed)),
        "survey": lambda: list(survey_files([path], Contract())),
        "ase": lambda: ase.io.read(path, ":", format="extxyz"),
    }
    best = dict.fromkeys(readers, 0.0)
    for _ in range(turns):
        for name, read in readers.items():
            start = time.perf_counter()
            read()
            best[name] = max(best[name], frames / (time.perf_counter() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        for atoms in SIZES:
            path = Path(folder) / f"{atoms}.xyz"
            write_file(path, atoms, options.frames)
            measured[atoms] = rates(path, options.frames, options.turns)
    answer = {
        "ratio": min(rate["isoline"] / rate["ase"] for rate in measured.values()),
        "ratio_gz": min(rate["isoline_gz"] / rate["ase"] for rate in measured.values()),
        "survey_ratio": min(rate["survey"] / rate["ase"] for rate in measured.values()),
        "frames_per_second": {
            str(atoms): {name: round(value) for name, value in rate.items()} for atoms, rate in measured.items()
        },
        "frames": options.frames,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
    }
    if options.json:
        print(json.dumps(answer))
    else:
        for atoms, rate in measured.items():
            print(f"{atoms:3d} atoms  " + "  ".join(f"{name} {value:.0f}/s" for name, value in rate.items()))
        print(
            f"at least {answer['ratio']:.1f} times as fast as ase.io.read; with all checks {answer['survey_ratio']:.1f}"
        )


if __name__ == "__main__":
    main()
