"""Job functions for the fault tests: slow, and telling on every process that runs them.

Each process appends a line to a file when it begins a step and when it ends one. As lines come in the order in which
they were written, a job that ran twice at once shows: the lines of two processes are mixed.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from isoline.domain.job import Job
from isoline.domain.recipe import Import
from isoline.workbench import Workbench
from isoline_lab.journal import Journal

STEP_S = 0.1


def recipe(file: Path, what: str) -> Import:
    """A recipe for the functions below: `what` is "40 steps" or "poison"."""
    return Import(uploads=(str(file),), dataset=what)


def count(bench: Workbench, job: Job, recipe: Import, journal: Journal) -> dict:
    """Add up the numbers of all steps; a checkpoint after each."""
    file = Path(recipe.uploads[0])
    if recipe.dataset == "poison":
        _tell(file, "begin", 0)
        os.kill(os.getpid(), signal.SIGKILL)
    steps = int(recipe.dataset.split()[0])
    step, total = (int(word) for word in (journal.last_checkpoint() or b"0 0").split())
    while step < steps:
        _tell(file, "begin", step)
        time.sleep(STEP_S)
        total += step
        step += 1
        journal.record(step, total=total)
        journal.progress(step / steps, f"step {step} of {steps}")
        journal.checkpoint(step, f"{step} {total}".encode())
        _tell(file, "end", step - 1)
    return {"total": total}


def _tell(file: Path, what: str, step: int) -> None:
    with file.open("a") as lines:
        lines.write(f"{os.getpid()} {what} {step}\n")


RUN = {"import": count}
