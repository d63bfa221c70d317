"""Errors of a committee on the public benchmark of Zuo et al. (J. Phys. Chem. A 124, 731, 2020), with default settings.

    python benchmarks/accuracy.py --json [--set zuo2020_Si] [--set zuo2020_Mo] [--seed 0] [--options '{"epochs": 50}']

Trains on NAME_train and measures on NAME_test, from the folder ISOLINE_DATA (default ../shared/data). The validation
set is a part of the training file; the test file is looked at once, at the end. Errors are root mean squares of the
committee's mean: energy per atom in eV/atom, force components in eV/Å. `seconds` passed on the clock,
`processor_seconds` were spent computing, on however many other programs' terms.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch
from ase.io import read

from isoline.domain.recipe import Train
from isoline.domain.structure import Frame, Label, Structure
from isoline_lab.potentials.committee import Committee
from isoline_lab.training.evaluate import evaluate
from isoline_lab.training.fit import fit
from isoline_lab.training.partition import TRAIN, VALIDATION, partition

DATA = Path(os.environ.get("ISOLINE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def frames(name: str) -> list[Frame]:
    """All structures of a file with the labels they have."""
    # Decompressed first: ASE seeks in the file, which takes quadratic time in a compressed one.
    text = gzip.decompress((DATA / f"{name}.extxyz.gz").read_bytes()).decode()
    found = []
    for index, atoms in enumerate(read(io.StringIO(text), ":", format="extxyz")):
        results = atoms.calc.results if atoms.calc else {}
        group = atoms.info.get("config_type", "")
        label = Label("", *(results.get(kind) for kind in ("energy", "forces", "stress")))
        found.append(Frame(Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc), label, group, index))
    return found


def train(recipe: Train, labelled: list[Frame]) -> tuple[Committee, dict]:
    """The best committee, and what training took."""
    alone = np.array([len(frame) == 1 for frame in labelled])
    roles = partition([""] * len(labelled), recipe.validation_fraction, recipe.seed, needed=alone)
    parts = [[f for f, role in zip(labelled, roles, strict=True) if role == wanted] for wanted in (TRAIN, VALIDATION)]
    clock, processor = time.perf_counter(), time.process_time()
    last = None
    for epoch in fit(recipe, *parts):
        last = epoch if epoch.number else last
    took = {
        "seconds": round(time.perf_counter() - clock, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "epochs": last.number,
        "best_epoch": last.best_epoch,
        "n_train": len(parts[0]),
        "n_validation": len(parts[1]),
        "validation_energy_rmse": last.best_energy_rmse,
        "validation_force_rmse": last.best_force_rmse,
    }
    return last.committee(), took


def errors(committee: Committee, labelled: list[Frame]) -> dict:
    """Root mean square and mean absolute errors of the committee's mean over frames with labels."""
    energy, forces, members = [], [], []
    for result in evaluate(committee, labelled):
        label, n = result.frame.label, len(result.frame)
        if label.energy is not None:
            energy.append((result.energy - label.energy) / n)
            members.append((result.energies - label.energy) / n)
        if label.forces is not None:
            forces.append((result.forces - label.forces).ravel())
    energy, forces = np.array(energy), np.concatenate(forces)
    return {
        "energy_rmse": float(np.sqrt(np.mean(energy**2))),
        "force_rmse": float(np.sqrt(np.mean(forces**2))),
        "energy_mae": float(np.mean(np.abs(energy))),
        "force_mae": float(np.mean(np.abs(forces))),
        "member_energy_rmse": np.sqrt(np.mean(np.square(members), axis=0)).tolist(),
        "n": len(labelled),
        "n_force_components": len(forces),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", dest="sets", help="name of a benchmark set; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", type=json.loads, default={}, help="other fields of the training recipe, as JSON")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    recipe = Train(version=0, seed=arguments.seed, **arguments.options)
    results = {}
    for name in arguments.sets or ["zuo2020_Si", "zuo2020_Mo"]:
        committee, took = train(recipe, frames(f"{name}_train"))
        results[name] = errors(committee, frames(f"{name}_test")) | took
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
    }
    report = {"sets": results, "recipe": recipe.model_dump(mode="json"), "machine": machine}
    if len(results) == 1:
        report |= next(iter(results.values()))
    if arguments.json:
        print(json.dumps(report))
        return
    for name, result in results.items():
        print(
            f"{name}: {1000 * result['energy_rmse']:.2f} meV/atom, {result['force_rmse']:.4f} eV/Å on {result['n']} "
            f"structures; trained {result['epochs']} epochs in {result['seconds']:.0f} s"
        )


if __name__ == "__main__":
    main()
