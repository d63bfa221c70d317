"""Errors of models: metrics by group, parity points, comparison."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from ...services import accuracy
from ...services import calibration as calibrations
from ..dependencies import Acting, Bench, Id, binary

router = APIRouter(tags=["accuracy"])

Quantity = Literal["energy", "forces", "stress"]
Grouping = Literal["overall", "split", "role", "leak", "element", "group", "tag"]


@router.get("/evaluations/{id}/metrics")
def metrics(id: Id, bench: Bench, _: Acting, by: Grouping = "overall") -> list[dict]:
    """MAE, RMSE and R² with their N; energies in eV/atom, forces in eV/Å, stress in eV/Å³."""
    return [asdict(row) for row in accuracy.metrics(bench, id, by)]


@router.get("/evaluations/{id}/parity/{quantity}")
def parity(
    id: Id, quantity: Quantity, request: Request, bench: Bench, _: Acting, selection: str | None = None
) -> Response:
    """Reference and predicted values with the row of each point's structure: three columns."""
    points = accuracy.parity(bench, id, quantity, selection)
    about = {"unit": points.unit, "low": points.low, "high": points.high, "origin": points.origin}
    return binary(request, points.reference, points.predicted, points.position, about=about)


@router.get("/evaluations/{id}/spread/{quantity}")
def spread(
    id: Id,
    quantity: Literal["energy", "forces"],
    request: Request,
    bench: Bench,
    _: Acting,
    selection: str | None = None,
) -> Response:
    """Committee spread and error with the row of each point's structure: three columns."""
    points = accuracy.spread_against_error(bench, id, quantity, selection)
    about = {"unit": points.unit, "correlation": points.correlation}
    return binary(request, points.spread, points.error, points.position, about=about)


@router.get("/evaluations/{id}/calibration")
def calibration(id: Id, bench: Bench, _: Acting, selection: str | None = None) -> dict:
    """What spreads say of errors, as given and calibrated: coverage, reliability, per element and decile, AUROC."""
    return asdict(calibrations.report(bench, id, selection))


@router.get("/evaluations/compare")
def compare(bench: Bench, _: Acting, id: Annotated[list[Id], Query()]) -> list[dict]:
    """The same test set under several models."""
    return [asdict(row) for row in accuracy.compare(bench, id)]
