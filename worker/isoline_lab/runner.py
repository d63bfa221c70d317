"""The process of one job: `python -m isoline_lab.runner JOB TOKEN`, started by a worker and by nobody else."""

from __future__ import annotations

import argparse
import faulthandler
import fcntl
import importlib
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from sqlalchemy.exc import SQLAlchemyError

from isoline.domain.job import Job
from isoline.domain.recipe import RECIPE, Recipe
from isoline.errors import Cancelled, InvalidInput, IsolineError
from isoline.jobs import ledger
from isoline.jobs.process import SILENCE
from isoline.workbench import Settings, Workbench

from .journal import Journal

FUNCTIONS = "isoline_lab.jobs:RUN"
NOT_OURS = 3  # exit status when the job was cancelled or taken over

JobFunction = Callable[[Workbench, Job, Recipe, Journal], dict]


def watch(silence_s: float) -> None:
    """End this process, and all that it started, when its worker is silent for `silence_s`, stopped or dead."""
    while True:
        ready, _, _ = select.select([0], [], [], silence_s)
        if not ready or os.read(0, 4096) == b"":
            os.killpg(0, signal.SIGKILL)  # the group is this process's own


def wait_alone(file: Path, id: int) -> TextIO:
    """Hold byte `id` of `file` for the life of this process, once an earlier process of the job has really gone."""
    handle = file.open("a")
    fcntl.lockf(handle, fcntl.LOCK_EX, 1, id)
    return handle


def function_for(table: str, kind: str) -> JobFunction:
    """The function that does this kind of work, from the dictionary named `module:NAME`."""
    module, _, name = table.partition(":")
    functions: dict[str, JobFunction] = getattr(importlib.import_module(module), name)
    if kind not in functions:
        raise InvalidInput(
            f"this worker cannot do jobs of kind '{kind}'",
            hint="Was it started from an older version? Restart the workers.",
        )
    return functions[kind]


def run(bench: Workbench, id: int, token: str, table: str) -> int:
    """Do the job and write how it ended. Returns the process's exit status."""
    with bench.read() as connection:
        record = ledger.get(connection, id)
    journal = Journal(bench, record, token)
    try:
        try:
            journal.begin()
            recipe = RECIPE.validate_python(record.recipe)
            result = function_for(table, record.kind)(bench, record, recipe, journal)
            journal.finish(result)
        except Cancelled:
            return NOT_OURS
        except IsolineError as error:
            if isinstance(error.__cause__, SQLAlchemyError):
                raise  # the store was away for a while: no fault of the job, which is started again
            journal.fail(error.as_dict())
        except Exception as error:
            journal.fail(
                {
                    "kind": "bug",
                    "message": f"{type(error).__name__}: {error}",
                    "hint": "This is a fault of the program. The job's log says where; please report it.",
                },
                traceback.format_exc(),
            )
    except Cancelled:
        return NOT_OURS
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="isoline_lab.runner", description=__doc__)
    parser.add_argument("job", type=int)
    parser.add_argument("token")
    parser.add_argument("--functions", default=FUNCTIONS)
    arguments = parser.parse_args()
    faulthandler.enable()
    settings = Settings.from_environment()
    threading.Thread(target=watch, args=(SILENCE * settings.lease_s,), name="watch", daemon=True).start()
    alone = wait_alone(settings.runs / "jobs.lock", arguments.job)
    bench = Workbench.open(settings)
    try:
        return run(bench, arguments.job, arguments.token, arguments.functions)
    finally:
        bench.close()
        alone.close()


if __name__ == "__main__":
    sys.exit(main())
