"""The store is the truth: a queue that was lost, replaced or meddled with is put right."""

from __future__ import annotations

from pathlib import Path

import counting
import pytest
from dbos import DBOSClient, DBOSPortableJSONSerializer
from patience import until

from isoline.domain.actor import OWNER
from isoline.domain.job import JobState
from isoline.jobs.submit import submit
from isoline.services import work
from isoline.workbench import Workbench

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


def remove(home: Path, name: str) -> None:
    for file in home.glob(f"{name}.sqlite*"):
        file.unlink()


def test_jobs_run_although_the_queue_was_deleted_or_belonged_to_an_older_store(count, start_workers, bench, tmp_path):
    first = count("2 steps")
    worker = start_workers("one")["one"]
    first.check_done(2)

    # Cancelled behind our back, in the queue itself.
    second = count("600 steps")
    second.until_step(1)
    client = DBOSClient(
        system_database_url=bench.settings.jobs_url,
        application_name="isoline",
        serializer=DBOSPortableJSONSerializer(),
    )
    client.cancel_workflow(f"job-{second.job.id}-1")
    client.destroy()
    assert second.until_ended().state == JobState.CANCELLED

    worker.terminate()
    worker.wait(timeout=30)
    remove(bench.settings.home, "jobs")
    third = count("2 steps")
    worker = start_workers("one")["one"]
    third.check_done(2)

    worker.terminate()
    worker.wait(timeout=30)
    bench.close()
    remove(bench.settings.home, "store")
    renewed = Workbench.open(bench.settings)
    file = tmp_path / "renewed.lines"
    jobs = [submit(renewed, OWNER, counting.recipe(file, "2 steps"), title="renewed") for _ in range(3)]
    assert jobs[-1].id == third.job.id, "the queue knows this number as done"
    start_workers("one")
    until(lambda: {work.job(renewed, job.id).state for job in jobs} == {JobState.DONE}, "jobs of the new store")
    renewed.close()
