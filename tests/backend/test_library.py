"""The library keeps what it is given, finds it again, and never half of it."""

from __future__ import annotations

import numpy as np
import pytest

from isoline.domain.actor import OWNER
from isoline.domain.dataset import AddOutcome, SourceRecord
from isoline.domain.structure import Frame, Label, Structure
from isoline.errors import InvalidInput, NotFound
from isoline.services import library

SOURCE = SourceRecord("file", "salt.extxyz", "ab" * 32, 1234, {"energy_key": "energy"})


def salt(
    seed: int, *, n: int = 4, labelled: bool = True, group: str = "", split: str = "", level: str = "PBE"
) -> Frame:
    """A rattled box of sodium and chlorine, with random labels."""
    random = np.random.default_rng(seed)
    numbers = np.array([11, 17] * n)[:n]
    structure = Structure(
        numbers, random.normal(size=(n, 3)), 5.0 * np.eye(3) + random.normal(size=(3, 3)), [True, True, False]
    )
    label = Label(level)
    if labelled:
        label = Label(level, float(random.normal()), random.normal(size=(n, 3)), random.normal(size=6))
    return Frame(structure, label, group, index=seed, split=split)


def put(bench, frames, name="salt", **options) -> AddOutcome:
    return list(library.add(bench, OWNER, name, frames, SOURCE, **options))[-1]


def same(a: Frame, b: Frame) -> bool:
    return a.structure.identity == b.structure.identity and a.label.identity == b.label.identity


def test_frames_come_back_bit_for_bit_and_in_order(bench):
    given = [salt(i, n=1 + i % 7, group="odd" if i % 2 else "even") for i in range(30)]
    card = put(bench, given).version
    back = list(library.frames(bench, card.id, batch=7))
    assert all(same(a, b) for a, b in zip(given, back, strict=True))
    assert [f.group for f in back] == [f.group for f in given]
    assert [f.index for f in back] == list(range(30))
    assert card.groups == {"even": 15, "odd": 15}
    assert card.elements == (11, 17)
    assert card.n_atoms == sum(map(len, given))
