"""Potentials of others: which can be asked, and taking one in as a model."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from ...domain.recipe import Adopt
from ...services import guests, work
from ..dependencies import Acting, Bench, Id

router = APIRouter(tags=["guests"])


class AddGuest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    recipe: Adopt
    test: Id | None = None


@router.get("/guests")
def listing(bench: Bench, _: Acting) -> list[dict]:
    """Guests with their licences, those that are ready first."""
    return [asdict(card) | {"ready": card.ready} for card in guests.cards(bench)]


@router.post("/guests", status_code=202)
def add(body: AddGuest, bench: Bench, actor: Acting) -> list[dict]:
    """Queue a guest's being taken in as a model, and its evaluation."""
    return [work.as_dict(job) for job in guests.add(bench, actor, body.recipe, test=body.test)]
