"""Import uploaded files into a dataset."""

from __future__ import annotations

from isoline.domain.job import Job
from isoline.domain.recipe import Import
from isoline.services import accounts, intake
from isoline.workbench import Workbench

from ..journal import Journal


def bring_in(bench: Workbench, job: Job, recipe: Import, journal: Journal) -> dict:
    """Read, check and store; a refused file leaves nothing in the store and its faults stand in the job's error.

    Uploads that were imported are deleted; those that were refused stay for another try.
    """
    outcome = None
    actor = accounts.acting_for(bench, job.created_by)
    for step in intake.run_import(bench, actor, recipe, journal.write):
        if isinstance(step, intake.ImportOutcome):
            outcome = step
        else:
            journal.progress(step.fraction, step.message)
    for warning in outcome.warnings:
        journal.log(f"warning: {warning}")
    intake.drop_uploads(bench, job, recipe)
    return outcome.as_dict()
