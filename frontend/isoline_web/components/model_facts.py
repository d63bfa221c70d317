"""Facts about a model from its summary, which may be of an earlier version or of others and lack any of them."""

from __future__ import annotations

from typing import Any

from dash import html

from isoline.domain.artifact import Artifact
from isoline.domain.recipe import Train
from isoline.domain.written import used

from .. import words
from .families import FAMILIES, FORMER, family
from .panel import panel, quantity
from .recipe_form import words as field_words
from .scores import MEV
from .states import trouble

NOT_CHECKED = "not checked"
FEW = 10  # rows that need no second column
APART = "repel each other"
WARM = (
    ("before", "Before", "the model it started from"),
    ("after", "After", "this one"),
    ("scratch", "From scratch", "the same recipe without a start"),
)


def cost_words(model: Artifact) -> tuple[str, str]:
    """Time per atom and step, and its unit; a guest's was measured in seconds."""
    cost, slow = model.summary.get("cost") or {}, model.summary.get("seconds_per_atom")
    value = cost.get("us_per_atom", None if slow is None else 1e6 * slow)
    return (words.DASH, "") if value is None else (words.number(value, 0 if value >= 100 else 1), "µs")


def cost_conditions(model: Artifact) -> str:
    """ "1 000 atoms, 1 thread, cpu": how the cost was measured."""
    cost = model.summary.get("cost") or {}
    parts = [words.plural(cost[key], noun) for key, noun in (("atoms", "atom"), ("threads", "thread")) if cost.get(key)]
    return ", ".join([*parts, str(cost["device"]).upper()] if cost.get("device") else parts)


def dimer_words(model: Artifact) -> str:
    """Whether two atoms alone repel each other at short distance."""
    found = model.summary.get("attractive_pairs")
    if found is None:
        return NOT_CHECKED
    return f"{', '.join(map(_pair, found))} attract each other" if found else APART


def dimer_warning(model: Artifact) -> html.Div | None:
    """What is dangerous about pairs that attract; nothing for a sound model."""
    found = model.summary.get("attractive_pairs")
    if not found:
        return None
    mend = "Add" if model.recipe.get("repulsion", True) else "Switch repulsion on, or add"
    return trouble(
        f"Two isolated atoms attract each other at short distance: {', '.join(map(_pair, found))}",
        f"Dynamics may fall into that hole. {mend} structures with such short distances.",
        warning=True,
    )


def warm_panel(model: Artifact) -> html.Section | None:
    """Validation errors of a retrained model beside those of what it started from."""
    warm = model.summary.get("warm")
    if not isinstance(warm, dict):
        return None
    rows = [
        html.Tr(
            [
                html.Td([title, html.Span(f" · {what}", className="muted")]),
                html.Td(words.number(_mev(warm[key].get("energy_rmse")), 2), className="n"),
                html.Td(words.number(warm[key].get("force_rmse"), 3), className="n"),
            ]
        )
        for key, title, what in WARM
        if isinstance(warm.get(key), dict)
    ]
    if not rows:
        return None
    names = (quantity("Energy RMSE,", "meV/atom"), quantity("Force RMSE,", "eV/Å"))
    head = html.Thead(html.Tr([html.Th("Model"), *(html.Th(name, className="n") for name in names)]))
    return panel(
        "Warm start",
        html.Table([head, html.Tbody(rows)], className="table rows"),
        context="on the same validation structures",
    )


def recipe_rows(recipe: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and help of the fields of a recipe that its family looks at."""
    learned = recipe.get("kind") == "train" or "epochs" in recipe
    rows = []
    for name, value in recipe.items():
        field = Train.model_fields.get(name) if learned else None
        if name in ("kind", "version", "name", "start"):
            continue
        if field is not None and not used(Train, name, recipe.get("family", FORMER), recipe.get("head", "")):
            continue
        if name == "net_force_penalty" and not recipe.get("direct_forces"):
            continue
        rows.append((field_words(name), _plain(name, value), (field.description or "") if field is not None else ""))
    return rows


def recipe_panel(model: Artifact) -> html.Section:
    """The recipe of a model, without what it had no use for."""
    rows = [
        html.Tr([html.Td(name, title=help), html.Td(value, className="n strong")])
        for name, value, help in recipe_rows(model.recipe)
    ]
    half = -(-len(rows) // 2) if len(rows) > FEW else len(rows)
    parts = [html.Table(html.Tbody(part), className="table rows") for part in (rows[:half], rows[half:]) if part]
    context = FAMILIES[family(model)][0] if family(model) in FAMILIES else ""
    return panel("Recipe", html.Div(parts, className="halves"), context=context)


def _plain(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} = {one}" for key, one in value.items()) or words.DASH
    if isinstance(value, (list, tuple)):
        return " × ".join(map(str, value))
    if name == "family" and value in FAMILIES:
        return FAMILIES[value][0]
    if name == "cutoff":
        return f"{value:g} Å"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pair(pair: object) -> str:
    """ "Si–O", of atomic numbers or symbols."""
    if isinstance(pair, (list, tuple)):
        return "–".join(one if isinstance(one, str) else words.symbols([int(one)])[0] for one in pair)
    return str(pair).replace("-", "–")


def _mev(value: float | None) -> float | None:
    return None if value is None else value * MEV
