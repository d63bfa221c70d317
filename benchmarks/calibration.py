"""Whether a committee's spreads mean what they say, on the public benchmark of Zuo et al. (2020), default settings.

    python benchmarks/calibration.py --json [--set zuo2020_Si] [--hold Vacancy] [--seed 0] [--options '{"members": 8}']

Trains on a part of a set's training file, calibrates on the rest of it (validation), and looks at its test file once
(acac and hea_MoNbTaW, of which a random tenth is held out, can be asked for too). For each set:
reliability of energies and force components before and after calibration, with the miscalibration area that honest
spreads have by chance on as many independent values. Then, for each group held out (Surface and Vacancy): trains
without it, and tells its structures from the other test structures by their spreads (AUROC), once for the test set's
and once for all structures of the group. Over all sets, errors in units of their predicted deviations are pooled:
a set's 25 energies alone cannot show an area below 0.06. Reads the folder ISOLINE_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import asdict

import numpy as np
import torch
from accuracy import frames

from isoline.domain.recipe import Train
from isoline.domain.structure import Frame
from isoline.statistics.calibration import Calibration, QuantityCalibration
from isoline.statistics.error_law import RAW
from isoline.statistics.reliability import area_by_chance, assess, auroc, miscalibration_area
from isoline_lab.potentials.potential import Potential
from isoline_lab.training.calibrate import SpreadsAndErrors, calibrate, spreads_and_errors
from isoline_lab.training.fit import fit
from isoline_lab.training.partition import TRAIN, VALIDATION, partition

# name: (training file, test file); without a test file, a random tenth is held out for the test
FILES = {name: (f"{name}_train", f"{name}_test") for name in ("zuo2020_Si", "zuo2020_Mo", "zuo2020_Ni")}
FILES |= {"acac": ("acac_train_300K", "acac_test_MD_300K"), "hea_MoNbTaW": ("hea_MoNbTaW_train", "")}
SETS = ("zuo2020_Si", "zuo2020_Mo", "zuo2020_Ni")
HELD = ("Surface", "Vacancy")


def labelled(name: str, seed: int) -> tuple[list[Frame], list[Frame]]:
    """Structures to train and validate on, and those to look at once."""
    training, test = FILES[name]
    if test:
        return frames(training), frames(test)
    every = frames(training)
    order = np.random.default_rng(seed).permutation(len(every))
    tenth = len(every) // 10
    return [every[i] for i in sorted(order[tenth:])], [every[i] for i in sorted(order[:tenth])]


def train(recipe: Train, given: list[Frame]) -> tuple[Potential, Calibration, float]:
    """The best committee, its calibration on the validation set, and the seconds both took."""
    began = time.perf_counter()
    roles = partition([""] * len(given), recipe.validation_fraction, recipe.seed)
    parts = [[f for f, role in zip(given, roles, strict=True) if role == wanted] for wanted in (TRAIN, VALIDATION)]
    last = None
    for epoch in fit(recipe, *parts):
        last = epoch if epoch.number else last
    potential = last.committee()
    return potential, calibrate(potential, parts[1]), time.perf_counter() - began


def quantities(calibration: Calibration, found: SpreadsAndErrors):
    """Name, calibration, spreads, errors and elements of what could be calibrated."""
    if calibration.energy:
        yield "energy", calibration.energy, found.energy_spread, found.energy_error[:, None], None
    if calibration.forces:
        yield "forces", calibration.forces, found.force_spread, found.force_error, found.numbers


def reliability(one: QuantityCalibration, spread: np.ndarray, error: np.ndarray, numbers: np.ndarray | None) -> dict:
    """Figures before and after calibration on spreads and errors of a test set."""
    open_ = np.where(one.open(spread), spread, np.nan)
    length = np.linalg.norm(error, axis=1)
    factor, calibrated = one.conformal.factor(0.9), one.spread(open_, numbers)
    return {
        "law": asdict(one.law),
        "before": asdict(assess(RAW, open_ / np.sqrt(one.components), error)),
        "after": asdict(assess(one.law, one.deviation(open_, numbers), error)),
        "conformal_90": factor and float((length <= factor * calibrated)[np.isfinite(calibrated)].mean()),
        "n_settled": int(np.isfinite(spread).sum() - np.isfinite(open_).sum()),
    }


def held_out(recipe: Train, training: list[Frame], test: list[Frame], group: str) -> dict:
    """How well spreads tell structures of a group that was not trained on from the others."""
    potential, _, seconds = train(recipe, [f for f in training if f.group != group])
    inside = scores(potential, [f for f in test if f.group != group])
    outside = scores(potential, [f for f in test if f.group == group])
    every = scores(potential, [f for f in [*test, *training] if f.group == group])
    return {
        "n_inside": len(inside["energy"]),
        "n_outside": len(outside["energy"]),
        "n_outside_all": len(every["energy"]),
        "auroc": {name: auroc(inside[name], outside[name]) for name in inside},
        "auroc_all": {name: auroc(inside[name], every[name]) for name in inside},
        "seconds": round(seconds, 1),
    }


def scores(potential: Potential, of: list[Frame]) -> dict[str, np.ndarray]:
    """(structures,) spreads of energies per atom, and of forces: largest of an atom, root mean square over atoms."""
    predictions = list(potential.predict([frame.structure for frame in of]))
    return {
        "energy": np.array([p.energy_spread for p in predictions]),
        "largest_force": np.array([p.force_spread.max() for p in predictions]),
        "mean_force": np.array([np.sqrt(np.square(p.force_spread).mean()) for p in predictions]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", dest="sets", choices=FILES, help="may be repeated")
    parser.add_argument(
        "--hold", action="append", dest="held", help="group to train without; may be repeated; none: ''"
    )
    parser.add_argument("--seed", action="append", type=int, dest="seeds", help="may be repeated: figures are pooled")
    parser.add_argument("--options", type=json.loads, default={}, help="other fields of the training recipe, as JSON")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    results, shares = {}, {"energy": [], "forces": []}
    for name in arguments.sets or SETS:
        for seed in arguments.seeds or [0]:
            training, test = labelled(name, seed)
            recipe = Train(version=0, seed=seed, **arguments.options)
            potential, calibration, seconds = train(recipe, training)
            result = {"seconds": round(seconds, 1), "held_out": {}}
            found = spreads_and_errors(potential, test)
            for quantity, one, spread, error, numbers in quantities(calibration, found):
                result[quantity] = reliability(one, spread, error, numbers)
                there = one.open(spread) & np.isfinite(error).all(1)
                deviation = one.deviation(spread, numbers)
                shares[quantity].append(one.law.share(error[there] / deviation[there, None]).ravel())
            for group in arguments.held if arguments.held is not None else HELD:
                if any(frame.group == group for frame in test):
                    result["held_out"][group] = held_out(recipe, training, test, group)
            results[f"{name} seed {seed}" if len(arguments.seeds or [0]) > 1 else name] = result
    pooled = {}
    for quantity, parts in shares.items():
        if parts:
            every = np.concatenate(parts)
            pooled[quantity] = {
                "n": len(every),
                "miscalibration_area": miscalibration_area(every),
                "area_by_chance": area_by_chance(len(every)),
            }
    report = {
        "sets": results,
        "pooled": pooled,
        "recipe": Train(version=0, **arguments.options).model_dump(mode="json"),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "load": round(os.getloadavg()[0], 1),
            "torch": torch.__version__,
        },
    }
    if arguments.json:
        print(json.dumps(report))
        return
    for name, result in results.items():
        for quantity in ("energy", "forces"):
            if quantity in result:
                before, after = result[quantity]["before"], result[quantity]["after"]
                print(
                    f"{name} {quantity}: miscalibration area {before['miscalibration_area']:.3f} → "
                    f"{after['miscalibration_area']:.3f} (by chance {after['area_by_chance']:.3f}), "
                    f"ENCE {before['ence']:.2f} → {after['ence']:.2f}, ρ {after['correlation']:.2f}, N {after['n']}"
                )
        for group, found in result["held_out"].items():
            words = ", ".join(f"{score} {value:.2f}" for score, value in found["auroc"].items())
            print(f"{name} without {group}: AUROC {words} ({found['n_outside']} against {found['n_inside']})")
    for quantity, found in pooled.items():
        print(f"pooled {quantity}: miscalibration area {found['miscalibration_area']:.3f}, N {found['n']}")


if __name__ == "__main__":
    main()
