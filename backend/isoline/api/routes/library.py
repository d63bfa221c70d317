"""Datasets, their versions, single structures, export."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, BackgroundTasks
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from ...services import atlas, library, viewer
from ..dependencies import Acting, Bench, Id

router = APIRouter(tags=["library"])


class Freeze(BaseModel):
    selection: str
    dataset: str | None = Field(None, min_length=1, max_length=80)
    note: str = Field("", max_length=2000)


@router.get("/datasets")
def datasets(bench: Bench, _: Acting) -> list[dict]:
    """The newest version of every dataset."""
    return [asdict(card) for card in library.datasets(bench)]


@router.get("/datasets/{name}/versions")
def versions(name: str, bench: Bench, _: Acting) -> list[dict]:
    return [asdict(card) for card in library.versions(bench, name)]


@router.get("/versions/{version}")
def version(version: Id, bench: Bench, _: Acting) -> dict:
    return asdict(library.version(bench, version))


@router.post("/versions/{version}/freeze", status_code=201)
def freeze(version: Id, body: Freeze, bench: Bench, actor: Acting) -> dict:
    """A new dataset version from a selection of this one."""
    rows = atlas.positions(bench, body.selection, version)
    return asdict(library.freeze(bench, actor, version, rows, dataset=body.dataset, note=body.note))


@router.get("/versions/{version}/structures/{position}")
def structure(version: Id, position: Id, bench: Bench, _: Acting, evaluation: Id | None = None) -> dict:
    """One structure for the 3D view: atoms, cell, forces, per-atom scalars, facts and provenance."""
    return viewer.structure(bench, version, position, evaluation)


@router.get("/versions/{version}/export")
def export(
    version: Id,
    background: BackgroundTasks,
    bench: Bench,
    actor: Acting,
    suffix: Literal["extxyz", "extxyz.gz", "extxyz.xz", "db", "traj"] = "extxyz",
    selection: str | None = None,
) -> FileResponse:
    """A dataset version, or a selection of it, as a file."""
    card = library.version(bench, version)
    folder = tempfile.TemporaryDirectory(dir=bench.settings.home)
    background.add_task(folder.cleanup)
    name = f"{card.dataset}-v{card.version}.{suffix}"
    rows = None if selection is None else atlas.positions(bench, selection, version)
    library.export(bench, actor, version, Path(folder.name) / f"export.{suffix}", rows)
    return FileResponse(Path(folder.name) / f"export.{suffix}", filename=name, background=background)
