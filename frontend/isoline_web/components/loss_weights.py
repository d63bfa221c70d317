"""What each kind of label weighs in the loss, and the noise that this weight stands for: a panel for a model's page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dash import html

from isoline.domain.artifact import Artifact
from isoline.domain.recipe import Train
from isoline.domain.written import used

from .. import words
from .families import NO_NET_FORCE, family
from .panel import panel, quantity

# (name in the summary, in the recipe, title, factor and unit of its noise)
TERMS = (
    ("energy", "energy_weight", "Energy", 1000.0, "meV per √atom"),
    ("forces", "force_weight", "Forces", 1000.0, "meV/Å"),
    ("stress", "stress_weight", "Stress", 1000.0, "meV per √atom"),
)


@dataclass(frozen=True)
class Term:
    """One kind of label in the loss.

    noise   what is left unexplained, in eV and Å; None where it was not estimated
    asked   factor in the recipe
    weight  what it came to, relative to forces of weight 1; None where the evidence of a linear potential weighs
    """

    noise: float | None
    asked: float
    weight: float | None


def loss_terms(model: Artifact) -> dict[str, Term]:
    """Each kind of label of a model that was trained here; a Gaussian likelihood weighs by 1/σ².

    Forces count `force_priority` times more than that. Kendall, Gal & Cipolla, CVPR 2018, eq. 7.
    """
    recipe, noise = model.recipe, model.summary.get("noise") or {}
    by_noise = recipe.get("weighting") == "noise" and _looks_at(model, "weighting")
    sigma = {name: _positive(noise.get(name, noise.get(name.removesuffix("s")))) for name, *_ in TERMS}
    terms = {}
    for name, key, *_ in TERMS:
        asked = float(recipe.get(key, 0.0))
        weight = None if _closed(model) else asked
        if by_noise and name != "forces" and sigma[name] and sigma["forces"]:
            weight = asked * sigma["forces"] ** 2 / (recipe.get("force_priority", 1.0) * sigma[name] ** 2)
        terms[name] = Term(sigma[name], asked, weight)
    return terms


def loss_weights_panel(model: Artifact) -> html.Section | None:
    """The panel; nothing for a model whose recipe has no weights."""
    if not any(key in model.recipe for _, key, *_ in TERMS):
        return None
    terms, labels = loss_terms(model), model.summary.get("used")
    closed = _closed(model)
    names = ("Structures", "Noise", "Asked", *(() if closed else ("Weight",)))
    head = html.Thead(html.Tr([html.Th("Label"), *(html.Th(name, className="n") for name in names)]))
    rows = [
        _row(title, terms[name], None if labels is None else labels.get(name, 0), factor, unit, closed)
        for name, _, title, factor, unit in TERMS
    ]
    return panel(
        "Weights",
        html.Table([head, html.Tbody(rows)], className="table rows"),
        html.Div([html.P(_how(model, terms)), html.P(_net_force(model))], className="body stack muted line"),
        context="of the terms of the loss",
    )


def _row(title: str, term: Term, n: int | None, factor: float, unit: str, closed: bool) -> html.Tr:
    noise = quantity(words.number(factor * term.noise, 2), unit) if term.noise else words.DASH
    learned = n != 0 and term.asked > 0
    cells = [words.DASH if n is None else words.count(n), noise, f"× {term.asked:g}"]
    if not closed:
        cells.append(words.number(term.weight, 3) if learned else "not used")
    return html.Tr([html.Td(title, className="name"), *(html.Td(cell, className="n") for cell in cells)])


def _how(model: Artifact, terms: dict[str, Term]) -> str:
    if not any(term.noise for term in terms.values()):
        return "Weights are those asked for: the noise of the labels was not estimated."
    if _closed(model):
        return (
            "Noise and prior are those that make the labels most probable (the evidence). A label weighs 1/noise², "
            "times what was asked; labels of one structure err together, so forces and stresses count for fewer."
        )
    first = model.recipe.get("force_priority", 1.0)
    return (
        "Noise is what a linear potential left unexplained on the validation set: scatter of the labels and what it "
        "cannot express; a dash stands where too few labels tell. A weight is 1/noise², relative to that of forces, "
        f"times what was asked. Forces count {first:g} times more than that."
    )


def _closed(model: Artifact) -> bool:
    """Whether it was solved in closed form."""
    return family(model) == "body-ordered" and model.recipe.get("head") == "linear"


def _looks_at(model: Artifact, name: str) -> bool:
    return used(Train, name, family(model), model.recipe.get("head", ""))


def _net_force(model: Artifact) -> str:
    if family(model) == "message-passing" and model.recipe.get("direct_forces"):
        penalty = model.recipe.get("net_force_penalty", 0.0)
        return f"Forces are read directly, so net forces need not be zero; their squares weigh {penalty:g}."
    return NO_NET_FORCE


def _positive(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) and value > 0 else None
