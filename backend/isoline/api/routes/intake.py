"""Bringing files in: upload, survey, import."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from ...domain.contract import Contract
from ...domain.recipe import Import
from ...formats.survey import Survey
from ...services import intake, work
from ..dependencies import Acting, Bench

router = APIRouter(tags=["intake"])


class UploadView(BaseModel):
    id: str
    name: str
    size: int
    sha256: str


@router.put("/uploads/{name}", status_code=201)
async def upload(name: str, request: Request, bench: Bench, actor: Acting) -> UploadView:
    """Stream a file to the server's disk; nothing is kept of an upload that breaks off."""
    saved = await intake.save_upload(bench, actor, name, request.stream())
    return UploadView(id=saved.id, name=saved.name, size=saved.size, sha256=saved.sha256)


@router.post("/uploads/{upload}/survey")
async def survey(upload: str, contract: Contract, bench: Bench, _: Acting) -> Survey:
    """The label contract of an uploaded file: what would be read as what, before anything is stored."""
    path = await run_in_threadpool(intake.upload_path, bench, upload)
    return await run_in_threadpool(intake.survey, bench, [path], contract)


@router.post("/imports", status_code=202)
def start(recipe: Import, bench: Bench, actor: Acting) -> dict:
    """Queue the import of uploaded files into a dataset."""
    return work.as_dict(intake.start_import(bench, actor, recipe))
