"""The panel of leaks says what was found, and what was compared where nothing was."""

from __future__ import annotations

import json

import numpy as np
import pytest
from plotly.utils import PlotlyJSONEncoder

from isoline.domain.actor import OWNER
from isoline.domain.artifact import ArtifactKind
from isoline.domain.structure import Frame, Structure
from isoline.services import leaks, library, training
from isoline.store import artifacts
from isoline_web.components.leak_check import leak_check_view


def shown(bench, model: int) -> str:
    """All words of the panel."""
    return json.dumps(leak_check_view(bench, training.model(bench, model)), cls=PlotlyJSONEncoder, ensure_ascii=False)


@pytest.fixture
def keep(bench_sqlite):
    """Keeps a model trained on a version, or its evaluation on another."""

    def make(version, summary=None, of: int | None = None) -> int:
        members = library.columns(bench_sqlite, version.id)
        n, atoms = len(members), int(members.n_atoms.sum())
        if of is None:
            kind, columns = ArtifactKind.MODEL, {"structure_id": members.structure_id, "role": np.ones(n, np.uint8)}
        else:
            kind = ArtifactKind.EVALUATION
            columns = {"energy": members.energy + 0.1, "stress": np.full((n, 6), np.nan, "<f4")}
            columns |= {"forces": np.full((atoms, 3), np.nan, "<f4"), "role": np.zeros(n, np.uint8)}
        with bench_sqlite.write() as connection:
            return artifacts.add(
                connection,
                kind,
                f"{kind}{version.id}{of}{summary}",
                "salt",
                {},
                summary or {},
                version.id,
                OWNER.name,
                parent=of,
                columns=columns,
            )

    return make


def test_pairs_and_errors_with_and_without_them_are_shown(bench_sqlite, salt, put, keep):
    train, new = [salt(seed) for seed in range(3)], salt(9)
    one = train[1].structure
    turned = Structure(one.numbers[::-1], -one.positions[::-1], -one.cell, one.pbc)
    learned = put(bench_sqlite, train, "train").version
    test = put(bench_sqlite, [new, Frame(turned, train[1].label, "vacancy")], "test").version
    ids = library.columns(bench_sqlite, learned.id).structure_id
    check = leaks.check_training(bench_sqlite, ids, np.array([1, 2, 2], np.uint8))
    model = keep(learned, {"leaks": check.summary()})
    assert "It has not been evaluated" in shown(bench_sqlite, model)
    keep(learned, of=model)
    assert "nothing but what it has learned from" in shown(bench_sqlite, model)
    keep(test, of=model)
    words = shown(bench_sqlite, model)
    assert "None of 2 validation structures stands in training too." in words
    assert "1 of 2 structures of " in words
    assert "#1 Cl2Na2" in words
    assert "#1 of train@1" in words
    assert "vacancy" in words
    assert "without leaks" in words
    assert "copies by symmetry" in words


def test_an_empty_check_says_what_was_compared(bench_sqlite, salt, put, keep):
    model = keep(put(bench_sqlite, [salt(0), salt(1)], "train").version)
    keep(put(bench_sqlite, [salt(2)], "test").version, of=model)
    words = shown(bench_sqlite, model)
    assert "No leaks found in what it was evaluated on" in words
    assert "None of 1 structure of " in words
    assert "within 0.001 Å" in words


def test_nothing_is_claimed_of_potentials_of_others(bench_sqlite, salt, put, keep):
    model = keep(put(bench_sqlite, [salt(0)], "train").version, {"family": "guest"})
    assert "is not known" in shown(bench_sqlite, model)
