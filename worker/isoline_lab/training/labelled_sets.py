"""The structures that a training learns from and validates with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from isoline.domain.recipe import Recipe
from isoline.domain.structure import Frame
from isoline.errors import InvalidInput


def fingerprint(train: Sequence[Frame], validation: Sequence[Frame]) -> str:
    """Names the structures, labels and roles that a run depends on."""
    digest = hashlib.blake2b(digest_size=16)
    for frames in (train, validation):
        for frame in frames:
            digest.update(frame.structure.identity + frame.label.identity)
        digest.update(b"|")
    return digest.hexdigest()


def refuse_unusable(train: Sequence[Frame], validation: Sequence[Frame], recipe: Recipe) -> None:
    """Raises InvalidInput for a set without a label that counts."""
    for role, frames in (("training", train), ("validation", validation)):
        labels = [frame.label for frame in frames]
        usable = (
            (recipe.energy_weight > 0 and any(x.energy is not None for x in labels))
            or (recipe.force_weight > 0 and any(x.forces is not None for x in labels))
            or (recipe.stress_weight > 0 and any(x.stress is not None for x in labels))
        )
        if not usable:
            raise InvalidInput(
                f"none of the {len(frames)} structures of the {role} set has an energy, forces or a stress "
                "with a weight above zero",
                hint="Import labels, change the split, or raise the weight of the labels there are.",
            )
