"""How long training on silicon takes (214 structures, zuo2020_Si), and MACE to the same force error.

    python benchmarks/training.py --json [--case default --case linear --case retrain] [--threads 2] [--cache FOLDER]

    default  the full committee of the default recipe
    linear   the same with the linear head
    retrain  what ten new labels cost: a committee trained without ten of the structures, started warm with them
    mace     the first epoch of the cached training (`drivers/train_mace.py`, one thread) whose validation force error
             is at most that of `default`, or, if none is, where it stood at its end; on the same validation structures

`seconds` passed on the clock, `processor_seconds` were spent computing, on however many other programs' terms.
Validation errors in eV/atom and eV/Å; of `default` also on the test set.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import guests
import torch
from accuracy import errors, frames
from exchange import machine

from isoline.domain.recipe import Train
from isoline.domain.structure import Frame
from isoline_lab.training.epoch import Epoch
from isoline_lab.training.fit import fit

NEW = 10  # labels that arrive before a retrain
CASES = ("default", "linear", "retrain")


def timed(recipe: Train, train: Sequence[Frame], validation: Sequence[Frame], **start: object) -> tuple[Epoch, dict]:
    """The last epoch of a training, and what it took."""
    clock, processor = time.perf_counter(), time.process_time()
    *_, last = fit(recipe, train, validation, **start)
    return last, {
        "seconds": round(time.perf_counter() - clock, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "epochs": last.number,
        "n_train": len(train),
        "n_validation": len(validation),
        "energy_rmse": last.best_energy_rmse,
        "force_rmse": last.best_force_rmse,
    }


def run(case: str, options: dict) -> dict:
    """One case, as the module says."""
    train, validation = guests.partitioned()
    recipe = Train(version=0, **({"head": "linear"} if case == "linear" else {}) | options)
    if case != "retrain":
        last, took = timed(recipe, train, validation)
        return took | {"test": errors(last.committee(), frames(f"{guests.DATASET}_test"))}
    spread = range(0, len(train), len(train) // NEW)[:NEW]
    before, _ = timed(recipe, [frame for k, frame in enumerate(train) if k not in spread], validation)
    _, took = timed(recipe, train, validation, start=before.checkpoint(), warm=True)
    return took | {"before": {"energy_rmse": before.best_energy_rmse, "force_rmse": before.best_force_rmse}}


def mace_until(force_rmse: float, curve: Sequence[dict]) -> dict:
    """The epoch of MACE's training that was first as good, or the best it came to."""
    reached = [epoch for epoch in curve if epoch["force_rmse"] <= force_rmse]
    if reached:
        return {"reached": True, **reached[0]}
    return {"reached": False, "best_force_rmse": min(epoch["force_rmse"] for epoch in curve), **curve[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--case", action="append", choices=CASES, help="may be repeated; all if not given")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--options", type=json.loads, default={}, help="other fields of the training recipe, as JSON")
    parser.add_argument("--cache", type=Path, default=guests.CACHE, help="where MACE was trained")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    report = {case: run(case, arguments.options) for case in arguments.case or CASES}
    curve = guests.learning_curve(arguments.cache)
    if curve and "default" in report:
        report["mace"] = mace_until(report["default"]["force_rmse"], curve)
    report |= {"threads": arguments.threads, "machine": machine()}
    if arguments.json:
        print(json.dumps(report))
        return
    for case in (*CASES, "mace"):
        if case in report:
            print(case, json.dumps(report[case]))


if __name__ == "__main__":
    main()
