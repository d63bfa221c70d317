"""A real training, killed for real: it goes on from its checkpoint and loses no epoch of its curves."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from patience import until
from sqlalchemy import select

from isoline.domain.actor import OWNER
from isoline.domain.job import ENDED, JobState
from isoline.domain.recipe import Train
from isoline.jobs.worker_process import environment
from isoline.services import library, training, work
from isoline.store.tables import job_checkpoint
from isoline.workbench import Settings, Workbench
from isoline_lab.jobs.sample import silicon_frames

EPOCHS = 250


@pytest.fixture
def silicon(tmp_path):
    """A workbench with the silicon sample in it, and the version's id."""
    bench = Workbench.open(Settings.at(tmp_path / "home", lease_s=3.0))
    source = library.SourceRecord(kind="sample", name="silicon", sha256="0" * 64, size=0, contract={})
    *_, outcome = library.add(bench, OWNER, "silicon", silicon_frames(), source)
    yield bench, outcome.version.id
    bench.close()


@pytest.fixture
def start_worker(silicon):
    bench, _ = silicon
    started: list[subprocess.Popen] = []

    def start() -> subprocess.Popen:
        command = [sys.executable, "-m", "isoline_lab.worker", "--name", "one"]
        started.append(subprocess.Popen(command, env=environment(bench.settings), start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_checkpoint(silicon, start_worker):
    bench, version = silicon
    recipe = Train(version=version, members=2, epochs=EPOCHS, patience=EPOCHS, hidden=(8,), inputs=32)
    job, *_ = training.train(bench, OWNER, recipe)
    worker = start_worker()

    def saved() -> int | None:
        with bench.read() as connection:
            return connection.execute(select(job_checkpoint.c.step).where(job_checkpoint.c.job_id == job.id)).scalar()

    step = until(saved, "a checkpoint")
    worker.kill()
    worker.wait()
    assert work.job(bench, job.id).state == JobState.RUNNING  # nobody is left to say otherwise
    start_worker()
    ended = until(lambda: (now := work.job(bench, job.id)).state in ENDED and now, "the training's end")
    assert ended.state == JobState.DONE, ended.error
    log = "\n".join(line["line"] for line in work.log(bench, job.id))
    resumed = re.search(r"going on from the checkpoint of epoch (\d+)", log)
    assert resumed, log
    assert step <= int(resumed[1]) < EPOCHS
    assert work.metrics(bench, job.id)["step"] == list(range(1, EPOCHS + 1))
    assert training.model(bench, ended.result["model"]).summary["epochs"] == EPOCHS
