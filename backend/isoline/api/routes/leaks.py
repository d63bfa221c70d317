"""Leaks between dataset versions, and from a model's training into what it is evaluated on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from ...services import leaks
from ...statistics.twins import NEAR
from ..dependencies import Acting, Bench, Id

router = APIRouter(tags=["leaks"])


@router.get("/versions/{train}/leaks/{test}")
def between(
    train: Id, test: Id, bench: Bench, _: Acting, near: Annotated[float, Query(gt=0, le=0.5, description="Å")] = NEAR
) -> dict:
    """Structures of one version that stand in another too, turned, reordered or moved; distances in Å."""
    return asdict(leaks.between(bench, train, test, near))


@router.get("/models/{model}/leaks/{version}")
def of_model(model: Id, version: Id, bench: Bench, _: Acting) -> dict:
    """Rows of a version that a model has learned from, or from a twin of; `twin` is the id of that structure."""
    found = leaks.of_model(bench, model, version)
    return {"n_leaked": found.counts(), "leaks": found.listed()}
