"""Models of the competitors, trained here on the same structures as ours and kept in a cache outside the repository."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accuracy import frames
from competitors import COMPETITORS
from exchange import DRIVERS, THREADS, Conversation, write_arrays, write_labelled

from isoline.domain.structure import Frame
from isoline_lab.training.partition import TRAIN, partition

CACHE = Path.home() / ".cache" / "isoline" / "benchmarks"
DATASET = "zuo2020_Si"

# A neuroevolution potential as published ones for silicon are built: radial and angular cutoffs, Å; radial functions,
# less one; basis functions, less one; l ≤ 4 and the quadratic invariants of l = 2; neurons.
NEP_CUTOFFS = (6.0, 5.0)
NEP_RADIAL = (8, 6)
NEP_BASIS = (8, 8)
NEP_L_MAX = (4, 2, 0)
NEP_NEURONS = 40


def partitioned(validation_fraction: float = 0.1, seed: int = 0) -> tuple[list[Frame], list[Frame]]:
    """Training and validation structures, the same ones that a default training of ours takes."""
    labelled = frames(f"{DATASET}_train")
    roles = partition([""] * len(labelled), validation_fraction, seed)
    train = [frame for frame, role in zip(labelled, roles, strict=True) if role == TRAIN]
    return train, [frame for frame, role in zip(labelled, roles, strict=True) if role != TRAIN]


def files(cache: Path) -> dict[str, Path]:
    """Files of the training and validation structures for mace_run_train and gap_fit, and of the test set for all."""
    cache.mkdir(parents=True, exist_ok=True)
    paths = {name: cache / f"{DATASET}_{name}" for name in ("train.xyz", "valid.xyz", "test.npz")}
    if not all(path.exists() for path in paths.values()):
        train, validation = partitioned()
        write_labelled(paths["train.xyz"], train)
        write_labelled(paths["valid.xyz"], validation)
        write_arrays(paths["test.npz"], frames(f"{DATASET}_test"))
    return paths


def gap(cache: Path, competitors: Path) -> Path:
    """GAP from gap_fit, fitted on the first call (minutes, 3 GB of memory)."""
    model = cache / "gap.xml"
    if not model.exists():
        said = _run(competitors, "gap", "fit_gap.py", "--train", files(cache)["train.xyz"], "--model", model)
        (cache / "gap.json").write_text(said)
    return model


def mace(cache: Path, competitors: Path, epochs: int = 40) -> Path:
    """A small MACE, trained on the first call (half an hour to an hour on one core); goes on where it was stopped."""
    folder = cache / "mace"
    names = ("small_stagetwo.model", "small.model")
    if not any((folder / name).exists() for name in names):
        paths = files(cache)
        words = ["--train", paths["train.xyz"], "--valid", paths["valid.xyz"], "--folder", folder]
        _run(competitors, "mace", "train_mace.py", *words, "--epochs", str(epochs))
    return next(folder / name for name in names if (folder / name).exists())


def learning_curve(cache: Path) -> list[dict]:
    """What `drivers/train_mace.py` wrote after each epoch; empty where MACE was not trained."""
    path = cache / "mace" / "learning.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def nep(cache: Path, seed: int = 0) -> Path:
    """A nep.txt with random weights: training one takes a GPU, and what a step costs does not depend on them."""
    radial, angular = (n + 1 for n in NEP_RADIAL)
    inputs = radial + angular * (NEP_L_MAX[0] + (NEP_L_MAX[1] > 0) + (NEP_L_MAX[2] > 0))
    n_network = NEP_NEURONS * (inputs + 2) + 1
    n_expansion = radial * (NEP_BASIS[0] + 1) + angular * (NEP_BASIS[1] + 1)
    numbers = 0.1 * np.random.default_rng(seed).standard_normal(n_network + n_expansion)
    lines = [
        "nep4 1 Si",
        f"cutoff {NEP_CUTOFFS[0]} {NEP_CUTOFFS[1]} 200 200",  # and room for neighbours
        f"n_max {NEP_RADIAL[0]} {NEP_RADIAL[1]}",
        f"basis_size {NEP_BASIS[0]} {NEP_BASIS[1]}",
        f"l_max {NEP_L_MAX[0]} {NEP_L_MAX[1]} {NEP_L_MAX[2]}",
        f"ANN {NEP_NEURONS} 0",
        *(f"{number:.7e}" for number in numbers),
        *(["1.0000000e+00"] * inputs),  # scales of the inputs
    ]
    cache.mkdir(parents=True, exist_ok=True)
    model = cache / "nep.txt"
    model.write_text("\n".join(lines) + "\n")
    return model


def conversation(name: str, cache: Path, competitors: Path, threads: int = 1) -> Conversation:
    """A competitor with its model, ready to be asked."""
    interpreter = COMPETITORS[name].interpreter(competitors)
    makers = {
        "gap": lambda: ("gap", gap(cache, competitors)),
        "mace": lambda: ("mace", mace(cache, competitors)),
        "chgnet": lambda: ("chgnet",),
        "nep": lambda: ("nep", nep(cache)),
        "featomic": lambda: ("featomic_soap",),
    }
    kind, *arguments = makers[name]()
    return Conversation(interpreter, kind, *map(str, arguments), threads=threads)


def _run(competitors: Path, name: str, driver: str, *words: Path | str) -> str:
    """Run a driver in a competitor's interpreter on one thread; what it printed. Its log goes to standard error."""
    command: Sequence = [COMPETITORS[name].interpreter(competitors), DRIVERS / driver, *words]
    environment = os.environ | dict.fromkeys(THREADS, "1")
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
