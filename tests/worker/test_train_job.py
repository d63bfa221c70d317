"""What a model has learned from is never forgotten, also by the models that start from it."""

from __future__ import annotations

import numpy as np
import pytest

from isoline.domain.actor import OWNER
from isoline.domain.recipe import Train
from isoline.jobs.worker_process import ensure_worker
from isoline.services import accuracy, atlas, library, predictions, training, work
from isoline_lab.jobs.sample import silicon_frames

QUICK = {"members": 2, "epochs": 2, "hidden": (4,), "inputs": 16, "l_max": 1, "l_product": 1, "products": 2}


def ended(bench, jobs) -> list:
    done = [list(work.wait(bench, job.id))[-1] for job in jobs]
    assert [job.state for job in done] == ["done"] * len(done), [job.error for job in done]
    return done


@pytest.mark.slow
def test_a_retrained_model_still_knows_what_its_forebear_was_trained_on(bench_sqlite):
    bench = bench_sqlite
    source = library.SourceRecord(kind="sample", name="silicon", sha256="0" * 64, size=0, contract={})
    *_, outcome = library.add(bench, OWNER, "silicon", silicon_frames()[:40], source)
    version = outcome.version
    with ensure_worker(bench):
        ended(bench, training.train(bench, OWNER, Train(version=version.id, **QUICK)))
        some = atlas.select(bench, OWNER, version.id, {"positions": list(range(12))})
        jobs = ended(bench, training.retrain(bench, OWNER, version.id, some.id))
    on_all = next(job for job in jobs if job.kind == "evaluate" and job.recipe["version"] == version.id)
    retrained = on_all.result["evaluation"]
    roles = predictions.column(bench, retrained, "role")
    tests = library.columns(bench, version.id).split.values() == "test"
    assert np.isin(roles[~tests], (1, 2)).all()
    np.testing.assert_array_equal(roles[tests], 3)
    assert len(accuracy.seen_in_training(bench, retrained)) == (~tests).sum()
    names = [model.name for model in training.models(bench)]
    assert len(set(names)) == len(names) == 2
