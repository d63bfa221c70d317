"""The families of potentials in words: what each is, when to use it, how far its atoms feel."""

from __future__ import annotations

from typing import Any

from isoline.domain.artifact import Artifact

from .. import words
from .guest import is_guest

FAMILIES = {
    "body-ordered": (
        "Body-ordered",
        "Energies of atoms from products of the densities around them. Accurate, and fast without a GPU: start here.",
    ),
    "behler-parrinello": (
        "Behler–Parrinello",
        "Distances and angles into a network for each element. The classic reference, to compare others with.",
    ),
    "message-passing": (
        "Message passing",
        "Atoms tell their neighbours what they see, so they feel beyond the cutoff. For when a GPU is there.",
    ),
}
HEADS = {"network": "networks", "linear": "linear head"}
FORMER = "behler-parrinello"  # the only family there was before recipes named one

NO_NET_FORCE = (
    "Net forces are identically zero: forces are slopes of an energy that does not change when everything moves "
    "together, so there is nothing to penalise."
)


def family(model: Artifact) -> str:
    """A key of FAMILIES, "guest", or what a newer program has named it."""
    return "guest" if is_guest(model) else str(model.recipe.get("family") or FORMER)


def family_words(model: Artifact) -> str:
    """ "Body-ordered, linear head"."""
    named = family(model)
    title = FAMILIES.get(named, (named.capitalize(),))[0]
    head = HEADS.get(str(model.recipe.get("head", ""))) if named == "body-ordered" else None
    return f"{title}, {head}" if head else title


def receptive_field(recipe: dict[str, Any]) -> float | None:
    """How far apart two atoms may be to feel each other directly, Å; None where the recipe does not say."""
    cutoff, layers = recipe.get("cutoff"), recipe.get("layers")
    if not isinstance(cutoff, (int, float)):
        return None
    if recipe.get("family") != "message-passing":
        return float(cutoff)
    return float(cutoff) * layers if isinstance(layers, (int, float)) else None


def reach_words(recipe: dict[str, Any]) -> str:
    """The receptive field as a sentence."""
    reach = receptive_field(recipe)
    if reach is None:
        return "Give a cutoff to see how far atoms feel."
    if recipe.get("family") == "message-passing":
        passed = words.plural(int(recipe["layers"]), "time")
        return f"Messages pass {passed} over {recipe['cutoff']:g} Å: an atom feels others up to {reach:g} Å away."
    return f"An atom feels others up to {reach:g} Å away."
