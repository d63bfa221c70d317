"""Workers in processes of their own, to be killed, stopped and started at will."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import counting
import pytest
from patience import until
from sqlalchemy import select

from isoline.domain.actor import OWNER
from isoline.domain.job import ENDED, Job, JobState
from isoline.jobs.submit import submit
from isoline.jobs.worker_process import environment
from isoline.services import work
from isoline.store.tables import run_lock
from isoline.workbench import Settings, Workbench

LEASE_S = 3.0


@dataclass
class Count:
    """One counting job and the file in which its processes tell on themselves."""

    bench: Workbench
    job: Job
    file: Path

    def lines(self) -> list[tuple[int, str, int]]:
        """What the processes wrote so far: (pid, "begin" | "end", step)."""
        rows = [line.split() for line in self.file.read_text().splitlines()] if self.file.exists() else []
        return [(int(pid), what, int(step)) for pid, what, step in rows]

    def processes(self) -> list[int]:
        """Process ids in the order in which they wrote; one that comes twice ran beside another."""
        pids = [pid for pid, _, _ in self.lines()]
        return [pid for k, pid in enumerate(pids) if k == 0 or pids[k - 1] != pid]

    def holder(self) -> str:
        """The worker that runs it."""
        with self.bench.read() as connection:
            return connection.execute(
                select(run_lock.c.executor_id).where(run_lock.c.job_id == self.job.id)
            ).scalar_one()

    def until_step(self, step: int) -> None:
        until(lambda: any(what == "end" and s >= step for _, what, s in self.lines()), f"step {step}")

    def until_ended(self) -> Job:
        return until(lambda: (job := work.job(self.bench, self.job.id)).state in ENDED and job, "the job's end")

    def check_done(self, steps: int) -> None:
        """Done, nothing lost, and never two processes at once."""
        ended = self.until_ended()
        assert ended.state == JobState.DONE, (ended.error, work.log(self.bench, self.job.id))
        assert ended.result == {"total": steps * (steps - 1) // 2}
        assert work.metrics(self.bench, self.job.id)["step"] == list(range(1, steps + 1))
        self.check_alone()

    def check_alone(self) -> None:
        processes = self.processes()
        assert len(processes) == len(set(processes)), f"ran twice at the same time: {self.lines()}"


@pytest.fixture
def bench(store_url, tmp_path) -> Iterator[Workbench]:
    """A workbench whose workers count as dead soon."""
    workbench = Workbench.open(Settings.at(tmp_path / "home", store_url, lease_s=LEASE_S))
    yield workbench
    workbench.close()


@pytest.fixture
def count(bench, tmp_path) -> Callable[..., Count]:
    """Submit a counting job."""

    def make(what: str, **options) -> Count:
        file = tmp_path / f"{len(list(tmp_path.glob('*.lines')))}.lines"
        file.touch()
        job = submit(bench, OWNER, counting.recipe(file, what), title=what, **options)
        return Count(bench, job, file)

    return make


@pytest.fixture
def variables(bench) -> dict[str, str]:
    """The environment of processes that know the counting job."""
    return environment(bench.settings) | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def start_workers(bench, variables) -> Iterator[Callable[..., dict[str, subprocess.Popen]]]:
    """Start workers by name and wait until they live; all that are left are killed afterwards."""
    started: list[subprocess.Popen] = []

    def start(*names: str) -> dict[str, subprocess.Popen]:
        new = {}
        for name in names:
            command = [sys.executable, "-m", "isoline_lab.worker", "--name", name, "--functions", "counting:RUN"]
            new[name] = subprocess.Popen(command, env=variables, start_new_session=True)
            started.append(new[name])
        pids = {process.pid for process in new.values()}
        until(lambda: pids <= {card.pid for card in work.workers(bench)}, f"workers {names}")
        return new

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
        process.kill()
        process.wait()
