"""What a job made: immutable, identified by recipe and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ArtifactKind(StrEnum):
    """descriptor → embedding; model → evaluation."""

    DESCRIPTOR = "descriptor"  # columns: pooled (structures, features) f4
    EMBEDDING = "embedding"  # columns: xy (structures, 2) f4; summary: {"method": "pca" | "umap"}
    MODEL = "model"  # files: model.safetensors, model.json, training.json
    EVALUATION = "evaluation"  # columns: see `isoline.services.accuracy`


@dataclass(frozen=True)
class Artifact:
    """The record of a result; its numbers are read column by column.

    version  dataset version its rows are aligned with (training version for a model)
    parent   the artifact it was made from: embedding → descriptor, evaluation → model, warm start → model
    summary  small numbers for lists and cards
    """

    id: int
    kind: ArtifactKind
    key: str
    name: str
    recipe: dict
    summary: dict
    version: int
    parent: int | None
    job: int | None
    created_by: str
    created: datetime
