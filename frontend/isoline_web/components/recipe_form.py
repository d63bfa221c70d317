"""A form made from a recipe's own fields: help, bounds, choices and units stand there once.

Every field has a cell, {"form": prefix, "cell": name}, and in it a switch, {"form": prefix, "switch": name}, or another
input, {"form": prefix, "field": name}.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dash_mantine_components as dmc
from annotated_types import Ge, Gt, Le, Lt
from dash import html
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from isoline.domain.written import choices, faults, read, write
from isoline.errors import InvalidInput


def recipe_form(
    recipe: type, prefix: str, first: Iterable[str], leave_out: Iterable[str], values: dict[str, Any], shown: list[str]
) -> tuple[html.Div, html.Details]:
    """Inputs for the fields named in `first`, and the others, folded away.

    values  what stands in them, as form_of gives it
    shown   fields that can be seen; the others are there too, hidden
    """
    first, left_out = list(first), {"kind", *leave_out}
    others = [name for name in recipe.model_fields if name not in left_out and name not in first]

    def cells(names: list[str]) -> list[html.Div]:
        return [
            html.Div(
                _input(prefix, name, recipe.model_fields[name], values[name]),
                id={"form": prefix, "cell": name},
                hidden=name not in shown,
            )
            for name in names
        ]

    return (
        html.Div(cells(first), className="form"),
        html.Details([html.Summary("Advanced"), html.Div(cells(others), className="form")], className="advanced"),
    )


def form_values(fields: list[dict], values: list, switches: list[dict], switched: list) -> dict[str, Any]:
    """Field name → what stands in the form, from the ids and values of its inputs and switches."""
    named = {id["field"]: value for id, value in zip(fields, values, strict=True)}
    return named | {id["switch"]: bool(value) for id, value in zip(switches, switched, strict=True)}


def read_form(recipe: type, values: dict[str, Any], **given) -> Any:
    """The recipe a person filled in; empty inputs are not given. Raises InvalidInput naming every field at fault."""
    filled = dict(given)
    for name, value in values.items():
        if value not in (None, ""):
            filled[name] = read(recipe.model_fields[name], value)
    try:
        return recipe.model_validate(filled)
    except ValidationError as error:
        said = [f"{words(fault['field'].split('.')[0])}: {fault['message'].lower()}" for fault in faults(error)]
        raise InvalidInput("The recipe cannot be used as it is", hint="; ".join(said)) from None


def form_of(recipe: Any, names: Iterable[str]) -> dict[str, Any]:
    """What the inputs hold when they show a recipe."""
    return {name: _shown(type(recipe).model_fields[name], getattr(recipe, name)) for name in names}


def refilled(now: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The form when its preset changes from `before` to `after`: what was changed by hand stays."""
    kept = set(by_hand(now, before))
    return {name: value if name in kept else after[name] for name, value in now.items()}


def by_hand(now: dict[str, Any], preset: dict[str, Any]) -> list[str]:
    """Fields that stand otherwise than their preset; an empty input stands for it."""
    return [name for name, value in now.items() if value not in (None, "") and value != preset[name]]


def words(name: str) -> str:
    """learning_rate → "Learning rate"."""
    return name.replace("_", " ").capitalize()


def _input(prefix: str, name: str, field: FieldInfo, value: Any) -> Any:
    said = {"label": words(name), "description": field.description or ""}
    if field.annotation is bool:
        return dmc.Switch(id={"form": prefix, "switch": name}, checked=value, size="xs", **said)
    said |= {"id": {"form": prefix, "field": name}, "value": value}
    if field.annotation in (int, float):
        low, high = _bounds(field)
        return dmc.NumberInput(
            min=low,
            max=high,
            step=1 if field.annotation is int else None,
            allowDecimal=field.annotation is float,
            hideControls=True,
            clampBehavior="none",
            **said,
        )
    if choices(field):
        data = [{"value": str(choice), "label": words(str(choice))} for choice in choices(field)]
        return dmc.Select(data=data, allowDeselect=False, **said)
    return dmc.TextInput(**said)


def _shown(field: FieldInfo, value: Any) -> Any:
    return str(value) if choices(field) else write(value)


def _bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    low = next((m.ge if isinstance(m, Ge) else m.gt for m in field.metadata if isinstance(m, (Ge, Gt))), None)
    high = next((m.le if isinstance(m, Le) else m.lt for m in field.metadata if isinstance(m, (Le, Lt))), None)
    return low, high
