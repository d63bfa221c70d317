"""When a training may start from an earlier potential."""

from __future__ import annotations

from typing import Protocol

from ase.data import chemical_symbols

from isoline.domain.recipe import Train
from isoline.errors import InvalidInput
from isoline_lab.training.learner import Learner


class Earlier(Protocol):
    """The state of an earlier training on fixed features."""

    recipe: dict
    learner: Learner


def refuse_unlike(recipe: Train, start: Earlier, elements: set[int], kept: tuple[str, ...]) -> None:
    """Raises InvalidInput for elements that the earlier potential does not know, and for another kind of potential.

    elements  atomic numbers to learn from
    kept      fields of the recipe that a warm start cannot change
    """
    unknown = elements - set(start.learner.features.elements)
    if unknown:
        raise InvalidInput(
            f"the earlier model does not know {', '.join(chemical_symbols[z] for z in sorted(unknown))}",
            hint="Train afresh instead of starting from it.",
        )
    earlier = Train.model_validate(start.recipe)
    unlike = [name for name in kept if getattr(earlier, name) != getattr(recipe, name)]
    if unlike:
        differences = ", ".join(f"{name} {getattr(earlier, name)}, not {getattr(recipe, name)}" for name in unlike)
        raise InvalidInput(
            f"the earlier model has {differences}",
            hint="Use the recipe of the earlier model, or train afresh.",
        )
