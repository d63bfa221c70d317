"""What import and sample jobs leave behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from awaiting import finish

from isoline.domain.actor import OWNER, Actor
from isoline.domain.contract import Contract
from isoline.domain.recipe import Import, Sample
from isoline.errors import Cancelled, InvalidInput, NotAllowed, NotFound
from isoline.jobs import ledger
from isoline.jobs.ledger import Standing
from isoline.jobs.submit import submit
from isoline.services import intake, library, work
from isoline_lab.jobs.intake import bring_in
from isoline_lab.jobs.sample import make_sample
from isoline_lab.journal import Journal

SILICON = b"""2
Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3 energy=-10
Si 0 0 0 0.1 0 0
Si 2 2 2 -0.1 0 0
"""


class CancelledWhileStoring(Journal):
    """A pen whose job somebody cancels right after it said that it is storing."""

    def progress(self, fraction: float, message: str = "") -> None:
        super().progress(fraction, message)
        if message.lower().startswith("storing"):
            work.cancel(self._bench, OWNER, self.job.id)


@pytest.fixture
def hold(bench, living_worker):
    """Take a job for a process on a living worker, and give its pen."""

    def take(record, pen: type[Journal] = Journal) -> Journal:
        with bench.write() as connection:
            assert ledger.begin(connection, record.id, record.attempt, living_worker, "token") == Standing.HOLDS
        return pen(bench, record, "token")

    return take


def uploaded(bench) -> str:
    async def pieces() -> AsyncIterator[bytes]:
        yield SILICON

    return finish(intake.save_upload(bench, OWNER, "silicon.xyz", pieces())).id


@pytest.fixture
def recipe(bench) -> Import:
    return Import(uploads=(uploaded(bench),), dataset="silicon", contract=Contract())


def test_an_import_cancelled_while_it_stores_publishes_no_version(bench, hold, recipe):
    job = intake.start_import(bench, OWNER, recipe)
    with pytest.raises(Cancelled):
        bring_in(bench, job, recipe, hold(job, CancelledWhileStoring))
    assert library.datasets(bench) == []


def test_an_import_of_somebody_who_may_not_import_any_more_keeps_nothing(bench, hold, recipe):
    job = intake.start_import(bench, Actor("gone", "owner"), recipe)
    with pytest.raises(NotAllowed, match="gone"):
        bring_in(bench, job, recipe, hold(job))
    assert library.datasets(bench) == []


def test_an_import_deletes_its_uploads_and_the_same_file_can_be_uploaded_again(bench, hold, recipe):
    job = intake.start_import(bench, OWNER, recipe)
    assert bring_in(bench, job, recipe, hold(job))["n_structures"] == 1
    assert list(bench.settings.uploads.iterdir()) == []
    with pytest.raises(NotFound, match="gone"):
        intake.start_import(bench, OWNER, recipe)
    assert uploaded(bench) == recipe.uploads[0]
    assert intake.upload_path(bench, recipe.uploads[0]).read_bytes() == SILICON


def test_an_upload_stays_while_another_import_needs_it_and_when_it_was_refused(bench, hold, recipe):
    job = intake.start_import(bench, OWNER, recipe)
    elsewhere = recipe.model_copy(update={"dataset": "elsewhere"})
    later = intake.start_import(bench, OWNER, elsewhere)
    bring_in(bench, job, recipe, hold(job))
    refused = elsewhere.model_copy(update={"dataset": "a/b"})
    with pytest.raises(InvalidInput):
        bring_in(bench, later, refused, hold(later))
    assert intake.upload_path(bench, recipe.uploads[0]).read_bytes() == SILICON


def test_a_sample_cancelled_while_it_is_stored_publishes_no_version(bench, hold):
    recipe = Sample(name="silicon")
    job = submit(bench, OWNER, recipe, title="Silicon")
    with pytest.raises(Cancelled):
        make_sample(bench, job, recipe, hold(job, CancelledWhileStoring))
    assert library.datasets(bench) == []
