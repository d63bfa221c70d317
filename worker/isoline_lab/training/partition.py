"""Which structures are learned from, which stop the training, which are kept away from both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TRAIN, VALIDATION, TEST = 1, 2, 3
ROLES = {"train": TRAIN, "validation": VALIDATION, "test": TEST}


def partition(
    splits: Sequence[str],
    validation_fraction: float,
    seed: int,
    *,
    structures: np.ndarray | None = None,
    learned: np.ndarray | None = None,
    needed: np.ndarray | None = None,
) -> np.ndarray:
    """The role of every row: (rows,) uint8 of TRAIN, VALIDATION or TEST.

    structures  (rows,) int   rows with the same number are one structure under several labels and stay together
    learned     (rows,) bool  what the model that training starts from was trained on: not drawn for validation, since
                              it would stop the training on what is known already; only where nothing else is left
    needed      (rows,) bool  not drawn either: free atoms alone say where an element's energy begins, so as validation
                              they would be an error of some eV that no training can lower

    Splits that the dataset assigns hold. Where it assigns no validation set, a random part of what is left to train
    on becomes one: at least one structure, and never all of them.
    """
    roles = np.array([ROLES.get(split, TRAIN) for split in splits], dtype=np.uint8)
    structures = np.arange(len(roles)) if structures is None else structures
    kept = np.zeros(len(roles), dtype=bool)
    for rows in (learned, needed):
        kept |= False if rows is None else rows
    pool = np.flatnonzero(roles == TRAIN)
    names = np.unique(structures[pool])
    if not (roles == VALIDATION).any() and len(names) > 1:
        fresh = np.setdiff1d(names, structures[kept])
        candidates = fresh if len(fresh) else names
        wanted = min(max(1, round(validation_fraction * len(names))), len(names) - 1, len(candidates))
        chosen = np.random.default_rng(seed).permutation(candidates)[:wanted]
        roles[pool[np.isin(structures[pool], chosen)]] = VALIDATION
    return roles


def strongest(structures: np.ndarray, roles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each structure once, with what was learned from it at most: training before validation before test.

    structures, roles  (rows,)
    returns            (structures,) ascending, and (structures,) uint8
    """
    rank = np.array([0, 3, 2, 1])[roles]
    order = np.lexsort((rank, structures))
    last = np.flatnonzero(np.diff(structures[order], append=structures.max(initial=0) + 1))
    return structures[order][last], roles[order][last]
