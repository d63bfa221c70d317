"""Errors in words and in tables; energies in meV/atom, so that their digits mean something."""

from __future__ import annotations

from collections.abc import Iterable

from dash import dcc, html

from .. import words
from .panel import quantity

MEV = 1000.0
# (prefix of the score's fields, title, factor, unit, digits)
COLUMNS = (
    ("energy", "Energy", MEV, "meV/atom", 2),
    ("force", "Forces", 1.0, "eV/Å", 3),
    ("stress", "Stress", MEV, "meV/Å³", 2),
)
PREFIX = {"energy": 0, "forces": 1, "stress": 2}


def score_words(row, name: str, *, plain: bool = False) -> object:
    """MAE, RMSE and R² for a panel's bar; `plain`, as one sentence, also the number of values they rest on."""
    prefix, _, factor, unit, digits = COLUMNS[PREFIX[name]]
    n = getattr(row, f"{prefix}_n")
    if not n:
        return "no references" if plain else html.Span("no references", className="muted")
    values = {key: getattr(row, f"{prefix}_{key}", None) for key in ("mae", "rmse", "r2")}
    text = [
        ("MAE", words.number(_times(values["mae"], factor), digits), unit),
        ("RMSE", words.number(_times(values["rmse"], factor), digits), unit),
        *([("R²", words.number(values["r2"], 4), "")] if values["r2"] is not None else []),
    ]
    if plain:
        text.append(("N", words.count(n), ""))
        return ", ".join(f"{key} {value} {unit}".strip() for key, value, unit in text)
    shown = []
    for key, value, of in text:
        shown.append(
            html.Span(
                [
                    html.Span(f"{key} ", className="muted"),
                    html.B(value),
                    *([html.Span(of, className="unit")] if key == "RMSE" else []),
                ]
            )
        )
    return shown


def by_group(rows: Iterable, by: str) -> html.Div | html.Table:
    """One line a group, with as many structures as it has."""
    rows = list(rows)
    if not rows:
        return html.Div(f"No structure has a {by}.", className="body muted")
    body = [
        html.Tr(
            [
                html.Td(row.group or f"no {by}", className="name"),
                html.Td(words.count(row.n_structures), className="n"),
                *_cells(row),
            ]
        )
        for row in rows
    ]
    return html.Table([_head(by.capitalize()), html.Tbody(body)], className="table rows")


def compared(comparisons: Iterable, shown: int) -> html.Table:
    """The same structures under several models, the best of each column in bold."""
    comparisons = list(comparisons)
    best = {}
    for prefix, *_ in COLUMNS:
        for kind in ("mae", "rmse"):
            values = [value for one in comparisons if (value := getattr(one.score, f"{prefix}_{kind}")) is not None]
            best[f"{prefix}_{kind}"] = min(values) if len(values) > 1 else None
    body = [
        html.Tr(
            [
                html.Td(dcc.Link(one.name, href=f"/accuracy/{one.evaluation}"), className="name"),
                html.Td(words.count(one.score.n_structures), className="n"),
                *_cells(one.score, best),
            ],
            className="current" if one.evaluation == shown else "",
        )
        for one in comparisons
    ]
    return html.Table([_head("Model"), html.Tbody(body)], className="table rows")


def _head(first: str) -> html.Thead:
    kinds = [html.Th(quantity(f"{title},", unit), colSpan=2, className="n over") for _, title, _, unit, _ in COLUMNS]
    errors = [html.Th(kind, className="n") for _ in COLUMNS for kind in ("MAE", "RMSE")]
    return html.Thead(
        [html.Tr([html.Th(first, rowSpan=2), html.Th("Structures", rowSpan=2, className="n"), *kinds]), html.Tr(errors)]
    )


def _cells(row, best: dict | None = None) -> list:
    cells = []
    for prefix, _, factor, _, digits in COLUMNS:
        for kind in ("mae", "rmse"):
            value = getattr(row, f"{prefix}_{kind}")
            text = words.number(_times(value, factor), digits)
            won = best is not None and value is not None and value == best[f"{prefix}_{kind}"]
            cells.append(
                html.Td(html.B(text) if won else text, className="n", title=f"N = {getattr(row, f'{prefix}_n')}")
            )
    return cells


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
