"""Which structures are learned from, which stop the training, which are kept away from both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TRAIN, VALIDATION, TEST = 1, 2, 3
ROLES = {"train": TRAIN, "validation": VALIDATION, "test": TEST}


def partition(splits: Sequence[str], validation_fraction: float, seed: int) -> np.ndarray:
    """The role of every structure: (structures,) uint8 of TRAIN, VALIDATION or TEST.

    Splits that the dataset assigns hold. Where it assigns no validation set, a random part of what is left to train
    on becomes one: at least one structure, and never all of them.
    """
    roles = np.array([ROLES.get(split, TRAIN) for split in splits], dtype=np.uint8)
    pool = np.flatnonzero(roles == TRAIN)
    if not (roles == VALIDATION).any() and len(pool) > 1:
        n_validation = min(max(1, round(validation_fraction * len(pool))), len(pool) - 1)
        chosen = np.random.default_rng(seed).permutation(pool)[:n_validation]
        roles[chosen] = VALIDATION
    return roles
