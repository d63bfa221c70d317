"""Train a small MACE on extended XYZ files and keep its learning curve; run by the interpreter that has mace-torch.

    python train_mace.py --train train.xyz --valid valid.xyz --folder FOLDER [--channels 32] [--epochs 40]

Labels are REF_energy, REF_forces, REF_stress. Writes FOLDER/learning.jsonl, one line for each epoch: `epoch`, `wall_s`
and `processor_s` since the start, `energy_rmse` eV/atom and `force_rmse` eV/Å on the validation file; and what
mace_run_train writes: checkpoints after each epoch, and MODEL.model at the end. Started again with the same folder, it
goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import time
from pathlib import Path

import torch
from mace.cli import run_train
from mace.tools import build_default_arg_parser

EPOCH = re.compile(r"Epoch (\d+).*RMSE_E_per_atom=\s*([\d.]+) meV.*RMSE_F=\s*([\d.]+) meV")


class LearningCurve(logging.Handler):
    """Writes down what mace reports after each epoch, with the time that went before."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        before = json.loads(lines[-1]) if lines else {"wall_s": 0.0, "processor_s": 0.0}
        self.wall = time.perf_counter() - before["wall_s"]
        self.processor = time.process_time() - before["processor_s"]

    def emit(self, record: logging.LogRecord) -> None:
        found = EPOCH.search(record.getMessage())
        if not found:
            return
        line = {
            "epoch": int(found[1]),
            "wall_s": round(time.perf_counter() - self.wall, 1),
            "processor_s": round(time.process_time() - self.processor, 1),
            "energy_rmse": float(found[2]) / 1000,
            "force_rmse": float(found[3]) / 1000,
        }
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--valid", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=40)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    settings = {
        "name": "small",
        "work_dir": str(chosen.folder),
        "model_dir": str(chosen.folder),
        "train_file": chosen.train,
        "valid_file": chosen.valid,
        "energy_key": "REF_energy",
        "forces_key": "REF_forces",
        "stress_key": "REF_stress",
        "E0s": "average",
        "model": "MACE",
        "num_channels": str(chosen.channels),
        "max_L": "0",
        "r_max": "5.0",
        "loss": "weighted",
        "energy_weight": "1",
        "forces_weight": "100",
        "batch_size": "4",
        "valid_batch_size": "8",
        "max_num_epochs": str(chosen.epochs),
        "start_swa": str(int(0.8 * chosen.epochs)),
        "swa_energy_weight": "1000",
        "swa_forces_weight": "100",
        "ema_decay": "0.99",
        "scheduler_patience": "5",
        "eval_interval": "1",
        "default_dtype": "float32",
        "device": "cpu",
        "seed": "1",
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    words += ["--swa", "--ema", "--amsgrad", "--restart_latest"]
    logging.getLogger().addHandler(LearningCurve(chosen.folder / "learning.jsonl"))
    run_train.run(build_default_arg_parser().parse_args(words))


if __name__ == "__main__":
    main()
