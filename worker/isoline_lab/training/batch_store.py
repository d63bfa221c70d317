"""Batches kept in memory as far as they fit, and computed again each time beyond."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np

from isoline.domain.structure import Frame
from isoline_lab.training.batches import Batch, build_batch
from isoline_lab.training.epoch import Epoch
from isoline_lab.training.learner import Learner

# Derivatives of features fill this much memory before the rest is computed again in every epoch.
BUDGET_BYTES = 6 * 2**30


class BatchStore:
    """A fixed list of batches.

    contents      frames of each batch, and weights (members, structures)
    budget_bytes  memory for stored batches; the others cost their computation in every pass
    """

    def __init__(
        self,
        learner: Learner,
        contents: Sequence[tuple[list[Frame], np.ndarray]],
        budget_bytes: int,
    ):
        self.learner, self.contents, self.budget_bytes = learner, contents, budget_bytes
        self.stored: dict[int, Batch] = {}

    def __len__(self) -> int:
        return len(self.contents)

    def fill(self) -> Iterator[Epoch]:
        """Compute and keep batches until the memory is used up."""
        used = 0
        for index in range(len(self)):
            batch = yield from self._build(index, Epoch(stage="features", fraction=index / len(self)))
            used += batch.n_bytes
            if used > self.budget_bytes:
                return
            self.stored[index] = batch

    def batch(self, index: int, sign: Epoch) -> Generator[Epoch, None, Batch]:
        """A batch; yields `sign` now and then while it is computed again."""
        if index in self.stored:
            return self.stored[index]
        return (yield from self._build(index, sign))

    def _build(self, index: int, sign: Epoch) -> Generator[Epoch, None, Batch]:
        frames, weights = self.contents[index]
        steps = build_batch(self.learner, frames, weights)
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                return finished.value
            yield sign
