"""Describe, train, evaluate, retrain; models and their files."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from ...domain.recipe import Describe, Evaluate, Train
from ...services import training, work
from ..dependencies import Acting, Bench, Id

router = APIRouter(tags=["training"])


class StartTraining(BaseModel):
    model_config = ConfigDict(extra="forbid")

    recipe: Train
    test: Id | None = None


class Retrain(BaseModel):
    model_config = ConfigDict(extra="forbid")

    selection: str | None = None


@router.post("/describe", status_code=202)
def describe(recipe: Describe, bench: Bench, actor: Acting) -> dict:
    """Queue descriptors and maps of a dataset version."""
    return work.as_dict(training.describe(bench, actor, recipe))


@router.post("/train", status_code=202)
def train(body: StartTraining, bench: Bench, actor: Acting) -> list[dict]:
    """Queue the training of a committee, and its evaluation."""
    return [work.as_dict(job) for job in training.train(bench, actor, body.recipe, test=body.test)]


@router.post("/samples/{name}", status_code=202)
def sample(name: Literal["silicon", "ethanol"], bench: Bench, actor: Acting) -> dict:
    """Queue one of the sample projects that need no download."""
    return work.as_dict(training.sample(bench, actor, name))


@router.post("/evaluate", status_code=202)
def evaluate(recipe: Evaluate, bench: Bench, actor: Acting) -> dict:
    return work.as_dict(training.evaluate(bench, actor, recipe))


@router.post("/versions/{version}/retrain", status_code=202)
def retrain(version: Id, body: Retrain, bench: Bench, actor: Acting) -> list[dict]:
    """Freeze, train with the last recipe from the last model's weights, evaluate on the same test set."""
    return [work.as_dict(job) for job in training.retrain(bench, actor, version, body.selection)]


@router.get("/models")
def models(bench: Bench, _: Acting) -> list[dict]:
    return [asdict(model) for model in training.models(bench)]


@router.get("/models/{id}")
def model(id: Id, bench: Bench, _: Acting) -> dict:
    return asdict(training.model(bench, id))


@router.get("/models/{id}/files/{name}")
def model_file(id: Id, name: str, bench: Bench, _: Acting) -> Response:
    """A file of the model: weights as safetensors, everything else as JSON."""
    return Response(training.model_file(bench, id, name), media_type="application/octet-stream")
