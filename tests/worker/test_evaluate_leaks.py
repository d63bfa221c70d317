"""What training and evaluation say of structures that are copies of others."""

from __future__ import annotations

import numpy as np
import pytest

from isoline.domain.actor import OWNER
from isoline.domain.recipe import Evaluate, Train
from isoline.domain.structure import Frame, Label, Structure
from isoline.jobs.worker_process import ensure_worker
from isoline.services import accuracy, leaks, library, predictions, training, work
from isoline_lab.jobs.sample import silicon_frames

QUICK = {"members": 2, "epochs": 2, "hidden": (4,), "inputs": 16, "l_max": 1, "l_product": 1, "products": 2}


def turned(frame: Frame) -> Frame:
    """Turned about z and reordered, its forces with it."""
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    one, order = frame.structure, np.arange(len(frame))[::-1]
    label = Label(frame.label.level_of_theory, frame.label.energy, frame.label.forces[order] @ turn.T)
    return Frame(Structure(one.numbers[order], one.positions[order] @ turn.T, one.cell @ turn.T, one.pbc), label)


@pytest.mark.slow
def test_an_evaluation_records_the_copies_of_what_was_learned(bench_sqlite):
    bench = bench_sqlite
    source = library.SourceRecord(kind="sample", name="silicon", sha256="0" * 64, size=0, contract={})
    frames = [frame for frame in silicon_frames() if frame.split != "test"]
    new = next(frame for frame in reversed(frames) if frame.group != frames[0].group)
    *_, learned = library.add(bench, OWNER, "silicon", frames[:24], source)
    *_, test = library.add(bench, OWNER, "copies", [frames[3], turned(frames[5]), turned(new)], source)
    with ensure_worker(bench):
        job = list(work.wait(bench, training.train(bench, OWNER, Train(version=learned.version.id, **QUICK))[0].id))[-1]
        assert job.state == "done", job.error
        model = job.result["model"]
        recipe = Evaluate(model=model, version=test.version.id)
        done = list(work.wait(bench, training.evaluate(bench, OWNER, recipe).id))[-1]
    assert done.state == "done", done.error
    evaluation = done.result["evaluation"]
    assert predictions.column(bench, evaluation, "leak").tolist() == [1, 2, 0]
    twin = predictions.column(bench, evaluation, "leak_twin")
    assert twin[:2].tolist() == library.columns(bench, learned.version.id).structure_id[[3, 5]].tolist()
    assert predictions.evaluation(bench, evaluation).summary["leaks"] == {"exact": 1, "symmetry": 1, "near": 0}
    assert any("1 by symmetry" in entry["line"] for entry in work.log(bench, done.id, 0))
    assert leaks.of_evaluation(bench, evaluation).counts() == {"exact": 1, "symmetry": 1, "near": 0}
    # a copy is predicted like what it is a copy of
    rows = {row.group: row for row in accuracy.metrics(bench, evaluation, "leak")}
    assert rows["exact"].n_structures == rows["symmetry"].n_structures == rows["not in training"].n_structures == 1
