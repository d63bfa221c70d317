"""Maps of dataset versions: computed once, and steady when structures arrive later."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from isoline.domain.actor import OWNER
from isoline.domain.recipe import Describe, SoapDescriptor
from isoline.domain.structure import Frame, Label, Structure
from isoline.jobs.worker_process import ensure_worker
from isoline.services import atlas, library, training, work

QUICK = SoapDescriptor(cutoff=3.0, n_max=2, l_max=1)


def rattled(count: int, seed: int) -> list[Frame]:
    random = np.random.default_rng(seed)
    frames = []
    for index in range(count):
        atoms = bulk("Si", "diamond", a=5.43 * random.uniform(0.95, 1.05))
        atoms.rattle(0.1, rng=random)
        structure = Structure(atoms.numbers, atoms.positions, atoms.cell[:], atoms.pbc)
        frames.append(Frame(structure, Label("test", -5.0 * len(atoms)), index=index))
    return frames


def add(bench, frames) -> int:
    source = library.SourceRecord(kind="file", name="test", sha256="0" * 64, size=0, contract={})
    *_, outcome = library.add(bench, OWNER, "Si", frames, source)
    return outcome.version.id


def described(bench, version: int, **changes) -> dict:
    job = training.describe(bench, OWNER, Describe(version=version, descriptor=QUICK, **changes))
    *_, ended = work.wait(bench, job.id)
    assert ended.state == "done", ended.error
    return ended.result


@pytest.mark.slow
def test_later_arrivals_are_placed_on_the_map_one_knows(bench_sqlite):
    bench = bench_sqlite
    with ensure_worker(bench):
        first = add(bench, rattled(60, seed=1))
        before = described(bench, first)
        second = add(bench, rattled(8, seed=2))
        after = described(bench, second)
        old, new = atlas.points(bench, before["umap"]), atlas.points(bench, after["umap"])
        assert new.shape == (68, 2)
        np.testing.assert_array_equal(new[:60], old)
        low, high = old.min(axis=0) - 1e-3, old.max(axis=0) + 1e-3
        assert np.all((new[60:] >= low) & (new[60:] <= high))  # a weighted mean lies among its anchors

        third = add(bench, rattled(60, seed=3))  # too many are new: laid out afresh
        fresh = atlas.points(bench, described(bench, third)["umap"])
        assert not np.array_equal(fresh[:60], old)

        assert described(bench, second, seed=0) == after  # the same question has one answer
