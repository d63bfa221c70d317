"""Maps, channels, selections, decisions: what the map page and its table need."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel, ConfigDict, Field

from ...services import atlas, review
from ...workbench import Workbench
from ..dependencies import Acting, Bench, Id, binary

router = APIRouter(tags=["atlas"])


class Chosen(BaseModel):
    """Rows of a version: given one by one, or as a selection."""

    model_config = ConfigDict(extra="forbid")

    positions: list[Id] | None = Field(None, max_length=100_000)
    selection: str | None = None

    def rows(self, bench: Workbench, version: int) -> np.ndarray:
        if self.selection is not None:
            return atlas.positions(bench, self.selection, version)
        return np.asarray(self.positions or [], dtype=np.uint32)


class Decision(Chosen):
    decision: Literal["accepted", "rejected", ""]


class Tag(Chosen):
    name: str = Field(min_length=1, max_length=80)
    present: bool = True


class Undo(BaseModel):
    batch: str


@router.get("/versions/{version}/maps")
def maps(version: Id, bench: Bench, _: Acting) -> list[dict]:
    return [asdict(card) for card in atlas.maps(bench, version)]


@router.get("/maps/{id}/points")
def points(id: Id, request: Request, bench: Bench, _: Acting, version: Id | None = None) -> Response:
    """(n, 2) float32, row by row of a dataset version (by default the map's own); nan for rows without a place."""
    return binary(request, atlas.points(bench, id, version))


@router.get("/versions/{version}/channels/{name}")
def channel(
    version: Id, name: str, request: Request, bench: Bench, _: Acting, evaluation: Id | None = None
) -> Response:
    """One byte a row, 255 where the value is missing; what the codes mean stands in X-Columns."""
    found = atlas.channel(bench, version, name, evaluation)
    about = {key: value for key, value in asdict(found).items() if key not in ("codes", "histogram")}
    about["histogram"] = np.asarray(found.histogram).tolist()
    return binary(request, found.codes, about=about)


@router.post("/versions/{version}/selections", status_code=201)
def select(version: Id, rule: dict, bench: Bench, actor: Acting) -> dict:
    """Keep the rows that satisfy a rule; the answer's id stands for them everywhere."""
    chosen = atlas.select(bench, actor, version, rule)
    return {"id": chosen.id, "n": chosen.n}


@router.get("/selections/{id}/mask")
def mask(id: str, request: Request, bench: Bench, _: Acting) -> Response:
    """One byte a row: 1 where selected."""
    return binary(request, atlas.mask(bench, id))


@router.get("/versions/{version}/histograms/{channel}")
def histogram(
    version: Id,
    channel: str,
    bench: Bench,
    _: Acting,
    selection: str | None = None,
    evaluation: Id | None = None,
    bins: int = Query(60, ge=1, le=1000),
) -> dict:
    """How a channel is distributed: over all rows, and over those selected."""
    found = atlas.histogram(bench, version, channel, selection=selection, evaluation=evaluation, bins=bins)
    return jsonable_encoder(asdict(found), custom_encoder={np.ndarray: np.ndarray.tolist})


@router.get("/versions/{version}/table")
def table(
    version: Id,
    bench: Bench,
    _: Acting,
    selection: str | None = None,
    evaluation: Id | None = None,
    sort: str = "position",
    descending: bool = False,
    start: int = Query(0, ge=0),
    stop: int = Query(100, ge=0),
    search: str = Query("", max_length=200),
) -> dict:
    """A page of the table behind a map, sorted and searched on the server."""
    page = atlas.table(
        bench,
        version,
        selection=selection,
        evaluation=evaluation,
        sort=sort,
        descending=descending,
        start=start,
        stop=min(stop, start + 1000),
        search=search,
    )
    return {"total": page.total, "rows": page.rows}


@router.post("/versions/{version}/decisions", status_code=201)
def decide(version: Id, body: Decision, bench: Bench, actor: Acting) -> dict:
    """Accept or reject structures; an empty decision takes one back."""
    batch = review.decide(bench, actor, version, body.rows(bench, version), body.decision)
    return {"batch": batch.id, "n": batch.n}


@router.post("/versions/{version}/tags", status_code=201)
def tag(version: Id, body: Tag, bench: Bench, actor: Acting) -> dict:
    batch = review.tag(bench, actor, version, body.rows(bench, version), body.name, body.present)
    return {"batch": batch.id, "n": batch.n}


@router.post("/undo", status_code=201)
def undo(body: Undo, bench: Bench, actor: Acting) -> dict:
    """Restore what held before one batch of decisions or tags."""
    batch = review.undo(bench, actor, body.batch)
    return {"batch": batch.id, "n": batch.n}
